"""Is a device right, and which kernels are the fastest on it?"""
