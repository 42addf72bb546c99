"""The cache of converted models on disk, for plain Python.

An entry is a folder named after its key's hash: `image`, the converted model, `manifest.json` and `card`. It is written
under another name and renamed when it is whole, so that a reader never meets half an entry, whoever died while
writing it. Loading maps the image into memory and gives the device its pages, chunk by chunk, while other threads
check the next ones; where the device is this process's own memory, the mapped file is that, and nothing is copied. (An
image is never written in place, so what is mapped stays whole; a disk that can no longer be read ends the process, as
with any mapped file.) A folder of notes, short texts by key, lies beside the entries.
"""

from __future__ import annotations

import errno
import hashlib
import json
import mmap
import os
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from ..assets.lock import try_lock
from ..device import Bytes, Device, flat
from ..errors import StoreDamaged, StoreFull
from ..store import AS_THEY_ARE, Filler, Kept, Manifest, Placement, StoredRecord
from ..weights.layout import LAYOUT_VERSION

RECORD_BYTES = 64 << 20
CHUNK_BYTES = 4 << 20  # are checked and written to the device at a time
_CHECKERS = 2  # threads: one reads more slowly than memory does
_BLOCK_BYTES = 1 << 20  # are summed up at a time: they stay in a core's cache for the second sum
_ROW = 512  # words with one sum
IMAGE, MANIFEST, CARD = "image", "manifest.json", "card"
NOTES = "notes"  # a folder beside the entries
_UNFINISHED = ".part"  # in the name of a folder that is being written
_ABANDONED_SECONDS = 3600  # a writer that has not written for so long is dead
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class DiskStore:
    """Converted models in a folder. Satisfies `device.Store`.

    Args:
        folder: made when the first model is stored.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def find(self, key: str) -> Manifest | None:
        entry = self._entry(key)
        if not entry.exists():
            return None
        try:
            manifest = Manifest.from_json((entry / MANIFEST).read_text("utf-8"), key, LAYOUT_VERSION)
            if manifest and (entry / IMAGE).stat().st_size != manifest.nbytes:
                raise ValueError("the image has another length")
            card = (entry / CARD).read_bytes() if manifest else b""
        except (OSError, ValueError) as error:
            raise self._damaged(key) from error
        if manifest:
            return replace(manifest, card=card)
        await self.drop(key)
        return None

    async def begin(self, manifest: Manifest) -> DiskWriter:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._sweep()
            return DiskWriter(self, manifest)
        except OSError as error:
            raise _full(self.folder, error) from error

    async def fill(
        self,
        manifest: Manifest,
        placements: Sequence[Placement],
        device: Device,
        progress: Callable[[int], None],
    ) -> list[int]:
        def copies(file: int) -> Callable[[int, NDArray[np.uint8]], None]:
            filler = Filler([place for place in placements if not _mapped(place, device, file)], device)

            def copy(at: int, data: NDArray[np.uint8]) -> None:
                filler.append(data, at)
                progress(at + data.size)

            return copy

        return self._read(manifest, copies)

    async def mend(self, manifest: Manifest, number: int, data: NDArray[np.uint8]) -> None:
        ((at, nbytes),) = manifest.spans([number])
        sums = b"".join(_sums(data[first : first + CHUNK_BYTES]) for first in range(0, nbytes, CHUNK_BYTES))
        if hashlib.sha256(sums).hexdigest() != manifest.records[number].checksum:
            raise StoreDamaged.of(f"record {number} does not come out as it was")
        try:  # where it is: whoever has the image mapped finds in it what is damaged, or what is right
            with (self._entry(manifest.key) / IMAGE).open("r+b") as file:
                file.seek(at)
                file.write(data.data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise _full(self.folder, error) from error

    async def read(self, key: str) -> bytes | None:
        try:
            manifest = Manifest.from_json((self._entry(key) / MANIFEST).read_text("utf-8"), key, AS_THEY_ARE)
        except OSError:
            return None
        except ValueError as error:
            raise self._damaged(key) from error
        if manifest is None:
            return None
        whole = bytearray()

        def take(at: int, data: NDArray[np.uint8]) -> None:
            whole.extend(data.tobytes())

        self._read(manifest, lambda file: take)
        if len(whole) != manifest.nbytes:
            raise self._damaged(key, manifest.name)
        return bytes(whole)

    async def drop(self, key: str) -> None:
        shutil.rmtree(self._entry(key), ignore_errors=True)

    async def entries(self) -> list[Kept]:
        found = []
        for path in self.folder.glob(f"*/{MANIFEST}"):
            try:
                kept = Kept.from_fields(json.loads(path.read_text("utf-8")))
                if (
                    path.parent == self._entry(kept.key)
                    and (path.parent / IMAGE).stat().st_size == kept.nbytes
                ):
                    found.append(kept)
            except (OSError, ValueError, RecursionError):
                continue  # not an entry, or not a whole one
        return found

    async def notes(self, prefix: str) -> dict[str, str]:
        found = {}
        for path in (self.folder / NOTES).glob("*.json"):
            key, text = _read_note(path)
            if key.startswith(prefix) and path == self._note(key):
                found[key] = text
        return found

    async def drop_note(self, key: str) -> None:
        with suppress(OSError):
            self._note(key).unlink(missing_ok=True)

    async def find_note(self, key: str) -> str | None:
        found, text = _read_note(self._note(key))
        return text if found == key else None

    async def keep_note(self, key: str, text: str) -> None:
        path = self._note(key)
        unfinished = path.with_name(f"{path.name}{_UNFINISHED}{os.getpid()}-{time.time_ns()}")
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished.write_text(json.dumps({"key": key, "text": text}), "utf-8")
            unfinished.replace(path)

    async def hold(self, name: str) -> Callable[[], None] | None:
        path = self._note(name).with_suffix(".lock")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("ab")
        except OSError:  # nothing can be kept here anyway
            return lambda: None
        if try_lock(file):
            return file.close
        file.close()
        return None

    def _entry(self, key: str) -> Path:
        return self.folder / _digest(key)

    def _note(self, key: str) -> Path:
        return self.folder / NOTES / f"{_digest(key)}.json"

    def _read(
        self, manifest: Manifest, taking: Callable[[int], Callable[[int, NDArray[np.uint8]], None]]
    ) -> list[int]:
        """Give the image chunk by chunk: offset and bytes, read-only.

        `taking`, given the open file, returns what takes them, which may not keep the bytes. Other threads check the
        next chunks meanwhile. Returns the numbers of damaged records; their last chunks were not given. Raises
        StoreDamaged when there is no image of this length.
        """
        try:
            with (self._entry(manifest.key) / IMAGE).open("rb") as file:
                mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                take = taking(file.fileno())
        except (OSError, ValueError) as error:  # an empty file cannot be mapped
            raise self._damaged(manifest.key, manifest.name) from error
        try:
            if len(mapping) == manifest.nbytes:
                return _give(mapping, manifest, take)
        finally:  # before a damaged entry is removed: Windows removes no file that is mapped
            with suppress(BufferError):  # where `take` failed, its traceback still has the bytes
                mapping.close()
        raise self._damaged(manifest.key, manifest.name)

    def _damaged(self, key: str, name: str = "a model") -> StoreDamaged:
        entry = self._entry(key)
        shutil.rmtree(entry, ignore_errors=True)
        return StoreDamaged(
            f"The converted weights of {name} in {entry} were damaged, and have been dropped.",
            "They are made again from the model file.",
        )

    def _sweep(self) -> None:
        """Remove what can never be read again: entries of other layout versions, and what dead writers left."""
        for entry in self.folder.iterdir():
            try:
                if _UNFINISHED in entry.name:
                    stale = time.time() - (entry / IMAGE).stat().st_mtime > _ABANDONED_SECONDS
                else:
                    fields = json.loads((entry / MANIFEST).read_text("utf-8"))
                    stale = fields["layout_version"] not in (LAYOUT_VERSION, AS_THEY_ARE)
            except (OSError, ValueError, TypeError, KeyError):
                continue  # not an entry, or not ours to judge
            if stale:
                shutil.rmtree(entry, ignore_errors=True)


def _read_note(path: Path) -> tuple[str, str]:
    """A note's key and its text; both empty where there is none."""
    try:
        note = json.loads(path.read_text("utf-8"))
        return str(note["key"]), str(note["text"])
    except (OSError, ValueError, TypeError, KeyError):
        return "", ""


@dataclass(frozen=True)
class _Chunk:
    """A piece of the image; `ends` is the number of the record that it is the last one of."""

    offset: int
    nbytes: int
    ends: int | None


def _mapped(place: Placement, device: Device, file: int) -> bool:
    """Have an image's file be a buffer, if that is all of the image and the device can do it."""
    whole = place.image_offset == place.buffer_offset == 0
    return whole and device.map(place.buffer, file, place.nbytes)


def _cut(manifest: Manifest) -> list[_Chunk]:
    """The chunks of all records."""
    chunks: list[_Chunk] = []
    at = 0
    for number, record in enumerate(manifest.records):
        end = at + record.nbytes
        for offset in range(at, end, CHUNK_BYTES):
            last = offset + CHUNK_BYTES >= end
            chunks.append(_Chunk(offset, min(CHUNK_BYTES, end - offset), number if last else None))
        at = end
    return chunks


def _give(
    mapping: mmap.mmap, manifest: Manifest, take: Callable[[int, NDArray[np.uint8]], None]
) -> list[int]:
    """Do what `DiskStore._read` says, on the mapped image; keeps none of its bytes."""
    image = np.frombuffer(mapping, np.uint8)
    damaged: list[int] = []
    chunks = _cut(manifest)
    parts = [image[chunk.offset :][: chunk.nbytes] for chunk in chunks]
    checker = ThreadPoolExecutor(_CHECKERS)
    try:
        sums = [checker.submit(_sums, part) for part in parts]
        hashing = hashlib.sha256()
        for chunk, part, sum_of_part in zip(chunks, parts, sums, strict=True):
            hashing.update(sum_of_part.result())
            if chunk.ends is not None:
                sound = hashing.hexdigest() == manifest.records[chunk.ends].checksum
                hashing = hashlib.sha256()
                if not sound:
                    damaged.append(chunk.ends)
                    continue
            take(chunk.offset, part)
        return damaged
    finally:
        checker.shutdown(cancel_futures=True)


def _sums(data: NDArray[np.uint8]) -> bytes:
    """What a chunk's checksum is made of: the sums of its 64-bit words by rows of 4 KiB, and by columns in each MiB.

    Damage to at most three words always shows, since it would have to leave both the sum of each row and that of each
    column as they were; wider damage escapes with a chance of 2^-64 for each row and column that it reaches. Words
    are added at the speed of reading, several times as fast as a hash of all bytes. It is no defence against forgery.
    """
    row_bytes = 8 * _ROW
    if data.size % row_bytes:
        data = np.concatenate([data, np.zeros(-data.size % row_bytes, np.uint8)])
    sums = []
    for at in range(0, data.size, _BLOCK_BYTES):
        rows = data[at : at + _BLOCK_BYTES].view("<u8").reshape(-1, _ROW)
        sums += [np.add.reduce(rows, axis=axis).astype("<u8").tobytes() for axis in (1, 0)]
    return b"".join(sums)


class DiskWriter:
    """Writes one entry. Satisfies `device.Writer`. Raises OSError when it cannot begin."""

    def __init__(self, store: DiskStore, manifest: Manifest) -> None:
        self._chunk = np.empty(CHUNK_BYTES, np.uint8)
        self._hashing = hashlib.sha256()  # of the sums of the record's chunks
        self._store = store
        self._manifest = manifest
        self._entry = store._entry(manifest.key)
        self._folder = self._entry.with_name(f"{self._entry.name}{_UNFINISHED}{os.getpid()}-{time.time_ns()}")
        self._folder.mkdir()
        self._file: IO[bytes] = (self._folder / IMAGE).open("wb")
        self._records: list[StoredRecord] = []
        self._in_chunk = self._in_record = 0

    async def append(self, data: Bytes) -> None:
        view = flat(data).data
        try:
            while view:
                room = min(CHUNK_BYTES - self._in_chunk, RECORD_BYTES - self._in_record)
                part, view = _split(view, room)
                self._file.write(part)
                chunk_end = self._in_chunk + len(part)
                self._chunk[self._in_chunk : chunk_end] = np.frombuffer(part, np.uint8)
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
            (self._folder / CARD).write_bytes(manifest.card)
            (self._folder / MANIFEST).write_text(manifest.to_json(), "utf-8")
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
            self._hashing.update(_sums(self._chunk[: self._in_chunk]))
        self._in_chunk = 0
        if self._in_record == RECORD_BYTES or last:
            self._records.append(StoredRecord(self._in_record, self._hashing.hexdigest()))
            self._hashing = hashlib.sha256()
            self._in_record = 0


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def _split(view: memoryview, at: int) -> tuple[memoryview, memoryview]:
    return view[:at], view[at:]


def _full(folder: Path, error: OSError) -> StoreFull:
    if error.errno in _NO_ROOM:
        message = f"The disk has no room for the converted weights in {folder}."
    else:
        message = f"The converted weights cannot be kept in {folder}: {error.strerror or error}."
    return StoreFull(
        message,
        "The model runs, but converts again next time. `sotto models` shows what is kept and what could go;"
        " SOTTO_CACHE names another folder.",
    )
