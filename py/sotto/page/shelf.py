"""What a person has kept of a kind, as values by their ids: the conversations, the tasks, the posts."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from typing import Generic, Protocol, Self, TypeVar

from ..errors import FormatError
from .archive import Archive


class Kept(Protocol):
    """What can be kept."""

    @property
    def id(self) -> str:
        """Under which it is kept."""
        ...

    def under(self, name: str) -> Self:
        """The same under another id."""
        ...


K = TypeVar("K", bound=Kept)


class Shelf(Generic[K]):
    """All of a kind by their ids: what was kept at earlier visits, and what came since.

    Two tabs may work on the same thing. Neither writes over what the other has written: who comes second keeps a copy
    under an id of its own, and both stay.

    Args:
        archive: where they are kept.
        read: makes one of what is kept under an id; raises FormatError for what this version does not know.
        write: the other way.
    """

    def __init__(self, archive: Archive, read: Callable[[str, str], K], write: Callable[[K], str]) -> None:
        self._archive = archive
        self._from_text = read
        self._to_text = write
        self._all: dict[str, K] = {}

    @property
    def keeps(self) -> bool:
        """Whether the browser keeps what it is given."""
        return self._archive.keeps

    @property
    def all(self) -> list[K]:
        """All there are, in no order."""
        return list(self._all.values())

    async def read(self) -> set[str]:
        """Read what is kept, by any tab: what another one has changed is taken, what it has deleted is gone here too.
        What another version kept stays where it is, and out of sight.

        Returns:
            The ids of what is new here.
        """
        before = self._archive.seen
        texts = await self._archive.read()
        for name in before.keys() - texts.keys():
            self._all.pop(name, None)
        new = {name for name, text in texts.items() if text != before.get(name)}
        for name in new:
            try:
                self.hold(self._from_text(name, texts[name]))
            except FormatError:
                continue
        return new

    def find(self, name: str) -> K | None:
        """The one with an id."""
        return self._all.get(name)

    def hold(self, one: K) -> None:
        """Have one as it is now, and not keep it yet."""
        self._all[one.id] = one

    async def keep(self, one: K) -> K:
        """Keep one.

        Returns:
            It; or the copy that was kept, where another tab has changed or deleted what was kept.
        """
        self.hold(one)
        if await self._archive.keep(one.id, self._to_text(one)):
            return one
        self._all.pop(one.id, None)
        copy = one.under(_new_id())
        self.hold(copy)
        await self._archive.keep(copy.id, self._to_text(copy))
        return copy

    async def take(self, ones: Iterable[K]) -> tuple[list[K], list[K]]:
        """Keep those of a file that are not here yet, each under an id of its own, beside all that are: whatever their
        ids were, nothing is written over, and what is the same is here once.

        Returns:
            Those that are new here, and those that were here already.
        """
        here = {self._content(one): one for one in self.all}
        wanted = {self._content(one): one for one in ones}
        new = [await self.keep(one.under(_new_id())) for key, one in wanted.items() if key not in here]
        return new, [here[key] for key in wanted if key in here]

    def _content(self, one: K) -> str:
        return self._to_text(one.under(""))

    async def drop(self, one: K) -> None:
        """Forget one."""
        self._all.pop(one.id, None)
        await self._archive.drop(one.id)


class Written(Kept, Protocol):
    """What was written at some time, and can be found by its words."""

    @property
    def changed(self) -> str:
        """When, in UTC, ISO 8601."""
        ...

    def texts(self) -> Iterable[str]:
        """All that stands in it."""
        ...


W = TypeVar("W", bound=Written)


class History(Shelf[W]):
    """What was written, to be looked up."""

    def found(self, words: str) -> list[W]:
        """Those in which every one of some words stands, in capitals or not; the one that was changed last first."""
        wanted = words.casefold().split()
        found = [one for one in self.all if _says("\n".join(one.texts()).casefold(), wanted)]
        return sorted(found, key=lambda one: one.changed, reverse=True)


def _new_id() -> str:
    return secrets.token_hex(8)


def _says(text: str, words: Iterable[str]) -> bool:
    return all(word in text for word in words)
