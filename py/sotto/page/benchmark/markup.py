"""HTML for the figures of a benchmark: what is measured is escaped, what is laid out is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class Table:
    """Rows under headings; the first column names its row, `text` columns are words and the others numbers."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    text: tuple[int, ...] = (0,)

    def html(self, caption: str) -> str:
        """The table; its caption is for those who do not see the figure's title above it."""
        head = "".join(self._cell(i, text, "col") for i, text in enumerate(self.head))
        rows = "".join(f"<tr>{self._row(row)}</tr>" for row in self.rows)
        return (
            f"<table><caption>{escape(caption)}</caption>"
            f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        )

    def _row(self, row: tuple[str, ...]) -> str:
        return "".join(self._cell(i, text, "" if i else "row") for i, text in enumerate(row))

    def _cell(self, column: int, text: str, scope: str) -> str:
        kind = ' class="words"' if column in self.text else ""
        if scope:
            return f'<th scope="{scope}"{kind}>{escape(text)}</th>'
        return f"<td{kind}>{escape(text)}</td>"


@dataclass(frozen=True)
class Figure:
    """A title, a sentence, charts (their descriptions for web/charts.js by name), and the same as a table."""

    name: str
    title: str
    text: str
    table: Table
    charts: dict[str, dict[str, object]]
    notes: tuple[str, ...] = ()

    def html(self) -> str:
        """The figure, with an empty canvas for every chart."""
        charts = "".join(
            f'<div class="chart"><canvas id="{chart}" role="img" aria-label="{escape(self.title)}"></canvas></div>'
            for chart in self.charts
        )
        notes = "".join(f'<p class="remark">{escape(note)}</p>' for note in self.notes)
        text = f"<p>{escape(self.text)}</p>" if self.text else ""
        return (
            f'<figure id="figure-{self.name}"><figcaption><h3>{escape(self.title)}</h3>{text}</figcaption>'
            f'{charts}<div class="scroll">{self.table.html(self.title)}</div>{notes}</figure>'
        )


def headline(figures: Sequence[tuple[str, str, str]]) -> str:
    """(label, number, unit) as a definition list."""
    return "".join(
        f"<div><dt>{escape(label)}</dt><dd>{escape(number)}<small>{escape(unit)}</small></dd></div>"
        for label, number, unit in figures
    )
