"""The cache folder: where it is, and which of its files are verified.

Verification is remembered, so that 253 MB are not hashed at every start: a stamp is a file's size,
modification time and sha256. A file that differs from its stamp is hashed again, so a change is noticed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path

from .pins import File

CACHE_VARIABLE = "SOTTO_CACHE"
STAMPS_NAME = "verified.json"


def default_cache() -> Path:
    """`$SOTTO_CACHE`, else `.cache` in the checkout, else (an installed package) the platform's own place."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    checkout = Path(__file__).resolve().parents[3]
    if (checkout / "serve.py").is_file():
        return checkout / ".cache"
    import platformdirs  # noqa: PLC0415 - comes with the installed package; serve.py runs without it

    return platformdirs.user_cache_path("sotto", appauthor=False)


def file_sha256(path: Path) -> str:
    """The sha256 of a file, hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


class Stamps:
    """The stamps of one cache folder.

    Args:
        cache: the cache folder; it need not exist yet.
    """

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._path = cache / STAMPS_NAME
        self._stamps: dict[str, list[object]] = {}
        try:
            loaded = json.loads(self._path.read_text("utf-8"))
        except (OSError, ValueError):
            return  # no stamps, or a damaged list: the files are hashed again
        if isinstance(loaded, dict):
            self._stamps = loaded

    def known(self, path: str) -> str | None:
        """The sha256 of a file (path below the cache folder) that has not changed since it was verified."""
        stamp = self._stamps.get(path)
        if stamp is None:
            return None
        try:
            status = (self._cache / path).stat()
        except OSError:
            return None
        sha256 = str(stamp[-1])
        return sha256 if stamp == [status.st_size, status.st_mtime_ns, sha256] else None

    def verify(self, file: File) -> bool:
        """Whether the file is there with the pinned bytes; hashes it only if its stamp does not say so."""
        if self.known(file.path) == file.sha256:
            return True
        path = self._cache / file.path
        if not path.is_file() or path.stat().st_size != file.size or file_sha256(path) != file.sha256:
            return False
        with contextlib.suppress(OSError):  # a cache that cannot be written to is as good to read
            self.record(file)
        return True

    def record(self, file: File) -> None:
        """Remember that the file was just verified."""
        status = (self._cache / file.path).stat()
        self._stamps[file.path] = [status.st_size, status.st_mtime_ns, file.sha256]
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps(self._stamps, indent=1, sort_keys=True) + "\n", "utf-8")
        fresh.replace(self._path)
