"""The chat formats that models are tuned on, as prompt segments: Gemma's own, and ChatML for some fine-tunes.

A turn is a token that begins it, the role, a newline, the text, a token that ends it and a newline. In Gemma's format
the roles are `user` and `model`, and there is no system role: its text goes in front of the first user turn. A file's
own template is not run: published files disagree in details, and the model was trained on this; it tells the format.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ..errors import SottoError, UnsupportedModel
from .prompt import Prompt
from .tokenizer import Segment
from .vocabulary import Vocabulary

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True)
class ChatFormat:
    """How turns are written.

    Attributes:
        name: for people.
        start, end: the tokens that begin and end a turn.
        roles: their names; without one for the system, its text goes in front of the first turn.
        trimmed: whether a message loses the white space around it.
    """

    name: str
    start: str
    end: str
    roles: Mapping[Role, str]
    trimmed: bool


GEMMA = ChatFormat(
    "Gemma", "<start_of_turn>", "<end_of_turn>", {"user": "user", "assistant": "model"}, trimmed=True
)
CHATML = ChatFormat(
    "ChatML",
    "<|im_start|>",
    "<|im_end|>",
    {"system": "system", "user": "user", "assistant": "assistant"},
    trimmed=False,
)


def format_of(template: str | None, vocabulary: Vocabulary) -> ChatFormat | None:
    """The format that a file's chat template writes; None where it is none of these, or there is none.

    A template alone does not make a model that can talk: Gemma's format needs Gemma's tokens. ChatML is spelled in
    ordinary ones by some fine-tunes.
    """
    places = {form.name: (template or "").find(form.start) for form in (GEMMA, CHATML)}
    found = [form for form in (GEMMA, CHATML) if places[form.name] >= 0]
    if GEMMA in found and GEMMA.start not in vocabulary.tokens:
        found.remove(GEMMA)
    return min(found, key=lambda form: places[form.name], default=None)


def required_format(name: str, template: str | None, vocabulary: Vocabulary) -> ChatFormat:
    """The format of a model that is to hold a conversation.

    Raises UnsupportedModel, naming the model, when it is not tuned for that, or in a format that is not known.
    """
    form = format_of(template, vocabulary)
    if form is None:
        what = "has a chat template of a kind that Sotto does not know" if template else "is a base model"
        raise UnsupportedModel(
            f"{name} {what}: it can continue text, and cannot hold a conversation here.",
            "Use `generate`, or a model with Gemma's own chat format: its name ends in -it, as that of "
            "gemma-3-270m-it or gemma-3-1b-it.",
        )
    return form


@dataclass(frozen=True)
class Message:
    """One message of a conversation. Its content is never trusted: it cannot spell a control token."""

    role: Role
    content: str


def render(messages: Sequence[Message], form: ChatFormat = GEMMA) -> list[Segment]:
    """The segments of a conversation, up to where the model's next turn begins; BOS is the tokenizer's part.

    At most one system message, first; then user and assistant in turn, a user's message last. Raises
    SottoError naming the first message out of order.
    """
    segments: list[Segment] = []
    front = ""
    if messages and messages[0].role == "system":
        if "system" in form.roles:
            segments += _turn(form, messages[0])
        else:
            front = messages[0].content + "\n\n"
        messages = messages[1:]
    for index, message in enumerate(messages):
        expected: Role = "assistant" if index % 2 else "user"
        if message.role != expected:
            raise SottoError(
                f"Message {index + 1} of the conversation is from {message.role!r}, not from {expected!r}.",
                "User and assistant must take turns, beginning with the user.",
            )
        segments += _turn(form, message, "" if index else front)
    if len(messages) % 2 == 0:
        raise SottoError("The conversation does not end with a message from the user.", "Add one to answer.")
    return [*segments, Segment(f"{form.start}{form.roles['assistant']}\n", trusted=True)]


def conversation(messages: Sequence[Message], form: ChatFormat = GEMMA) -> Prompt:
    """The prompt to answer a conversation's last message (see `render`). A model may have learned to spell the end of
    its turn in ordinary tokens."""
    return Prompt(tuple(render(messages, form)), () if form is GEMMA else (form.end,))


def _turn(form: ChatFormat, message: Message, front: str = "") -> list[Segment]:
    text = message.content.strip() if form.trimmed else message.content
    return [
        Segment(f"{form.start}{form.roles[message.role]}\n", trusted=True),
        Segment(front + text),
        Segment(f"{form.end}\n", trusted=True),
    ]
