"""The files of models and adapters that the server has, as the engine reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..browser.ranges import WebSource
from ..source import Folder, JoinedSource, Source
from .browser import Browser
from .options import File, FilePart, Model, OfferedAdapter


def open_source(ranges: Any, browser: Browser, model: Model) -> Source | Folder:
    """A row of models.json as a source, or as the folder of its files.

    Args:
        ranges: the JavaScript module ranges.js.
    """
    if "files" not in model:
        return _open(ranges, browser, model)
    return Folder(model["name"], {file["name"]: _open(ranges, browser, file) for file in model["files"]})


def _open(ranges: Any, browser: Browser, file: File) -> Source:
    """A file of the server's. Its key in the cache is its content's where the server knows that."""
    url = browser.address(file["url"])
    if "parts" not in file:
        return WebSource(ranges, url, file["name"], file["size"], _key(url, file))
    return _joined(ranges, browser, file, file["parts"])


def open_adapter(ranges: Any, browser: Browser, adapter: OfferedAdapter) -> Folder:
    """An adapter of models.json as the folder of its files, which are small: each is one part."""
    files = {
        file["name"]: _joined(ranges, browser, file, file.get("parts", [file])) for file in adapter["files"]
    }
    return Folder(adapter["name"], files)


def _joined(ranges: Any, browser: Browser, file: File, parts: Sequence[FilePart | File]) -> JoinedSource:
    key = _key(browser.address(file["url"]), file)
    return JoinedSource(
        file["name"],
        key,
        [
            WebSource(ranges, browser.address(part["url"]), file["name"], part["size"], key, whole=True)
            for part in parts
        ],
    )


def _key(url: str, file: File) -> str:
    return file["sha256"] or f"{url}:{file['size']}:{file['etag']}"
