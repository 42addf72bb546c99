"""Where a post will be posted, and how long it is there."""

from __future__ import annotations

from ..tasks.networks import RULES
from . import statistics
from .elements import Elements
from .storage import Storage
from .words import Words


class NetworkChoice:
    """The choice `network`, and `count` at each text that is shown: what that counts in the network that was chosen.

    Attributes:
        chosen: the network's name; empty for none.
    """

    def __init__(self, elements: Elements, words: Words, storage: Storage) -> None:
        self._elements, self._words, self._storage = elements, words, storage
        self._texts: dict[str, str] = {}  # by the id of their count
        kept = storage.remembered("network")
        self.chosen = kept if kept in RULES else ""
        elements.options("network", [(name, name) for name in RULES])
        elements.at("network").value = self.chosen
        elements.on("network", "change", self._choose)

    def show(self, text: str, count: str = "count") -> None:
        """This is the text now.

        Args:
            count: the id of the element that tells how long it is.
        """
        self._texts[count] = text.strip()
        self._tell(count)

    def _tell(self, count: str) -> None:
        text = self._texts[count]
        self._elements.say(count, statistics.length(self._words, self.chosen, text))
        over = self.chosen and RULES[self.chosen].left(text) < 0
        self._elements.at(count).className = "over" if over else ""

    def _choose(self) -> None:
        self.chosen = str(self._elements.at("network").value)
        self._storage.remember("network", self.chosen)
        for count in self._texts:
            self._tell(count)
