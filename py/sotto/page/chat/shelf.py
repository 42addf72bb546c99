"""The conversations that are kept in this browser."""

from __future__ import annotations

from ...errors import FormatError
from ..archive import Archive
from .conversation import Conversation, newest_first


class Shelf:
    """Conversations by their ids.

    Args:
        archive: where they are kept.
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._all: dict[str, Conversation] = {}

    @property
    def keeps(self) -> bool:
        """Whether the browser keeps what it is given."""
        return self._archive.keeps

    @property
    def empty(self) -> bool:
        """Whether there is none."""
        return not self._all

    async def read(self) -> None:
        """Read what was kept before. What another version kept stays where it is."""
        for text in (await self._archive.read()).values():
            try:
                self.hold(Conversation.from_json(text))
            except FormatError:
                continue

    def find(self, name: str) -> Conversation | None:
        """The one with an id."""
        return self._all.get(name)

    def found(self, words: str) -> list[Conversation]:
        """Those in which every one of some words stands, the one that was changed last first."""
        return newest_first([one for one in self._all.values() if one.matches(words)])

    def hold(self, conversation: Conversation) -> None:
        """Have a conversation as it is now, and not keep it yet."""
        self._all[conversation.id] = conversation

    async def keep(self, conversation: Conversation) -> Conversation:
        """Keep a conversation, unless there is nothing in it.

        Returns:
            It; or the copy that was kept, where another page has changed what was kept: both stay.
        """
        if conversation.empty:
            return conversation
        self.hold(conversation)
        if await self._archive.keep(conversation.id, conversation.to_json()):
            return conversation
        self._all.pop(conversation.id, None)
        copy = conversation.copied()
        self.hold(copy)
        await self._archive.keep(copy.id, copy.to_json())
        return copy

    async def drop(self, conversation: Conversation) -> None:
        """Forget a conversation."""
        self._all.pop(conversation.id, None)
        await self._archive.drop(conversation.id)
