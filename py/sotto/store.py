"""What the engine sees of the store that keeps converted weights; a disk and IndexedDB implement it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .device import Bytes, Device, Processor


@dataclass(frozen=True)
class StoredRecord:
    """One piece of the image: its bytes, and the sha256 of its chunks' checksums as hex digits.

    The chunks' size and their checksum are the store's own (disk.py, kernels/loading/checksum.c): several times as
    fast to verify as a sha256 of all bytes, and meant against damage only.
    """

    nbytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What the store knows about one converted model; written last, so its presence means the entry is whole.

    The converted model is one linear image: the planes in the order that weights/image.py gives them, cut into
    records. `card` is whatever else a later load needs, as text that checks itself (formats/checkpoint.py).
    """

    key: str
    layout_version: int
    nbytes: int
    name: str
    created: str  # ISO 8601, UTC
    card: str
    records: tuple[StoredRecord, ...] = ()


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

    def append(self, data: NDArray[np.uint8]) -> None:
        """The next bytes of the image; what has no place is left out."""
        at, end = self._at, self._at + data.size
        for place in self._waiting:
            first = max(place.image_offset, at)
            last = min(place.image_offset + place.nbytes, end)
            if first >= last:
                break
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
        """The whole entry of the current layout version, or None; a stale or partial one is dropped."""
        ...

    async def begin(self, manifest: Manifest) -> Writer:
        """Start writing an entry (`records` still empty), replacing any other entry of the same key."""
        ...

    async def head(self, manifest: Manifest, nbytes: int) -> bytes:
        """The first bytes of the image. Raises StoreDamaged."""
        ...

    async def fill(
        self,
        manifest: Manifest,
        placements: Sequence[Placement],
        device: Device,
        progress: Callable[[int], None],
    ) -> None:
        """Verify every record and copy the placements to the device; `progress` is given bytes done.

        Raises:
            StoreDamaged: a record is missing or altered; the entry has been dropped.
        """
        ...

    async def drop(self, key: str) -> None:
        """Forget an entry."""
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
