"""Writing posts: one request after the other to the model, each answer judged, until there are enough good ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...engine.engine import Engine
from ...errors import ContextFull
from ...tasks import few_shot, fit
from ...tasks.candidates import USUAL, judge, sampling_of
from ...tasks.request import Frame, Request, frame, prompt
from ...text.chat import GEMMA
from ...text.prompt import Prompt
from ...text.sampler import Sampling
from ..parts import Parts
from .cards import Cards
from .entry import Version
from .job import Job, Written

MEASURED = 8  # new tokens from which on a post says how fast the processor is


def frame_of(engine: Engine) -> Frame:
    """How requests are put to a model."""
    return frame(engine.instruction_tuned, engine.cards)


def prompt_of(engine: Engine, request: Request, text: str, voice: Sequence[str]) -> Prompt:
    """A request as a model is asked it.

    Args:
        voice: posts of the person's own, in whose voice it is to answer.
    """
    return prompt(request, text, frame_of(engine), engine.chat_format or GEMMA, voice)


class Writer:
    """Writes posts with the page's model, and shows them as they come.

    Attributes:
        written: by the job that is under way, or was the last; also where that ended in an error.
    """

    def __init__(self, parts: Parts, cards: Cards) -> None:
        self._parts = parts
        self._cards = cards
        self.written = Written()

    async def write(self, engine: Engine, job: Job, begin: Callable[[], None]) -> None:
        """Write until as many posts as are wanted break no rule, or each has been tried often enough. All share one
        prefill: what they are asked is the same.

        Args:
            begin: called at the first word of each.

        Raises:
            ContextFull: the text is too long.
            SottoError: from the device.
        """
        self.written = written = Written()
        ask = prompt_of(engine, job.request, job.read, job.voice)
        longest = job.options.longest(fit.longest(job.request))
        if (tokens := engine.count(ask)) > (limit := fit.room(engine.context, longest)):
            raise ContextFull(tokens, limit)
        how = frame_of(engine)
        shown = few_shot.shown(job.request.language) if how == "examples" else job.voice
        for number in range(job.wanted - 1 + job.options.versions):
            place = job.at + len(written.versions) if len(written.versions) < job.wanted else None
            if number and place is None:
                looking = "hint.better" if self._parts.browser.keyboard else "hint.better.only"
                self._parts.elements.say("when", self._parts.words(looking))
            drawn = number + len(job.unlike)
            sampling = sampling_of(job.options.sampling(USUAL), job.request, how, drawn)
            await self._one(engine, job, ask, sampling, place, begin, shown)
            if written.stopped or written.good >= job.wanted:
                break

    async def _one(
        self,
        engine: Engine,
        job: Job,
        ask: Prompt,
        sampling: Sampling,
        place: int | None,
        begin: Callable[[], None],
        shown: Sequence[str],
    ) -> None:
        """Write a post, shown as it comes where it has a place."""
        answer, options = "", job.options
        longest = options.longest(fit.longest(job.request))
        pieces = engine.generate(ask, longest, sampling, stop=options.stop, loop_guard=options.loop_guard)
        try:
            async for piece in pieces:
                new = piece.text if answer else piece.text.lstrip()
                if new and not answer:
                    begin()
                    if place is not None:
                        self._cards.blank(place, job.request.language)
                answer += new
                if new and place is not None:
                    self._cards.append(place, new)
        finally:  # also of what a lost device, or a person, has cut short
            self._take(engine, job, answer, place is not None, shown)

    def _take(self, engine: Engine, job: Job, answer: str, seen: bool, shown: Sequence[str]) -> None:
        """Judge what was written. Nothing is left of what was stopped before its first word, or while nobody saw it."""
        stats = engine.stats
        if stats.new_tokens > MEASURED:
            self._parts.holder.remember_rate(stats.decode_rate)
        self.written.ended = stats.stop_reason
        self.written.control = stats.new_tokens if stats.wordless and not answer.strip() else 0
        if not answer.strip() or (self.written.stopped and not seen):
            return
        ended = stats.stop_reason not in ("length", "loop")
        candidate = judge(job.request, job.text, answer, ended=ended, shown=shown)
        if job.fits(candidate.answer):
            figures = self._parts.panel.figures(engine)
            copied = any(finding.rule == "prompt" for finding in candidate.findings)
            self.written.add(Version(candidate.answer, job.request, figures, copied=copied), candidate)
