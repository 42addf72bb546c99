"""Times as they are kept, and as they are shown."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> str:
    """The time, in UTC, ISO 8601: as text it sorts."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def local(date: str) -> str:
    """A time of `now` as a clock on this computer's wall shows it. Raises ValueError for another text."""
    return f"{datetime.fromisoformat(date).astimezone():%Y-%m-%d %H:%M}"
