"""A file that a person chose so that what was saved in it is here again."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeVar

from ..errors import FormatError
from . import web
from .reasons import reason
from .words import Words

LARGEST = 50_000_000  # bytes
SCREENS = {"posts": "post", "conversation": "chat", "tasks": "tasks"}
"""Where what a file says it holds belongs."""

T = TypeVar("T")


class NotTaken(Exception):
    """Nothing was taken from a file; `told` says why, and what to do."""

    def __init__(self, told: str) -> None:
        super().__init__(told)
        self.told = told


async def chosen(words: Words, field: str, screen: str, read: Callable[[str], T]) -> T:
    """What is in the file that was chosen in a field.

    Args:
        screen: that asks.
        read: makes it of the file's text; raises FormatError for what is of no use.

    Raises:
        NotTaken: the file is no use here.
    """
    try:
        text = await web.given.text(field, LARGEST)
    except Exception as error:  # whatever JavaScript throws
        raise NotTaken(words("open.unread")) from error
    if not isinstance(text, str):
        raise NotTaken(words("open.large", most=LARGEST // 1_000_000))
    try:
        return read(text)
    except FormatError as error:
        other = _screen(text)
        if other and other != screen:
            raise NotTaken(words("open.other", screen=words(f"screen.{other}"))) from error
        raise NotTaken(words("open.bad", why=reason(words, error, "saved")[0])) from error


def _screen(text: str) -> str:
    """The screen on which a file was saved; empty where it does not say."""
    try:
        return SCREENS.get(str(json.loads(text)["sotto"]), "")
    except (ValueError, TypeError, KeyError, RecursionError):
        return ""
