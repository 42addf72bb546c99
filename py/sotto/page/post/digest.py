"""A long text in short: each of its parts summed up, so that a post can be written from all of it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from functools import partial

from ...engine.engine import Engine
from ...errors import Cancelled
from ...tasks import fit
from ...tasks.candidates import USUAL, sampling_of
from ...tasks.language import language
from ...tasks.request import Request, frame, prompt
from ...tasks.rules import sentence_ends
from ...text.chat import GEMMA
from ..options import Options

LEAST = 256  # tokens in which summaries can be read
PART = 600  # tokens of a part: small models lose the thread in longer ones
SUMMARY = 80  # tokens of its summary, at most
SHORTER = 3  # times that it is shorter, at least

# Told the part that is read, of how many, the seconds that are left, and the summaries so far.
Progress = Callable[[int, int, float | None, Sequence[str]], None]


async def digest(engine: Engine, text: str, limit: int, options: Options, progress: Progress) -> str:
    """The summaries of a text's parts, one a line; where these are still too many, of them again.

    Args:
        limit: the most tokens that it may have, `LEAST` or more.

    Raises:
        Cancelled: a person has stopped it.
        SottoError: from the device.
    """
    while tokens_of(engine, text) > limit:
        text = "\n".join(await _summaries(engine, text, _size(limit), options, progress))
    return text


def tokens_of(engine: Engine, text: str) -> int:
    """Tokens of a text by itself."""
    return len(engine.tokenizer.encode(text))


def parts_of(tokens: int, limit: int) -> int:
    """About how many parts a text of so many tokens has, whose summaries may have `limit`."""
    return math.ceil(tokens / (fit.FULL * _size(limit)))


def _size(limit: int) -> int:
    """The most tokens of a part."""
    return min(PART, limit // 2)


async def _summaries(engine: Engine, text: str, size: int, options: Options, progress: Progress) -> list[str]:
    parts = fit.split(text, partial(tokens_of, engine), size)
    begun = time.monotonic()
    written: list[str] = []
    how = frame(engine.instruction_tuned, engine.cards)
    for number, part in enumerate(parts):
        spent = time.monotonic() - begun
        left = spent / number * (len(parts) - number) if number else None
        progress(number + 1, len(parts), left, written)
        request = Request("paragraph" if how == "chat" else "summary", language(part))
        sampling = sampling_of(options.sampling(USUAL), request, how, 0)
        ask, said = prompt(request, part, how, engine.chat_format or GEMMA), ""
        async for piece in engine.generate(ask, min(SUMMARY, size // SHORTER), sampling, loop_guard=True):
            said += piece.text
        if engine.stats.stop_reason == "cancelled":
            raise Cancelled
        if engine.stats.stop_reason == "length" and (ends := sentence_ends(said)):
            said = said[: ends[-1]]
        if said := " ".join(said.split()):
            written.append(said)
    return written
