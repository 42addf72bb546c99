"""What is asked of a text, and the prompt that asks it.

An adapted base model continues text: it gets the text under a heading, and the heading of the answer with what is asked
in brackets, and ends its answer with `<eos>`, which base models know. In Gemma's chat format one never learns to stop:
its control tokens are hardly trained. An instruction-tuned model gets a sentence in the chat format.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ..text.chat import GEMMA, ChatFormat, Message, conversation
from ..text.prompt import Prompt
from ..text.tokenizer import Segment
from . import few_shot
from .phrases import BY_CHARACTERS, PHRASES, Language, Task, Tone

Frame = Literal["chat", "plain", "examples"]  # how a request is put to a model


@dataclass(frozen=True)
class Request:
    """One thing to write from a text.

    Attributes:
        language: of the request and the answer; of the text, too, unless `into` is given.
        limit: the most words of a post; characters in `BY_CHARACTERS`. None: the usual number.
        network: where it will be posted; None when it is not said.
        into: the language of a translation, whose `language` is the text's; of a post, the one that it is written in
            where its text is in another.
    """

    task: Task = "post"
    language: Language = "en"
    limit: int | None = None
    network: str | None = None
    tone: Tone | None = None
    hashtags: bool = False
    into: Language | None = None

    @property
    def longest(self) -> int | None:
        """The limit that is asked for: a post always has one."""
        if self.task != "post":
            return self.limit
        return self.limit or (100 if self.language in BY_CHARACTERS else 50)

    def options(self) -> list[str]:
        """What is asked besides the task, in words."""
        words = PHRASES[self.language]
        options = [self.network] if self.network else []
        if self.into:
            into = words.into if self.task == "translation" else words.written_in
            options.append(into.format(language=words.languages[self.into]))
        if self.tone:
            options.append(words.tones[self.tone])
        if self.hashtags:
            options.append(words.hashtags)
        if self.longest:
            options.append(words.limit.format(limit=self.longest))
        return options


def frame(instruction_tuned: bool, cards: Iterable[Mapping[str, object]]) -> Frame:
    """How requests are put to a model.

    Args:
        cards: what the model and the adapters that are on say of their training.
    """
    if any(card.get("frame") == "plain" for card in cards):
        return "plain"
    return "chat" if instruction_tuned else "examples"


def prompt(
    request: Request, text: str, how: Frame, form: ChatFormat = GEMMA, voice: Sequence[str] = ()
) -> Prompt:
    """A request as a model of some kind understands it.

    Args:
        how: "chat" for instruction-tuned models, "plain" for adapters that were trained on it, "examples" for base
            models as they are: these only know how to write a post.
        form: how "chat" is written.
        voice: a person's own posts, in whose voice a post is to be. Only "chat" carries them.
    """
    if how == "examples":
        return few_shot.post(text, request.language)
    if how == "chat" and voice:
        return put(_in_voice(request, text, voice), how, form)
    return put(wording(request, text, how), how, form)


def put(words: str, how: Frame, form: ChatFormat = GEMMA) -> Prompt:
    """Some words as a model gets them: in a turn where it talks, as what it is to continue otherwise."""
    if how == "chat":
        return conversation([Message("user", words)], form)
    return Prompt((Segment(words),))


def wording(request: Request, text: str, how: Frame) -> str:
    """What a request says of a text: to a model that talks, or to one that continues texts."""
    return _sentences(request, text) if how == "chat" else _headings(request, text)


def _headings(request: Request, text: str) -> str:
    """For a base model with an adapter that was trained on this frame; it ends its answer itself.

    An empty line would look like the text's end, so the text has none.
    """
    words = PHRASES[request.language]
    label = words.labels[request.task]
    if options := request.options():
        left, right = words.brackets[:-1], words.brackets[-1]
        label += f"{left}{words.comma.join(options)}{right}"
    lines = "\n".join(line for line in map(str.strip, text.splitlines()) if line)
    return f"{words.text}{words.colon}\n{lines}\n\n{label}{words.colon}\n"


def _in_voice(request: Request, text: str, voice: Sequence[str]) -> str:
    """For an instruction-tuned model; the text has a heading, as it does not stand alone."""
    words = PHRASES[request.language]
    shown = "\n\n".join([words.voice, *voice])
    return _sentences(request, f"{shown}\n\n{words.text}{words.colon}\n{text}")


def _sentences(request: Request, text: str) -> str:
    """For an instruction-tuned model."""
    words = PHRASES[request.language]
    sentences = [words.sentences[request.task]]
    if options := request.options():
        sentences.append(words.options.format(options=words.comma.join(options)))
    space = "" if request.language in {"ja", "zh"} else " "
    asked = space.join([*sentences, words.alone])
    return f"{asked}\n\n{text}"
