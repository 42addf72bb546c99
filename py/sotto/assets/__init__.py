"""Files that Sotto needs but does not carry: the page's runtime and the default model, pinned by sha256.

`pins` says what they are, `sources` how their bytes arrive, and `fetch` puts them into the `cache` folder, from which
`site` serves them. All of it needs the standard library only: serve.py runs on a bare Python.
"""

from __future__ import annotations

from .cache import default_cache
from .fetch import fetch
from .models import DEFAULT_MODEL, default_model, known_models, model_path
from .progress import Progress, Silent, TerminalProgress

__all__ = [
    "DEFAULT_MODEL",
    "Progress",
    "Silent",
    "TerminalProgress",
    "default_cache",
    "default_model",
    "fetch",
    "known_models",
    "model_path",
]
