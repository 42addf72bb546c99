"""A loaded model: the text in its cache, and generation."""
