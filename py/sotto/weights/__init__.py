"""From the blocks of a file to the words that kernels read."""
