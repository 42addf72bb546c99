"""The conversation's screen: what was said, what the model still sees of it, where it is kept, how it looks."""
