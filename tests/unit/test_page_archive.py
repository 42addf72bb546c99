"""Texts that a browser keeps, and what is done where it refuses, or where another page was quicker."""

from __future__ import annotations

import asyncio
import json

from sotto.page.archive import Archive
from sotto.page.chat.conversation import Conversation
from sotto.page.shelf import History


class Kept:
    """What web/archive.js does."""

    def __init__(self) -> None:
        self.texts: dict[tuple[str, str], str] = {}
        self.refuses = False

    def _look(self) -> None:
        if self.refuses:
            raise OSError("QuotaExceededError")

    async def all(self, kind: str) -> str:
        self._look()
        return json.dumps([[name, text] for (of, name), text in self.texts.items() if of == kind])

    async def put(self, kind: str, name: str, text: str, seen: str) -> bool:
        self._look()
        await asyncio.sleep(0)
        if self.texts.get((kind, name), "") != seen:
            return False
        self.texts[kind, name] = text
        return True

    async def remove(self, kind: str, name: str) -> None:
        self._look()
        self.texts.pop((kind, name), None)


def opened(kept: Kept, kind: str = "conversation") -> Archive:
    async def answer() -> Kept:
        kept._look()
        return kept

    return Archive(kind, answer)


def conversations(kept: Kept) -> History[Conversation]:
    return History(opened(kept), lambda _, text: Conversation.from_json(text), Conversation.to_json)


def test_what_is_kept_is_there_at_the_next_visit() -> None:
    async def work() -> None:
        kept = Kept()
        kept.texts["template", "x"] = "of another kind"
        one = opened(kept)
        assert await one.read() == {}
        assert await one.keep("a", "first") and await one.keep("a", "second") and await one.keep("b", "third")
        await one.drop("b")
        assert one.keeps
        assert await opened(kept).read() == {"a": "second"}
        assert await opened(kept, "template").read() == {"x": "of another kind"}

    asyncio.run(work())


def test_what_is_asked_for_at_once_is_done_in_order() -> None:
    async def work() -> None:
        kept = Kept()
        one = opened(kept)
        await one.read()
        assert await asyncio.gather(one.keep("a", "first"), one.keep("a", "second")) == [True, True]
        assert kept.texts["conversation", "a"] == "second"
        await asyncio.gather(one.keep("a", "third"), one.drop("a"))
        assert kept.texts == {}

    asyncio.run(work())


def test_a_page_does_not_write_over_what_another_has_written() -> None:
    async def work() -> None:
        kept = Kept()
        kept.texts["conversation", "a"] = "first"
        one, two = opened(kept), opened(kept)
        await one.read()
        await two.read()
        assert await one.keep("a", "one's")
        assert not await two.keep("a", "two's")
        assert kept.texts["conversation", "a"] == "one's"
        await two.read()
        assert await two.keep("a", "two's")

    asyncio.run(work())


def test_a_conversation_that_two_pages_go_on_with_becomes_two() -> None:
    async def work() -> None:
        kept = Kept()
        one, two = conversations(kept), conversations(kept)
        began = Conversation().asked("Who is there?")
        assert not one.all and await one.keep(began) is began
        await two.read()
        assert two.find(began.id) == began
        ones = await one.keep(began.answered("One.", "eos", None))
        twos = await two.keep(began.answered("Two.", "eos", None))
        assert ones.id == began.id != twos.id and two.find(began.id) is None
        kept.texts["conversation", "x"] = "of another version"
        three = conversations(kept)
        await three.read()
        assert {each.turns[0].answer for each in three.found("there")} == {"One.", "Two."}
        assert three.found("two") == [twos] and three.found("four") == []
        await one.drop(ones)
        brought_back = await three.keep(ones.called("Brought back"))
        assert brought_back.id != ones.id, "what another tab deleted does not come back under its id"
        await three.drop(brought_back)
        await three.drop(ones)
        await three.drop(twos)
        assert not three.all and list(kept.texts.values()) == ["of another version"]

    asyncio.run(work())


def test_what_another_tab_does_is_seen_and_what_is_not_kept_stays() -> None:
    async def work() -> None:
        kept, private = Kept(), False

        async def answer() -> Kept:
            return kept

        archive = Archive("conversation", answer, lambda: private)
        one = History(archive, lambda _, text: Conversation.from_json(text), Conversation.to_json)
        two = conversations(kept)
        first, second = Conversation().asked("First?"), Conversation().asked("Second?")
        await one.keep(first)
        await one.keep(second)
        private = True
        mine = await one.keep(Conversation().asked("Mine?"))
        here = await one.keep(second.answered("Here.", "eos", None))
        assert len(kept.texts) == 2 and "Here." not in "".join(kept.texts.values())
        await two.read()
        there = await two.keep(first.answered("There.", "eos", None))
        assert await one.read() == {first.id} and await one.read() == set()
        assert [one.find(each.id) for each in (there, here, mine)] == [there, here, mine]
        await two.drop(there)
        await one.read()
        assert one.find(first.id) is None and one.find(mine.id) == mine
        await one.drop(here)
        assert not kept.texts, "what was kept before can be deleted in private too"

    asyncio.run(work())


def test_a_browser_that_refuses() -> None:
    async def work() -> None:
        kept = Kept()
        kept.refuses = True
        closed = opened(kept)
        assert await closed.read() == {} and not closed.keeps
        assert await closed.keep("a", "here only")
        assert not closed.keeps
        await closed.drop("a")

        kept.refuses = False
        full = opened(kept)
        assert await full.keep("a", "first")
        kept.refuses = True
        assert await full.keep("c", "no room")
        assert not full.keeps
        kept.refuses = False
        assert await full.keep("c", "room again")
        assert full.keeps

    asyncio.run(work())
