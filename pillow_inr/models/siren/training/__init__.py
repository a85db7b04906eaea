"""The fit of a SIREN. The only code of this model, beside its Keras modules, that imports TensorFlow."""
