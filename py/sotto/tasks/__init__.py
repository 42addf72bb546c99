"""Prompts as products: what the page and the command line ask a model for."""
