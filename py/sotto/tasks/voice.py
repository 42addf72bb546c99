"""A person's own posts, in whose voice others are to be written."""

from __future__ import annotations

import re

MOST = 5  # posts that are shown to a model: more take room that the text wants
LONGEST = 600  # characters of each

_GAP = re.compile(r"\n[^\S\n]*\n\s*")


def posts(text: str) -> tuple[str, ...]:
    """The posts that a person has put into one text with empty lines between them; the first few, and none too long."""
    found = (part.strip()[:LONGEST].rstrip() for part in _GAP.split(text))
    return tuple(dict.fromkeys(filter(None, found)))[:MOST]
