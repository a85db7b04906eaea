"""A third model, the mean colour, to show what a model takes: this folder and a line in `models.registry`."""
