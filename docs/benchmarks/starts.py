"""How long the page takes from being opened: to a text box that can be used, to Python, to a model that is ready.

    .venv/bin/python docs/benchmarks/starts.py --starts 5
    .venv/bin/python docs/benchmarks/starts.py --starts 5 --device gpu --json

Each round begins with an empty profile. First visit: everything comes from the server, the model is converted and kept;
of that it is told, too, how long after the last byte of the model's file had come the page was ready.
Second visit: the browser was closed and is started again. Reload: the page is opened anew in the same browser. Each
begins when the one before it has kept all that it keeps for the next. Prints medians in seconds since the
page was opened (stages: what each took), with the fastest and the slowest.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, Page, Playwright, Request, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "py"), str(ROOT / "tests" / "browser")]

from chromium import launch_profile

from sotto.assets import default_cache, model_path
from sotto.site.server import Server
from sotto.site.site import OfferedModel, Site

PATIENCE = 900_000  # milliseconds
REST = 3.0  # seconds, for a browser that has just started
VISITS = ("first visit", "second visit", "reload")

# Runs before the page's own scripts. The text box can be used when the first script has come to its end.
WATCH = """
globalThis.seen = {};
const note = (name) => { seen[name] ??= performance.now() / 1000; };
document.addEventListener("load", ({ target }) => { if (target.src?.endsWith("/boot.js")) note("text box"); }, true);
new MutationObserver(() => { if (document.documentElement?.dataset.state === "ready") note("ready"); })
    .observe(document, { subtree: true, childList: true, attributeFilter: ["data-state"] });
"""


def seen(page: Page) -> dict[str, float]:
    """Wait until the page is ready; seconds since it was opened, and those of each stage."""
    page.wait_for_selector("html[data-state=ready]", timeout=PATIENCE)
    marks: dict[str, float] = page.evaluate("seen")
    figures: dict[str, Any] = json.loads(str(page.get_attribute("#facts", "data-figures")))
    stages = {
        f"stage {name}": value
        for name, value in figures.items()
        if name not in ("runtime", "ready") and type(value) is float
    }
    return {"text box": marks["text box"], "Python": figures["runtime"], "ready": marks["ready"], **stages}


class LastByte:
    """When the last byte of the model's file arrived in a browser, in seconds since the epoch."""

    def __init__(self, context: BrowserContext) -> None:
        self.time = 0.0
        context.on("requestfinished", self._finished)

    def _finished(self, request: Request) -> None:
        timing = request.timing
        if "/models/" in request.url and timing["responseEnd"] > 0:
            self.time = max(self.time, (timing["startTime"] + timing["responseEnd"]) / 1000)

    def before(self, page: Page, seconds: float) -> float:
        """Seconds that it came before a moment, which is given as seconds since the page was opened."""
        assert self.time, "the model's file did not come"
        return float(page.evaluate("performance.timeOrigin")) / 1000 + seconds - self.time


def visit(playwright: Playwright, folder: Path) -> tuple[BrowserContext, Page]:
    """A browser that has come to rest, with a page that watches."""
    context = launch_profile(playwright, folder)
    context.add_init_script(WATCH)
    time.sleep(REST)
    return context, context.pages[0]


def round_of_visits(playwright: Playwright, address: str) -> dict[str, dict[str, float]]:
    """The three visits, from an empty profile."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in VISITS[:2]:
            context, page = visit(playwright, Path(folder))
            last = LastByte(context)
            page.goto(address, wait_until="commit")
            found[name] = seen(page)
            if name == VISITS[0]:
                found[name]["after the last byte"] = last.before(page, found[name]["ready"])
            page.wait_for_selector("html[data-snapshot=settled]", timeout=PATIENCE)
            time.sleep(REST)
            if name == VISITS[1]:
                page.reload(wait_until="commit")
                found[VISITS[2]] = seen(page)
            context.close()
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--starts", type=int, default=3, metavar="N", help="rounds of three visits")
    parser.add_argument("--device", choices=("auto", "gpu", "cpu"), default="cpu")
    parser.add_argument("--json", action="store_true", help="every round, too")
    options = parser.parse_args()
    with Server(0) as server, sync_playwright() as playwright:
        server.site = Site(
            ROOT, default_cache(), [OfferedModel("gemma-3-270m", model_path("gemma-3-270m", default_cache()))]
        )
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"{server.address}?device={options.device}"
        rounds = []
        for _ in range(options.starts):
            rounds.append(round_of_visits(playwright, address))
            ready = ", ".join(f"{name} {found['ready']:.2f}" for name, found in rounds[-1].items())
            print(f"ready after {ready}", file=sys.stderr)
        server.shutdown()
    print(
        f"{platform.platform()}, {options.device}, medians of {options.starts} (fastest to slowest), seconds"
    )
    for name in VISITS:
        print(f"\n{name}")
        for mark in rounds[0][name]:
            values = [found[name][mark] for found in rounds if mark in found[name]]
            print(f"  {mark:20} {statistics.median(values):6.2f}  ({min(values):.2f} to {max(values):.2f})")
    if options.json:
        print(json.dumps(rounds, indent=2))


if __name__ == "__main__":
    main()
