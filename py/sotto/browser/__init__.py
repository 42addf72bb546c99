"""The hosts in a browser: WebGPU, WebAssembly, IndexedDB, Range requests."""
