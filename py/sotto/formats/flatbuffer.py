"""Flatbuffers, read from a part of a file as far as it is needed, without trust in what they say.

Format (google/flatbuffers, "internals"), little endian: a u32 at the beginning points to the root table. A table begins
with an i32, its distance from its vtable; a vtable is u16s: its own bytes, the table's bytes, and where in the table
each field lies, 0 for one that is not there. A field that is a table, text or vector is a u32 to be added to its own
place. A vector is a u32 count and its items; a text is a vector of bytes.

Large vectors lie among the tables, so pages are read one by one: a step that meets a page which is not there raises
`Missing`, and `complete` reads it and takes the step again. Nothing here recurses, so offsets in a circle do no harm.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import FormatError
from ..source import Source

PAGE_BYTES = 1 << 18
MOST_PAGES = 256  # 64 MB
MOST_ITEMS = 1 << 24  # of all vectors that are listed: many tables may point to one vector
DAMAGED = "Download the file again; if it stays so, choose another copy of it."

T = TypeVar("T")


class Missing(Exception):
    """A page that has not been read is needed."""

    def __init__(self, page: int) -> None:
        super().__init__(f"page {page}")
        self.page = page


class Flatbuffer:
    """A flatbuffer that begins at byte `offset` of a file and ends before byte `offset + size`."""

    def __init__(self, source: Source, offset: int, size: int) -> None:
        self.source = source
        self.offset = offset
        self.size = size
        self._pages: dict[int, bytes] = {}
        self._items = 0

    async def complete(self, step: Callable[[], T]) -> T:
        """The result of a step that reads here, once all the pages that it needs are there. Raises FormatError."""
        while True:
            try:
                return step()
            except Missing as missing:
                begin = missing.page * PAGE_BYTES
                if len(self._pages) == MOST_PAGES:
                    raise self.damaged("its tables are spread over too much of it") from None
                nbytes = min(PAGE_BYTES, self.size - begin)
                self._pages[missing.page] = bytes(await self.source.read(self.offset + begin, nbytes))

    def root(self) -> Table:
        """The table that everything hangs on."""
        return Table(self, self.number("<I", 0))

    def damaged(self, why: str) -> FormatError:
        """The error for a file that cannot be what it seems to be."""
        return FormatError(f"{self.source.name} is damaged: {why}.", DAMAGED)

    def bytes(self, at: int, nbytes: int) -> bytes:
        """So many bytes from place `at` of the flatbuffer. Raises Missing, FormatError."""
        if at < 0 or nbytes < 0 or at + nbytes > self.size:
            raise self.damaged(f"something in it lies at byte {at:,} of its {self.size:,}")
        first, last = at // PAGE_BYTES, max(at, at + nbytes - 1) // PAGE_BYTES
        for page in range(first, last + 1):
            if page not in self._pages:
                raise Missing(page)
        begin = at - first * PAGE_BYTES
        if first == last:
            return self._pages[first][begin : begin + nbytes]
        return b"".join(self._pages[page] for page in range(first, last + 1))[begin : begin + nbytes]

    def number(self, kind: str, at: int) -> int:
        """An integer of a `struct` format."""
        size = struct.calcsize(kind)
        page, begin = divmod(at, PAGE_BYTES)
        data = self._pages.get(page, b"")
        if begin + size > len(data):  # it is not there, or goes on in the next page
            data, begin = self.bytes(at, size), 0
        return int(struct.unpack_from(kind, data, begin)[0])

    def spend(self, items: int) -> None:
        """Count items of vectors that are read. Raises FormatError where they become too many."""
        self._items += items
        if self._items > MOST_ITEMS:
            raise self.damaged("its lists are longer than any model's")


class Table:
    """A table: fields by their numbers in the schema. All methods raise Missing, FormatError."""

    def __init__(self, file: Flatbuffer, at: int) -> None:
        self.file = file
        self.at = at
        self._vtable = at - file.number("<i", at)
        self._fields = (file.number("<H", self._vtable) - 4) // 2

    def _place(self, field: int) -> int | None:
        """Where a field lies; None where it is not there."""
        if field >= self._fields:
            return None
        offset = self.file.number("<H", self._vtable + 4 + 2 * field)
        return self.at + offset if offset else None

    def _pointed(self, field: int) -> int | None:
        """What a field points to."""
        place = self._place(field)
        return None if place is None else place + self.file.number("<I", place)

    def number(self, field: int, kind: str = "<i", default: int = 0) -> int:
        """An integer of a `struct` format."""
        place = self._place(field)
        return default if place is None else self.file.number(kind, place)

    def table(self, field: int) -> Table | None:
        """A table; None where there is none."""
        at = self._pointed(field)
        return None if at is None else Table(self.file, at)

    def vector(self, field: int, item_bytes: int) -> tuple[int, int]:
        """Where the items of a vector begin, and how many there are; it lies inside the flatbuffer."""
        at = self._pointed(field)
        if at is None:
            return 0, 0
        count = self.file.number("<I", at)
        if at + 4 + count * item_bytes > self.file.size:
            raise self.file.damaged(f"a list in it would have {count:,} items")
        return at + 4, count

    def text(self, field: int) -> str:
        """A text; "" where there is none."""
        at, nbytes = self.vector(field, 1)
        self.file.spend(nbytes)
        return self.file.bytes(at, nbytes).decode("utf-8", "replace")

    def numbers(self, field: int, dtype: str) -> NDArray[np.int64]:
        """A vector of integers."""
        size = np.dtype(dtype).itemsize
        at, count = self.vector(field, size)
        self.file.spend(count)
        return np.frombuffer(self.file.bytes(at, count * size), dtype).astype(np.int64)

    def places(self, field: int) -> list[int]:
        """Where the tables of a vector of tables are."""
        at, count = self.vector(field, 4)
        self.file.spend(count)
        offsets = np.frombuffer(self.file.bytes(at, 4 * count), "<u4").astype(np.int64)
        places: list[int] = (offsets + at + 4 * np.arange(count)).tolist()
        return places

    def tables(self, field: int) -> list[Table]:
        """A vector of tables."""
        return [Table(self.file, place) for place in self.places(field)]
