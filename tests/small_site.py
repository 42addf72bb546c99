"""A checkout and a cache folder of a few small files, for tests of what the server makes of them."""

from __future__ import annotations

from pathlib import Path

from sotto.site.site import WORKER

FILES = {
    "web/index.html": b"<!doctype html>",
    "web/parts/deep.css": b"p {}",
    f"web/{WORKER}": b"RELEASE;\n",
    "web/.hidden": b"",
    "py/sotto/__init__.py": b"",
    "kernels/rope.wgsl": b"fn main() {}",
    "cache/runtime/pyscript/core.js": b"export {};",
    "cache/runtime/pyscript/old.js": b"export {};",
}


def build(folder: Path) -> Path:
    """Write it into a folder, and return that; the cache is `cache` in it."""
    for name, content in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder
