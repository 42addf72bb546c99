"""What took the tab or the graphics processor down, so that it is not begun again without asking."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from ..errors import DeviceLost, SottoError
from .storage import Storage

_NAME = "crashes"


class WentDown(SottoError):
    """Something went down the last time; a person has to say whether to try again.

    Attributes:
        what: "tab" or "gpu".
        name: of the model that was at work.
        processor: that it was at work on.
    """

    def __init__(self, what: str, name: str, processor: str) -> None:
        super().__init__(f"{name} took the {what} down the last time.")
        self.what = what
        self.name = name
        self.processor = processor


class Crashes:
    """Remembers by model and processor what did not come to an orderly end.

    Nobody is left to say so when a tab goes down. Hence a mark, for as long as a model is at work, which web/at_work.js
    keeps where it outlives the tab. A page that is closed or opened again in the middle takes its mark away.

    Args:
        tab: the JavaScript module at_work.js.
    """

    def __init__(self, storage: Storage, tab: Any) -> None:
        self._storage = storage
        self._tab = tab

    async def check(self, key: str, name: str, processor: str) -> None:
        """Raise WentDown where something did when a model was at work on a processor the last time.

        Args:
            key: of the model's content.
            name: what people call it.
            processor: "gpu" or "cpu".
        """
        known = self._known()
        for mark in json.loads(str(await self._tab.left())):
            known[str(mark)] = "tab"
        self._keep(known)
        if what := known.get(_mark(key, processor)):
            raise WentDown(what, name, processor)

    @asynccontextmanager
    async def watching(self, key: str, processor: str) -> AsyncIterator[None]:
        """Note what goes down within. A model without a key cannot be known again."""
        if not key:
            yield
            return
        await self._tab.begin(_mark(key, processor))
        try:
            yield
        except DeviceLost:
            self._keep(self._known() | {_mark(key, processor): "gpu"})
            raise
        finally:
            self._tab.end()

    def forgive(self, key: str, processor: str) -> None:
        """It was tried again, and nothing went down."""
        known = self._known()
        if known.pop(_mark(key, processor), ""):
            self._keep(known)

    def _known(self) -> dict[str, str]:
        try:
            found = json.loads(self._storage.remembered(_NAME) or "{}")
        except ValueError:
            return {}
        return {str(mark): str(what) for mark, what in found.items()} if isinstance(found, dict) else {}

    def _keep(self, known: Mapping[str, str]) -> None:
        if known != self._known():
            self._storage.remember(_NAME, json.dumps(known))


def _mark(key: str, processor: str) -> str:
    return f"{processor} {key}"
