"""Measure the page in a real Chromium: first load, load from the cache, memory of the tab, speed.

    .venv/bin/python docs/benchmarks/page.py                     the default model on SwiftShader
    .venv/bin/python docs/benchmarks/page.py --tokens 24 --runs 3 --device cpu

Loads the page with an empty profile (the weights are converted and stored), then closes the browser and opens it
again with the same profile (the weights come from IndexedDB), and writes posts from the page's own example. Prints
JSON: seconds by stage, peak resident memory of the tab's process (Linux), bytes of the model file that crossed the
network, and the figures of each run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "py"), str(ROOT / "tests" / "browser")]

from chromium import launch_profile

from sotto.assets import default_cache, model_path
from sotto.site.server import Server
from sotto.site.site import OfferedModel, Site

PATIENCE = 900_000  # milliseconds


class Memory(threading.Thread):
    """Watches the largest renderer process: the tab and its worker."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.baseline = self.peak = 0
        self.samples: list[tuple[float, int]] = []  # seconds since 1970, bytes
        self._done = threading.Event()

    @staticmethod
    def now() -> int:
        """Private resident bytes of the largest renderer among this process's descendants."""
        parents: dict[int, int] = {}
        sizes: dict[int, int] = {}
        for process in Path("/proc").glob("[0-9]*"):
            try:
                parents[int(process.name)] = int((process / "stat").read_text().rpartition(")")[2].split()[1])
                if b"--type=renderer" in (process / "cmdline").read_bytes():
                    fields = (process / "statm").read_text().split()
                    sizes[int(process.name)] = (int(fields[1]) - int(fields[2])) * 4096
            except OSError:
                pass  # it ended meanwhile

        def ours(process: int) -> bool:
            return process == os.getpid() or (process in parents and ours(parents[process]))

        return max((size for process, size in sizes.items() if ours(process)), default=0)

    def run(self) -> None:
        while not self._done.wait(0.05):
            self.samples.append((time.time(), self.now()))
            self.peak = max(self.peak, self.samples[-1][1])

    def stop(self) -> int:
        """The peak in bytes."""
        self._done.set()
        self.join()
        return self.peak


def opened(page: Page, address: str) -> dict[str, Any]:
    """Open the page, wait until it is ready; seconds by stage, memory, model bytes asked for."""
    asked = 0

    def count(request: Any) -> None:
        nonlocal asked
        if "/models/" in request.url:
            start, _, end = request.headers.get("range", "bytes=0-0").removeprefix("bytes=").partition("-")
            asked += int(end) - int(start) + 1

    page.context.on("request", count)
    memory = Memory()
    memory.start()
    began = time.monotonic()
    page.goto(address)
    page.wait_for_selector("html[data-state=ready]", timeout=PATIENCE)
    wall = time.monotonic() - began
    figures: dict[str, Any] = json.loads(str(page.get_attribute("#facts", "data-figures")))
    return figures | {"wall": wall, "peak_bytes": memory.stop(), "model_bytes_asked": asked}


def written(page: Page) -> dict[str, Any]:
    """Write one post from the example; the run's figures."""
    page.evaluate("delete document.querySelector('#stats').dataset.figures")
    page.click("#write")
    page.wait_for_selector("#stats[data-figures]", timeout=PATIENCE)
    return dict(json.loads(str(page.get_attribute("#stats", "data-figures"))))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tokens", type=int, default=24, help="new tokens of each run")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--device", choices=("auto", "gpu", "cpu"), default="gpu")
    options = parser.parse_args()
    path = model_path("gemma-3-270m", default_cache())
    with Server(0) as server, tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server.site = Site(ROOT, default_cache(), [OfferedModel("gemma-3-270m", path)])
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = (
            f"{server.address}?max_tokens={options.tokens}&temperature=0&versions=1&device={options.device}"
        )
        result: dict[str, Any] = {"machine": platform.platform(), "model_bytes": path.stat().st_size}

        def session(work: Callable[[Page], Any]) -> Any:
            context = launch_profile(playwright, Path(folder))
            result["browser"] = context.browser.version if context.browser else ""
            try:
                return work(context.pages[0])
            finally:
                context.close()

        result["first load"] = session(lambda page: opened(page, address))
        runs: list[dict[str, Any]] = []

        def again(page: Page) -> dict[str, Any]:
            load = opened(page, address)
            page.click("#example-en")
            runs.extend(written(page) for _ in range(options.runs))
            return load

        result["load from the cache"] = session(again)
        result["runs"] = runs
        for rate in ("prefill_rate", "decode_rate"):
            result[f"median {rate}"] = statistics.median(run[rate] for run in runs)
        server.shutdown()
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
