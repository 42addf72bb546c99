"""The post: a text, and what the model makes of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict

from ...engine.engine import Engine
from ...errors import Cancelled, ContextFull
from ...tasks import fit
from ...tasks.language import language
from ...tasks.request import Request, prompt
from ...text.prompt import Prompt
from ...text.sampler import Sampling
from .. import faults, statistics
from ..faults import Fault
from ..model_holder import Observer
from ..notice import Notice, remedy
from ..options import Options
from ..parts import Parts

MEASURED = 8  # new tokens from which on a post says how fast the processor is


class PostScreen(Observer):
    """One text and one post at a time."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._words = parts.words
        self._at = parts.elements.at
        self._notice = Notice(parts.elements, parts.words, parts.panel)
        self._busy = False
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
        self._ready()
        if lost := self._lost():
            self._parts.elements.say("note", lost)
        queued = bool(self._parts.elements.root.hasAttribute("data-queued"))
        self._parts.elements.root.removeAttribute("data-queued")
        if queued:
            self._parts.do(self._write())

    def failed(self, fault: Fault) -> None:
        parts = self._parts
        self._tell(fault, *remedy(fault, parts.browser, parts.holder, parts.do))

    def _lost(self) -> str:
        """What is lost in this browser, or at this address; said once."""
        browser, words = self._parts.browser, self._words
        if not browser.storage.keeps:
            lost = "storage"
        elif not browser.secure:
            lost = "address"
        elif not self._parts.holder.kept:
            lost = "model"
        else:
            return ""
        return words(f"note.lost.{lost}") if browser.storage.first_time(f"lost.{lost}") else ""

    # --- writing

    async def _write(self, beginning: str = "") -> None:
        """Write a post from the text, or from a beginning of it that fits."""
        parts = self._parts
        if self._busy or not parts.holder.ready:
            return
        text = beginning or self._text()
        if not text.strip():
            self._tell(faults.EMPTY, self._use_example)
            return
        self._busy, begun = True, False
        options = parts.panel.sampling()
        try:
            async with parts.holder.turn() as engine:
                prompt = self._prompt(engine, text)
                limit = fit.room(engine.context, options.max_tokens)
                if (tokens := engine.count(prompt)) > limit:
                    raise ContextFull(tokens, limit)
                self._begin(language(text))
                begun = True
                await self._stream(engine, prompt, options)
                self._end(self._remark(engine, len(beginning)), self._figures(engine))
            self._ready()
        except ContextFull as error:
            limit = error.limit
            self._tell(faults.while_writing(error), lambda: parts.do(self._write_what_fits(text, limit)))
        except Cancelled:  # the turn went to another, or the model was given up
            if begun:
                self._end(self._words("note.stopped"))
            if parts.holder.ready:
                self._ready()
        except Exception as error:
            self._end()
            self._tell(faults.while_writing(error), lambda: parts.do(parts.holder.load()))
        finally:
            self._busy = False

    async def _stream(self, engine: Engine, prompt: Prompt, options: Options) -> None:
        # No repetition penalty: a post says again what its text says, and with one a small model drifts or copies.
        sampling = Sampling(temperature=options.temperature, top_k=64, top_p=0.95, seed=options.seed)
        place, begun = self._at("post"), False
        async for piece in engine.generate(prompt, max_tokens=options.max_tokens, sampling=sampling):
            text = piece.text if begun else piece.text.lstrip()
            if text:
                place.append(text)
                begun = True

    async def _write_what_fits(self, text: str, limit: int) -> None:
        engine = self._parts.holder.engine
        if engine is not None:
            await self._write(fit.fit(text, lambda part: engine.count(self._prompt(engine, part)), limit))

    @staticmethod
    def _prompt(engine: Engine, text: str) -> Prompt:
        return prompt(
            Request(language=language(text)), text, "chat" if engine.instruction_tuned else "examples"
        )

    def _stop(self) -> None:
        if self._busy:
            self._parts.holder.stop()

    # --- what is shown

    def _text(self) -> str:
        return str(self._at("source").value)

    def _use_example(self) -> None:
        """Put the example of the page's language into the text box, as its button does."""
        self._at(f"example-{self._parts.browser.language}").click()

    def _edited(self) -> None:
        """A changed text answers a fault of the text."""
        if self._parts.holder.ready and not self._busy and self._notice.kind in ("empty", "long"):
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
        place.textContent = ""
        place.lang = language
        place.ariaBusy = "true"  # screen readers wait for the whole post
        self._at("copy").disabled = True
        say("stats", "")
        say("note", "")
        self._notice.hide()
        say("when", self._words("hint.stop"))
        self._parts.panel.state("writing", "state.writing")
        place.scrollIntoView(block="nearest")

    def _end(self, note: str = "", figures: list[str] | None = None) -> None:
        """A post has ended, whole or not."""
        place = self._at("post")
        place.ariaBusy = "false"
        self._at("copy").disabled = not place.textContent
        self._parts.elements.spans("stats", figures or [])
        self._parts.elements.say("note", note)

    def _figures(self, engine: Engine) -> list[str]:
        """What a post took, in words; exactly too, for scripts that measure; and for the next choice of a processor."""
        stats = engine.stats
        if stats.new_tokens > MEASURED:
            self._parts.holder.remember_rate(stats.decode_rate)
        rates = {"prefill_rate": stats.prefill_rate, "decode_rate": stats.decode_rate}
        self._at("stats").dataset.figures = json.dumps(asdict(stats) | rates)
        return statistics.line(self._words, stats, engine.load_stats.cached)

    def _remark(self, engine: Engine, beginning: int) -> str:
        """One quiet remark at most."""
        words = self._words
        if engine.stats.stop_reason == "cancelled":
            return words("note.stopped")
        if not self._at("post").textContent:
            return words("note.nothing")
        if beginning:
            return words("note.cut", count=beginning)
        return words("note.stayed") if self._parts.browser.storage.first_time("stayed") else ""

    def _tell(self, fault: Fault, action: Callable[[], object], label: str = "") -> None:
        """Tell a fault where the post would be."""
        self._at("write").disabled = not fault.sound
        self._parts.elements.say("when", "")
        self._parts.elements.root.removeAttribute("data-queued")
        self._notice.tell(fault, action, label)


def make(parts: Parts) -> PostScreen:
    """The screen."""
    return PostScreen(parts)
