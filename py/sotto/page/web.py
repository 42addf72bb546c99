"""The page and what is in web/, handed out when it is first asked for: `web.window`, `web.bridge`.

Nothing of the page's Python imports them when it is imported itself. So that can be done where there is no page, and
stands in snapshots of Python (web/snapshot_worker.js), which cannot hold what is JavaScript's.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

# Modules that the page has itself, and not Python's worker. All that they give is to be awaited.
OF_PAGE = ("charts", "markdown", "keeping", "given", "documents", "at_work")


def __getattr__(name: str) -> Any:
    """The window and its document, met without a call into the page for each question about them; JavaScript's own URL;
    or a module of web/ by its name in web/index.html."""
    if name.startswith("_"):  # Python's own question
        raise AttributeError(name)
    modules = import_module("pyscript.js_modules")
    if name in ("window", "document"):
        found = modules.light.light(getattr(import_module("pyscript"), name))
    elif name in OF_PAGE:
        found = modules.light.module(modules, name)
    elif name == "URL":
        found = import_module("js").URL
    else:
        found = getattr(modules, name)
    globals()[name] = found
    return found
