"""The environment of the computation: threads, TensorFlow's devices, what native libraries print."""
