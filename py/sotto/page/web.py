"""The page and what is in web/, handed out when it is first asked for: `web.window`, `web.bridge`.

Nothing of the page's Python imports them when it is imported itself. So that can be done where there is no page, and
stands in snapshots of Python (web/snapshot_worker.js), which cannot hold what is JavaScript's.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


def __getattr__(name: str) -> Any:
    """The window and its document, met without a call into the page for each question about them; or a module of web/
    by its name in web/index.html."""
    if name.startswith("_"):  # Python's own question
        raise AttributeError(name)
    modules = import_module("pyscript.js_modules")
    found = globals()[name] = (
        modules.light.light(getattr(import_module("pyscript"), name))
        if name in ("window", "document")
        else getattr(modules, name)
    )
    return found
