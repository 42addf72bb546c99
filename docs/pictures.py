"""Take the pictures of the page that the README shows, and more to look at, in a real Chromium.

    .venv/bin/python docs/pictures.py                     docs/images/
    .venv/bin/python docs/pictures.py --all FOLDER        light, dark, phone, in English and Japanese

The default model with its adapter writes posts of the page's own examples; nothing is chosen.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "py"), str(ROOT / "tests" / "browser")]

import serve
from chromium import launch

from sotto.assets import DEFAULT_MODEL, default_cache
from sotto.site.server import Server
from sotto.site.site import Site

DESK, PHONE = ViewportSize(width=1280, height=680), ViewportSize(width=390, height=844)
PATIENCE = 400_000  # milliseconds
SHOWN = ("post-light", "post-dark")
SCENES: dict[str, tuple[str, Literal["light", "dark"], ViewportSize]] = {  # language, colour scheme, size
    "post-light": ("en", "light", DESK),
    "post-dark": ("en", "dark", DESK),
    "post-phone-light": ("en", "light", PHONE),
    "post-phone-dark": ("en", "dark", PHONE),
    "post-ja-light": ("ja", "light", DESK),
    "post-ja-phone-dark": ("ja", "dark", PHONE),
}


@contextmanager
def opened(browser: Browser, address: str, scene: str) -> Iterator[Page]:
    """The page in a scene's language, colours and size, ready to write."""
    language, scheme, size = SCENES[scene]
    context = browser.new_context(
        viewport=size, color_scheme=scheme, locale=language, device_scale_factor=1.5
    )
    page = context.new_page()
    page.goto(f"{address}?device=cpu&seed=1")
    page.click(f"#example-{language}")
    expect(page.locator("html")).to_have_attribute("data-state", "ready", timeout=PATIENCE)
    yield page
    context.close()


def main() -> None:
    """Write a post in each scene and take its picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--all", type=Path, metavar="FOLDER", help="every scene, into this folder")
    options = parser.parse_args()
    folder, scenes = (options.all, tuple(SCENES)) if options.all else (ROOT / "docs" / "images", SHOWN)
    folder.mkdir(parents=True, exist_ok=True)
    with Server(0) as server, tempfile.TemporaryDirectory() as kept, sync_playwright() as playwright:
        server.site = Site(ROOT, default_cache(), [serve.find_model(DEFAULT_MODEL, default_cache(), "")])
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = launch(playwright, Path(kept))
        for scene in scenes:
            with opened(browser, server.address, scene) as page:
                page.click("#write")
                expect(page.locator("#stats")).to_contain_text("tok/s", timeout=PATIENCE)
                expect(page.locator("html")).to_have_attribute("data-state", "ready", timeout=PATIENCE)
                page.mouse.move(0, 0)
                page.screenshot(path=folder / f"{scene}.png")
                print(f"{scene}: {page.inner_text('#post')}")
        browser.close()
        server.shutdown()


if __name__ == "__main__":
    main()
