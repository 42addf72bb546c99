"""Measure the token loop in Chromium: tokens in batches, and one at a time with a round trip to Python for each.

    .venv/bin/python docs/benchmarks/loop.py --device cpu --tokens 64 --rounds 5

Prints JSON: for each way medians of tokens per second and, in milliseconds a token, of what Python and JavaScript
spend and how long the device waits; and from the end of a batch until its text was taken. The ways take turns.
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

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "py"), str(ROOT / "tests" / "browser")]

from chromium import launch_profile
from loading import CALL, START

from sotto.assets import default_cache, default_model
from sotto.site.server import Server
from sotto.site.site import OfferedModel, Site

INSIDE = Path(__file__).with_name("loop_inside.py")


def main() -> None:
    """Run the rounds and print JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("gpu", "cpu"), default="cpu")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--tokens", type=int, default=64)
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

        def inside(name: str, argument: object) -> Any:
            call = {"source": INSIDE.read_text("utf-8"), "name": name, "argument": argument}
            return page.evaluate(CALL, call)

        file = {"url": f"{server.address}models/{model.name}", "size": model.stat().st_size}
        result: dict[str, Any] = {"browser": context.browser.version if context.browser else ""}
        result |= inside("prepare", file | {"device": given.device})
        rounds: dict[str, list[dict[str, float]]] = {"batches": [], "single": []}
        for _ in range(given.rounds):
            for way, runs in rounds.items():
                runs.append(inside("generate", {"way": way, "tokens": given.tokens}))
                print(way, runs[-1], os.getloadavg(), file=sys.stderr, flush=True)
        context.close()
        server.shutdown()
    for way, runs in rounds.items():
        result[way] = {name: round(statistics.median(run[name] for run in runs), 4) for name in runs[0]}
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
