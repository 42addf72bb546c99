"""A text that is too long for the model: told before anything is written, with what can be done about it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from ...engine.engine import Engine
from ...errors import Cancelled, SottoError
from ...tasks import fit
from ...text.prompt import Prompt
from .. import format as numbers
from ..observer import Observer
from ..parts import Parts
from ..reasons import reason
from .digest import LEAST, digest, parts_of, tokens_of
from .source_text import SourceText

WAYS = ("parts", "whole", "cut")  # to write from a long text, the best first
KEPT = "long"  # under which the browser remembers the way
ROUND = 1024  # tokens of which a context is a multiple
NEARLY = 0.05  # of the room: so near to it a text is counted whole
SPARE = 8  # tokens that a beginning leaves: joined, its sentences may have a few more, too
AT_ONCE = 50  # sentences that are counted before anything else gets its turn

Ask = Callable[[Engine, str], tuple[Prompt, int]]  # the prompt of a text, and the most tokens of its post


@dataclass(frozen=True)
class Long:
    """What is known of a long text.

    Attributes:
        tokens: that it has.
        room: that there are for it.
        beginning: as much of it as fits.
        context: in which all of it fits.
    """

    text: str
    tokens: int
    room: int
    beginning: str
    context: int


class LongText(Observer):
    """The choice `long` below the text box; hidden where the text fits."""

    def __init__(self, parts: Parts, source: SourceText, ask: Ask) -> None:
        self._parts = parts
        self._words = parts.words
        self._at = parts.elements.at
        self._source = source
        self._ask = ask
        self._long: Long | None = None  # what is shown
        self._looked = ("", 0)  # for which text, and how much room
        self._looks = 0  # so often: what a newer one has found goes before
        self._stopped = False
        self._able = dict.fromkeys(WAYS, True)
        self._summed: tuple[tuple[str, str], str] | None = (
            None  # a text and a model, and what it was summed up to
        )
        for way in WAYS:
            parts.elements.on(f"long-{way}", "change", partial(self._choose, way))
        source.listen(lambda text: parts.do(self._look(text)))
        parts.holder.observe(self)

    def loaded(self) -> None:
        self._parts.do(self.look())

    def adapted(self) -> None:
        self.loaded()

    # --- what others ask

    async def look(self) -> None:
        """See whether the text is too long by now, and show the choice where it is."""
        await self._look(self._source.text)

    async def prepared(self, text: str) -> str:
        """What is to be read in place of a text: itself, where it fits. Empty where nothing can be written now: the
        choice has to be seen first, the model is loaded anew, or a person stopped it.

        Raises SottoError from the device.
        """
        seen = self._long is not None and self._long.text == text
        await self._look(text)
        if (long := self._long) is None:
            return text
        if not seen:
            self._at(f"long-{self._way()}").focus()
            return ""
        way = self._way()
        if way == "cut":
            return long.beginning
        if way == "parts":
            return await self._sum_up(long)
        self._parts.elements.root.setAttribute("data-queued", "")
        await self._parts.holder.use_context(long.context)
        return ""

    def stop(self) -> None:
        """Sum up no more."""
        self._stopped = True

    def remark(self, text: str, read: str) -> str:
        """What was read in place of a text; empty for itself."""
        if text == read:
            return ""
        if text.startswith(read):
            return self._words("note.cut", count=len(read))
        return self._words("note.summed", count=len(read.splitlines()))

    # --- what is known of the text

    async def _look(self, text: str) -> None:
        """See whether a text is too long, and show the choice where it is."""
        if (engine := self._parts.holder.engine) is None:
            return
        frame, longest = self._ask(engine, "")
        empty = engine.count(frame)
        room = fit.room(engine.context, longest) - empty
        if (text, room) == self._looked:
            return
        self._looks += 1
        look = self._looks
        found = None
        if len(text.encode()) > room:  # a token has a byte at least
            found = await self._measured(engine, text, room, empty + longest)
        if look == self._looks:
            self._looked = text, room
            self._long = found
            self._show(engine)

    async def _measured(self, engine: Engine, text: str, room: int, more: int) -> Long | None:
        """Count a text; None where it fits.

        Args:
            more: tokens of all that the context holds besides it.
        """
        counts: dict[str, int] = {}
        tokens = 0
        for number, sentence in enumerate(fit.sentences(text)):
            counts[sentence] = tokens_of(engine, sentence)
            tokens += counts[sentence]
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
        if abs(tokens - room) < NEARLY * room:  # sentences by themselves have a few more
            tokens = tokens_of(engine, text)
        if tokens <= room:
            return None
        beginning = fit.beginning(
            text, lambda part: counts.get(part) or tokens_of(engine, part), room - SPARE
        )
        return Long(text, tokens, room, beginning, math.ceil((tokens + more) / ROUND) * ROUND)

    # --- the choice

    def _show(self, engine: Engine) -> None:
        if (long := self._long) is None:
            self._at("long").hidden = True
            return
        if self._summed and self._summed[0][0] != long.text:
            self._show_summaries(())
        words, say = self._words, self._parts.elements.say
        say("long-title", words("long", count=long.tokens, limit=long.room))
        say("long-parts-text", words("long.parts", count=parts_of(long.tokens, long.room)))
        say("long-cut-text", words("long.cut", count=len(long.beginning), total=len(long.text)))
        why = self._why_not_whole(engine, long)
        say("long-whole-text", why or self._whole(engine, long))
        for way, able in (("parts", long.room >= LEAST), ("whole", not why), ("cut", bool(long.beginning))):
            self._at(f"long-{way}").disabled = not able
            self._able[way] = able
        self._at(f"long-{self._way()}").checked = True
        self._at("long").hidden = False

    def _why_not_whole(self, engine: Engine, long: Long) -> str:
        """Why no context can hold it all; empty where one can."""
        if long.context > engine.config.context_limit:
            return self._words("long.whole.never", limit=engine.config.context_limit)
        try:
            engine.needed(long.context)
        except SottoError as error:
            return reason(self._words, error)[0]
        return ""

    def _whole(self, engine: Engine, long: Long) -> str:
        more = sum(engine.needed(long.context).values()) - sum(engine.load_stats.device_bytes.values())
        return self._words("long.whole", context=long.context, size=numbers.size(max(more, 0)))

    def _way(self) -> str:
        """The way that is taken: the one that was chosen last, if it can be gone."""
        kept = self._parts.browser.storage.remembered(KEPT)
        able = [way for way in WAYS if self._able[way]]
        return kept if kept in able else able[0] if able else WAYS[-1]

    def _choose(self, way: str) -> None:
        self._parts.browser.storage.remember(KEPT, way)

    # --- summing up

    def _show_summaries(self, said: Sequence[str]) -> None:
        """What the parts say in short, for whoever wants to see what a post was written from."""
        self._at("summaries").hidden = not said
        self._parts.elements.lines("summaries-text", said)

    async def _sum_up(self, long: Long) -> str:
        """What its parts say in short; empty where a person stopped it."""
        parts, text = self._parts, ""
        key = long.text, parts.holder.key
        if self._summed and self._summed[0] == key:
            return self._summed[1]

        def progress(number: int, count: int, left: float | None, said: Sequence[str]) -> None:
            if self._stopped:  # between two parts
                raise Cancelled
            self._show_summaries(said)
            doing = self._words("long.doing", number=number, count=count)
            time = [self._words("stage.left", time=self._words.about(left))] if left else []
            said = self._words("separator").join(filter(None, [doing, *time, self._parts.hint("hint.stop")]))
            parts.elements.say("when", said)

        self._stopped = False
        try:
            async with parts.holder.turn() as engine:
                parts.panel.state("writing", "state.summing")
                text = await digest(engine, long.text, long.room, parts.preferences.check(), progress)
                self._summed = key, text
                self._show_summaries(text.splitlines())
        except Cancelled:
            parts.elements.say("note", self._words("note.stopped"))
        return text
