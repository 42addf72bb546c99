"""How often progress is painted."""

from __future__ import annotations

import time
from collections.abc import Callable

PAINT = 0.1  # seconds between two paintings


class Throttle:
    """Lets the first report of a kind through at once, and further ones ten times a second.

    Args:
        clock: seconds that only ever grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kind = ""
        self._last = clock()

    def due(self, kind: str) -> bool:
        """Whether a report of a kind is to be painted now."""
        now = self._clock()
        if kind == self._kind and now - self._last <= PAINT:
            return False
        self._kind, self._last = kind, now
        return True
