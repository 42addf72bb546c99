"""Models known by name, fetched on first use."""

from __future__ import annotations

from pathlib import Path

from ..errors import AssetError
from .cache import default_cache
from .fetch import fetch
from .pins import MODELS
from .progress import Progress

DEFAULT_MODEL = "gemma-3-270m"


def known_models() -> tuple[str, ...]:
    """The names that `model_path` takes."""
    return tuple(MODELS)


def model_path(name: str, cache: Path | None = None, progress: Progress | None = None) -> Path:
    """The file of a known model, verified; fetched first if it is not in the cache folder.

    Args:
        name: one of `known_models()`.
        cache: the cache folder; `default_cache()` when not given.
        progress: hears about the download; silent when not given.

    Raises:
        AssetError: no such name, or the file cannot be fetched or has the wrong bytes.
    """
    if name not in MODELS:
        raise AssetError(f"There is no model named {name!r}.", f"Known names: {', '.join(MODELS)}.")
    cache = default_cache() if cache is None else cache
    fetch([MODELS[name]], cache, progress)
    return cache / MODELS[name].files[0].path


def default_model(cache: Path | None = None, progress: Progress | None = None) -> Path:
    """The file of the default model: `model_path` of `DEFAULT_MODEL`."""
    return model_path(DEFAULT_MODEL, cache, progress)
