"""What the screen `benchmark` is made of: its part of the document, its host, kept runs, figures and their HTML."""
