"""Any video file -> frames with true times; clips. No JAX, no TensorFlow."""
