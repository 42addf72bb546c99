"""Tabs that want the same model: one fetches it, another waits, can stop, and takes over when the first is gone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from common import ENGLISH, PATIENCE, ROOT
from pages import SHORT, write
from playwright.sync_api import BrowserContext, Page, Route, expect
from test_models_hub import BLOCK, MODEL, NAME, START, fetch, loaded, look, until_kept

from local_hub import Fault, Hub, Repository, serve_hub
from sotto.site.policy import ISOLATION, POLICIES
from tiny import Tiny, build

WAITING = ENGLISH["state.waiting"]
TINY = len(build(Tiny(chat=True, context=1 << 20)))  # bytes of the model of the fixture `tiny`
HELD, LATER = (
    [Fault(status=429, retry_after=seconds)] * 99 for seconds in ("59", "15")
)  # the storage is busy


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serve_hub() as hub:
        hub.repositories[NAME] = Repository({"tiny-Q4_0.gguf": MODEL}, licence="mit")
        yield hub


@pytest.fixture
def context(page: Page, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> BrowserContext:
    """One whose pages have small blocks, and ask the local hub."""
    monkeypatch.setitem(POLICIES, "hub_worker.js", f"connect-src {hub.url} {hub.storage_url}")
    context = page.context

    def smaller(route: Route) -> None:
        script = (ROOT / "web" / "download.js").read_text("utf-8")
        assert "BLOCK = 16 << 20" in script
        script = script.replace("BLOCK = 16 << 20", f"BLOCK = {BLOCK}")
        route.fulfill(body=script, content_type="text/javascript", headers=ISOLATION)

    def document(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=answer.text().replace("https://huggingface.co", hub.url))

    context.route("**/download.js", smaller)
    context.route(lambda url: url.partition("?")[0].endswith("/"), document)
    return context


def tab(context: BrowserContext, address: str) -> Page:
    """A page that has the server's model, at the screen of models."""
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(f"{address}{SHORT}")
    loaded(page, "tiny")
    page.click("#screens [data-screen=models]")
    expect(page.locator("main[data-screen=models]")).to_have_attribute("data-made", "")
    look(page, NAME)
    expect(page.locator("#hub-offers li")).to_have_count(1)
    return page


def waits(page: Page) -> None:
    """Ask for the hub's model, and wait until it is said that another tab has it."""
    fetch(page)
    expect(page.locator("#model-state")).to_have_text(WAITING)


def test_two_tabs_fetch_a_model_once(context: BrowserContext, tiny: str, hub: Hub) -> None:
    first, second, third = (tab(context, tiny) for _ in range(3))
    assert hub.sent == 3 * START
    hub.sent = 0
    hub.faults += [None, *HELD]
    fetch(first)
    until_kept(first, 1)

    # Stop ends the waiting at once, while the first still fetches; then the second waits again.
    waits(second)
    second.click("#hub-stop")
    loaded(second, "tiny")
    expect(second.locator("#hub-fetching")).to_be_hidden()
    waits(second)
    assert hub.sent == BLOCK

    # The first goes away in the middle: the second goes on from where it was.
    hub.faults.clear()
    hub.faults += [None, *LATER]
    first.close()
    until_kept(second, 2)
    assert hub.sent == 2 * BLOCK

    # A third waits, and has it without a request once the second is ready.
    waits(third)
    hub.faults.clear()
    for page in (second, third):
        loaded(page, "tiny-Q4_0.gguf")
    expect(second.locator("#fact-weights")).to_contain_text("prepared now")
    expect(third.locator("#fact-weights")).to_contain_text("cache")
    assert hub.sent == len(MODEL)
    posts = []
    for page in (second, third):
        page.click("#screens [data-screen=post]")
        posts.append(write(page))
    assert posts[0] and posts[0] == posts[1]


class Asked:
    """What is asked of a page's own server for its model.

    Args:
        context: whose pages are listened to.

    Attributes:
        nbytes: of all ranges that were answered.
        held: requests that wait, while `holding`.
    """

    def __init__(self, context: BrowserContext) -> None:
        self.nbytes = 0
        self.holding = False
        self.held: list[Route] = []
        context.route("**/models/*", self._answer)

    def _answer(self, route: Route) -> None:
        first, last = map(int, route.request.headers["range"].removeprefix("bytes=").split("-"))
        if self.holding:
            self.held.append(route)
            return
        self.nbytes += last + 1 - first
        route.continue_()

    def release(self) -> None:
        """Answer what waits, and all that comes."""
        self.holding = False
        held, self.held = self.held, []
        for route in held:
            self._answer(route)


def opened(context: BrowserContext, address: str) -> Page:
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(f"{address}{SHORT}")
    return page


def two_tabs(context: BrowserContext, address: str) -> tuple[Asked, Page, Page]:
    """One that loads its model and waits for the server, and one that says that it waits for the first."""
    asked = Asked(context)
    asked.holding = True
    first = opened(context, address)
    while not asked.held:
        first.wait_for_timeout(50)
    second = opened(context, address)
    expect(second.locator("#model-state")).to_have_text(WAITING)
    return asked, first, second


def test_two_tabs_load_the_servers_model_once(context: BrowserContext, tiny: str) -> None:
    asked, first, second = two_tabs(context, tiny)
    assert len(asked.held) == 1, "the second asks for nothing"
    asked.release()
    for page, how in ((first, "prepared now"), (second, "cache")):
        loaded(page, "tiny")
        expect(page.locator("#fact-weights")).to_contain_text(how)
    assert asked.nbytes == TINY
    posts = [write(page) for page in (first, second)]
    assert posts[0] and posts[0] == posts[1]


def test_a_tab_that_waits_for_the_servers_model_takes_over(context: BrowserContext, tiny: str) -> None:
    """The first goes away in the middle: the second begins, and asks for every byte once."""
    asked, first, second = two_tabs(context, tiny)
    first.close()
    asked.held.clear()
    asked.nbytes = 0
    asked.release()
    loaded(second, "tiny")
    expect(second.locator("#fact-weights")).to_contain_text("prepared now")
    assert asked.nbytes == TINY
    assert write(second)
