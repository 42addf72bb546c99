"""What the engine sees of the store that keeps converted weights; a disk and IndexedDB implement it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .device import Bytes, Device, Processor

AS_THEY_ARE = 1 << 20
"""In the place of a layout's version: an entry of files as they are, which no layout of weights has."""
NEXT = "next"
"""The key of a note: the model that the page begins with at the next visit, which web/ahead_worker.js reads early."""


@dataclass(frozen=True)
class StoredRecord:
    """One piece of the image: its bytes, and the checksum of its chunks' checksums as hex digits.

    The chunks' size and both checksums are the store's own (disk.py, kernels/loading/checksum.c): several times as
    fast to verify as a sha256 of all bytes, and meant against damage only.
    """

    nbytes: int
    checksum: str


@dataclass(frozen=True)
class Manifest:
    """What the store knows about one converted model; written last, so its presence means the entry is whole.

    The converted model is one linear image: the planes in the order that weights/image.py gives them, cut into
    records. `card` is whatever else a later load needs, in bytes that check themselves (formats/checkpoint.py); with a
    model's vocabulary it is far longer than all the rest, so stores keep it by itself.
    """

    key: str
    layout_version: int
    nbytes: int
    name: str
    created: str  # ISO 8601, UTC
    card: bytes = b""
    records: tuple[StoredRecord, ...] = ()

    def spans(self, numbers: Sequence[int]) -> list[tuple[int, int]]:
        """Where these records lie in the image, offset and bytes."""
        ends = list(accumulate((record.nbytes for record in self.records), initial=0))
        return [(ends[number], self.records[number].nbytes) for number in numbers]

    def to_json(self) -> str:
        """As stores keep it, without the card."""
        fields = {name: getattr(self, name) for name in _MANIFEST}
        return json.dumps(
            {**fields, "records": [asdict(record) for record in self.records]}, ensure_ascii=False
        )

    @classmethod
    def from_json(cls, text: str, key: str, layout_version: int) -> Manifest | None:
        """What a store kept under a key, and may have been damaged since; None if it is of another layout version.

        Raises:
            ValueError: it is not what `to_json` gives of a whole entry of this key; says what is wrong.
        """
        try:
            fields = json.loads(text)
        except RecursionError as error:
            raise ValueError("it is nested too deep") from error
        if not isinstance(fields, dict):
            raise ValueError("it is no object")
        version = fields.get("layout_version")
        if type(version) is int and version != layout_version:
            return None
        fields.pop("card", None)  # empty, of an adapter that an earlier version kept
        saved = fields.pop("records", None)
        if not isinstance(saved, list) or not all(isinstance(record, dict) for record in saved):
            raise ValueError("it has no list of records")
        records = tuple(StoredRecord(**_exactly(record, _RECORD)) for record in saved)
        manifest = cls(**_exactly(fields, _MANIFEST), records=records)
        if manifest.key != key or manifest.layout_version != layout_version:
            raise ValueError("it is another model's")
        if sum(record.nbytes for record in records) != manifest.nbytes:
            raise ValueError("its records are not the whole image")
        return manifest


_RECORD = {"nbytes": int, "checksum": str}
_MANIFEST = {
    "key": str,
    "layout_version": int,
    "nbytes": int,
    "name": str,
    "created": str,
}


def _exactly(fields: dict[str, Any], expected: dict[str, type]) -> dict[str, Any]:
    """The fields, if they have these names and types, and no number is negative. Raises ValueError."""
    if fields.keys() != expected.keys():
        raise ValueError(f"its fields are not {', '.join(expected)}")
    for name, kind in expected.items():
        if type(fields[name]) is not kind or (kind is int and fields[name] < 0):
            raise ValueError(f"its {name} is no {kind.__name__}")
    return fields


@dataclass(frozen=True)
class Kept:
    """What a list of a store's entries says of one: of its manifest all that is short."""

    key: str
    layout_version: int
    nbytes: int
    name: str
    created: str  # ISO 8601, UTC

    @classmethod
    def from_fields(cls, fields: object) -> Kept:
        """Of a manifest as it was kept, whatever its layout version. Raises ValueError where it is none."""
        if not isinstance(fields, dict):
            raise ValueError("it is no object")
        return cls(**_exactly({name: fields[name] for name in _MANIFEST if name in fields}, _MANIFEST))


@dataclass(frozen=True)
class Placement:
    """Bytes of the image that belong into a buffer."""

    image_offset: int
    nbytes: int
    buffer: int
    buffer_offset: int


class Filler:
    """Copies an image that arrives in its order into the buffers that it belongs into.

    Args:
        placements: in any order.
    """

    def __init__(self, placements: Sequence[Placement], device: Processor) -> None:
        self._waiting = sorted(placements, key=lambda place: place.image_offset)
        self._device = device
        self._at = 0

    def append(self, data: NDArray[np.uint8], at: int | None = None) -> None:
        """The next bytes of the image, or those from `at` on where some before are left out.

        What has no place is not copied.
        """
        at = self._at if at is None else at
        end = at + data.size
        for place in self._waiting:
            if place.image_offset >= end:
                break
            first = max(place.image_offset, at)
            last = min(place.image_offset + place.nbytes, end)
            if first < last:
                offset = place.buffer_offset + first - place.image_offset
                self._device.write(place.buffer, offset, data[first - at : last - at])
        self._waiting = [place for place in self._waiting if place.image_offset + place.nbytes > end]
        self._at = end


class Writer(Protocol):
    """Appends an image to the store, in order."""

    async def append(self, data: Bytes) -> None:
        """Add bytes. Raises StoreFull when there is no room (the entry is then abandoned)."""
        ...

    async def commit(self) -> None:
        """Write the manifest: from now on the entry is found."""
        ...

    async def abort(self) -> None:
        """Drop what was written."""
        ...


class Store(Protocol):
    """Keeps converted models between sessions."""

    async def find(self, key: str) -> Manifest | None:
        """The whole entry of the current layout version, or None; one of another version is dropped.

        Raises:
            StoreDamaged: there was one, but not a whole one, and it has been dropped.
        """
        ...

    async def begin(self, manifest: Manifest) -> Writer:
        """Start writing an entry (`records` still empty), replacing any other entry of the same key."""
        ...

    async def fill(
        self,
        manifest: Manifest,
        placements: Sequence[Placement],
        device: Device,
        progress: Callable[[int], None],
    ) -> Sequence[int]:
        """Verify every record and copy the placements to the device; `progress` is given bytes done.

        Returns:
            The numbers of the records that are missing or altered, of which nothing, or a part, was copied. `mend` is
            for them; the others are as they were.

        Raises:
            StoreDamaged: there is nothing that could be mended; the entry has been dropped.
        """
        ...

    async def mend(self, manifest: Manifest, number: int, data: NDArray[np.uint8]) -> None:
        """Put a record that `fill` found damaged, made anew from the model's file.

        Raises:
            StoreDamaged: these are not the bytes that the record had, or the entry is another by now.
            StoreFull: they cannot be written. They are right.
        """
        ...

    async def read(self, key: str) -> bytes | None:
        """All bytes of an entry AS_THEY_ARE, which is small; None where there is none.

        Raises:
            StoreDamaged: they are not what was written; the entry has been dropped.
        """
        ...

    async def drop(self, key: str) -> None:
        """Forget an entry."""
        ...

    async def entries(self) -> Sequence[Kept]:
        """All whole entries, those of other layout versions among them, in no order."""
        ...

    async def notes(self, prefix: str) -> Mapping[str, str]:
        """The short texts whose keys begin so, by key."""
        ...

    async def drop_note(self, key: str) -> None:
        """Forget a short text."""
        ...

    async def find_note(self, key: str) -> str | None:
        """A short text that was kept under this key, or None."""
        ...

    async def keep_note(self, key: str, text: str) -> None:
        """Keep a short text, replacing any other of the same key. Where there is no room, nothing is kept."""
        ...

    async def hold(self, name: str) -> Callable[[], None] | None:
        """Hold a name as long as this program lives, or until what is returned is called; None where it is held."""
        ...
