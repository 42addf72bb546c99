"""Measuring: what a device can do at all (probes), and what a model does on it (protocol).

Nothing here knows which device it is: benchmark.py measures for a `Host`, which is plain Python (desk.py) or the
page (page/benchmark/host.py), and makes the same report of it.
"""
