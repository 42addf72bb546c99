"""Where a post will be posted, and how long it is there."""

from __future__ import annotations

from ..tasks.networks import RULES
from . import statistics
from .elements import Elements
from .storage import Storage
from .words import Words


class NetworkChoice:
    """The choice `network`, and `count` beside it: what the text that is shown counts in the network that was chosen.

    Attributes:
        chosen: the network's name; empty for none.
    """

    def __init__(self, elements: Elements, words: Words, storage: Storage) -> None:
        self._elements, self._words, self._storage = elements, words, storage
        self._text = ""
        kept = storage.remembered("network")
        self.chosen = kept if kept in RULES else ""
        elements.options("network", [(name, name) for name in RULES])
        elements.at("network").value = self.chosen
        elements.on("network", "change", self._choose)

    def show(self, text: str) -> None:
        """This is the text now."""
        self._text = text.strip()
        self._elements.say("count", statistics.length(self._words, self.chosen, self._text))
        over = self.chosen and RULES[self.chosen].left(self._text) < 0
        self._elements.at("count").className = "over" if over else ""

    def _choose(self) -> None:
        self.chosen = str(self._elements.at("network").value)
        self._storage.remember("network", self.chosen)
        self.show(self._text)
