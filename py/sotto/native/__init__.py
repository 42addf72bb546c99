"""The hosts under plain Python: Dawn, wasmtime, a disk."""
