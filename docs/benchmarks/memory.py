"""Measure the page's first load and its load from the cache, unobserved: the peak memory of its tab, and the speed.

    .venv/bin/python docs/benchmarks/memory.py --device gpu [--model FILE]

A debugger that watches the network (Playwright's does) keeps up to 100 MB of responses in the tab's own process, so
Chromium runs here by itself; only when its memory has come to rest is it asked whether the page is ready. Linux.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "py"), str(ROOT / "tests" / "browser"), str(Path(__file__).parent)]

from chromium import QUIET, WEBGPU, find_chromium
from page import Memory

from sotto.assets import default_cache, model_path
from sotto.site.server import Server
from sotto.site.site import OfferedModel, Site

PORT = 9333
REST = 30.0  # seconds without a new peak
LIMIT = 240.0  # seconds


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("gpu", "cpu"), default="gpu")
    parser.add_argument("--model", type=Path, help="a GGUF file (the default model)")
    given = parser.parse_args()
    path = given.model or model_path("gemma-3-270m", default_cache())
    size = path.stat().st_size
    result: dict[str, Any] = {"device": given.device, "model_bytes": size}
    with Server(0) as server, tempfile.TemporaryDirectory() as folder:
        server.site = Site(ROOT, default_cache(), [OfferedModel(path.stem, path)])
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for name in ("first load", "load from the cache"):
            peaks, figures = watch(f"{server.address}?device={given.device}", folder)
            if figures["cached"] != (name != "first load"):
                sys.exit(f"The {name} found cached = {figures['cached']}.")
            result[name] = {
                "over_model_mb": {when: (peak - size) / 1e6 for when, peak in peaks.items()},
                "weights_seconds": figures["weights"],
                "weights_mb_per_second": size / 1e6 / figures["weights"],
                "load_average": os.getloadavg(),
            }
        server.shutdown()
    print(json.dumps(result, indent=2))


def watch(address: str, folder: str) -> tuple[dict[str, int], dict[str, Any]]:
    """Open the page in a Chromium of its own. The peak bytes of its tab until the model was ready, and after that (when
    the page keeps a snapshot of Python, for one); and the figures that the page shows."""
    flags = ["--headless=new", f"--user-data-dir={folder}", f"--remote-debugging-port={PORT}"]
    memory = Memory()
    browser = subprocess.Popen(
        ["timeout", "-k", "5", "300", find_chromium(), *QUIET, *WEBGPU, *flags, address],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        memory.start()
        began = changed = time.monotonic()
        seen = 0
        while time.monotonic() - changed < REST and time.monotonic() - began < LIMIT:
            time.sleep(0.2)
            if memory.peak > seen:
                seen, changed = memory.peak, time.monotonic()
        memory.stop()
        with sync_playwright() as playwright:
            attached = playwright.chromium.connect_over_cdp(f"http://127.0.0.1:{PORT}")
            tab = next(p for p in attached.contexts[0].pages if p.url.startswith(address))
            state, told = tab.get_attribute("html", "data-state"), tab.text_content("#error")
            figures: dict[str, Any] = json.loads(tab.get_attribute("#facts", "data-figures") or "{}")
            opened = tab.evaluate("performance.timeOrigin") / 1e3
            attached.new_browser_cdp_session().send("Browser.close")  # so that what it keeps is on the disk
            browser.wait(30)
    finally:
        browser.terminate()
        browser.wait()
    if state != "ready":
        sys.exit(f"The page was {state!r} when its memory had come to rest: {told}")
    ready = opened + figures["ready"]
    loading = max(size for at, size in memory.samples if at <= ready)
    return {"loading": loading, "after": max(size for at, size in memory.samples if at > ready)}, figures


if __name__ == "__main__":
    main()
