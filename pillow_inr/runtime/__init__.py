"""What surrounds the computation: threads, TensorFlow's devices, what native libraries print."""
