"""Texts that a browser keeps for a person, and what is done where it refuses to (web/archive.js)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any


class Archive:
    """Texts of one kind by their ids.

    Args:
        kind: whose ids are its own.
        opened: opens the browser's archive; it may raise, as may every use of it.
        private: whether nothing is to be kept now.

    Attributes:
        keeps: the browser has kept what it was given, so far.
    """

    def __init__(
        self, kind: str, opened: Callable[[], Awaitable[Any]], private: Callable[[], bool] = bool
    ) -> None:
        self._kind = kind
        self._private = private
        self._opened = opened
        self._archive: Any = None
        self._order = asyncio.Lock()  # what is asked for first is done first
        self._seen: dict[str, str] = {}
        self.keeps = True

    @property
    def seen(self) -> dict[str, str]:
        """What this page read or wrote last, by ids."""
        return dict(self._seen)

    async def read(self) -> dict[str, str]:
        """All there are, by their ids."""
        async with self._order:
            try:
                self._seen = dict(json.loads(str(await (await self._there()).all(self._kind))))
            except Exception:  # whatever JavaScript throws
                self.keeps = False
            return self.seen

    async def keep(self, name: str, text: str) -> bool:
        """Keep a text under an id, unless nothing is to be kept; False where another page has changed what was there,
        which then stays."""
        if self._private():
            return True
        async with self._order:
            try:
                if not await (await self._there()).put(self._kind, name, text, self._seen.get(name, "")):
                    return False
                self._seen[name] = text
                self.keeps = True
            except Exception:  # as above
                self.keeps = False
            return True

    async def drop(self, name: str) -> None:
        """Forget what is under an id."""
        async with self._order:
            self._seen.pop(name, None)
            try:
                await (await self._there()).remove(self._kind, name)
            except Exception:  # as above
                self.keeps = False

    async def _there(self) -> Any:
        """The browser's archive, opened when it is first needed."""
        if self._archive is None:
            self._archive = await self._opened()
        return self._archive
