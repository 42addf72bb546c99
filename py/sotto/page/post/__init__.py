"""The parts of the screen "post": what can be asked, how posts are written, shown, kept and found again."""
