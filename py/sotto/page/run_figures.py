"""What an answer took, and on what: as it is kept, and as it is shown below the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

from ..reports import RunStats
from . import statistics
from .words import Words


@dataclass(frozen=True)
class Figures:
    """What an answer took, and on what.

    Attributes:
        model: its name.
        processor: for people.
        kernels: the variants of the kernels.
        cached: the weights came from the cache.
    """

    run: RunStats
    model: str = ""
    processor: str = ""
    kernels: str = ""
    cached: bool = False

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Figures:
        """Read what `dataclasses.asdict` made of them; other versions may have told more of the run, or less.

        Raises KeyError, TypeError or AttributeError for anything else.
        """
        usual = asdict(RunStats())
        run = {name: _like(usual[name], value) for name, value in data["run"].items() if name in usual}
        texts = {name: _like("", data[name]) for name in ("model", "processor", "kernels")}
        return cls(RunStats(**run), **texts, cached=data["cached"] is True)

    def lines(self, words: Words) -> list[str]:
        """All of it, for people."""
        lines = statistics.line(words, self.run, self.cached)
        return [*lines, *filter(None, (self.model, self.processor, self.kernels))]


def _like(usual: Any, value: Any) -> Any:
    """A value of the kind that is usual. Raises TypeError for another."""
    kind = (int, float) if isinstance(usual, (int, float)) else type(usual)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f"{value!r} is no figure")
    return value


def folded(words: Words, figures: Figures) -> str:
    """Figures in a line, and behind it all of them, as HTML."""
    items = "".join(f"<li>{escape(line)}</li>" for line in figures.lines(words))
    short = escape(statistics.short(words, figures.run))
    return f'<details class="figures"><summary>{short}</summary><ul>{items}</ul></details>'
