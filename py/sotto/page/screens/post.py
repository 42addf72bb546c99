"""The post: a text, and what the model makes of it."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

from ...engine.engine import Engine
from ...errors import Cancelled, ContextFull
from ...tasks import few_shot, fit
from ...tasks.candidates import USUAL, judge, sampling_of
from ...tasks.request import Frame, Request, frame, prompt
from ...text.chat import GEMMA
from ...text.prompt import Prompt
from ...text.sampler import Sampling
from .. import faults, statistics
from ..document_box import DocumentBox
from ..faults import Fault
from ..network import NetworkChoice
from ..notice import Notice, Step, remedies
from ..observer import Observer
from ..options import Options
from ..parts import Parts
from ..post import doubts
from ..post.long_text import LongText
from ..post.source_text import SourceText
from ..post.wishes import WishRow
from ..versions import Version, Versions

MEASURED = 8  # new tokens from which on a post says how fast the processor is


class PostScreen(Observer):
    """One text and one post at a time."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._words = parts.words
        self._at = parts.elements.at
        self._notice = Notice(parts.elements, parts.words, parts.panel)
        self._busy = False
        self._network = NetworkChoice(parts.elements, parts.words, parts.browser.storage)
        self._source = SourceText(parts)
        self._wishes = WishRow(parts, self._source)
        self._long = LongText(parts, self._source, self._ask)
        self._waiting = False  # for another screen that writes
        self._versions = Versions(parts.elements, parts.words, self._show)
        self._documents = DocumentBox(parts)
        parts.elements.on("write", "click", lambda: parts.do(self._write()))
        parts.elements.on("stop", "click", self._stop)
        parts.elements.on("source", "input", self._edited)
        parts.holder.observe(self)

    async def open(self, asked: str) -> None:
        await self._parts.holder.want()

    # --- what the holder tells

    def loading(self) -> None:
        self._notice.hide()
        self._at("write").disabled = False
        self._parts.elements.say("when", self._words("when.soon"))

    def loaded(self) -> None:
        queued = bool(self._parts.elements.root.hasAttribute("data-queued"))
        if not queued:
            self._ready()
        if lost := self._lost():
            self._parts.elements.say("note", lost)
        self._parts.elements.root.removeAttribute("data-queued")
        if queued:
            self._parts.do(self._write())

    def failed(self, fault: Fault) -> None:
        parts = self._parts
        self._tell(fault, *remedies(fault, parts.browser, parts.holder, parts.do))

    def _lost(self) -> str:
        """What is lost in this browser, or at this address; said once."""
        browser, words = self._parts.browser, self._words
        if missing := self._parts.holder.missing:
            return words("note.missing", name=missing)
        if not browser.storage.keeps:
            lost = "storage"
        elif not browser.secure:
            lost = "address"
        elif not browser.isolated:
            lost = "isolation"
        elif not self._parts.holder.kept:
            lost = "model"
        else:
            return ""
        return words(f"note.lost.{lost}") if browser.storage.first_time(f"lost.{lost}") else ""

    # --- writing

    async def _write(self) -> None:
        """Write a post from the text, or from what is to be read in its place."""
        parts = self._parts
        if self._waiting:  # pressed again: it is not wanted any more
            self._wait(False)
        if self._busy or not parts.holder.ready:
            return
        text = self._source.text
        if (options := self._checked(text)) is None:
            return
        self._busy, begun = True, False
        queued = parts.holder.writing
        self._wait(queued)
        try:
            if not (read := await self._long.prepared(text)):
                if parts.holder.ready:
                    self._ready()
                return
            async with parts.holder.turn(lambda: self._waiting == queued) as engine:
                self._wait(False)
                request = self._request(engine, read)
                ask = self._prompt(engine, request, read)
                tokens = engine.count(ask)
                if tokens > (limit := fit.room(engine.context, options.longest(fit.longest(request)))):
                    raise ContextFull(tokens, limit)
                self._begin(request.language)
                begun = True
                written = await self._write_versions(engine, ask, request, text, options)
                self._versions.give(written)
                self._end(self._remark(engine, self._long.remark(text, read)))
            self._ready()
        except ContextFull:  # the model was changed while it was waited for
            parts.do(self._write())
        except Cancelled:  # the turn went to another, or the model was given up
            if begun:
                self._end(self._words("note.stopped"))
            if parts.holder.ready:
                self._ready()
        except Exception as error:
            self._end()
            self._tell(faults.while_writing(error), Step(lambda: parts.do(parts.holder.load(anyway=True))))
        finally:
            self._busy = self._waiting = (
                False  # where the model was given up, the button goes on saying that it waits
            )

    def _checked(self, text: str) -> Options | None:
        """How to write; None where something cannot be, which is told."""
        if not text.strip():
            self._tell(faults.EMPTY, Step(self._use_example))
            return None
        options = self._parts.preferences.check()
        if self._parts.preferences.faulty:
            self._tell(faults.SETTING, Step(self._parts.preferences.show_faulty))
            return None
        return options if self._wishes.check() else None

    def _wait(self, waiting: bool) -> None:
        """Another screen has the turn to write, or not any more; the button says so."""
        self._waiting = waiting
        self._parts.elements.root.toggleAttribute("data-queued", waiting)
        if waiting:
            self._parts.elements.say("announced", self._words("queued"))

    async def _write_versions(
        self, engine: Engine, ask: Prompt, request: Request, text: str, options: Options
    ) -> list[Version]:
        """Write until a version breaks no rule, or there are as many as are wanted. They share one prefill."""
        how = self._frame(engine)
        shown = few_shot.shown(request.language) if how == "examples" else self._wishes.voice(how)
        written: list[Version] = []
        while len(written) < options.versions:
            if written:
                self._parts.elements.say("when", self._words("hint.better"))
            sampling = sampling_of(options.sampling(USUAL), request, self._frame(engine), len(written))
            longest = options.longest(fit.longest(request))
            answer = await self._stream(engine, ask, longest, options, sampling, shown=not written)
            stats = replace(engine.stats)
            if stats.new_tokens > MEASURED:
                self._parts.holder.remember_rate(stats.decode_rate)
            if written and stats.stop_reason == "cancelled":
                break
            ended = stats.stop_reason not in ("length", "loop")
            written.append(Version(judge(request, text, answer, ended=ended, shown=shown), stats))
            if stats.stop_reason == "cancelled" or not written[-1].candidate.findings:
                break
        return written

    async def _stream(
        self,
        engine: Engine,
        ask: Prompt,
        longest: int,
        options: Options,
        sampling: Sampling,
        *,
        shown: bool,
    ) -> str:
        """Write a version, shown as it comes or not."""
        place, answer = self._at("post"), ""
        pieces = engine.generate(ask, longest, sampling, stop=options.stop, loop_guard=options.loop_guard)
        async for piece in pieces:
            new = piece.text if answer else piece.text.lstrip()
            answer += new
            if new and shown:
                place.append(new)
        return answer

    def _request(self, engine: Engine, text: str) -> Request:
        return self._wishes.heard(self._frame(engine)).request(text, self._network.chosen or None)

    def _ask(self, engine: Engine, text: str) -> tuple[Prompt, int]:
        """The prompt of a text, and the most tokens of its post."""
        request = self._request(engine, text)
        options = self._parts.preferences.check()
        return self._prompt(engine, request, text), options.longest(fit.longest(request))

    @staticmethod
    def _frame(engine: Engine) -> Frame:
        return frame(engine.instruction_tuned, engine.cards)

    def _prompt(self, engine: Engine, request: Request, text: str) -> Prompt:
        how = self._frame(engine)
        return prompt(request, text, how, engine.chat_format or GEMMA, self._wishes.voice(how))

    def _stop(self) -> None:
        if self._busy:
            self._long.stop()
            self._parts.holder.stop()

    # --- what is shown

    def _use_example(self) -> None:
        """Put the example of the page's language into the text box, as its button does."""
        self._at(f"example-{self._parts.browser.language}").click()

    def _edited(self) -> None:
        """A changed text answers a fault of the text."""
        if self._parts.holder.ready and not self._busy and self._notice.kind in ("empty", "setting"):
            self._ready()

    def _ready(self) -> None:
        """Writing can begin."""
        self._notice.hide()
        self._parts.panel.state("ready", "state.ready")
        key = self._parts.browser.command_key()
        self._parts.elements.say("when", self._words("hint.write", key=key))

    def _begin(self, language: str) -> None:
        """A post begins, in a language."""
        place, say = self._at("post"), self._parts.elements.say
        self._versions.clear()
        self._network.show("")
        place.textContent = ""
        place.lang = language
        place.ariaBusy = "true"  # screen readers wait for the whole post
        self._at("copy").disabled = True
        for footnote in ("doubt", "stats", "note"):
            say(footnote, "")
        self._notice.hide()
        say("when", self._words("hint.stop"))
        self._parts.panel.state("writing", "state.writing")
        place.scrollIntoView(block="nearest")

    def _end(self, note: str = "") -> None:
        """A post has ended, whole or not."""
        place = self._at("post")
        place.ariaBusy = "false"
        self._at("copy").disabled = not place.textContent
        self._parts.elements.say("note", note)

    def _show(self, version: Version) -> None:
        """Show a version, with what is in it that the text has not, and what it took: in words, and exactly for scripts
        that measure."""
        engine, words = self._parts.holder.engine, self._words
        if engine is None:
            return
        self._parts.elements.marks("post", version.candidate.parts())
        self._network.show(version.candidate.answer)
        self._parts.elements.say("doubt", doubts.told(words, version.candidate))
        stats = version.stats
        rates = {"prefill_rate": stats.prefill_rate, "decode_rate": stats.decode_rate}
        self._at("stats").dataset.figures = json.dumps(asdict(stats) | rates)
        self._parts.elements.spans("stats", statistics.line(words, stats, engine.load_stats.cached))

    def _remark(self, engine: Engine, read: str) -> str:
        """One quiet remark at most.

        Args:
            read: what is to be said of what was read.
        """
        words = self._words
        if engine.stats.stop_reason == "cancelled":
            return words("note.stopped")
        if engine.stats.stop_reason == "loop":
            return words("note.loop")
        if not self._at("post").textContent:
            stats = engine.stats
            return words("note.control", count=stats.new_tokens) if stats.wordless else words("note.nothing")
        if read:
            return read
        return words("note.stayed") if self._parts.browser.storage.first_time("stayed") else ""

    def _tell(self, fault: Fault, *steps: Step) -> None:
        """Tell a fault where the post would be."""
        self._at("write").disabled = not fault.sound
        self._parts.elements.say("when", "")
        self._parts.elements.root.removeAttribute("data-queued")
        self._notice.tell(fault, *steps)


def make(parts: Parts) -> PostScreen:
    """The screen."""
    return PostScreen(parts)
