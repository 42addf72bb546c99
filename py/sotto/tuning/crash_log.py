"""What is being tried on a device, kept in the store meanwhile: so that what took the device with it is known later.

A kernel can hang a GPU, or take the browser's tab with it; nobody is left then to say so. A note that is written
before something is tried, and found by the next load, says it. Of loads at the same time one has the note: what it
says of a load that still lives would be read as of one that died.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from contextlib import suppress

from ..reports import Rejection
from ..store import Store

LOST = Rejection("lost", "the device was lost, or the program ended, when it was tried last")
ENDS = 2  # loads that end while kernels compile ahead, before anybody is suspected


class CrashLog:
    """The note of one device and model. `recall` first, `close` last.

    Attributes:
        rejected: why not to try something again, by its name.
        suspects: one of these may have been to blame, if it was not somebody who closed the page. Each is tried by
            itself, so that it is known which; the second time it is not forgiven.
    """

    def __init__(self, store: Store | None, key: str) -> None:
        self._store = store
        self._key = f"{key} crashes"
        self._release: Callable[[], None] | None = None
        self._kept = ""
        self._ends = 0
        self._tried: set[str] = set()
        self.rejected: dict[str, Rejection] = {}
        self.suspects: set[str] = set()

    async def recall(self, forget: bool = False) -> None:
        """Learn what an earlier load left behind that did not come to an orderly end.

        Args:
            forget: forgive everything instead.
        """
        self._release = await self._store.hold(self._key) if self._store else None
        if not self._release:
            self._store = None
        self._kept = (await self._store.find_note(self._key) if self._store else None) or ""
        if forget:
            await self._keep((), ())
        with suppress(ValueError, TypeError, KeyError):
            found = json.loads(self._kept)
            tried, ahead, self._ends = set(found["tried"]), set(found["ahead"]), int(found["ends"])
            self.suspects = set(found["suspects"])
            self.rejected = dict.fromkeys(found["rejected"], LOST)
            if tried <= self.suspects:
                self.rejected |= dict.fromkeys(tried, LOST)
                self.suspects -= tried
            else:
                self.suspects |= tried
            if self._ends >= ENDS:
                self.suspects |= ahead

    async def compile(self, names: Collection[str]) -> None:
        """These are about to be compiled beside the rest of the load."""
        if names:
            self._ends += 1
            await self._keep((), names)

    async def begin(self, names: Collection[str]) -> None:
        """These are about to be tried, and no others any more."""
        self._ends = 0
        self._tried = set(names)
        await self._keep(names, ())

    async def blame(self) -> None:
        """The device was lost just now: what was tried by itself is to blame for certain."""
        if len(self._tried) == 1:
            self.suspects |= self._tried
            await self._keep(self._tried, ())

    async def end(self) -> None:
        """Nothing is tried any more. What was learnt from earlier loads stays."""
        await self.begin(())

    def close(self) -> None:
        """Let others have the note."""
        if self._release:
            self._release()
        self._release = None

    async def _keep(self, tried: Collection[str], ahead: Collection[str]) -> None:
        lists = {"tried": tried, "ahead": ahead, "suspects": self.suspects, "rejected": self.rejected}
        note = {kind: sorted(names) for kind, names in lists.items()} | {"ends": self._ends}
        text = json.dumps(note) if any(note.values()) else ""
        if self._store and text != self._kept:
            await self._store.keep_note(self._key, text)
            self._kept = text
