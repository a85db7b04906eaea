"""The fit of a pyramid. The only code of this model that imports TensorFlow."""
