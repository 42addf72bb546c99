"""The token loop in a real Chromium: batches on the browser's GPU and CPU, under Pyodide."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page
from pyodide_page import Python

import tiny
from sotto.site.site import OfferedModel

PROMPT = [2, *range(300, 310)]


@pytest.mark.parametrize("device", ["gpu", "cpu"])
def test_batches_give_what_single_tokens_give(
    page: Page, serve: Callable[[list[OfferedModel]], str], runtime: Path, tmp_path: Path, device: str
) -> None:
    model = OfferedModel("tiny", tmp_path / "tiny.gguf")
    model.path.write_bytes(tiny.build(tiny.Tiny(seed=3, layers=2)))
    site = serve([model])
    url = f"{site}models/tiny.gguf"
    asked = {"size": model.path.stat().st_size, "url": url, "prompt": PROMPT, "device": device}
    told = Python(page, site).call("batches", asked)
    for batched, single, greedy in ((*told["runs"][:2], True), (*told["runs"][2:], False)):
        assert batched[0] == single[0]
        assert len(batched[0]) == 50
        stats, alone = batched[1], single[1]
        assert (stats["largest_batch"], alone["mode"]) == (16, "single")
        assert stats["mode"] == ("speculation" if device == "gpu" and greedy else "batches")
        assert stats["batches"] < 10 < alone["batches"]
        for each in (stats, alone):
            assert 0 < each["python_seconds"] < each["decode_seconds"]
        assert (
            0 < stats["host_seconds"] < stats["decode_seconds"]
        )  # of the others it is not told: see RunStats
        for kind, each in (("batches", stats), ("single", alone)):
            parts = {
                name: 1e3 * each[f"{name}_seconds"] / 49 for name in ("decode", "python", "host", "idle")
            }
            print(device, kind, {name: f"{value:.2f} ms/token" for name, value in parts.items()})
    shown, reason, dropped = told["stopped"]
    assert (shown, reason) == (20, "cancelled")
    assert dropped > 0
