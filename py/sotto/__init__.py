"""Sotto: Gemma on your own GPU, in a browser tab or in plain Python.

    import sotto
    with sotto.load("gemma-3-270m") as model:
        for piece in model.generate("The library at night", max_tokens=50):
            print(piece, end="", flush=True)

The names below are imported when they are first used: parts of Sotto run where numpy and the GPU library are
not installed (serve.py), or where files do not exist (the browser).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .api import Model, load
    from .errors import (
        AssetError,
        Cancelled,
        ContextFull,
        DeviceError,
        FormatError,
        LimitError,
        OutOfMemory,
        SottoError,
        UnsupportedModel,
    )
    from .text.chat import Message
    from .text.sampler import Sampling

__version__ = "0.1.0"

__all__ = [
    "AssetError",
    "Cancelled",
    "ContextFull",
    "DeviceError",
    "FormatError",
    "LimitError",
    "Message",
    "Model",
    "OutOfMemory",
    "Sampling",
    "SottoError",
    "UnsupportedModel",
    "load",
]

_MODULES = {"load": ".api", "Model": ".api", "Message": ".text.chat", "Sampling": ".text.sampler"}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_MODULES.get(name, ".errors"), __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
