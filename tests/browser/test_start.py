"""Starts that go wrong: what cannot be had is named, what does not come is named after a while, and nobody waits for
ever. And browsers that refuse a part of what the page is used to: it starts there too, and says what is lost.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from chromium import launch_profile
from common import ENGLISH, PATIENCE, ROOT
from pages import SHORT, TEXT, fault, state, write
from playwright.sync_api import Browser, Page, Playwright, Route, expect

RUNTIME = "**/runtime/pyodide/"
# Everything that is asked for until Python runs, once, in the worker or for it.
FILES = (
    "**/runtime/pyscript/core.js",
    "**/runtime/pyscript/core-*.js",
    "**/python.js*",
    f"{RUNTIME}pyodide.mjs",
    f"{RUNTIME}pyodide.asm.mjs",
    f"{RUNTIME}pyodide.asm.wasm",
    f"{RUNTIME}python_stdlib.zip",
    f"{RUNTIME}numpy-*.whl",
    "**/app.zip",
    "**/models.json",
    "**/bridge.js",
    "**/store.js",
    "**/ahead_worker.js*",
)
SHOWN = {  # where they are told of
    "core-*.js": "core.js",
    "numpy-*.whl": "numpy-",
    "python.js*": "python.js",
    "ahead_worker.js*": "ahead_worker.js",
}


@pytest.fixture
def start(browser: Browser) -> Iterator[Page]:
    """A page that may fail to start, and says after two seconds without progress what is missing."""
    context = browser.new_context(service_workers="block")
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.route(re.compile(r"^http://[^/]+/(\?.*)?$"), impatient)
    yield page
    context.close()


def impatient(route: Route) -> None:
    reply = route.fetch()
    assert 'data-patience="30"' in reply.text()
    route.fulfill(response=reply, body=reply.text().replace('data-patience="30"', 'data-patience="2"'))


def name(pattern: str) -> str:
    file = pattern.rsplit("/", maxsplit=1)[-1]
    return SHOWN.get(file, file)


def told(page: Page, kind: str, file: str) -> None:
    """Wait until a file is named under a title of that kind, with a button."""
    expect(page.locator("#error-text")).to_contain_text(file)
    expect(page.locator("#error-title")).to_have_text(ENGLISH[f"error.{kind}"])
    expect(page.locator("#error-action")).to_have_text(ENGLISH[f"error.{kind}.action"])
    expect(page.locator("#error-action")).to_be_visible()


@pytest.mark.parametrize("pattern", FILES)
def test_a_file_that_never_comes(start: Page, tiny: str, pattern: str) -> None:
    start.route(pattern, lambda route: None)
    start.goto(tiny + SHORT)
    told(start, "slow", name(pattern))
    state(start, "loading")  # it goes on, should the file come


@pytest.mark.parametrize(
    ("pattern", "how"),
    [
        *((FILES[place], "404") for place in (1, 5, 8, 10)),
        *((FILES[place], "cut off") for place in (2, 4, 8)),
        ("**/chunk.js", "cut off"),
    ],
)  # each way a file is asked for, both ways for one of them
def test_a_file_that_cannot_be_had(start: Page, tiny: str, pattern: str, how: str) -> None:
    start.route(pattern, lambda route: route.abort() if how == "cut off" else route.fulfill(status=404))
    start.goto(tiny + SHORT)
    told(start, "missing", name(pattern))
    state(start, "error")
    start.unroute(pattern)
    start.click("#error-action")
    state(start, "ready")
    expect(start.locator("#error")).to_be_hidden()


def test_a_request_that_was_cut_off_is_made_again(page: Page, tiny: str) -> None:
    cut: list[str] = []

    def once(route: Route) -> None:
        if cut:
            route.continue_()
        else:
            cut.append(route.request.url)
            route.abort()

    page.route(FILES[5], once)
    page.goto(tiny + SHORT)
    state(page, "ready")
    assert cut


def test_a_file_that_comes_after_all(start: Page, tiny: str) -> None:
    waiting: list[Route] = []
    start.route(FILES[5], lambda route: waiting.append(route))  # noqa: PLW0108 - of Python, as Playwright wants
    start.goto(tiny + SHORT + "#chat")
    told(start, "slow", name(FILES[5]))
    start.evaluate("globalThis.same = true")
    for route in waiting:
        route.continue_()
    expect(start.locator("#chat")).to_be_visible()  # again
    state(start, "ready")
    expect(start.locator("#chat")).to_have_attribute("data-state", "ready")
    start.click("#screens a[data-screen=post]")
    expect(start.locator("#error")).to_be_hidden()
    start.click("#write")
    expect(start.locator("#error-title")).to_have_text(ENGLISH["error.empty"])
    start.click("#error-action")  # does what Python says, and no longer starts again
    expect(start.locator("#source")).not_to_be_empty()
    assert start.evaluate("globalThis.same")


def test_python_that_gets_stuck(start: Page, tiny: str) -> None:
    script = (ROOT / "web" / "python.js").read_text("utf-8")
    stuck = script.replace("await pyodide.loadPyodide(", "await new Promise(() => {}, ")
    assert stuck != script
    start.route(FILES[2], lambda route: route.fulfill(body=stuck, content_type="text/javascript"))
    start.goto(tiny + SHORT + "#benchmark")
    told(start, "stuck", "every file has arrived")
    start.unroute(FILES[2])
    start.click("#error-action")
    state(start, "ready")


def test_a_model_that_does_not_come(start: Page, tiny: str) -> None:
    start.route("**/models/**", lambda route: None)
    start.goto(tiny + SHORT)
    told(start, "slow", "tiny.gguf")


@pytest.mark.parametrize("missing", ["boot.js", "words.json", "start.js"])
def test_a_page_without_its_first_script(start: Page, tiny: str, missing: str) -> None:
    start.route(f"**/{missing}", lambda route: None)
    start.clock.install()
    start.goto(tiny + SHORT, wait_until="commit")
    # As it is seen: without the style sheet, which comes a moment later, all would be.
    expect(start.locator("#unloaded")).to_contain_text("Start again", use_inner_text=True, timeout=PATIENCE)


def test_a_browser_without_what_the_start_needs(browser: Browser, tiny: str) -> None:
    """One so old that it lacks this could run nothing here; that is told, too."""
    context = browser.new_context(service_workers="block")
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.add_init_script("delete globalThis.BroadcastChannel")
    page.goto(tiny)
    assert "BroadcastChannel" in (fault(page, "runtime") and str(page.text_content("#error-detail")))
    context.close()


def test_pyscript_needs_no_database(page: Page, tiny: str) -> None:
    never = """const open = IDBFactory.prototype.open;
    IDBFactory.prototype.open = function (name, version) {
        return name.startsWith("sotto") ? open.call(this, name, version) : {};
    };"""
    page.add_init_script(never)
    script = (ROOT / "web" / "no_database.js").read_text("utf-8")
    page.route(
        "**/no_database.js",
        lambda route: route.fulfill(body=f"{never}{script}", content_type="text/javascript"),
    )
    page.goto(tiny + SHORT)
    state(page, "ready")


def test_blocked_site_data(playwright: Playwright, tmp_path: Path, tiny: str) -> None:
    settings = tmp_path / "profile" / "Default" / "Preferences"
    settings.parent.mkdir(parents=True)
    blocked = {"profile": {"default_content_setting_values": {"cookies": 2}}}
    settings.write_text(json.dumps(blocked), "utf-8")
    context = launch_profile(playwright, tmp_path)
    try:
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        uncaught: list[str] = []
        page.on("pageerror", lambda error: uncaught.append(str(error)))
        page.goto(tiny + SHORT)
        refused = "try { localStorage.length; return false } catch { return true }"
        assert page.evaluate(f"(() => {{ {refused} }})()")
        state(page, "ready")
        expect(page.locator("#note")).to_have_text(ENGLISH["note.lost.storage"])
        assert write(page)
        expect(page.locator("#note")).to_have_text(ENGLISH["note.stayed"])
        page.click("#model summary")
        page.select_option("#device", "cpu")
        expect(page.locator("#fact-processor")).to_contain_text(ENGLISH["why.asked"])
        expect(page.locator("#note")).to_have_text(ENGLISH["note.stayed"])  # the other was said once
        assert not uncaught
    finally:
        context.close()


def test_plain_http_from_another_computer(page: Page, tiny: str) -> None:
    far = "http://sotto.test/"

    def answer(route: Route) -> None:
        address = urlsplit(route.request.url)
        query = f"?{address.query}" if address.query else ""
        route.fulfill(response=route.fetch(url=f"{tiny.rstrip('/')}{address.path}{query}"))

    page.route(f"{far}**", answer)
    page.goto(far + SHORT)
    assert not page.evaluate("isSecureContext || crossOriginIsolated || !!crypto.subtle || !!navigator.gpu")
    state(page, "ready")
    assert "CPU, 1 thread:" in str(page.text_content("#fact-processor"))
    expect(page.locator("#note")).to_have_text(ENGLISH["note.lost.address"])
    assert write(page)
    page.click("#copy")
    expect(page.locator("#copy")).to_have_text(ENGLISH["copied"])
    page.reload()
    expect(page.locator("#source")).to_have_value(TEXT)
    state(page, "ready")
    expect(page.locator("#note")).to_be_empty()  # said once
