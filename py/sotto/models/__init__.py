"""The architectures: one file each, one line each in the registry."""

from __future__ import annotations

from ..errors import UnsupportedModel
from . import gemma3
from .base import Architecture

ARCHITECTURES: dict[str, Architecture] = {
    "gemma3": gemma3.ARCHITECTURE,
}


def find(name: str) -> Architecture:
    """The architecture of a checkpoint's name for it. Raises UnsupportedModel."""
    if name not in ARCHITECTURES:
        raise UnsupportedModel(
            f"This file holds a model of the architecture {name!r}, which Sotto cannot run.",
            f"Choose one of: {', '.join(ARCHITECTURES)}.",
        )
    return ARCHITECTURES[name]
