"""The cache folder: where it is, and which of its files are verified.

Verification is remembered, so that 253 MB are not hashed at every start: a stamp is a file's size,
modification time and sha256. A file that differs from its stamp is hashed again, so a change is noticed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

from .pins import File

CACHE_VARIABLE = "SOTTO_CACHE"
STAMPS_NAME = "verified.json"
OWN_STAMPS_NAME = "hashed.json"
"""The stamps of files that people have elsewhere on their disk; the other ones are of what is pinned."""
_BLOCK = 1 << 22


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


def file_sha256(path: Path, progress: Callable[[int, int], None] | None = None) -> str:
    """The sha256 of a file, hexadecimal; `progress` hears how many of how many bytes are done. Raises OSError."""
    hashing, done = hashlib.sha256(), 0
    with path.open("rb") as handle:
        size = path.stat().st_size
        while block := handle.read(_BLOCK):
            hashing.update(block)
            done += len(block)
            if progress:
                progress(done, size)
    return hashing.hexdigest()


class Stamps:
    """The stamps of one cache folder.

    Args:
        cache: the cache folder; it need not exist yet.
        name: of the file in it that keeps the stamps.
    """

    def __init__(self, cache: Path, name: str = STAMPS_NAME) -> None:
        self._cache = cache
        self._path = cache / name
        self._stamps: dict[str, list[object]] = {}
        try:
            loaded = json.loads(self._path.read_text("utf-8"))
        except (OSError, ValueError):
            return  # no stamps, or a damaged list: the files are hashed again
        if isinstance(loaded, dict):
            self._stamps = loaded

    def known(self, path: str) -> str | None:
        """The sha256 of a file (path below the cache folder, or absolute) that has not changed since it was stamped."""
        stamp = self._stamps.get(path)
        if stamp is None:
            return None
        try:
            status = (self._cache / path).stat()
        except OSError:
            return None
        sha256 = str(stamp[-1])
        return sha256 if stamp == [status.st_size, status.st_mtime_ns, sha256] else None

    def sha256(self, path: Path, progress: Callable[[int, int], None] | None = None) -> str:
        """The sha256 of any file, which is hashed where it has changed since it was stamped. Raises OSError."""
        name = str(path.resolve())
        if known := self.known(name):
            return known
        sha256 = file_sha256(path, progress)
        self._stamps = {
            name: stamp for name, stamp in self._stamps.items() if (self._cache / name).exists()
        }  # of what is gone, nothing is kept
        with contextlib.suppress(OSError):  # as below
            self.record(name, sha256)
        return sha256

    def verify(self, file: File) -> bool:
        """Whether the file is there with the pinned bytes; hashes it only if its stamp does not say so."""
        if self.known(file.path) == file.sha256:
            return True
        path = self._cache / file.path
        if not path.is_file() or path.stat().st_size != file.size or file_sha256(path) != file.sha256:
            return False
        with contextlib.suppress(OSError):  # a cache that cannot be written to is as good to read
            self.record(file.path, file.sha256)
        return True

    def record(self, path: str, sha256: str) -> None:
        """Remember a file's sha256, which was just computed. Raises OSError."""
        status = (self._cache / path).stat()
        self._stamps[path] = [status.st_size, status.st_mtime_ns, sha256]
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_suffix(
            f".{os.getpid()}.new"
        )  # programs may write at once: the last one's stays
        fresh.write_text(json.dumps(self._stamps, indent=1, sort_keys=True) + "\n", "utf-8")
        fresh.replace(self._path)
