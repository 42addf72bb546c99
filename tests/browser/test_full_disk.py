"""A disk without room: Chromium itself refuses to write, at the first load, in the middle of a download, and for a file
of one's own. The page runs the model from memory and says so; with room again it keeps it.

Chromium asks for its quota at a profile's first write, and counts down from that for minutes: so the quota is lowered
before a page is opened.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from common import ENGLISH, Serve
from pages import SHORT, go, write
from playwright.sync_api import Page, expect
from test_models_hub import NAME, START, fetch, loaded, look

from local_hub import Hub, Repository, serve_hub
from sotto.site.policy import POLICIES
from sotto.site.site import OfferedModel
from sotto.weights.layout import LAYOUT_VERSION
from tiny import Tiny, build

SERVED = build(Tiny(chat=True, layers=3))
MODEL = build(Tiny(chat=True, layers=7, seed=9))
ROOM = 5_500_000  # bytes, for the first model: Chromium counts up to twice of what is written
UNSTORED = "could not keep them"
assert UNSTORED in ENGLISH["fact.weights.unstored"]


@pytest.fixture
def quota(page: Page) -> Callable[[str, int | None], None]:
    """Lets an address keep so many bytes; None for as many as the disk has."""
    session = page.context.new_cdp_session(page)

    def limit(address: str, nbytes: int | None) -> None:
        given = {} if nbytes is None else {"quotaSize": nbytes}
        session.send("Storage.overrideQuotaForOrigin", {"origin": address.rstrip("/"), **given})

    return limit


@pytest.fixture
def site(serve: Serve, runtime: Path, tmp_path: Path) -> str:
    """The address of a page with a model."""
    path = tmp_path / "tiny.gguf"
    path.write_bytes(SERVED)
    return serve([OfferedModel("tiny", path)])


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serve_hub() as hub:
        hub.repositories[NAME] = Repository({"tiny-Q4_0.gguf": MODEL}, licence="mit")
        yield hub


def unkept(page: Page, name: str) -> None:
    """Wait until it is said that a model runs, and is not kept."""
    said = ENGLISH["models.unkept"].partition(", it takes")[0].partition(":")[0].format(name=name)
    expect(page.locator("#models-able")).to_contain_text(said)
    expect(page.locator("#fact-weights")).to_contain_text(UNSTORED)


def test_the_first_load(page: Page, site: str, quota: Callable[[str, int | None], None]) -> None:
    quota(site, 300_000)
    for _ in range(2):  # it is not there at the second visit, and nothing of the first one is in the way
        page.goto(f"{site}{SHORT}")
        loaded(page, "tiny")
        expect(page.locator("#fact-weights")).to_contain_text(UNSTORED)
        post = write(page)
        assert post
    page.reload()
    loaded(page, "tiny")
    expect(page.locator("#note")).to_have_text("")  # once is enough
    go(page, "models")
    unkept(page, "tiny")
    expect(page.locator("#models-kept")).to_contain_text(ENGLISH["models.kept.none"])

    quota(site, None)
    for how in ("kept in this browser", "from this browser’s cache"):
        page.reload()
        loaded(page, "tiny")
        expect(page.locator("#fact-weights")).to_contain_text(how)
    go(page, "post")
    assert write(page) == post


def test_it_is_said_where_one_looks(page: Page, site: str, quota: Callable[[str, int | None], None]) -> None:
    quota(site, 300_000)
    page.goto(f"{site}{SHORT}")
    loaded(page, "tiny")
    expect(page.locator("#note")).to_have_text(ENGLISH["note.lost.model"])


def test_a_file_of_ones_own(
    page: Page, site: str, tmp_path: Path, quota: Callable[[str, int | None], None]
) -> None:
    quota(site, ROOM)
    page.goto(f"{site}{SHORT}")
    loaded(page, "tiny")
    expect(page.locator("#fact-weights")).to_contain_text("kept in this browser")
    own = tmp_path / "own.gguf"
    own.write_bytes(build(Tiny(chat=True, layers=14, seed=5)))
    assert own.stat().st_size > ROOM
    page.set_input_files("#pick", own)
    loaded(page, "own.gguf")
    go(page, "models")
    unkept(page, "own.gguf")
    expect(page.locator("#models-able")).to_contain_text("tiny")  # could go first
    go(page, "post")
    post = write(page)
    go(page, "models")
    page.get_by_role("button", name=ENGLISH["models.drop"]).click()
    page.get_by_role("button", name=ENGLISH["models.drop.sure"]).click()
    quota(site, None)
    page.set_input_files("#pick", own)
    loaded(page, "own.gguf")
    expect(page.locator("#fact-weights")).to_contain_text("kept in this browser")
    page.reload()
    loaded(page, "own.gguf")
    go(page, "post")
    assert write(page) == post


def test_room_is_looked_at_before_a_download(
    page: Page, site: str, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(POLICIES, "hub_worker.js", f"connect-src {hub.url} {hub.storage_url}")
    huge = "huge-Q4_0.gguf"
    hub.repositories["owner/huge"] = Repository(
        {huge: MODEL}, licence="mit", claimed={huge: 6_000_000_000_000}
    )
    page.goto(f"{site}{SHORT}")
    loaded(page, "tiny")
    go(page, "models")
    expect(page.locator("#models-kept li")).to_contain_text(f"layout {LAYOUT_VERSION}")
    page.evaluate("(url) => { document.documentElement.dataset.hub = url; }", hub.url)
    look(page, "owner/huge")
    fetch(page)
    said = page.locator("#hub-question")
    expect(said).to_contain_text(ENGLISH["hub.room"].partition(";")[0].format(need="12,000.00 GB"))
    assert re.search(r"the browser says that [\d.,]+ GB are free", said.inner_text())
    page.click("#hub-no")
    expect(page.locator("#hub-ask")).to_be_hidden()
    assert hub.sent == START
