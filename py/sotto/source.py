"""Where a model's bytes come from: a file on disk, a Range-reading URL, memory; or several of them, named."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from .errors import FormatError, SottoError


class Source(Protocol):
    """Random access to the bytes of one model file.

    Attributes:
        name: what a person calls the file.
        size: bytes in the file.
        key: identity of the content, for the weight cache: a sha256, or size with modification time or ETag.
    """

    name: str
    size: int
    key: str

    async def read(self, offset: int, nbytes: int) -> bytes | memoryview:
        """Read exactly `nbytes` bytes from `offset`. Raises SottoError when they cannot be had."""
        ...

    def expect(self, offset: int, nbytes: int) -> None:
        """Exactly this will be read soon, before anything expected later: a source that waits begins now."""
        ...

    def close(self) -> None:
        """Release the file or connection."""
        ...


class FileSource:
    """A model file on disk."""

    def __init__(self, path: Path, key: str | None = None) -> None:
        try:
            self._file = path.open("rb")
            stat = path.stat()
        except OSError as error:
            raise SottoError(
                f"Cannot read {path}: {error.strerror}.", "Check the path of the model file."
            ) from error
        self.name = path.name
        self.size = stat.st_size
        self.key = key or f"{path.resolve()}:{stat.st_size}:{stat.st_mtime_ns}"

    async def read(self, offset: int, nbytes: int) -> bytes:
        self._file.seek(offset)
        data = self._file.read(nbytes)
        if len(data) != nbytes:
            raise FormatError(
                f"{self.name} ends at byte {self.size:,}, but {offset + nbytes:,} bytes are needed.",
                "The file is incomplete: download it again.",
            )
        return data

    def expect(self, offset: int, nbytes: int) -> None:
        """The system reads ahead by itself."""

    def close(self) -> None:
        self._file.close()


class MemorySource:
    """A model file held in memory."""

    def __init__(self, data: bytes, name: str, key: str) -> None:
        self._data = data
        self.name = name
        self.size = len(data)
        self.key = key

    async def read(self, offset: int, nbytes: int) -> bytes:
        if offset + nbytes > self.size:
            raise FormatError(
                f"{self.name} ends at byte {self.size:,}, but {offset + nbytes:,} bytes are needed.",
                "The file is incomplete: download it again.",
            )
        return self._data[offset : offset + nbytes]

    def expect(self, offset: int, nbytes: int) -> None:
        """All is here."""

    def close(self) -> None:
        """Nothing to release."""


class JoinedSource:
    """A model file that was cut into parts, as hosts ask for that take no large files.

    Args:
        name: what a person calls the file.
        key: identity of the whole content.
        parts: its bytes from beginning to end.
    """

    def __init__(self, name: str, key: str, parts: Sequence[Source]) -> None:
        self._parts = list(parts)
        self.name = name
        self.size = sum(part.size for part in parts)
        self.key = key

    async def read(self, offset: int, nbytes: int) -> bytes:
        if offset + nbytes > self.size:
            raise FormatError(
                f"{self.name} ends at byte {self.size:,}, but {offset + nbytes:,} bytes are needed.",
                "The file is incomplete: download it again.",
            )
        return b"".join([await part.read(*place) for part, *place in self._places(offset, nbytes)])

    def expect(self, offset: int, nbytes: int) -> None:
        for part, start, count in self._places(offset, nbytes):
            part.expect(start, count)

    def _places(self, offset: int, nbytes: int) -> Iterator[tuple[Source, int, int]]:
        """Each part of a range: (part, offset in it, bytes of it)."""
        end, begin = offset + nbytes, 0
        for part in self._parts:
            first, last = max(offset, begin), min(end, begin + part.size)
            if first < last:
                yield part, first - begin, last - first
            begin += part.size

    def close(self) -> None:
        """Release every part."""
        for part in self._parts:
            part.close()


class Folder:
    """The files of a model that comes in several, by name.

    Attributes:
        name: what a person calls the folder.
        files: by their names in it.
        size: bytes in all files.
        key: identity of the content, made of the files' names and keys.
    """

    def __init__(self, name: str, files: Mapping[str, Source]) -> None:
        self.name = name
        self.files = dict(files)
        self.size = sum(file.size for file in files.values())
        parts = "".join(f"{len(n)} {n} {len(files[n].key)} {files[n].key} " for n in sorted(files))
        self.key = hashlib.sha256(parts.encode()).hexdigest()

    def close(self) -> None:
        """Release every file."""
        for file in self.files.values():
            file.close()


def file_of(source: Source | Folder, name: str) -> Source:
    """The file of this name in a folder; a source that is one file by itself has the name ""."""
    if not isinstance(source, Folder):
        return source
    return source.files[name]
