"""The files of models and adapters that the server has, as the engine reads them."""

from __future__ import annotations

from typing import Any

from ..browser.ranges import WebSource
from ..source import Folder
from .browser import Browser
from .options import File, Model, OfferedAdapter


def open_source(ranges: Any, browser: Browser, model: Model) -> WebSource | Folder:
    """A row of models.json as a source, or as the folder of its files.

    Args:
        ranges: the JavaScript module ranges.js.
    """
    if "files" not in model:
        return _open(ranges, browser, model)
    return Folder(model["name"], {file["name"]: _open(ranges, browser, file) for file in model["files"]})


def _open(ranges: Any, browser: Browser, file: File) -> WebSource:
    """A file of the server's. Its key in the cache is its content's where the server knows that."""
    url = browser.address(file["url"])
    key = file["sha256"] or f"{url}:{file['size']}:{file['etag']}"
    return WebSource(ranges, url, file["name"], file["size"], key)


def open_adapter(ranges: Any, browser: Browser, adapter: OfferedAdapter) -> Folder:
    """An adapter of models.json as the folder of its files."""
    return Folder(adapter["name"], {file["name"]: _open(ranges, browser, file) for file in adapter["files"]})
