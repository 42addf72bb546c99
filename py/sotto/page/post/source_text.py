"""The text in the box, as those want it who have to know what it is before anything is written from it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ..parts import Parts

CALM = 0.4  # seconds without a change after which a person is taken to have written for now


class SourceText:
    """The text box `source`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._at = parts.elements.at
        self._edits = 0
        self._listeners: list[Callable[[str], None]] = []
        parts.elements.on("source", "input", self._edited)

    @property
    def text(self) -> str:
        """What is in the box now."""
        return str(self._at("source").value)

    def listen(self, listener: Callable[[str], None]) -> None:
        """Tell a listener what is in the box, now and whenever somebody has changed it and paused."""
        self._listeners.append(listener)
        listener(self.text)

    def _edited(self) -> None:
        self._edits += 1
        self._parts.do(self._settle(self._edits))

    async def _settle(self, edit: int) -> None:
        await asyncio.sleep(CALM)
        if edit == self._edits:
            text = self.text
            for listener in self._listeners:
                listener(text)
