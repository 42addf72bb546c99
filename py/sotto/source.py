"""Where a model's bytes come from: a file on disk, a Range-reading URL, memory; or several of them, named."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Protocol

from .errors import FormatError, ModelLost, SottoError


class Source(Protocol):
    """Random access to the bytes of one model file.

    Attributes:
        name: what a person calls the file.
        size: bytes in the file.
    """

    name: str
    size: int

    @property
    def key(self) -> str:
        """Identity of the content, for the weight cache: the sha256 of its bytes, so that one model is one entry
        wherever it came from; a size and an ETag where only a server knows the bytes."""
        ...

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
    """A model file on disk.

    Args:
        path: of the file.
        sha256: gives the file's, which takes about a second for each gigabyte: asked when somebody wants the key.

    Raises:
        SottoError: the file cannot be read.
    """

    def __init__(self, path: Path, sha256: Callable[[Path], str] | None = None) -> None:
        try:
            self._file = path.open("rb")
            size = path.stat().st_size
        except OSError as error:
            raise _unreadable(path, error) from error
        self.name = path.name
        self.size = size
        self._path = path
        self._sha256 = sha256 or _sha256

    @cached_property
    def key(self) -> str:
        """The sha256 of the content. Raises SottoError."""
        try:
            return self._sha256(self._path)
        except OSError as error:
            raise _unreadable(self._path, error) from error

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


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unreadable(path: Path, error: OSError) -> SottoError:
    return SottoError(f"Cannot read {path}: {error.strerror}.", "Check the path of the model file.")


class KeptSource:
    """A model whose file is not opened; what was kept of it is enough to load it. Where that is damaged, see `opened`.

    Args:
        key: of its entry in the store.
        name: what a person calls the file.
        size: bytes that the file had; 0 where that is not known.
        origin: opens the model where it came from, knowing whether all of it will be read; raises SottoError where it
            is not to be had. None where nobody knows where that is.
    """

    def __init__(
        self,
        key: str,
        name: str,
        size: int = 0,
        origin: Callable[[bool], Awaitable[Source | Folder]] | None = None,
    ) -> None:
        self.key = key
        self.name = name
        self.size = size
        self._origin = origin
        self._opened: Source | Folder | None = None
        self._whole = False

    async def open(self, whole: bool) -> Source | Folder:
        """Its file or files. Raises ModelLost.

        Args:
            whole: all of it will be read.
        """
        if self._opened is None or (whole and not self._whole):
            self.close()
            self._opened, self._whole = await self._found(whole), whole
        return self._opened

    async def _found(self, whole: bool) -> Source | Folder:
        what = f"What is kept of {self.name} is damaged, and cannot be mended:"
        if self._origin is None:
            raise ModelLost(f"{what} its file is not here.", "Give the file again, and only that is read.")
        try:
            found = await self._origin(whole)
        except SottoError as error:
            raise ModelLost(f"{what} {error.message}", error.hint) from error
        if found.key != self.key:
            found.close()
            raise ModelLost(f"{what} where it came from there is another file by now.", "Load that one.")
        return found

    async def read(self, offset: int, nbytes: int) -> bytes | memoryview:
        found = await self.open(whole=True)
        if isinstance(found, Folder):
            raise TypeError("a folder is no file: see `opened`")
        return await found.read(offset, nbytes)

    def expect(self, offset: int, nbytes: int) -> None:
        """Nothing is read ahead."""

    def close(self) -> None:
        """Release what was opened."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None


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


async def in_memory(source: Source) -> MemorySource:
    """A small file, read whole."""
    data = bytes(await source.read(0, source.size))
    return MemorySource(data, source.name, hashlib.sha256(data).hexdigest())


class StartedSource:
    """A model file whose first bytes are here already.

    Args:
        rest: the whole file, of which no more is read than is missing.
        start: its first bytes.
    """

    def __init__(self, rest: Source, start: bytes) -> None:
        self._rest = rest
        self._start = start
        self.name = rest.name
        self.size = rest.size

    @property
    def key(self) -> str:
        return self._rest.key

    async def read(self, offset: int, nbytes: int) -> bytes | memoryview:
        if offset + nbytes <= len(self._start):
            return self._start[offset : offset + nbytes]
        return await self._rest.read(offset, nbytes)

    def expect(self, offset: int, nbytes: int) -> None:
        """What is read ahead would often be what is here."""

    def close(self) -> None:
        """Release the file."""
        self._rest.close()


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
    """

    def __init__(self, name: str, files: Mapping[str, Source]) -> None:
        self.name = name
        self.files = dict(files)
        self.size = sum(file.size for file in files.values())

    @cached_property
    def key(self) -> str:
        """Identity of the content, made of the files' names and keys."""
        keys = {name: self.files[name].key for name in sorted(self.files)}
        parts = "".join(f"{len(name)} {name} {len(key)} {key} " for name, key in keys.items())
        return hashlib.sha256(parts.encode()).hexdigest()

    def close(self) -> None:
        """Release every file."""
        for file in self.files.values():
            file.close()


async def opened(source: Source | Folder, *, whole: bool) -> Source | Folder:
    """The files themselves, where only what was kept of a model was at hand. Raises ModelLost.

    Args:
        whole: all of them will be read.
    """
    return await source.open(whole) if isinstance(source, KeptSource) else source


def file_of(source: Source | Folder, name: str) -> Source:
    """The file of this name in a folder; a source that is one file by itself has the name ""."""
    if not isinstance(source, Folder):
        return source
    return source.files[name]
