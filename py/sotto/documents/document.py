"""A file of a person's, read part by part, so that whoever reads it can tell how far that is, and stop."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

from ..errors import DocumentError
from . import html, plain

TEXTS = (".txt", ".text", ".md", ".markdown", ".csv", ".json", ".log", ".rst", ".tex")
PAGES = (".html", ".htm", ".xhtml")
LARGEST = 30_000_000  # bytes; a person's text is a few hundred thousand
_PDF = b"%PDF-"
LONGEST = 500_000  # characters: some five times what the largest context of Gemma 3 270M holds


def needs(name: str, data: bytes) -> str:
    """The library that a file is read with, which has to be there: "pypdf", "mammoth", or "" for none."""
    if data.startswith(_PDF):
        return "pypdf"
    return {".pdf": "pypdf", ".docx": "mammoth"}.get(PurePath(name).suffix.lower(), "")


def parts(name: str, data: bytes) -> Iterator[tuple[str, int]]:
    """The text of a file, part by part, each with how many parts there are.

    Args:
        name: of the file; its ending says what it is, as far as that is not in the file.

    Raises:
        DocumentError: it is none that can be read, or has no text.
    """
    ending = PurePath(name).suffix.lower()
    if len(data) > LARGEST:
        raise DocumentError("large", f"{name} has {len(data):,} bytes.", f"At most {LARGEST:,} are read.")
    if needs(name, data) == "pypdf":
        from . import pdf  # noqa: PLC0415  (the library is there when it is needed)

        yield from pdf.pages(name, data)
    elif needs(name, data) == "mammoth":
        from . import docx  # noqa: PLC0415  (likewise)

        yield docx.text(name, data), 1
    elif ending in PAGES:
        yield html.text(plain.decoded(name, data, html.charset(data))), 1
    elif ending in TEXTS:
        yield plain.decoded(name, data), 1
    else:
        raise DocumentError(
            "kind",
            f"{name} is of a kind that is not read here.",
            "Choose a .txt, .md, .html, .pdf or .docx file.",
        )


class Reading:
    """Joins the parts of a file.

    Args:
        name, data: of the file.
    """

    def __init__(self, name: str, data: bytes) -> None:
        self._name = name
        self._is_pdf = needs(name, data) == "pypdf"
        self._parts: list[str] = []
        self._length = 0

    def add(self, part: str) -> None:
        """One more. Raises DocumentError when it is too much."""
        part = plain.tidy(part)
        self._length += len(part)
        if self._length > LONGEST:
            raise DocumentError(
                "long",
                f"{self._name} has more than {LONGEST:,} characters.",
                "Take out the part that matters.",
            )
        if part:
            self._parts.append(part)

    def text(self) -> str:
        """All of it. Raises DocumentError when it is nothing."""
        if not self._parts:
            raise DocumentError(
                "scanned" if self._is_pdf else "empty",
                f"There is no text in {self._name}.",
                "A scanned page is a picture: copy its text with a program that recognises letters.",
            )
        return "\n\n".join(self._parts)


def read(name: str, data: bytes) -> str:
    """The text of a file. Raises DocumentError."""
    reading = Reading(name, data)
    for part, _ in parts(name, data):
        reading.add(part)
    return reading.text()
