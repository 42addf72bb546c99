"""A conversation: what was asked and answered, and what of it the model is shown. Nothing here knows the page."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ... import values
from ...errors import FormatError, InvalidSetting
from ...text.chat import Message
from ...text.sampler import Sampling
from ..clock import local, now
from ..run_figures import Figures

NAME = 60  # characters of a first question that name a conversation
VERSION = 1  # of the JSON


@dataclass(frozen=True)
class Turn:
    """A question and its answer.

    Attributes:
        ended: why the answer ended, as RunStats.stop_reason; empty while there is none.
        figures: of the last run that wrote at the answer.
    """

    question: str
    answer: str = ""
    ended: str = ""
    figures: Figures | None = None


@dataclass(frozen=True)
class Conversation:
    """What was said, and how the model is to answer. It never changes: every step gives another one, so that what there
    was before can be brought back.

    Attributes:
        id: under which it is kept.
        title: given by the person; empty for one made of the first question.
        instructions: what the model is told before everything else.
        summary: of an earlier conversation that this one goes on with.
        forgotten: turns from the beginning that the model is not shown any more.
        temperature: as in Sampling; None for what the settings say.
        longest: the most tokens of an answer; None likewise.
        created, changed: times in UTC, ISO 8601.

    Raises InvalidSetting, naming the value, for one of the wrong kind or out of range.
    """

    id: str = field(default_factory=lambda: secrets.token_hex(8))
    title: str = ""
    instructions: str = ""
    summary: str = ""
    turns: tuple[Turn, ...] = ()
    forgotten: int = 0
    temperature: float | None = None
    longest: int | None = None
    created: str = field(default_factory=now)
    changed: str = field(default_factory=now)

    def __post_init__(self) -> None:
        if self.temperature is not None:
            Sampling(temperature=self.temperature)
        if self.longest is not None:
            values.whole("the longest answer", self.longest, 1)
        values.whole("forgotten", self.forgotten, 0, max(len(self.turns) - 1, 0))

    @property
    def name(self) -> str:
        """What it is called: its title, or how its first question begins; empty while there is nothing."""
        if self.title or not self.turns:
            return self.title
        words = " ".join(self.turns[0].question.split())
        return words if len(words) <= NAME else f"{words[: NAME - 1].rstrip()}…"

    @property
    def empty(self) -> bool:
        """Whether there is nothing in it to keep."""
        return not (self.turns or self.title or self.instructions or self.summary)

    # --- steps

    def asked(self, question: str) -> Conversation:
        """With one more question."""
        return self._now(turns=(*self.turns, Turn(question)))

    def reworded(self, at: int, question: str) -> Conversation:
        """With another question in place of one; its answer and all that came later go."""
        return self._now(turns=(*self.turns[:at], Turn(question)), forgotten=min(self.forgotten, at))

    def unanswered(self) -> Conversation:
        """Without the last answer, for another one."""
        return self.reworded(len(self.turns) - 1, self.turns[-1].question)

    def without_last(self) -> Conversation:
        """Without the last turn."""
        turns = self.turns[:-1]
        return self._now(turns=turns, forgotten=min(self.forgotten, max(len(turns) - 1, 0)))

    def answered(self, answer: str, ended: str, figures: Figures | None) -> Conversation:
        """With an answer to the last question."""
        return self._now(
            turns=(*self.turns[:-1], replace(self.turns[-1], answer=answer, ended=ended, figures=figures))
        )

    def forgetting(self, turns: int) -> Conversation:
        """The model is not shown so many turns from the beginning."""
        return self._now(forgotten=turns)

    def called(self, title: str) -> Conversation:
        """With another title."""
        return self._now(title=" ".join(title.split()))

    def told(self, instructions: str, temperature: str, longest: str) -> Conversation:
        """With what is written into the fields. Raises InvalidSetting, naming the value."""
        return self._now(
            instructions=instructions.strip(),
            temperature=values.parsed(float, temperature) if temperature.strip() else None,
            longest=values.parsed(int, longest) if longest.strip() else None,
        )

    def anew(self, summary: str = "") -> Conversation:
        """A new one with the same instructions, that knows of this one by a summary."""
        return Conversation(
            title=self.name if summary else "",
            instructions=self.instructions,
            summary=summary,
            temperature=self.temperature,
            longest=self.longest,
        )

    def under(self, name: str) -> Conversation:
        """The same under another id."""
        return replace(self, id=name)

    def _now(self, **changes: Any) -> Conversation:
        return replace(self, changed=now(), **changes)

    # --- what the model is shown

    def messages(self, about: str) -> list[Message]:
        """What is put to the model: the instructions, the turns it still sees, the last question. A question before
        that which got no answer is left out.

        Args:
            about: what stands before a summary.
        """
        front = "\n\n".join(filter(None, (self.instructions, self.summary and f"{about}\n{self.summary}")))
        said = [Message("system", front)] if front else []
        shown = self.turns[self.forgotten :]
        for number, turn in enumerate(shown, 1):
            if turn.answer and number < len(shown):
                said += [Message("user", turn.question), Message("assistant", turn.answer)]
        return [*said, Message("user", shown[-1].question)] if shown else said

    # --- finding and keeping

    def texts(self) -> Iterator[str]:
        """All that stands in it."""
        yield from (self.name, self.instructions, self.summary)
        for turn in self.turns:
            yield from (turn.question, turn.answer)

    def to_json(self) -> str:
        """All of it, as `from_json` reads it."""
        return json.dumps(
            {"sotto": "conversation", "version": VERSION, **asdict(self)}, ensure_ascii=False, indent=1
        )

    @classmethod
    def from_json(cls, text: str) -> Conversation:
        """Read what `to_json` wrote. Raises FormatError for anything else."""
        try:
            data = json.loads(text)
            if not isinstance(data, dict) or data.pop("sotto", "") != "conversation":
                raise ValueError("it holds something else")
            if data.pop("version") != VERSION:
                raise ValueError("not of this version")
            turns = tuple(_turn(turn) for turn in data.pop("turns"))
            for name in ("id", "title", "instructions", "summary", "created", "changed"):
                _text(data[name])
            for name in ("created", "changed"):
                local(data[name])
            return cls(turns=turns, **data)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, InvalidSetting) as error:
            raise FormatError(f"This is no conversation that Sotto has kept ({error}).") from error

    def to_markdown(self, you: str, model: str) -> str:
        """To read, or to go on with elsewhere.

        Args:
            you, model: the headings of questions and of answers.
        """
        parts = [f"# {self.name}"]
        parts += [
            f"> {line}" for text in (self.instructions, self.summary) if text for line in [_quoted(text)]
        ]
        for turn in self.turns:
            parts += [f"## {you}", turn.question.strip()]
            parts += [f"## {model}", turn.answer.strip()] if turn.answer else []
        return "\n\n".join(parts) + "\n"


def _quoted(text: str) -> str:
    return text.strip().replace("\n", "\n> ")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _turn(data: Mapping[str, Any]) -> Turn:
    figures = data["figures"]
    return Turn(
        _text(data["question"]),
        _text(data["answer"]),
        _text(data["ended"]),
        Figures.from_data(figures) if figures else None,
    )
