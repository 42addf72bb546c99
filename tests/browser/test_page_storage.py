"""The page in browsers that keep nothing, or give a page that is not secure less: it loads, writes, and says so."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from chromium import launch
from common import ENGLISH, PATIENCE, ROOT
from pages import SHORT, state, write
from playwright.sync_api import Page, Playwright, Route, expect

from sotto.site.server import Server
from sotto.site.site import OfferedModel, Site
from tiny import Tiny, build


@pytest.fixture(scope="module")
def tiny(runtime: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a page with a small instruction-tuned model, which is also at lan.test."""
    path = tmp_path_factory.mktemp("model") / "tiny.gguf"
    path.write_bytes(build(Tiny(chat=True, context=1 << 20)))
    with Server(0) as server:
        server.names.add("lan.test")
        server.site = Site(ROOT, runtime, [OfferedModel("tiny", path)])
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.address
        server.shutdown()


NO_BLOBS = """{
    const put = IDBObjectStore.prototype.put;
    IDBObjectStore.prototype.put = function (value, ...key) {
        const blob = value instanceof Blob || value?.blob instanceof Blob;
        if (blob) throw new DOMException("BlobURLs are not yet supported.", "DataCloneError");
        return put.call(this, value, ...key);
    };
}"""


def test_a_browser_that_keeps_no_blobs(page: Page, tiny: str) -> None:
    """As private windows of Safari."""

    def refusing(route: Route) -> None:
        script = (ROOT / "web" / "store.js").read_text("utf-8")
        route.fulfill(body=f"{script}\n{NO_BLOBS}", content_type="text/javascript")

    page.route("**/store.js", refusing)
    posts = []
    for _ in range(2):
        page.goto(tiny + SHORT)
        state(page, "ready")
        posts.append(write(page))
        unkept = ENGLISH["fact.weights.unstored"].partition("; ")[2]
        expect(page.locator("#fact-weights")).to_contain_text(unkept)
    assert posts[0] and posts[0] == posts[1]


@pytest.fixture
def lan(playwright: Playwright, tmp_path: Path) -> Iterator[Page]:
    """A browser for which lan.test is this machine: plain http under a name that is not localhost is not secure."""
    browser = launch(playwright, tmp_path, "--host-resolver-rules=MAP lan.test 127.0.0.1")
    page = browser.new_page()
    page.set_default_timeout(PATIENCE)
    yield page
    browser.close()


def test_a_page_that_is_not_secure(lan: Page, tiny: str) -> None:
    """No crypto.subtle, no locks, no GPU there: the cache works all the same."""
    port = urlsplit(tiny).port
    address = f"http://lan.test:{port}/{SHORT}"
    lan.goto(address)
    assert lan.evaluate("[isSecureContext, typeof crypto.subtle, typeof navigator.locks]") == [
        False,
        "undefined",
        "undefined",
    ]
    state(lan, "ready")
    assert lan.evaluate("typeof WebAssembly.Suspending") == "undefined"  # Python is on the thread's own stack
    post = write(lan)
    lan.goto(address)
    state(lan, "ready")
    expect(lan.locator("#fact-weights")).to_contain_text("cache")
    assert write(lan) == post
