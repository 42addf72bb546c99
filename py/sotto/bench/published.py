"""Numbers that others published for their systems on their machines: published.json, each with its source."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from .report import read


@dataclass(frozen=True)
class Published:
    """One system on one machine.

    Attributes:
        system: its name and the kind of weights.
        model: which model it ran.
        device: the machine.
        where: the browser or the operating system.
        prompt: tokens of the prompt; None where the source does not say.
        prefill, decode: tokens per second; None where the source does not say.
        first: seconds to the first token; None where the source does not say.
        date: when it was published, or where that is not known, read; ISO 8601.
        source: where it stands.
        address: of that, on the web.
    """

    system: str
    model: str
    device: str
    where: str
    prompt: int | None
    prefill: float | None
    decode: float | None
    first: float | None
    date: str
    source: str
    address: str


def published() -> tuple[Published, ...]:
    """All of them."""
    rows = json.loads((Path(__file__).parent / "published.json").read_text("utf-8"))
    return read(tuple[Published, ...], rows, "published.json")
