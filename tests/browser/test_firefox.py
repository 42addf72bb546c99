"""The page in a Firefox that people have, on the CPU: nothing of it is known by its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from common import ENGLISH, ROOT
from firefox import Firefox, find_firefox
from pages import SHORT, TEXT, state, write
from playwright.sync_api import Page
from test_offline import serving

from sotto.site.server import Server
from sotto.site.site import OfferedModel, Site
from tiny import Tiny, build

Start = Callable[..., Firefox]
STATE = "document.documentElement.dataset.state === given[0]"


@pytest.fixture
def firefox(tmp_path: Path) -> Iterator[Start]:
    """Starts a Firefox with preferences of about:config, by their names with _ in place of dots."""
    command = find_firefox()
    if command is None:
        pytest.skip("no Firefox is installed")
    with ExitStack() as stack:
        yield lambda **preferences: stack.enter_context(
            Firefox(
                command,
                tmp_path / "firefox",
                {name.replace("__", "."): value for name, value in preferences.items()},
            )
        )


def written(browser: Firefox) -> str:
    """Write a post from TEXT, and return it."""
    browser.run(
        "document.querySelector('#stats').textContent = ''; const box = document.querySelector('#source');"
        "box.value = arguments[0]; box.dispatchEvent(new Event('input', { bubbles: true }));"
        "document.querySelector('#write').click()", TEXT,
    )  # fmt: skip
    browser.until("document.querySelector('#stats').textContent.includes('tok/s')")
    browser.until(STATE, "ready")
    return str(browser.run("return document.querySelector('#post').innerText"))


def processor(browser: Firefox) -> str:
    return str(browser.run("return document.querySelector('#fact-processor').textContent"))


def test_the_same_post_as_in_chromium_and_without_the_server(
    firefox: Start, page: Page, runtime: Path, tmp_path: Path
) -> None:
    model = tmp_path / "tiny.gguf"
    model.write_bytes(build(Tiny()))
    server = Server(0)
    server.site = Site(ROOT, runtime, [OfferedModel("tiny", model)])
    with serving(server) as address:
        page.goto(f"{address}{SHORT}&device=cpu")
        state(page, "ready")
        expected = write(page)
        browser = firefox()
        browser.goto(address + SHORT)
        browser.until(STATE, "ready")
        assert browser.run("return crossOriginIsolated")
        if not browser.run("return 'gpu' in navigator"):
            assert ENGLISH["why.none"] in processor(browser)
            assert written(browser) == expected
        refuse = "try { document.body.insertAdjacentHTML('beforeend', '<img>') } catch (e) { return e.name }"
        assert browser.run(f"{refuse} return ''") == (
            "TypeError" if browser.run("return 'trustedTypes' in window") else ""
        )
        browser.until("navigator.serviceWorker.ready")
        browser.run("return navigator.serviceWorker.ready.then(({ active }) => new Promise((resolve) => {"
                    "const look = () => active.state === 'activated' && resolve();"
                    "active.onstatechange = look; look(); }))")  # fmt: skip
    browser.goto(address + SHORT)
    browser.until(STATE, "ready")
    assert written(browser) == expected


def test_with_less_than_it_has(firefox: Start, tiny: str) -> None:
    """No relaxed SIMD, and a window that keeps nothing."""
    browser = firefox(javascript__options__wasm_relaxed_simd=False, browser__privatebrowsing__autostart=True)
    browser.goto(tiny + SHORT)
    browser.until(STATE, "ready")
    assert "CPU" in processor(browser)
    assert written(browser)
