"""Sotto: Gemma on your own GPU, in a browser tab or in plain Python."""
