"""Measure the page's first load, unobserved: the peak memory of its tab, and the speed.

    .venv/bin/python docs/benchmarks/memory.py --device gpu

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

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "browser"), str(Path(__file__).parent)]

from chromium import QUIET, WEBGPU, find_chromium  # noqa: E402
from page import Memory  # noqa: E402

from sotto.assets import default_cache, model_path  # noqa: E402
from sotto.assets.server import Server  # noqa: E402
from sotto.assets.site import Model, Site  # noqa: E402

PORT = 9333
REST = 30.0  # seconds without a new peak
LIMIT = 240.0  # seconds


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("gpu", "cpu"), default="gpu")
    given = parser.parse_args()
    path = model_path("gemma-3-270m", default_cache())
    with Server(0) as server, tempfile.TemporaryDirectory() as folder:
        server.site = Site(ROOT, default_cache(), [Model("gemma-3-270m", path)])
        threading.Thread(target=server.serve_forever, daemon=True).start()
        flags = ["--headless=new", f"--user-data-dir={folder}", f"--remote-debugging-port={PORT}"]
        address = f"{server.address}?device={given.device}"
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
            peak = memory.stop()
            with sync_playwright() as playwright:
                attached = playwright.chromium.connect_over_cdp(f"http://127.0.0.1:{PORT}")
                tab = next(p for p in attached.contexts[0].pages if p.url.startswith(server.address))
                state = tab.get_attribute("html", "data-state")
                figures = json.loads(tab.get_attribute("#facts", "data-figures") or "{}")
                attached.close()
        finally:
            browser.terminate()
            browser.wait()
            server.shutdown()
    if state != "ready" or figures["cached"]:
        sys.exit(f"The page was {state!r}, cached {figures.get('cached')}: not the first load to its end.")
    size = path.stat().st_size
    result = {
        "device": given.device,
        "peak_bytes": peak,
        "model_bytes": size,
        "over_model_mb": (peak - size) / 1e6,
        "weights_seconds": figures["weights"],
        "weights_mb_per_second": size / 1e6 / figures["weights"],
        "load_average": os.getloadavg(),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
