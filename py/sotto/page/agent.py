"""Which browser this is, and on which system, by its user agent."""

from __future__ import annotations

import re

_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR", "Opera"),
    ("Firefox", "Firefox"),
    ("Chrome", "Chrome"),
    ("Version", "Safari"),
)


def browser_name(agent: str) -> str:
    """Name and version of a browser by its user agent."""
    for token, name in _BROWSERS:
        if found := re.search(rf"{token}[A-Za-z]*/([\d]+)", agent):
            return f"{name} {found[1]}"
    return agent


def system_name(agent: str) -> str:
    """What a user agent says of the operating system."""
    found = re.search(r"\(([^)]*)\)", agent)
    return found[1] if found else agent
