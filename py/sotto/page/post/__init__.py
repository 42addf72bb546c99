"""The parts of the screen "post"."""
