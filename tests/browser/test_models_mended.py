"""Kept models that are damaged in the browser's database: mended from where they came from, or deleted at a press."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from common import ENGLISH, ROOT
from pages import SHORT, in_page, state, write
from playwright.sync_api import Page, Route, expect
from test_models import CLEARED

from local_hub import Hub, Repository, serve_hub
from sotto.site.policy import ISOLATION, POLICIES
from tiny import Tiny, build

NAME = "owner/tiny-GGUF"
MODEL = build(Tiny(chat=True, layers=3, seed=9))
OWN = build(Tiny(chat=True, layers=3, seed=5))
CHUNK, RECORD = 1 << 16, 1 << 17  # bytes, so that a small model has several
BLOCK = 1 << 16
SMALLER = {
    "chunk.js": ("CHUNK = 4 << 20", f"CHUNK = {CHUNK}"),
    "writer.js": ("RECORD = 16 << 20", f"RECORD = {RECORD}"),
    "download.js": ("BLOCK = 16 << 20", f"BLOCK = {BLOCK}"),
}
DAMAGE = """(async () => {
    const { result: database } = await new Promise((resolve, reject) => {
        const request = indexedDB.open("sotto");
        Object.assign(request, { onsuccess: () => resolve(request), onerror: reject });
    });
    const asked = (request) => new Promise((resolve) => { request.onsuccess = () => resolve(request.result); });
    const stores = () => database.transaction(["manifests", "records"], "readwrite");
    const entries = await asked(stores().objectStore("manifests").getAll());
    const { writer, records: { length } } = entries.find(({ name }) => name === v.name);
    const record = await asked(stores().objectStore("records").get([writer, v.record]));
    const bytes = new Uint8Array(await record.blob.arrayBuffer());
    bytes[1000] ^= 4;
    await asked(stores().objectStore("records").put({ ...record, blob: new Blob([bytes]) }, [writer, v.record]));
    if (v.missing !== undefined) await asked(stores().objectStore("records").delete([writer, v.missing]));
    database.close();
    return length;
})()"""


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serve_hub() as hub:
        hub.repositories[NAME] = Repository({"tiny-Q4_0.gguf": MODEL}, licence="mit")
        yield hub


@pytest.fixture
def page(page: Page, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Page:
    """With small records and blocks, and for which the local hub is the hub."""
    monkeypatch.setitem(POLICIES, "hub_worker.js", f"connect-src {hub.url} {hub.storage_url}")

    def script(route: Route, name: str, change: tuple[str, str]) -> None:
        text = (ROOT / "web" / name).read_text("utf-8")
        assert change[0] in text
        route.fulfill(body=text.replace(*change), content_type="text/javascript", headers=ISOLATION)

    def document(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=answer.text().replace("https://huggingface.co", hub.url))

    def smaller(name: str) -> Callable[[Route], None]:
        return lambda route: script(route, name, SMALLER[name])

    for name in SMALLER:
        page.route(f"**/{name}", smaller(name))
    page.route(lambda url: url.partition("?")[0].endswith("/"), document)
    return page


def loaded(page: Page, name: str, how: str) -> None:
    """Wait until a model of this name is there, from the cache or converted."""
    expect(page.locator("#model-name")).to_have_text(name)
    state(page, "ready")
    expect(page.locator("#fact-weights")).to_contain_text(how)


def go(page: Page, screen: str) -> None:
    """Go to a screen, and wait until Python has made it."""
    page.click(f"#screens [data-screen={screen}]")
    expect(page.locator(f"main[data-screen={screen}]")).to_have_attribute("data-made", "")


def posted(page: Page) -> str:
    """A post, which depends on every weight."""
    go(page, "post")
    return write(page)


def use(page: Page, name: str) -> None:
    """Use a kept model."""
    go(page, "models")
    row = page.locator("#models-kept li", has=page.locator(f'[value="{name}"]'))
    row.get_by_role("button", name=ENGLISH["models.use"]).click()


def from_hub(page: Page) -> None:
    """Fetch the hub's model."""
    go(page, "models")
    page.fill("#hub-address", NAME)
    page.press("#hub-address", "Enter")
    page.locator("#hub-offers li", has_text=ENGLISH["hub.recommended"]).get_by_role("button").click()
    loaded(page, "tiny-Q4_0.gguf", "prepared now")


MENDED = ENGLISH["fact.weights.mended"].partition("} ")[2]


def test_the_servers_model_is_mended(page: Page, tiny: str) -> None:
    page.goto(f"{tiny}{SHORT}")
    loaded(page, "tiny", "prepared now")
    post = posted(page)
    assert in_page(page, DAMAGE, name="tiny", record=2, missing=4) > 6

    asked: list[int] = []

    def count(route: Route) -> None:
        first, last = route.request.headers["range"].removeprefix("bytes=").split("-")
        asked.append(int(last) - int(first) + 1)
        route.continue_()

    page.route("**/models/**", count)
    page.reload()
    loaded(page, "tiny", MENDED)
    assert posted(page) == post
    assert 0 < sum(asked) < len(MODEL) // 2  # of a file of about this size
    asked.clear()
    page.reload()
    loaded(page, "tiny", "cache")
    expect(page.locator("#fact-weights")).not_to_contain_text(MENDED)
    assert not asked and posted(page) == post


def test_a_model_of_the_hub_is_mended_or_deleted(page: Page, tiny: str, hub: Hub) -> None:
    page.goto(f"{tiny}{SHORT}")
    loaded(page, "tiny", "prepared now")
    from_hub(page)
    post = posted(page)
    assert in_page(page, DAMAGE, name="tiny-Q4_0.gguf", record=3) > 6
    hub.sent = 0
    page.reload()
    loaded(page, "tiny-Q4_0.gguf", MENDED)
    assert posted(page) == post
    assert 0 < hub.sent < len(MODEL) // 2

    # The hub has it no more: that is told, and the button deletes what is left.
    in_page(page, DAMAGE, name="tiny-Q4_0.gguf", record=3)
    hub.repositories.clear()
    page.reload()
    expect(page.locator("#error-title")).to_have_text(ENGLISH["error.damaged"])
    expect(page.locator("#error-text")).to_contain_text("damaged, and cannot be mended")
    page.get_by_role("button", name=ENGLISH["error.damaged.action"]).click()
    loaded(page, "tiny", "cache")
    expect(page.locator("#error")).to_be_hidden()
    go(page, "models")
    expect(page.locator("#models-kept li")).to_have_count(1)


def test_a_persons_own_model_is_mended_from_its_file(page: Page, tiny: str, tmp_path: Path) -> None:
    own = tmp_path / "own.gguf"
    own.write_bytes(OWN)
    page.goto(f"{tiny}{SHORT}")
    loaded(page, "tiny", "prepared now")
    page.set_input_files("#pick", own)
    loaded(page, "own.gguf", "prepared now")
    post = posted(page)
    in_page(page, DAMAGE, name="own.gguf", record=1)
    use(page, "tiny")
    loaded(page, "tiny", "cache")
    use(page, "own.gguf")
    loaded(page, "own.gguf", MENDED)
    assert posted(page) == post

    # A page that was not given the file says so, and mends it once it is.
    in_page(page, DAMAGE, name="own.gguf", record=1)
    page.reload()
    expect(page.locator("#error-title")).to_have_text(ENGLISH["error.damaged"])
    expect(page.locator("#error-text")).to_contain_text("its file is not here")
    page.set_input_files("#pick", own)
    loaded(page, "own.gguf", MENDED)
    expect(page.locator("#error")).to_be_hidden()
    assert posted(page) == post


def test_a_model_of_the_hub_that_the_browser_cleared_is_offered_again(
    page: Page, tiny: str, hub: Hub
) -> None:
    page.goto(f"{tiny}{SHORT}")
    loaded(page, "tiny", "prepared now")
    from_hub(page)
    in_page(page, CLEARED)
    page.goto(f"{tiny}{SHORT}")  # the note is the first screen's
    loaded(page, "tiny", "prepared now")
    expect(page.locator("#note")).to_contain_text("tiny-Q4_0.gguf")
    go(page, "models")
    lost = page.locator("#hub-unfinished li", has_text=ENGLISH["hub.lost"])
    lost.get_by_role("button", name=ENGLISH["hub.look"]).click()
    page.locator("#hub-offers li", has_text=ENGLISH["hub.recommended"]).get_by_role("button").click()
    loaded(page, "tiny-Q4_0.gguf", "prepared now")
    expect(lost).to_have_count(0)
