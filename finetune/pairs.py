"""The pairs: a source text, what is asked of it, and the answer. One JSON object a line: `data/schema.json`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sotto.tasks.phrases import LANGUAGES, NETWORKS, TONES, TRAINED
from sotto.tasks.request import Request

FOLDER = Path(__file__).parent / "data"
KINDS = (
    "announcement", "news", "blog", "release", "event", "recipe", "product", "research", "diary", "meeting", "data",
    "message",
)  # fmt: skip
DEFAULTS = {"task": "post", "kind": None, "limit": None, "network": None, "tone": None, "hashtags": False}


@dataclass(frozen=True)
class Pair:
    """One line of a data file.

    Attributes:
        kind: of the text; None in data of a person's own.
    """

    id: str
    request: Request
    kind: str | None
    text: str
    answer: str


def read(paths: Iterable[Path]) -> list[Pair]:
    """All pairs of some files.

    Raises:
        ValueError: a line is no pair; says which file and line, and why.
    """
    return [pair for path in paths for pair in _of_file(path)]


def _of_file(path: Path) -> Iterator[Pair]:
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not line.strip():
            continue
        place = f"{path.name}, line {number}"
        try:
            yield _pair(json.loads(line), f"{path.stem}-{number}")
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{place}: {error}") from error


def _pair(fields: Any, name: str) -> Pair:
    if not isinstance(fields, dict):
        raise ValueError("not a JSON object")
    if unknown := fields.keys() - {"id", "language", "text", "answer", *DEFAULTS}:
        raise ValueError(f"unknown fields: {', '.join(sorted(unknown))}")
    for needed in ("language", "text", "answer"):
        if not isinstance(fields.get(needed), str) or not fields[needed].strip():
            raise ValueError(f"no {needed}")
    fields = DEFAULTS | fields
    for field, allowed in (
        ("task", TRAINED), ("language", LANGUAGES), ("network", (None, *NETWORKS)), ("tone", (None, *TONES)),
        ("kind", (None, *KINDS)), ("hashtags", (False, True)),
    ):  # fmt: skip
        if fields[field] not in allowed:
            raise ValueError(f"{field} is {fields[field]!r}, not one of {', '.join(map(str, allowed))}")
    limit = fields["limit"]
    if limit is not None and not (type(limit) is int and 1 <= limit <= 1000):
        raise ValueError(f"limit is {limit!r}, not a number from 1 to 1000")
    request = Request(
        fields["task"], fields["language"], limit, fields["network"], fields["tone"], fields["hashtags"]
    )
    return Pair(fields.get("id", name), request, fields["kind"], fields["text"], fields["answer"])
