"""One module for each screen, and what it alone uses."""
