// Whatever the server offers below /runtime/: PyScript, of which nothing is used but that it starts.
export {};
