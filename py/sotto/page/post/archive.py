"""What was written on the screen "post", as this browser keeps it: one tab's own, and all there was."""

from __future__ import annotations

import asyncio

from ...errors import FormatError
from .. import web
from ..archive import Archive
from ..browser import Browser
from ..shelf import History
from .entry import Entry, from_json, to_json

SHOWN = "post"  # under which a tab, and the browser, remember what was shown last
SOON = 0.5  # seconds for which a person has to stop typing


class PostArchive:
    """Keeps what is on the screen, and finds it again.

    Attributes:
        shelf: all there is.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self.shelf = History(
            Archive("post", web.archive.open, browser.private), _read, lambda entry: to_json([entry])
        )
        self._latest: Entry | None = None

    async def last(self, text: str) -> Entry | None:
        """What this tab showed last; in a new tab what any other did, where the text is the same.

        Args:
            text: in the text box.
        """
        await self.shelf.read()
        if name := self._browser.tab.remembered(SHOWN):
            return self.shelf.find(name)
        entry = self.shelf.find(self._browser.storage.remembered(SHOWN))
        return entry if entry and entry.text == text else None

    def shown(self, entry: Entry) -> None:
        """This is on the screen now."""
        if not self._browser.private():
            self._browser.tab.remember(SHOWN, entry.id)
            self._browser.storage.remember(SHOWN, entry.id)

    async def keep(self, entry: Entry) -> Entry:
        """Keep an entry; what was kept, as `Shelf.keep` says."""
        self._latest = entry
        kept = await self.shelf.keep(entry)
        self.shown(kept)
        return kept

    async def keep_soon(self, entry: Entry) -> Entry | None:
        """Keep an entry in which a person writes, when they pause; None where there is a newer state of it by then."""
        self._latest = entry
        await asyncio.sleep(SOON)
        if self._latest is not entry and self._latest.id == entry.id:
            return None
        return await self.shelf.keep(entry)


def _read(name: str, text: str) -> Entry:
    """An entry as it is kept: a file of one. Raises FormatError."""
    entries = from_json(text)
    if len(entries) != 1 or entries[0].id != name:
        raise FormatError("This is not one text with its posts.")
    return entries[0]
