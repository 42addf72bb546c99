"""How many posts are written of a text, to stand beside each other."""

from __future__ import annotations

from ..elements import Elements
from ..storage import Storage

MOST = 4
_NAME = "posts.wanted"


class Wanted:
    """The choice `posts-wanted`.

    Attributes:
        count: that is chosen.
    """

    def __init__(self, elements: Elements, storage: Storage) -> None:
        self._at, self._storage = elements.at, storage
        kept = storage.remembered(_NAME)
        self.count = int(kept) if kept in map(str, range(1, MOST + 1)) else 1
        elements.options("posts-wanted", [(str(n), str(n)) for n in range(1, MOST + 1)])
        self._at("posts-wanted").value = str(self.count)
        elements.on("posts-wanted", "change", self._choose)

    def _choose(self) -> None:
        self.count = int(self._at("posts-wanted").value)
        self._storage.remember(_NAME, str(self.count))
