"""Processors that need no library of a host."""
