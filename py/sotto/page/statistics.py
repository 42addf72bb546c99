"""The figures of a load, of a run and of what it wrote, in words."""

from __future__ import annotations

from collections.abc import Iterator

from ..reports import LoadStats, RunStats
from ..tasks.networks import RULES
from ..weights.imports import ORIGINAL_NLL, SCHEMES
from . import format as numbers
from .words import Words

FEW = 16  # tokens, of which reading tells no speed: it is what starting takes


def line(words: Words, run: RunStats, cached: bool) -> list[str]:
    """The stats line, piece by piece."""
    parts = [words("stats.first", time=words.time(run.time_to_first_token))] if run.new_tokens else []
    parts.append(_reading(words, run))
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


def _reading(words: Words, run: RunStats) -> str:
    """What was read of the prompt; with the speed where that means something."""
    if run.read_tokens + run.reused_tokens < run.prompt_tokens:  # it was stopped meanwhile
        return words("stats.read.part", count=run.read_tokens, total=run.prompt_tokens)
    if run.read_tokens < FEW:
        return words("stats.read.few", count=run.read_tokens)
    return words("stats.read", count=run.read_tokens, rate=numbers.precise(run.prefill_rate))


def weights(words: Words, load: LoadStats) -> Iterator[str]:
    """To what weights are rounded, how far off that was where it was seen, what it costs; and how much they grew."""
    if load.weights and load.rounding is None:
        yield words("fact.weights.scheme", scheme=load.weights)
    elif load.weights:
        yield words("fact.weights.rounded", scheme=load.weights, share=f"{load.rounding:.1%}")
    if load.weights:
        before, after = f"{ORIGINAL_NLL:.2f}", f"{SCHEMES[load.weights].nll:.2f}"
        yield words("fact.weights.cost", before=before, after=after)
    names = ", ".join(load.rounded_types)
    if names and load.rounding is None:
        yield words("fact.weights.types", names=names)
    elif names:
        yield words("fact.weights.types.rounded", names=names, share=f"{load.rounding:.2%}")
    if load.grown:
        yield words("fact.weights.grown", size=numbers.size(load.source_bytes))


def length(words: Words, network: str, text: str) -> str:
    """What a text counts in a network, and whether that is too much; nothing without either."""
    if not network or not text:
        return ""
    rule = RULES[network]
    count = rule.count(text)
    if count > rule.limit:
        return words("network.over", count=count, limit=rule.limit, over=count - rule.limit)
    if rule.hashtags is not None and rule.too_many_hashtags(text):
        return words("network.hashtags", count=count, limit=rule.limit, most=rule.hashtags)
    return words("network.count", count=count, limit=rule.limit)


def short(words: Words, run: RunStats) -> str:
    """How much was written, and how fast."""
    parts = [words("stats.tokens", count=run.new_tokens)]
    if run.new_tokens > 1:
        parts.append(words("stats.rate", rate=numbers.precise(run.decode_rate)))
    return words("separator").join(parts)
