"""Measure how fast weights come to a device in Chromium: the first load, and the load from the cache.

    .venv/bin/python docs/benchmarks/loading.py --device gpu --rounds 5

First load: MB of the model file a second, and the seconds of its parts alone (each part is measured with those before
it: reading; reading and converting; and storing; and filling the device's buffers, which is all). From the cache: the
seconds of the load, of a bare read of the same records in IndexedDB, measured before and after it, and of nothing but
the writes to the device. Medians.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "py"), str(ROOT / "tests" / "browser")]

from chromium import launch_profile

from sotto.assets import default_cache, default_model
from sotto.site.server import Server
from sotto.site.site import OfferedModel, Site

START = """(v) => void (globalThis.python = new Worker(
    URL.createObjectURL(new Blob([v], { type: 'text/javascript' })), { type: 'module' }))"""
CALL = """(v) => new Promise((resolve, reject) => {
    python.onmessage = ({ data }) => data.name ? reject(new Error(data.message)) : resolve(data.value);
    python.onerror = (event) => reject(new Error(event.message));
    python.postMessage(v);
})"""


def main() -> None:
    """Run the rounds and print JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("gpu", "cpu"), default="gpu")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    model = given.model or default_model()
    with Server(0) as server, sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        server.site = Site(ROOT, default_cache(), [OfferedModel("model", model)])
        threading.Thread(target=server.serve_forever, daemon=True).start()
        context = launch_profile(playwright, Path(folder))
        page = context.pages[0]
        page.set_default_timeout(600_000)
        page.goto(f"{server.address}blank")
        page.evaluate(START, (ROOT / "tests" / "browser" / "pyodide_worker.js").read_text("utf-8"))
        size = model.stat().st_size
        file = {"url": f"{server.address}models/{model.name}", "size": size, "device": given.device}
        result: dict[str, Any] = {"browser": context.browser.version if context.browser else ""}
        result |= inside(page, "prepare", file)
        rounds: dict[str, list[dict[str, float]]] = {"first": [], "warm": []}
        for _ in range(given.rounds):
            for name, runs in rounds.items():
                runs.append(inside(page, name, None))
                print(name, runs[-1], os.getloadavg(), file=sys.stderr, flush=True)
        context.close()
        server.shutdown()
    for name, runs in rounds.items():
        result[name] = {stage: statistics.median(run[stage] for run in runs) for stage in runs[0]}
    result["first MB/s"] = result["source_bytes"] / 1e6 / result["first"]["all"]
    result["warm over bare"] = statistics.median(run["load"] / run["bare read"] for run in rounds["warm"])
    print(json.dumps(result, indent=2))


def inside(page: Page, name: str, argument: object) -> Any:
    """Call a coroutine of loading_inside.py."""
    source = Path(__file__).with_name("loading_inside.py").read_text("utf-8")
    return page.evaluate(CALL, {"source": source, "name": name, "argument": argument})


if __name__ == "__main__":
    main()
