"""Files of models: bytes to a checkpoint."""
