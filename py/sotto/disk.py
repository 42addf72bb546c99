"""The cache of converted models on disk, for plain Python.

An entry is a folder named after its key's hash: `image`, the converted model, and `manifest.json`. It is written
under another name and renamed when it is whole, so that a reader never meets half an entry, whoever died while
writing it. Loading reads the image chunk by chunk: threads read and check the next chunks while the device is given
the one before. A folder of notes, short texts by key, lies beside the entries.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, replace
from io import FileIO
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from .compiled import CHUNK_BYTES, Library
from .device import Bytes, Device, Manifest, Placement, Record
from .errors import StoreDamaged, StoreFull
from .layout import LAYOUT_VERSION

RECORD_BYTES = 64 << 20
IMAGE, MANIFEST = "image", "manifest.json"
NOTES = "notes"  # a folder beside the entries
_UNFINISHED = ".part"  # in the name of a folder that is being written
_READERS = 2  # threads that read and check
_CHUNKS_AHEAD = 4  # that have room: two are read, while a third waits to be written and the fourth is
_ABANDONED_SECONDS = 3600  # a writer that has not written for so long is dead
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class DiskStore:
    """Converted models in a folder. Satisfies `device.Store`.

    Args:
        folder: made when the first model is stored.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._libraries: list[Library] = []  # with room for the chunks of a load

    async def find(self, key: str) -> Manifest | None:
        entry = self._entry(key)
        try:
            manifest = _read_manifest(entry)
            whole = (
                manifest.key == key
                and manifest.layout_version == LAYOUT_VERSION
                and sum(r.nbytes for r in manifest.records) == manifest.nbytes
                and (entry / IMAGE).stat().st_size == manifest.nbytes
            )
        except (OSError, ValueError, TypeError, KeyError):
            whole = False
        if not whole:
            await self.drop(key)
            return None
        return manifest

    async def begin(self, manifest: Manifest) -> DiskWriter:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._sweep()
            return DiskWriter(self, manifest)
        except OSError as error:
            raise _full(self.folder, error) from error

    async def head(self, manifest: Manifest, nbytes: int) -> bytes:
        parts = []
        for at, data in self._chunks(manifest, nbytes):
            parts.append(data[: max(0, nbytes - at)].tobytes())
        return b"".join(parts)

    async def fill(
        self,
        manifest: Manifest,
        placements: Sequence[Placement],
        device: Device,
        progress: Callable[[int], None],
    ) -> None:
        waiting = sorted(placements, key=lambda place: place.image_offset)
        for at, data in self._chunks(manifest, manifest.nbytes):
            end = at + data.size
            for place in waiting:
                first = max(place.image_offset, at)
                last = min(place.image_offset + place.nbytes, end)
                if first >= last:
                    break
                offset = place.buffer_offset + first - place.image_offset
                device.write(place.buffer, offset, data[first - at : last - at])
            waiting = [place for place in waiting if place.image_offset + place.nbytes > end]
            progress(end)

    async def drop(self, key: str) -> None:
        shutil.rmtree(self._entry(key), ignore_errors=True)

    async def find_note(self, key: str) -> str | None:
        try:
            note = json.loads(self._note(key).read_text("utf-8"))
            return str(note["text"]) if note["key"] == key else None
        except (OSError, ValueError, TypeError, KeyError):
            return None

    async def keep_note(self, key: str, text: str) -> None:
        path = self._note(key)
        unfinished = path.with_name(f"{path.name}{_UNFINISHED}{os.getpid()}-{time.time_ns()}")
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished.write_text(json.dumps({"key": key, "text": text}), "utf-8")
            unfinished.replace(path)

    def _entry(self, key: str) -> Path:
        return self.folder / _digest(key)

    def _note(self, key: str) -> Path:
        return self.folder / NOTES / f"{_digest(key)}.json"

    def _chunks(self, manifest: Manifest, nbytes: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """The records that hold the image's first bytes, chunk by chunk: (offset, bytes until the next is asked for).

        Threads read and check the next chunks meanwhile. Raises StoreDamaged before a damaged record's last chunk.
        """
        chunks = _cut(manifest, nbytes)
        while len(self._libraries) < min(_CHUNKS_AHEAD, len(chunks)):
            self._libraries.append(_library(*self._libraries[:1]))
        libraries = self._libraries[: len(chunks)]
        try:
            with ExitStack() as open_files, ThreadPoolExecutor(_READERS) as readers:
                path = self._entry(manifest.key) / IMAGE
                files = [open_files.enter_context(path.open("rb", buffering=0)) for _ in libraries]
                places = list(zip(files, libraries, strict=True))
                reading = [
                    readers.submit(_read, *place, chunk) for place, chunk in zip(places, chunks, strict=False)
                ]
                hashing = hashlib.sha256()
                for number, chunk in enumerate(chunks):
                    turn = number % len(places)
                    hashing.update(reading[turn].result())
                    if chunk.ends:
                        if hashing.hexdigest() != chunk.ends.sha256:
                            raise self._damaged(manifest)
                        hashing = hashlib.sha256()
                    yield chunk.offset, libraries[turn].chunk[: chunk.nbytes]
                    if number + len(places) < len(chunks):
                        reading[turn] = readers.submit(_read, *places[turn], chunks[number + len(places)])
        except OSError as error:
            raise self._damaged(manifest) from error

    def _damaged(self, manifest: Manifest) -> StoreDamaged:
        entry = self._entry(manifest.key)
        shutil.rmtree(entry, ignore_errors=True)
        return StoreDamaged(
            f"The converted weights of {manifest.name} in {entry} were damaged, and have been dropped.",
            "They are made again from the model file.",
        )

    def _sweep(self) -> None:
        """Remove what can never be read again: entries of other layout versions, and what dead writers left."""
        for entry in self.folder.iterdir():
            try:
                if _UNFINISHED in entry.name:
                    stale = time.time() - (entry / IMAGE).stat().st_mtime > _ABANDONED_SECONDS
                else:
                    stale = _read_manifest(entry).layout_version != LAYOUT_VERSION
            except (OSError, ValueError, TypeError, KeyError):
                continue  # not an entry, or not ours to judge
            if stale:
                shutil.rmtree(entry, ignore_errors=True)


@dataclass(frozen=True)
class _Chunk:
    """A piece of the image with one checksum; `ends` is the record that it is the last one of."""

    offset: int
    nbytes: int
    ends: Record | None


def _cut(manifest: Manifest, nbytes: int) -> list[_Chunk]:
    """The chunks of the records that hold the image's first bytes."""
    chunks: list[_Chunk] = []
    at = 0
    for record in manifest.records:
        if at >= nbytes:
            break
        end = at + record.nbytes
        for offset in range(at, end, CHUNK_BYTES):
            last = offset + CHUNK_BYTES >= end
            chunks.append(_Chunk(offset, min(CHUNK_BYTES, end - offset), record if last else None))
        at = end
    return chunks


def _read(file: FileIO, library: Library, chunk: _Chunk) -> bytes:
    """Read a chunk into the library's memory; its checksum. Raises OSError where the file has ended."""
    file.seek(chunk.offset)
    if file.readinto(library.chunk[: chunk.nbytes].data) != chunk.nbytes:
        raise OSError("the image is cut short")
    return library.checksum(chunk.nbytes)


def _library(like: Library | None = None) -> Library:
    """The compiled library. Raises StoreFull where it cannot run."""
    try:
        return Library(like)
    except (ImportError, OSError) as error:
        raise StoreFull(
            f"Converted weights cannot be kept without wasmtime ({error}).", "pip install wasmtime"
        ) from error


class DiskWriter:
    """Writes one entry. Satisfies `device.Writer`. Raises OSError when it cannot begin."""

    def __init__(self, store: DiskStore, manifest: Manifest) -> None:
        self._library = _library()
        self._hashing = hashlib.sha256()  # of the checksums of the record's chunks
        self._store = store
        self._manifest = manifest
        self._entry = store._entry(manifest.key)
        self._folder = self._entry.with_name(f"{self._entry.name}{_UNFINISHED}{os.getpid()}-{time.time_ns()}")
        self._folder.mkdir()
        self._file: IO[bytes] = (self._folder / IMAGE).open("wb")
        self._records: list[Record] = []
        self._in_chunk = self._in_record = 0

    async def append(self, data: Bytes) -> None:
        view = (np.ascontiguousarray(data).data if isinstance(data, np.ndarray) else memoryview(data)).cast(
            "B"
        )
        try:
            while view:
                room = min(CHUNK_BYTES - self._in_chunk, RECORD_BYTES - self._in_record)
                part, view = _split(view, room)
                self._file.write(part)
                chunk_end = self._in_chunk + len(part)
                self._library.chunk[self._in_chunk : chunk_end] = np.frombuffer(part, np.uint8)
                self._in_chunk = chunk_end
                self._in_record += len(part)
                if len(part) == room:
                    self._seal()
        except OSError as error:
            await self.abort()
            raise _full(self._store.folder, error) from error

    async def commit(self) -> None:
        try:
            if self._in_record:
                self._seal(last=True)
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            manifest = replace(self._manifest, records=tuple(self._records))
            (self._folder / MANIFEST).write_text(json.dumps(asdict(manifest)), "utf-8")
            await self._store.drop(manifest.key)
            self._folder.replace(self._entry)
        except OSError as error:
            await self.abort()
            if not (self._entry / MANIFEST).exists():  # else another process was quicker: as good
                raise _full(self._store.folder, error) from error

    async def abort(self) -> None:
        with suppress(OSError):
            self._file.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _seal(self, last: bool = False) -> None:
        """End the chunk, and the record if it is full or the last one."""
        if self._in_chunk:
            self._hashing.update(self._library.checksum(self._in_chunk))
        self._in_chunk = 0
        if self._in_record == RECORD_BYTES or last:
            self._records.append(Record(self._in_record, self._hashing.hexdigest()))
            self._hashing = hashlib.sha256()
            self._in_record = 0


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def _split(view: memoryview, at: int) -> tuple[memoryview, memoryview]:
    return view[:at], view[at:]


def _read_manifest(entry: Path) -> Manifest:
    fields = json.loads((entry / MANIFEST).read_text("utf-8"))
    records = tuple(Record(**record) for record in fields.pop("records"))
    return Manifest(**fields, records=records)


def _full(folder: Path, error: OSError) -> StoreFull:
    if error.errno in _NO_ROOM:
        message = f"The disk has no room for the converted weights in {folder}."
    else:
        message = f"The converted weights cannot be kept in {folder}: {error.strerror or error}."
    return StoreFull(
        message, "The model runs, but converts again next time; SOTTO_CACHE names another folder."
    )
