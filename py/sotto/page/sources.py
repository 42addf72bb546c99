"""The model files of the server, as the engine reads them."""

from __future__ import annotations

from typing import Any

from ..browser.ranges import WebSource
from .browser import Browser
from .options import Model


def open_source(ranges: Any, browser: Browser, model: Model) -> WebSource:
    """A row of models.json as a source. Its key in the cache is its content's where the server knows that.

    Args:
        ranges: the JavaScript module ranges.js.
    """
    url = browser.address(model["url"])
    key = model["sha256"] or f"{url}:{model['size']}:{model['etag']}"
    return WebSource(ranges, url, model["name"], model["size"], key)
