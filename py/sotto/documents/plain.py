"""Bytes of a text file as text."""

from __future__ import annotations

import codecs
import re

from ..errors import DocumentError

_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_KANA = re.compile(r"[ぁ-ヿ]")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f]")
_FEW = 0.02  # of all characters


def decoded(name: str, data: bytes, declared: str = "") -> str:
    """Text in the encoding that its first bytes or the file itself tell, or that it is possible in.

    Args:
        declared: an encoding that the file names; may be empty or wrong.

    Raises:
        DocumentError: it is no text.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _checked(name, data[len(mark) :].decode(encoding, "replace"))
    for encoding in filter(None, (declared, "utf-8")):
        try:
            return _checked(name, data.decode(encoding))
        except (UnicodeDecodeError, LookupError):
            continue
    for encoding in (
        "euc-jp",
        "cp932",
    ):  # texts of Windows in Japan look like anything else in what Europe has
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if _KANA.search(text):
            return _checked(name, text)
    return _checked(name, data.decode("cp1252", "replace"))


def tidy(text: str) -> str:
    """Text with one kind of line end, without spaces at the ends of lines, and with one empty line at most."""
    lines = [
        line.rstrip()
        for line in text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n").split("\n")
    ]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _checked(name: str, text: str) -> str:
    if len(_CONTROL.findall(text)) > _FEW * len(text):
        raise DocumentError(
            "broken", f"{name} is no text.", "Open it in its own program and save it as a text."
        )
    return text
