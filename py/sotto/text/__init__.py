"""Text to token ids and back, prompts, and the choice of the next token."""
