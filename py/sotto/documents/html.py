"""What a person reads of an HTML page: its text in paragraphs, without what surrounds it."""

from __future__ import annotations

import re
from html.parser import HTMLParser


def _tags(names: str) -> frozenset[str]:
    return frozenset(names.split())


_HIDDEN = _tags("head script style template noscript nav aside footer form button select svg math iframe")
_BLOCKS = _tags(
    "address article blockquote caption center dd details div dl dt fieldset figcaption figure h1 h2 h3 h4 h5 h6 "
    "header hr li main ol p pre section summary table tbody tfoot thead tr ul"
)
_PARAGRAPHS = _tags("article blockquote dl figure h1 h2 h3 h4 h5 h6 hr ol p pre section table ul")
_CHARSET = re.compile(rb"<meta[^>]+charset=[\"']?([\w.:-]+)", re.IGNORECASE)


def charset(data: bytes) -> str:
    """The encoding that a page names in its first kilobytes; empty for none."""
    found = _CHARSET.search(data[:4096])
    return found[1].decode("ascii", "replace") if found else ""


def text(page: str) -> str:
    """The text of a page."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    return "".join(reader.found)


class _Reader(HTMLParser):
    """Collects text; a tag that is never closed hides what stands behind it only up to the end of what it stands in."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self._open: list[str] = []  # tags that hide what is in them, or keep its lines

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _HIDDEN or tag == "pre":
            self._open.append(tag)
        if tag == "body":
            self._open.clear()
        if tag == "br":
            self.found.append("\n")
        elif tag in {"td", "th"}:
            self.found.append("\t")
        self._break(tag)
        if tag == "li" and not self._hidden:
            self.found.append("- ")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._open:
            del self._open[len(self._open) - 1 - self._open[::-1].index(tag) :]
        self._break(tag)

    def handle_data(self, data: str) -> None:
        if self._hidden:
            return
        if self._open:  # "pre"
            self.found.append(data)
            return
        words = re.sub(r"\s+", " ", data)
        at_start = not self.found or self.found[-1].endswith(("\n", "\t", " "))
        self.found.append(words.lstrip() if at_start else words)

    @property
    def _hidden(self) -> bool:
        return any(tag != "pre" for tag in self._open)

    def _break(self, tag: str) -> None:
        if tag in _BLOCKS and not self._hidden:
            self.found.append("\n\n" if tag in _PARAGRAPHS else "\n")
