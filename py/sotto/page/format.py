"""Numbers as people read them. English and Japanese write them alike; their units are in words.py."""

from __future__ import annotations

import math


def precise(value: float) -> str:
    """A measured quantity with about three digits: `0.012`, `0.31`, `4.2`, `42.1`, `1,240`."""
    if 0 < value < 0.0995:
        return f"{value:.3f}"
    if value < 1:
        return f"{value:.2f}"
    return f"{value:,.1f}" if value < 99.95 else f"{value:,.0f}"


def size(nbytes: int) -> str:
    """A number of bytes in decimal units, as disks and downloads are sold: `812 kB`, `253 MB`, `1.05 GB`."""
    if nbytes < 999_500:
        return f"{nbytes / 1e3:,.0f} kB"
    if nbytes < 999_500_000:
        return f"{nbytes / 1e6:,.0f} MB"
    return f"{nbytes / 1e9:,.2f} GB"


def rough(seconds: float) -> tuple[int, str]:
    """A time still to wait, rounded up: whole seconds to 10, steps of five to 90, minutes beyond.

    Returns:
        The number and its unit, "seconds" or "minutes".
    """
    if seconds <= 10:
        return max(1, math.ceil(seconds)), "seconds"
    if seconds <= 90:
        return math.ceil(seconds / 5) * 5, "seconds"
    return math.ceil(seconds / 60), "minutes"
