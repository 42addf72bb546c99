"""The token loop: prefill, choose, show, until something ends it."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import Cancelled
from .prompts import StopStrings
from .reports import Piece, RunStats
from .sampler import Sampler, Sampling
from .session import Session
from .tokenizer import Detokenizer, Tokenizer


@dataclass(frozen=True)
class Request:
    """What to continue, and how.

    Attributes:
        prompt: token ids, at least one and fewer than the context.
        max_tokens: the most new tokens.
        sampling: how tokens are chosen.
        stop: texts that end the answer and are not shown.
        ignore_eos: go on where the model would end.
    """

    prompt: Sequence[int]
    max_tokens: int
    sampling: Sampling
    stop: tuple[str, ...]
    ignore_eos: bool


async def pieces(
    session: Session, tokenizer: Tokenizer, request: Request, stats: RunStats
) -> AsyncGenerator[Piece]:
    """The answer, token by token; `stats` is kept up to date."""
    session.begin()
    ids = list(request.prompt)
    sampler = Sampler(request.sampling)
    stops = StopStrings(request.stop)
    detokenizer = Detokenizer(tokenizer)
    started = time.perf_counter()
    try:
        candidates = await session.prefill(ids)
        stats.prefill_seconds = stats.time_to_first_token = time.perf_counter() - started
        while True:
            token = sampler.pick(*unpacked(candidates), ids)
            stats.new_tokens += 1
            if token in tokenizer.stop_ids and not request.ignore_eos:
                stats.stop_reason = "eos"
                break
            ids.append(token)
            text, ended = stops.push(detokenizer.push(token))
            stats.total_seconds = time.perf_counter() - started
            if ended:
                stats.stop_reason = "stop"
                yield Piece(text, token)
                return
            yield Piece(text, token)
            if session.stopped:
                stats.stop_reason = "cancelled"
            elif stats.new_tokens >= request.max_tokens:
                stats.stop_reason = "length"
            elif len(ids) >= session.context:
                stats.stop_reason = "context"
            if stats.stop_reason:
                break
            began = time.perf_counter()
            candidates = await session.run(session.programs[1], len(ids) - 1, ids[-1:])
            stats.decode_seconds += time.perf_counter() - began
        rest, ended = stops.push(detokenizer.flush())
        if rest := rest + ("" if ended else stops.flush()):
            yield Piece(rest, ids[-1])
    except Cancelled:
        stats.stop_reason = "cancelled"
    finally:
        stats.stop_reason = stats.stop_reason or "cancelled"
        stats.total_seconds = time.perf_counter() - started


def unpacked(candidates: bytes) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    """The ids and logits of a plan's candidates, the most probable first."""
    pairs = np.frombuffer(candidates, np.uint32).reshape(-1, 2)
    return pairs[:, 0], np.ascontiguousarray(pairs[:, 1]).view(np.float32)
