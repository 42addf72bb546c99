"""Which of a device's runs have been cancelled."""

from __future__ import annotations

from ..errors import Cancelled


class Cancellation:
    """Ends the runs that have begun, and none that begins later.

    A flag that the next run lowers would not do: where a device waits, a run may look at it only after the next one
    has begun, and would then go on between that one's steps. web/bridge.js does the same.
    """

    def __init__(self) -> None:
        self._begun = 0
        self._cancelled = 0

    def begin(self) -> int:
        """A run begins: its number, for `check`."""
        self._begun += 1
        return self._begun

    def cancel(self) -> None:
        """End what has begun."""
        self._cancelled = self._begun

    def check(self, run: int) -> None:
        """Raise Cancelled for a run that was begun before the latest `cancel`."""
        if run <= self._cancelled:
            raise Cancelled
