"""The CPU device under Pyodide in a real Chromium: the engine on cpu.js, with and without workers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pages import in_page, open_blank
from playwright.sync_api import Page
from pyodide_page import Python

import tiny
from sotto.api import drive, iterate
from sotto.engine.engine import Engine
from sotto.native.wasm import open_cpu
from sotto.reports import Settings
from sotto.site.site import OfferedModel
from sotto.source import MemorySource
from sotto.text.sampler import Sampling

PROMPT = np.random.default_rng(4).integers(200, 500, 40).tolist()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> OfferedModel:
    path = tmp_path_factory.mktemp("model") / "tiny.gguf"
    path.write_bytes(tiny.build())
    return OfferedModel("tiny", path)


def test_the_browser_and_wasmtime_agree_on_any_number_of_threads(
    page: Page, serve, runtime: Path, model: OfferedModel
) -> None:
    device = drive(open_cpu(1))
    engine = drive(
        Engine.load(MemorySource(model.path.read_bytes(), "t", "t"), device, None, Settings(context=160))
    )
    # What a run finds in the cache of the one before may round another way: each is held against its own like.
    expected = []
    for _ in range(3):
        tokens = [p.token for p in iterate(engine.generate(PROMPT, 12, Sampling(temperature=0)))]
        expected.append([tokens, drive(engine.score(PROMPT)).tolist()])
    device.close()
    site = serve([model])
    file = {"size": model.path.stat().st_size, "url": f"{site}models/tiny.gguf", "prompt": PROMPT}
    told = Python(page, site).call("cpu", file)
    assert told["most"] >= 2
    assert told["build"] == "relaxed"
    assert told["cached"] == [False, True], "one cached copy serves the CPU again"
    assert told["runs"] == expected * 2
    assert told["stopped"] == "cancelled"


def test_feature_detection(page: Page, site: str) -> None:
    open_blank(page, site)
    assert in_page(page, "(await import('/cpu.js')).build()") == "relaxed"
    without = """(() => {
        const { validate } = WebAssembly;
        WebAssembly.validate = (bytes) => !bytes.includes(128) && validate(bytes);
        return import('/cpu.js').then((cpu) => cpu.build());
    })()"""
    assert in_page(page, without) == "simd"
