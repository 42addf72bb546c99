"""Texts and posts that were kept: the list of them, and what can be done with it."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from .. import web
from ..chosen_file import NotTaken, chosen
from ..clock import local
from ..parts import Parts
from ..shelf import History
from .entry import Entry, from_json, to_json, to_markdown

LISTED = 50  # entries at once; the rest is found by its words
TITLE = 120  # characters


class HistoryPanel:
    """The list `history`.

    Args:
        shelf: what is kept.
        shown: the entry on the screen.
        show: puts an entry there; None for none.
    """

    def __init__(
        self,
        parts: Parts,
        shelf: History[Entry],
        shown: Callable[[], Entry | None],
        show: Callable[[Entry | None], None],
    ) -> None:
        self._parts = parts
        self._words = parts.words
        self._at = parts.elements.at
        self._say = parts.elements.say
        self._shelf = shelf
        self._shown = shown
        self._show = show
        self._dropped: list[Entry] = []  # what an undo brings back
        on, do = parts.elements.on, parts.do
        on("history", "toggle", lambda: do(self._opened()))
        on("history-search", "input", self.fill)
        on("history-undo", "click", lambda: do(self._undo()))
        on("history-md", "click", lambda: do(self._save("md", "text/markdown")))
        on("history-json", "click", lambda: do(self._save("json", "application/json")))
        on("history-open", "click", lambda: self._at("history-file").click())
        on("history-file", "change", lambda: do(self._import()))
        on("history-clear", "click", lambda: do(self._drop(self._found())))
        parts.elements.on_choice("history-list", lambda does, name: do(self._do(does, name)))

    def fill(self) -> None:
        """Show what there is, where the list is open."""
        there = bool(self._shelf.all)
        for name in ("search", "md", "json"):
            self._at(f"history-{name}").hidden = not there
        if not self._at("history").open:
            return
        words, found, shown = self._words, self._found(), self._shown()
        items = [self._item(entry, shown) for entry in found[:LISTED]]
        self._parts.elements.items("history-list", "".join(items))
        none = words("history.none.found" if there else "history.none")
        left = len(found) - LISTED
        more = words("history.more", count=left) if left > 0 else ""
        self._say("history-none", more if found else none)
        asked = bool(str(self._at("history-search").value).strip())
        key = "history.clear.found" if asked else "history.clear"
        self._say("history-clear", words(key, count=len(found)))
        self._at("history-clear").hidden = not found

    def _item(self, entry: Entry, shown: Entry | None) -> str:
        words, name = self._words, escape(entry.id)
        post = entry.versions[0].answer if entry.versions else ""
        here = ' aria-current="true"' if shown and shown.id == entry.id else ""
        facts = [local(entry.changed), *filter(None, [_network(entry)])]
        if len(entry.versions) > 1:
            facts.append(words("history.versions", count=len(entry.versions)))
        line = escape(words("separator").join(facts))
        return (
            f'<li><button type="button" data-do="open" data-on="{name}"{here}>'
            f'<b dir="auto">{escape(_short(post))}</b><span dir="auto">{escape(_short(entry.text))}</span>'
            f"<small>{line}</small></button>"
            f'<button type="button" data-do="drop" data-on="{name}">'
            f"{escape(words('history.delete'))}</button></li>"
        )

    def _found(self) -> list[Entry]:
        return self._shelf.found(str(self._at("history-search").value))

    async def _opened(self) -> None:
        """The list is opened: other tabs may have written meanwhile."""
        if self._at("history").open:
            new = await self._shelf.read()
            if (shown := self._shown()) and shown.id in new:
                self._show(self._shelf.find(shown.id))
            self.fill()

    async def _do(self, does: str, name: str) -> None:
        if (entry := self._shelf.find(name)) is None:
            return
        if does == "drop":
            await self._drop([entry])
        else:
            self._show(entry)

    async def _drop(self, entries: list[Entry]) -> None:
        """Delete; it can be brought back until something else is deleted, or the page is left."""
        shown = self._shown()
        self._dropped = entries
        for entry in entries:
            await self._shelf.drop(entry)
        if shown and shown.id in {entry.id for entry in entries}:
            self._show(None)
        self.fill()
        self._note(self._words("history.deleted", count=len(entries)), undo=True)
        self._at("history-undo").focus()

    async def _undo(self) -> None:
        dropped, self._dropped = self._dropped, []
        for entry in dropped:
            await self._shelf.keep(entry)
        self._note("")
        self.fill()
        self._at("history-search").focus()

    async def _import(self) -> None:
        """Take the texts and posts of a file, all of them or none."""
        words = self._words
        try:
            new, _ = await self._shelf.take(await chosen(words, "history-file", "post", from_json))
        except NotTaken as error:
            self._note(error.told)
            return
        self._at("history-search").value = ""
        self.fill()
        told = words("history.taken", count=len(new)) if new else words("history.known")
        self._note(told if self._shelf.keeps else words("history.unkept"))

    def _note(self, text: str, undo: bool = False) -> None:
        self._say("history-note-text", text)
        self._at("history-undo").hidden = not undo

    async def _save(self, kind: str, mime: str) -> None:
        """Save what is found as a file."""
        found = self._found()
        text = to_json(found) if kind == "json" else to_markdown(found, self._words("source"))
        await web.given.save(f"sotto-posts.{kind}", mime, text)


def _network(entry: Entry) -> str:
    return next((version.request.network for version in entry.versions if version.request.network), "")


def _short(text: str) -> str:
    words = " ".join(text[: 2 * TITLE].split())
    return words if len(words) <= TITLE else f"{words[: TITLE - 1].rstrip()}…"
