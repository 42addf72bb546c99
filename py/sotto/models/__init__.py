"""The architectures: one file each, one line each in the registry."""

from __future__ import annotations

from typing import Any

from ..errors import UnsupportedModel
from .base import Architecture
from .gemma3 import Gemma3

ARCHITECTURES: dict[str, type[Architecture[Any, Any]]] = {
    "gemma3": Gemma3,
}


def find(name: str) -> type[Architecture[Any, Any]]:
    """The architecture of a checkpoint's name for it. Raises UnsupportedModel."""
    if name not in ARCHITECTURES:
        raise UnsupportedModel(
            f"This file holds a model of the architecture {name!r}, which Sotto cannot run.",
            f"Choose one of: {', '.join(ARCHITECTURES)}.",
        )
    return ARCHITECTURES[name]
