"""sotto.browser under Pyodide in a real Chromium: the Protocols of the engine on WebGPU, IndexedDB and HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from chromium import launch
from playwright.sync_api import Page, Playwright, Request
from pyodide_page import Python

from rows import SCALES_AT
from sotto.site.site import OfferedModel
from sotto.weights import compiled


@pytest.fixture
def python(page: Page, site: str, runtime: Path) -> Python:
    return Python(page, site)


def test_a_program_runs(python: Python) -> None:
    told = python.call("device")
    assert told == {"software": True, "name": "swiftshader", "grid": 65535}


def test_errors_of_the_device_are_sentences(python: Python) -> None:
    told = python.call("device_errors")
    kind, message, hint = told["Limit"]
    assert kind == "LimitError"
    assert "buffer weights needs" in message
    assert "smaller model" in hint
    kind, message, _ = told["Compile"]
    assert kind == "DeviceError"
    assert "add: line 6:" in message
    assert "x[id.x] += wrong * inputs.amount" in message
    assert told["Invalid"][0] == "DeviceError"
    assert "strided" in told["Invalid"][1]
    kind, message, hint = told["OutOfMemory"]
    assert kind == "OutOfMemory"
    assert message == "The GPU ran out of memory (no room for x)."
    assert "Close other tabs" in hint
    kind, message, hint = told["DeviceLost"]
    assert kind == "DeviceLost"
    assert message.startswith("The GPU was lost (destroyed")
    assert "text is kept" in hint


def test_the_cache(python: Python) -> None:
    python.call("cache")


def test_manifests_that_only_python_can_judge(python: Python) -> None:
    told = python.call("cache_altered")
    for (kind, message, hint), why in zip(told, ["name", "created", "fields"], strict=True):
        assert kind == "StoreDamaged"
        assert message.startswith("The cached weights cannot be used: the manifest has another shape: its ")
        assert why in message
        assert "made again" in hint


@pytest.mark.parametrize("refused", [["IDBFactory", "open"], ["IDBObjectStore", "getKey"]])
def test_a_cache_that_is_refused_is_a_sentence(python: Python, refused: list[str]) -> None:
    """Where nothing can be opened, and where nothing can be read."""
    kind, message, hint = python.call("cache_refused", refused)
    assert kind == "StoreFull"
    assert message == "The browser did not keep the converted weights (not here)."
    assert "still runs" in hint


def test_a_full_cache_is_a_sentence(python: Python) -> None:
    session = python.page.context.new_cdp_session(python.page)
    origin = python.page.url.removesuffix("/blank")
    session.send("Storage.overrideQuotaForOrigin", {"origin": origin, "quotaSize": 30 << 20})
    kind, message, hint = python.call("cache_full")
    assert kind == "StoreFull"
    assert "no room" in message
    assert "still runs" in hint


def test_a_model_is_read_by_ranges(
    page: Page, serve: Callable[[list[OfferedModel]], str], runtime: Path, tmp_path: Path
) -> None:
    words = np.arange(5000, dtype=np.uint32)
    (tmp_path / "numbers.gguf").write_bytes(words.tobytes())
    site = serve([OfferedModel("numbers", tmp_path / "numbers.gguf")])
    python = Python(page, site)
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request))  # noqa: PLW0108 - Playwright marks it
    url = f"{site}models/numbers.gguf"
    told = python.call("source", {"url": url, "size": words.nbytes, "missing": f"{site}models/none.gguf"})
    ranges = [request.headers["range"] for request in asked if request.url == url]
    assert ranges[:20] == [f"bytes={at}-{at + 999}" for at in range(0, words.nbytes, 1000)]
    assert told["end"][1] == "model.gguf ends at byte 20,000, but 20,004 bytes are needed."
    assert told["missing"][1] == "missing.gguf cannot be read: the server answered 404 Not Found."
    assert told["changed"][1] == "model.gguf changed on the server while it was read."


def test_the_conversion_is_linked_to_python(python: Python) -> None:
    assert python.call("converted", SCALES_AT) == [*compiled.TYPES, "INT8", "INT4", "tiles"]


@pytest.fixture
def plain(playwright: Playwright, tmp_path: Path) -> Iterator[Page]:
    browser = launch(playwright, tmp_path, webgpu=False)
    yield browser.new_page()
    browser.close()


def test_no_adapter_is_a_sentence(plain: Page, site: str, runtime: Path) -> None:
    _, message, hint = Python(plain, site).call("no_adapter")
    assert "no access to a GPU" in message
    assert "Chrome" in hint
    assert "Safari" in hint
    assert "Firefox" in hint
