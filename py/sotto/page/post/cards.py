"""The posts of a text, beside each other: each with what can be done with it, and what is to be said of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict
from html import escape

from .. import statistics, web
from ..network import NetworkChoice
from ..parts import Parts
from ..run_figures import folded
from . import doubts
from .entry import Entry, Version


class Cards:
    """The list `posts` in web/index.html: its first card is there from the beginning, the others are copies of it. The
    ids in the others end with their number: `post`, `post-2`, ....

    Args:
        changed: told an entry that a person has changed here.

    Attributes:
        entry: that is shown; None for none.
    """

    def __init__(self, parts: Parts, network: NetworkChoice, changed: Callable[[Entry], None]) -> None:
        self._words = parts.words
        self._at = parts.elements.at
        self._elements = parts.elements
        self._network = network
        self._changed = changed
        self._pattern = str(self._at("card").innerHTML)  # while there is no post in it
        self._made = 1
        self._shown = 1
        self.entry: Entry | None = None
        self._touched: set[int] = set()  # cards in which a person has written since they were shown
        parts.elements.on_part("posts", "input", self._typed)
        parts.elements.on_part("posts", "focusout", self._left)
        parts.elements.on("posts-more", "click", self._more)

    def show(self, entry: Entry | None, writing: bool = False) -> None:
        """Show an entry's posts; None for none.

        Args:
            writing: one is on its way.
        """
        self.entry = entry
        self._touched.clear()
        versions = entry.versions[: entry.shown] if entry else ()
        self._count(len(versions))
        for at, version in enumerate(versions):
            self._show(at, version)
        if not versions:
            self._clear(0)
        more = len(entry.versions) - len(versions) if entry else 0
        self._at("posts-more").hidden = not more
        self._elements.say("posts-more", self._words("versions.more", count=more) if more else "")
        self._busy(writing)

    def wait(self) -> None:
        """Another post has been asked for; what is there stays until its first word."""
        for at in range(self._made):
            self._at(_id("tones", at)).open = False
        self._busy(True)

    def rest(self) -> None:
        """Nothing is on its way any more."""
        self._busy(False)

    def blank(self, at: int, language: str) -> None:
        """A post begins at a place; those before it stay."""
        self._count(max(at + 1, self._shown))
        self._clear(at)
        self._at(_id("post", at)).lang = language

    def append(self, at: int, text: str) -> None:
        """More of a post."""
        self._at(_id("post", at)).append(text)

    def focus(self, at: int) -> None:
        """The keyboard is at a post."""
        self._at(_id("post", at)).focus()

    # --- the cards

    def _count(self, count: int) -> None:
        """So many cards can be seen, one at least."""
        for at in range(self._made, count):
            self._make(at)
        self._made = max(self._made, count)
        self._shown = max(count, 1)
        for at in range(self._made):
            self._at(_id("card", at)).hidden = at >= self._shown
        self._at("posts").dataset.many = "yes" if self._shown > 1 else ""

    def _make(self, at: int) -> None:
        """Copy the first card."""
        card = web.document.createElement("li")
        html = re.sub(r' id="(\w+)"', rf' id="\1-{at + 1}"', self._pattern)
        html = re.sub(r' data-(copy|share)="post"', rf' data-\1="{_id("post", at)}"', html)
        label = escape(self._words("versions.one", number=at + 1))
        html = html.replace(' data-on="0"', f' data-on="{at}"')
        card.innerHTML = html.replace(' aria-labelledby="post-label"', f' aria-label="{label}"')
        card.id, card.className = _id("card", at), "card"
        self._at("posts").append(card)

    def _clear(self, at: int) -> None:
        for name in ("post", "doubt", "took"):
            self._elements.say(_id(name, at), "")
        self._network.show("", _id("count", at))
        if not at:
            self._elements.say("stats", "")

    def _show(self, at: int, version: Version) -> None:
        """A post, with what is in it that its text has not, and what it took: in words, and exactly for scripts that
        measure."""
        assert self.entry is not None
        words, candidate = self._words, version.candidate(self.entry.text)
        place = self._at(_id("post", at))
        self._elements.marks(_id("post", at), candidate.parts())
        place.lang = version.request.language
        self._network.show(version.answer, _id("count", at))
        self._elements.say(_id("doubt", at), doubts.told(words, candidate))
        alone = self._shown == 1
        self._at(_id("took", at)).innerHTML = "" if alone else folded(words, version.figures)
        if at:
            return
        run = version.figures.run
        rates = {"prefill_rate": run.prefill_rate, "decode_rate": run.decode_rate}
        self._at("stats").dataset.figures = json.dumps(asdict(run) | rates)
        self._elements.spans("stats", statistics.line(words, run, version.figures.cached) if alone else ())

    def _busy(self, busy: bool) -> None:
        """Whether posts are being written: then nobody else can write in them, and screen readers wait for them."""
        self._at("posts").ariaBusy = "true" if busy else "false"
        able = "false" if busy or not self.entry else "plaintext-only"
        self._elements.paint(
            [
                ("#posts .text", "contenteditable", able),
                ("#posts .text", "aria-readonly", "true" if able == "false" else "false"),
            ]
        )

    # --- what a person does

    def _more(self) -> None:
        """Show the others too, which are no better."""
        if (entry := self.entry) is not None:
            self.show(entry.opened())
            self._changed(entry.opened())
            self.focus(entry.shown)

    def _typed(self, name: str) -> None:
        """A person writes in a post."""
        if self.entry is None:
            return
        at, text = _place(name), str(self._at(name).textContent).strip()
        self._touched.add(at)
        self._network.show(text, _id("count", at))
        self.entry = self.entry.edited(at, text)
        self._changed(self.entry)

    def _left(self, name: str) -> None:
        """A person has written in a post, and goes on elsewhere."""
        at = _place(name)
        if at in self._touched and self.entry:
            self._touched.discard(at)
            self._show(at, self.entry.versions[at])


def _id(name: str, at: int) -> str:
    return f"{name}-{at + 1}" if at else name


def _place(name: str) -> int:
    number = name.partition("-")[2]
    return int(number) - 1 if number else 0
