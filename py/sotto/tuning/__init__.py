"""Is the device right, and which kernels are fastest on it: asked while a model loads, within a budget of seconds."""
