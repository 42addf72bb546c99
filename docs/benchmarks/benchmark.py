"""Run the page's own benchmark in a real Chromium and print its report.

    .venv/bin/python docs/benchmarks/benchmark.py "device=cpu&budget=170"                     the default model
    .venv/bin/python docs/benchmarks/benchmark.py "shape=1b&device=cpu" --screenshot page.png

The argument is what a link to the page says behind `#benchmark?`. The line is the page's summary; --json FILE keeps
the whole report, which `sotto.bench.report.Report.from_json` reads.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
from pathlib import Path
from urllib.parse import unquote

from playwright.sync_api import expect, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "py"), str(ROOT / "tests" / "browser")]

from chromium import launch

from sotto.assets import default_cache, model_path
from sotto.site.server import Server
from sotto.site.site import OfferedModel, Site

START = 120_000  # milliseconds
PATIENCE = 1_100_000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("link", help="settings as a link says them")
    parser.add_argument("--json", type=Path, help="where to keep the report")
    parser.add_argument("--screenshot", type=Path, help="where to keep a picture of the page")
    options = parser.parse_args()
    path = model_path("gemma-3-270m", default_cache())
    with Server(0) as server, tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server.site = Site(ROOT, default_cache(), [OfferedModel("gemma-3-270m", path)])
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = launch(playwright, Path(folder))
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(f"{server.address}#benchmark?{options.link}")
        expect(page.locator("#bench-run")).to_be_enabled(timeout=START)
        page.click("#bench-run")
        expect(page.locator("#bench-stop")).to_be_visible(timeout=START)
        expect(page.locator("#bench-run")).to_be_visible(timeout=PATIENCE)
        if page.is_visible("#bench-error"):
            sys.exit(page.inner_text("#bench-error"))
        print(page.get_attribute("#bench-copy", "data-text"))
        if options.json:
            href = str(page.get_attribute("#bench-json", "href"))
            options.json.write_text(unquote(href.partition(",")[2]), "utf-8")
        if options.screenshot:
            page.screenshot(path=options.screenshot)
        browser.close()
        server.shutdown()


if __name__ == "__main__":
    main()
