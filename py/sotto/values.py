"""Settings that people give: of which kind a value has to be, and in which range.

Everything that takes one checks it here, the API, the command line and the page's address alike.
"""

from __future__ import annotations

import reprlib
from numbers import Integral, Real

from .errors import InvalidSetting, Range


def whole(name: str, value: object, least: int, most: int | None = None) -> int:
    """A whole number in a range, its ends included. Raises InvalidSetting, also for a bool and for 2.0."""
    fits = isinstance(value, Integral) and not isinstance(value, bool)
    if not fits or value < least or (most is not None and value > most):  # type: ignore[operator]
        limits = f", {least:,} or more" if most is None else f" from {least:,} to {most:,}"
        raise invalid(name, value, f"a whole number{limits}", Range(True, least, most))
    return int(value)  # type: ignore[call-overload, no-any-return]


def number(name: str, value: object, least: float, most: float) -> float:
    """A number in a range, its ends included. Raises InvalidSetting, also for a bool and what is not a number (NaN)."""
    fits = isinstance(value, Real) and not isinstance(value, bool)
    if not fits or not least <= value <= most:  # type: ignore[operator]
        raise invalid(name, value, f"a number from {least:g} to {most:g}", Range(False, least, most))
    return float(value)  # type: ignore[arg-type]


def invalid(name: str, value: object, wanted: str, within: Range | None = None) -> InvalidSetting:
    """What is raised for a value that is not what is wanted: of a number, one within a range."""
    return InvalidSetting(f"{name} is {reprlib.repr(value)}.", f"It must be {wanted}.", within)


def parsed(kind: type[int] | type[float], text: str) -> object:
    """A number as a person writes it, or the text itself where that is none: the check then names it."""
    try:
        return kind(text)
    except ValueError:
        return text
