"""A file in parts reads as the whole file does."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sotto.api import drive
from sotto.errors import FormatError
from sotto.source import JoinedSource, MemorySource

WHOLE = bytes(range(100))


class Noted(MemorySource):
    """Remembers what was expected of it."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data, "part", "key")
        self.expected: list[tuple[int, int]] = []
        self.read_since: list[tuple[int, int]] = []

    def expect(self, offset: int, nbytes: int) -> None:
        self.expected.append((offset, nbytes))

    async def read(self, offset: int, nbytes: int) -> bytes:
        self.read_since.append((offset, nbytes))
        return await super().read(offset, nbytes)


@given(st.lists(st.integers(1, 99), max_size=6), st.integers(0, 100), st.integers(0, 100))
def test_every_range(cuts: list[int], offset: int, nbytes: int) -> None:
    bounds = [0, *sorted(cuts), 100]
    parts = [Noted(WHOLE[a:b]) for a, b in itertools.pairwise(bounds)]
    source = JoinedSource("tiny.gguf", "key", parts)
    assert (source.size, source.name, source.key) == (100, "tiny.gguf", "key")
    if offset + nbytes > 100:
        with pytest.raises(FormatError, match=f"but {offset + nbytes} bytes are needed"):
            drive(source.read(offset, nbytes))
        return
    source.expect(offset, nbytes)
    assert drive(source.read(offset, nbytes)) == WHOLE[offset : offset + nbytes]
    for part in parts:  # exactly what was expected, or reading ahead would be for nothing
        assert part.read_since == part.expected
