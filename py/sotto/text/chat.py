"""Gemma 3's chat format, as prompt segments.

A turn is `<start_of_turn>`, the role (user or model), a newline, the text without surrounding white space,
`<end_of_turn>` and a newline. There is no system role: its text goes in front of the first user turn. The
file's own template is not run: published files disagree in details, and the model was trained on this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..errors import SottoError
from .tokenizer import Segment

Role = Literal["system", "user", "assistant"]

_NAMES = {"user": "user", "assistant": "model"}


@dataclass(frozen=True)
class Message:
    """One message of a conversation. Its content is never trusted: it cannot spell a control token."""

    role: Role
    content: str


def render(messages: Sequence[Message]) -> list[Segment]:
    """The segments of a conversation, up to where the model's next turn begins; BOS is the tokenizer's part.

    At most one system message, first; then user and assistant in turn, a user's message last. Raises
    SottoError naming the first message out of order.
    """
    system = ""
    if messages and messages[0].role == "system":
        system = messages[0].content + "\n\n"
        messages = messages[1:]
    segments: list[Segment] = []
    for index, message in enumerate(messages):
        expected: Role = "assistant" if index % 2 else "user"
        if message.role != expected:
            raise SottoError(
                f"Message {index + 1} of the conversation is from {message.role!r}, not from {expected!r}.",
                "User and assistant must take turns, beginning with the user.",
            )
        text = system + message.content.strip() if index == 0 else message.content.strip()
        segments += [
            Segment(f"<start_of_turn>{_NAMES[message.role]}\n", trusted=True),
            Segment(text),
            Segment("<end_of_turn>\n", trusted=True),
        ]
    if len(messages) % 2 == 0:
        raise SottoError("The conversation does not end with a message from the user.", "Add one to answer.")
    return [*segments, Segment("<start_of_turn>model\n", trusted=True)]
