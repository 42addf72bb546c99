"""What a person writes into the fields of the settings: read by the checks of everything else, nothing bent to fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .. import values
from ..errors import InvalidSetting
from .options import Options
from .reasons import reason
from .words import Words

NUMBERS: Mapping[str, type[int] | type[float]] = {
    "temperature": float, "max_tokens": int, "seed": int, "versions": int, "top_k": int, "top_p": float, "min_p": float,
    "repeat_penalty": float,
}  # fmt: skip
FIELDS = (*NUMBERS, "stop")
OPEN = ("temperature", "max_tokens", "seed")  # may be left empty: then each is as it suits
_NEARLY_NOTHING = 1e-6  # a least value below it is told as "above 0"


def read(options: Options, written: Mapping[str, str]) -> tuple[Options, dict[str, InvalidSetting]]:
    """The options with what is written into fields, and by field why that cannot be. What cannot changes nothing.

    In `stop` every line is a text, in which \\n is a line break.
    """
    faults: dict[str, InvalidSetting] = {}
    for name, text in written.items():
        value: Any = _lines(text) if name == "stop" else values.parsed(NUMBERS[name], text.strip())
        if name in OPEN and not text.strip():
            value = None
        try:
            options = replace(options, **{name: value})
        except InvalidSetting as error:
            faults[name] = error
    return options, faults


def shown(options: Options, name: str) -> str:
    """An option as its field has it."""
    value = getattr(options, name)
    if name == "stop":
        return "\n".join(text.replace("\n", "\\n") for text in value)
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def complaint(words: Words, error: InvalidSetting) -> str:
    """What to say beside a field, in the page's language where it is about a number."""
    wanted = error.wanted
    if wanted is None:
        return reason(words, error)[0]
    if wanted.whole and wanted.most is None:
        return words("field.whole.least", least=int(wanted.least))
    if wanted.whole:
        return words("field.whole", least=int(wanted.least), most=int(wanted.most or 0))
    if 0 < wanted.least < _NEARLY_NOTHING:
        return words("field.number.above", most=f"{wanted.most:g}")
    return words("field.number", least=f"{wanted.least:g}", most=f"{wanted.most:g}")


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.replace("\\n", "\n") for line in text.splitlines() if line)
