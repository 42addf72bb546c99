"""Measuring: what a device can do at all (probes), and what a model does on it (protocol).

Nothing here knows which device it is: the same code measures Dawn under plain Python and a browser's GPU.
"""
