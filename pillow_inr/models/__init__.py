"""The models that a file may hold: a folder each, behind the protocols in `base`."""
