"""The figures of a run, in words."""

from __future__ import annotations

from ..reports import RunStats
from . import format as numbers
from .words import Words


def line(words: Words, run: RunStats, cached: bool) -> list[str]:
    """The stats line, piece by piece."""
    parts = [words("stats.first", time=words.time(run.time_to_first_token))] if run.new_tokens else []
    parts.append(words("stats.prefill", rate=numbers.precise(run.prefill_rate)))
    if run.reused_tokens > 1:  # every prompt shares its first token, BOS, with the one before
        parts.append(words("stats.reused", count=run.reused_tokens))
    if run.new_tokens > 1:  # the first token belongs to the prefill
        parts.append(words("stats.decode", rate=numbers.precise(run.decode_rate)))
    if run.accepted_tokens:
        parts.append(words("stats.accepted", count=run.accepted_tokens))
    if run.adapters:
        parts.append(words("stats.adapters", names=", ".join(run.adapters)))
    parts.append(words("stats.tokens", count=run.new_tokens))
    parts.append(words("stats.total", time=words.time(run.total_seconds)))
    parts.append(words("stats.cached" if cached else "stats.converted"))
    return parts
