"""What a report says about itself: what was shortened, left out or could not be measured, and why."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..errors import SottoError, kind_of

# The page has the same kinds in its own words (web/words.json, "bench.note.<kind>").
TEXTS = {
    "after.budget": "after BOS in place of {wanted} tokens: the time budget of {budget} s",
    "tokens.context": "{done} of {wanted} tokens: the context holds no more",
    "tokens.budget": "{done} of {wanted} tokens: the time budget of {budget} s",
    "runs": "{done} of {wanted} warm runs: the time budget of {budget} s",
    "stopped": "a run was stopped after {seconds} s: the time budget of {budget} s",
    "out.context": "left out: {tokens} tokens do not fit the context of {context}",
    "out.budget": "left out: {left} s of the time budget of {budget} s were left",
    "memory": "faster than memory: the limit is memory's, and weights this small stay in the processor's caches",
    "cached.off": "the loads were not measured: the cache is off",
    "cached.budget": "the cached load was not measured: the time budget",
    "cached.full": "the cached load was not measured: the weights could not be cached ({why})",
    "kernels.none": "no kernel times: the device has no timestamp queries",
    "kernels.budget": "no kernel times of {plans}: the time budget",
    "agreement.self": "no agreement figure: the CPU is what other processors are held against",
    "agreement.budget": "no agreement figure: the time budget",
    "agreement.none": "no agreement figure: the CPU cannot run the model ({why})",
    "lost": "the processor gave up ({why}): it was opened again, and what it was at begun anew",
    "lost.out": "the processor gave up a second time ({why}): what it was at is left out",
    "lost.end": "the processor gave up and could not be opened again ({why}): what was measured until then",
    "cancelled": "stopped by hand: what was measured until then",
}


@dataclass(frozen=True)
class Note:
    """A remark; `text` says it in English."""

    kind: str
    text: str
    values: dict[str, str] = field(default_factory=dict)


def note(kind: str, error: Exception | None = None, **values: object) -> Note:
    """A remark of a kind, with the values that its text leaves open.

    Args:
        error: why it is so, where that is to be said: `why` is what it says, and `cause` of which kind it is.
    """
    texts = {name: str(value) for name, value in values.items()}
    if error is not None:
        texts["why"] = str(getattr(error, "message", error)).rstrip(".")
        texts["cause"] = kind_of(error) if isinstance(error, SottoError) else "other"
    return Note(kind, TEXTS[kind].format(**texts), texts)
