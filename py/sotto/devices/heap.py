"""Addresses in one memory."""

from __future__ import annotations

ALIGNMENT = 256
PAGE = 1 << 16
"""Of WebAssembly's memories; no system has larger ones of its own."""


class Heap:
    """Addresses: first fit among freed ranges, else the end."""

    def __init__(self, start: int) -> None:
        self.end = start
        self.sizes: dict[int, int] = {}
        self._free: list[tuple[int, int]] = []  # (address, size), in order, never adjacent

    def take(self, nbytes: int) -> tuple[int, bool]:
        """An address, and whether the memory was used before.

        What is large begins where a page of the system's does, whatever system it is: there a file can be mapped.
        """
        size = -(-max(nbytes, 4) // ALIGNMENT) * ALIGNMENT
        step = PAGE if nbytes >= PAGE else ALIGNMENT
        for index, (first, length) in enumerate(self._free):
            address = -(-first // step) * step
            end, last = address + size, first + length
            if end <= last:
                rest = [(first, address - first), (end, last - end)]
                self._free[index : index + 1] = [part for part in rest if part[1]]
                self.sizes[address] = size
                return address, True
        address = -(-self.end // step) * step
        if address > self.end:
            self._join(self.end, address - self.end)
        self.end = address + size
        self.sizes[address] = size
        return address, False

    def give(self, address: int) -> None:
        """Return a range."""
        self._join(address, self.sizes.pop(address))

    def _join(self, address: int, size: int) -> None:
        """Add a range to the free ones, joined with its neighbours."""
        ranges = sorted([*self._free, (address, size)])
        joined: list[tuple[int, int]] = []
        for start, length in ranges:
            if joined and sum(joined[-1]) == start:
                joined[-1] = (joined[-1][0], joined[-1][1] + length)
            else:
                joined.append((start, length))
        self._free = joined
