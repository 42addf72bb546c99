"""Take the pictures of the page for the README and for who installs it, and more to look at, in a real Chromium.

    .venv/bin/python docs/pictures.py                     docs/images/ and web/screenshots/
    .venv/bin/python docs/pictures.py --all FOLDER        every screen: light, dark, phone, in English and Japanese

The default model with its adapter writes posts of the page's own examples and runs the page's own tasks; nothing is
chosen. It does not talk: the picture of a conversation wants `--chat-model FILE`; without one it shows what a person
sees who comes there with the default model. Pictures in Japanese want a font of it on this computer.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "py"), str(ROOT / "tests" / "browser")]

import serve
from chromium import launch

from sotto.assets import DEFAULT_MODEL, default_cache
from sotto.site.server import Server
from sotto.site.site import OfferedModel, Site

DESK, PHONE = ViewportSize(width=1280, height=720), ViewportSize(width=390, height=844)
PATIENCE = 400_000  # milliseconds
MEASURED = "#benchmark?device=cpu&prefill=32,128,512&decode=64&runs=2&loads=0&agreement=0"
CHAT = "talking"  # what the server calls the model of --chat-model


@dataclass(frozen=True)
class View:
    """How a person has set up the browser."""

    language: Literal["en", "ja"]
    scheme: Literal["light", "dark"]
    size: ViewportSize

    def name(self, screen: str) -> str:
        """What a picture of a screen is called."""
        parts = [screen]
        parts += ["ja"] if self.language == "ja" else []
        parts += ["phone"] if self.size is PHONE else []
        return "-".join([*parts, self.scheme])


VIEWS = (
    View("en", "light", DESK),
    View("en", "dark", DESK),
    View("ja", "light", DESK),
    View("en", "light", PHONE),
    View("ja", "dark", PHONE),
)
IMAGES, SCREENSHOTS = ROOT / "docs" / "images", ROOT / "web" / "screenshots"
# Which are shown, and where they lie: those of web/ a browser shows, too, when it asks whether to install the page.
SHOWN = {
    "post-light": SCREENSHOTS,
    "post-phone-light": SCREENSHOTS,
    "post-dark": IMAGES,
    "benchmark-light": IMAGES,
}


def post(page: Page, language: str) -> str:
    """A post of the example."""
    page.click(f"#example-{language}")
    page.click("#write")
    expect(page.locator("#stats span")).not_to_have_count(0, timeout=PATIENCE)
    expect(page.locator("html")).to_have_attribute("data-state", "ready", timeout=PATIENCE)
    return page.inner_text("#post")


def chat(page: Page, language: str) -> str:
    """The answer to the first example, by a model that talks."""
    state = re.compile("cannot|ready")
    expect(page.locator("#chat")).to_have_attribute("data-state", state, timeout=PATIENCE)
    if page.is_hidden("#chat-input"):
        return ""
    page.click("#chat-try button >> nth=0")
    page.press("#chat-input", "Enter")
    expect(page.locator(".figures")).to_have_count(1, timeout=PATIENCE)
    return page.inner_text(".answer")


def tasks(page: Page, language: str) -> str:
    """What the first task makes of its example."""
    expect(page.locator("#tasks-run")).to_be_enabled(timeout=PATIENCE)
    page.click("#tasks-run")
    expect(page.locator("#tasks-out .figures").first).to_be_visible(timeout=PATIENCE)
    expect(page.locator("#tasks")).to_have_attribute("data-state", "ready", timeout=PATIENCE)
    return page.inner_text("#tasks-out .answer >> nth=0")


def benchmark(page: Page, language: str) -> str:
    """A short measurement on the CPU."""
    expect(page.locator("#bench-run")).to_be_enabled(timeout=PATIENCE)
    page.click("#bench-run")
    expect(page.locator("#bench-actions")).to_be_visible(timeout=PATIENCE)
    page.wait_for_timeout(500)  # the charts grow
    return page.inner_text("#bench-headline")


def models(page: Page, language: str) -> str:
    """The models that are kept."""
    expect(page.locator("#models-kept li")).not_to_have_count(0, timeout=PATIENCE)
    return page.inner_text("#models-kept")


def settings(page: Page, language: str) -> str:
    """All settings."""
    expect(page.locator("#preferences-fields")).to_be_enabled(timeout=PATIENCE)
    return ""


SCREENS: tuple[Callable[[Page, str], str], ...] = (post, chat, tasks, models, settings, benchmark)


@contextmanager
def opened(browser: Browser, address: str, view: View) -> Iterator[Page]:
    """The page as a person has it, with the model loaded."""
    context = browser.new_context(
        viewport=view.size,
        color_scheme=view.scheme,
        locale=view.language,
        device_scale_factor=1.5,
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.goto(f"{address}?device=cpu&seed=1")
    expect(page.locator("html")).to_have_attribute("data-state", "ready", timeout=PATIENCE)
    yield page
    context.close()


def take(page: Page, screen: Callable[[Page, str], str], view: View, file: Path, talks: bool) -> None:
    """The picture of a screen in which something was done."""
    name = screen.__name__
    page.evaluate("(hash) => { location.hash = hash; }", MEASURED if name == "benchmark" else f"#{name}")
    expect(page.locator(f"main[data-screen={name}]")).to_be_visible(timeout=PATIENCE)
    if name == "chat" and talks:
        page.goto(page.url.partition("?")[0] + f"?device=cpu&seed=1&model={CHAT}#chat")
        expect(page.locator("#chat")).to_have_attribute("data-state", "ready", timeout=PATIENCE)
    said = screen(page, view.language)
    page.mouse.move(0, 0)
    page.evaluate("scrollTo(0, 0), document.activeElement?.blur()")
    page.screenshot(path=file)
    print(f"{file.stem}: {said}")


def main() -> None:
    """Do something on each screen and take its picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--all", type=Path, metavar="FOLDER", help="every picture, into this folder")
    parser.add_argument("--only", metavar="NAME", action="append", help="this picture, such as post-ja-light")
    parser.add_argument(
        "--chat-model", type=Path, metavar="FILE", help="a model that talks, for the screen of chats"
    )
    options = parser.parse_args()
    wanted = options.only or (None if options.all else SHOWN)
    with Server(0) as server, tempfile.TemporaryDirectory() as kept, sync_playwright() as playwright:
        offered = [serve.find_model(DEFAULT_MODEL, default_cache(), "")]
        if options.chat_model:
            offered.append(OfferedModel(CHAT, options.chat_model))
        server.site = Site(ROOT, default_cache(), offered)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = launch(playwright, Path(kept))
        for view in VIEWS:
            screens = [each for each in SCREENS if not wanted or view.name(each.__name__) in wanted]
            if screens:
                with opened(browser, server.address, view) as page:
                    for screen in screens:
                        name = view.name(screen.__name__)
                        folder = options.all or SHOWN.get(name, IMAGES)
                        folder.mkdir(parents=True, exist_ok=True)
                        take(page, screen, view, folder / f"{name}.png", bool(options.chat_model))
        browser.close()
        server.shutdown()


if __name__ == "__main__":
    main()
