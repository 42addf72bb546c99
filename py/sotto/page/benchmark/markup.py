"""HTML for the figures of a benchmark: what is measured is escaped, what is laid out is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class Table:
    """Rows under headings; the first column names its row, `text` columns are words and the others numbers. Where there
    are `links`, each row's last cell leads to one of them."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    text: tuple[int, ...] = (0,)
    links: tuple[str, ...] = ()

    def html(self, caption: str) -> str:
        """The table; its caption is for those who do not see the figure's title above it."""
        head = "".join(self._cell(i, text, "col") for i, text in enumerate(self.head))
        links = self.links or ("",) * len(self.rows)
        rows = "".join(f"<tr>{self._row(row, link)}</tr>" for row, link in zip(self.rows, links, strict=True))
        return (
            f"<table><caption>{escape(caption)}</caption>"
            f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        )

    def _row(self, row: tuple[str, ...], link: str) -> str:
        last = len(row) - 1
        return "".join(
            self._cell(i, text, "" if i else "row", link if i == last else "") for i, text in enumerate(row)
        )

    def _cell(self, column: int, text: str, scope: str, link: str = "") -> str:
        kind = ' class="words"' if column in self.text else ""
        inner = escape(text)
        if link:
            inner = f'<a href="{escape(link)}" target="_blank" rel="noreferrer noopener">{inner}</a>'
        if scope:
            return f'<th scope="{scope}"{kind}>{inner}</th>'
        return f"<td{kind}>{inner}</td>"


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
        title = escape(self.title)
        table = self.table.html(self.title)
        return (
            f'<figure id="figure-{self.name}"><figcaption><h3>{title}</h3>{text}</figcaption>'
            f'{charts}<div class="scroll" tabindex="0" role="group" aria-label="{title}">{table}</div>{notes}</figure>'
        )


def headline(figures: Sequence[tuple[str, str, str]]) -> str:
    """(label, number, unit) as a definition list."""
    return "".join(
        f"<div><dt>{escape(label)}</dt><dd>{escape(number)}<small>{escape(unit)}</small></dd></div>"
        for label, number, unit in figures
    )
