"""The recorded forward pass, and what belongs to a list of kernels."""
