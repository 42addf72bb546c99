"""The Python package and the kernels as one zip for the browser: what PyScript unpacks into the worker."""

from __future__ import annotations

import hashlib
import io
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

_TIMESTAMP = (1980, 1, 1, 0, 0, 0)  # the zip format's first day: equal sources give equal bytes


class AppZip:
    """The zip of a checkout, built again when a source file has changed.

    Args:
        package: the folder `py/sotto`; its Python files become `sotto/...`.
        kernels: the folder of WGSL files and compiled C kernels, which become `sotto/kernels/...`.
    """

    def __init__(self, package: Path, kernels: Path) -> None:
        self._package = package
        self._kernels = kernels
        self._lock = threading.Lock()
        self._state: list[tuple[str, int, int]] = []
        self._built = (b"", "")

    def get(self) -> tuple[bytes, str]:
        """The zip's bytes and their sha256, hexadecimal."""
        with self._lock:
            state = [(name, *self._stamp(path)) for name, path in self._sources()]
            if state != self._state:
                data = self._build()
                self._built = data, hashlib.sha256(data).hexdigest()
                self._state = state
            return self._built

    def _sources(self) -> Iterator[tuple[str, Path]]:
        """Name in the zip and path of every source, in the order of the zip."""
        for folder, prefix, pattern in (
            (self._package, "sotto", "*.py"),
            (self._package, "sotto", "bench/published.json"),
            (self._kernels, "sotto/kernels", "*.wgsl"),
            (self._kernels, "sotto/kernels", "*/*.wasm"),
            (self._kernels, "sotto/kernels", "cpu/steps.h"),
        ):
            for path in sorted(folder.rglob(pattern)):
                yield f"{prefix}/{path.relative_to(folder).as_posix()}", path

    @staticmethod
    def _stamp(path: Path) -> tuple[int, int]:
        status = path.stat()
        return status.st_size, status.st_mtime_ns

    def _build(self) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, path in self._sources():
                entry = zipfile.ZipInfo(name, _TIMESTAMP)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.create_system = 3  # the same on every platform
                entry.external_attr = 0o644 << 16
                archive.writestr(entry, path.read_bytes())
        return buffer.getvalue()
