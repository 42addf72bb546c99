"""How charts and tables are laid out, and the figure of what others published."""

from __future__ import annotations

from collections.abc import Sequence

from ...bench.protocol import Spread
from ...bench.published import Published
from .. import format as numbers
from ..words import Words
from .markup import Figure, Table

BAR = 22  # pixels of a bar with its gap
AXIS = 34  # pixels under the bars
LEGEND = 34
TITLE = 20  # of an axis

COLUMNS = {  # of tables: the words are bench.<figure>.<column>
    "drift": ("runs", "first", "last", "change", "count"),
    "kernels": ("kernel", "dispatches", "ms", "share", "plan"),
    "agreement": ("equal", "share", "difference", "miss"),
    "beside": ("system", "device", "prefill", "decode", "date", "source"),
}

Row = tuple[str, float | None, float | None, str]
"""Name, prefill, decode, tone."""


def beside(words: Words, own: Sequence[Row], published: Sequence[Published]) -> Figure:
    """Numbers that others published, and among them one's own: (name, prefill, decode, tone) each."""
    theirs = [(f"{p.device}: {p.model}, {p.system}", p.prefill, p.decode, "published") for p in published]
    charts = {}
    for name, column in (("decode", 2), ("prefill", 1)):
        found = [(row[0], row[column], row[3]) for row in (*own, *theirs)]
        ranked = sorted(((n, float(v), tone, None) for n, v, tone in found if v), key=lambda row: -row[1])
        across = words(f"bench.head.beside.{name}")
        charts[f"chart-beside-{name}"] = ranking(ranked, words("bench.unit.rate")) | {
            "across": across,
            "height": height(len(ranked), False) + TITLE,
        }
    rows = tuple(
        (
            f"{p.model}, {p.system}", f"{p.device}, {p.where}",
            "" if p.prefill is None else numbers.precise(p.prefill),
            "" if p.decode is None else numbers.precise(p.decode),
            p.date, p.source,
        )
        for p in published
    )  # fmt: skip
    links = tuple(p.address for p in published)
    table = Table(headings(words, "beside"), rows, text=(0, 1, 4, 5), links=links)
    return Figure("beside", words("bench.beside"), words("bench.beside.text"), table, charts)


def ranking(rows: Sequence[tuple[str, float, str, Spread | None]], unit: str) -> dict[str, object]:
    """A chart with one bar for each (name, value, tone, spread)."""
    return {
        "kind": "bars",
        "unit": unit,
        "labels": [row[0] for row in rows],
        "series": [{
            "name": unit,
            "tones": [row[2] for row in rows],
            "values": [row[1] for row in rows],
            "low": [row[3].min if row[3] else None for row in rows],
            "high": [row[3].max if row[3] else None for row in rows],
            "texts": [numbers.precise(row[1]) for row in rows],
        }],
        "height": height(len(rows), False),
    }  # fmt: skip


def headings(words: Words, figure: str) -> tuple[str, ...]:
    """Those of a figure's table."""
    return tuple(words(f"bench.{figure}.{column}") for column in COLUMNS[figure])


def height(bars: int, legend: bool) -> int:
    """Pixels of a chart with so many bars."""
    return bars * BAR + AXIS + (LEGEND if legend else 0)
