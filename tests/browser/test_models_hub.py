"""Models from a hub, in the page: looked at, asked for with a token, fetched over a bad line, checked, kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from common import ENGLISH, ROOT
from pages import SHORT, PageError, go, in_page, state, write
from playwright.sync_api import Page, Route, expect

import hugging
from local_hub import Fault, Hub, Repository, serve_hub
from sotto.page import format as numbers
from sotto.site.policy import ISOLATION, POLICIES
from tiny import Tiny, build

MODEL = build(Tiny(chat=True, layers=3, seed=9))
NAME = "owner/tiny-GGUF"
FILES = hugging.files(Tiny(chat=True, layers=2), shards=3)
FOLDER, FIRST = "owner/tiny-it", "model-00001-of-00003.safetensors"
BLOCK = 1 << 18  # bytes, so that the model has several
KEPT = """(async () => {
    const name = "sotto-downloads";
    const later = () => new Promise((again) => setTimeout(again, 50));
    while (!(await indexedDB.databases()).some((database) => database.name === name)) await later();
    const { result } = await new Promise((resolve, reject) => {
        const request = indexedDB.open(name);
        Object.assign(request, { onsuccess: () => resolve(request), onerror: reject });
    });
    for (let count = 0; count < v.count;) {
        const request = result.transaction("records").objectStore("records").count();
        count = await new Promise((resolve) => { request.onsuccess = () => resolve(request.result); });
        await later();
    }
    result.close();
})()"""
CUT = 100_000
START = 4096  # bytes of each file that are looked at


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serve_hub() as hub:
        files = {"README.md": b"#", "tiny-Q4_0.gguf": MODEL, "model.safetensors": b"0"}
        hub.repositories[NAME] = Repository(files, gated=True)
        hub.repositories[FOLDER] = Repository({**FILES, "pytorch_model.bin": bytes(9000)})
        hub.tokens |= {"hf_yes"}
        hub.accepted |= {"hf_yes"}
        yield hub


def smaller(route: Route) -> None:
    """The script of downloads with smaller blocks."""
    script = (ROOT / "web" / "download.js").read_text("utf-8")
    assert "BLOCK = 16 << 20" in script
    script = script.replace("BLOCK = 16 << 20", f"BLOCK = {BLOCK}")
    route.fulfill(body=script, content_type="text/javascript", headers=ISOLATION)


def look(page: Page, address: str) -> None:
    page.fill("#hub-address", address)
    page.press("#hub-address", "Enter")


def look_again(page: Page) -> None:
    """Look at the repository of what was fetched in part, and wait until all of it is shown anew."""
    page.evaluate("for (const id of ['hub-of', 'hub-offers']) document.getElementById(id).textContent = ''")
    page.locator("#hub-unfinished").get_by_role("button", name=ENGLISH["hub.further"]).click()
    expect(page.locator("#hub-offers li").first).to_be_visible()


def fetch(page: Page) -> None:
    """Take what is recommended."""
    page.locator("#hub-offers li", has_text=ENGLISH["hub.recommended"]).get_by_role("button").click()


def until_kept(page: Page, count: int) -> None:
    """Wait until so many blocks of a download are in the browser's database."""
    in_page(page, KEPT, count=count)


def says(page: Page, name: str, text: str) -> None:
    """Wait until a place says something."""
    expect(page.locator(f"#{name}")).to_contain_text(text)


def loaded(page: Page, name: str) -> None:
    """Wait until the model of this name is there."""
    expect(page.locator("#model-name")).to_have_text(name)
    state(page, "ready")


@pytest.fixture
def models(page: Page, tiny: str, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Page:
    """The screen of models of a page that may ask the hub, in small blocks."""
    monkeypatch.setitem(POLICIES, "hub_worker.js", f"connect-src {hub.url} {hub.storage_url}")
    page.route("**/download.js", smaller)
    page.goto(f"{tiny}{SHORT}")
    state(page, "ready")
    at_hub(page, hub)
    return page


def at_hub(page: Page, hub: Hub) -> None:
    """Go to the screen of models, and let it ask this hub."""
    go(page, "models")
    page.evaluate("(url) => { document.documentElement.dataset.hub = url; }", hub.url)


def test_a_model_from_a_hub(models: Page, hub: Hub) -> None:
    page = models
    assert len(MODEL) > 3 * BLOCK
    expect(page.locator("#hub-curated li").first).to_be_visible()
    with pytest.raises(PageError):  # the page itself may not ask it: only the worker that has no text
        in_page(page, f"fetch('{hub.url}/api/models/{NAME}')")

    # Without a token nothing is read, and it says what to do.
    look(page, NAME)
    says(page, "hub-fault", "needs an access token")
    page.fill("#hub-token", "hf_no")
    look(page, NAME)
    says(page, "hub-fault", "does not accept the access token")
    hub.api_faults.append(Fault(portal=True))
    look(page, NAME)
    says(page, "hub-fault", "a web page came in its place")
    look(page, "https://elsewhere.example/m.gguf")
    says(page, "hub-fault", "asks nobody but its own server and the hub")
    assert hub.sent == 0

    # With one, what runs is marked, and the terms come before the first byte.
    page.fill("#hub-token", "hf_yes")
    look(page, f"{hub.url}/{NAME}/tree/main")
    expect(page.locator("#hub-offers li")).to_have_count(2)
    expect(page.locator("#hub-fault")).to_be_empty()
    expect(page.locator("#hub-offers li", has_text="model.safetensors")).to_contain_text("does not run here")
    fetch(page)
    expect(page.locator("#hub-terms")).to_be_visible()
    page.click("#hub-no")
    expect(page.locator("#hub-ask")).to_be_hidden()
    assert hub.sent == START

    # Stopped while the storage asks to wait: the model before is there again, and what has arrived is kept.
    hub.faults += [None, *[Fault(status=429, retry_after="59")] * 99]
    hub.sent = 0
    fetch(page)
    page.click("#hub-yes")
    says(page, "hub-what", "tiny-Q4_0.gguf")
    until_kept(page, 1)
    page.click("#hub-stop")
    loaded(page, "tiny")
    hub.faults.clear()
    assert hub.sent == BLOCK
    part = page.locator("#hub-unfinished li")
    expect(part).to_contain_text(f"{NAME}:tiny-Q4_0.gguf")
    page.evaluate("document.querySelector('#hub-of').textContent = ''")
    look_again(page)
    expect(page.locator("#hub-of")).to_contain_text(NAME)

    # The line breaks, the storage is busy, a whole file comes: all of it arrives, and nothing again but what broke.
    hub.faults += [Fault(cut=CUT), Fault(status=503), Fault(status=429, retry_after="1"), Fault(cut=0)]
    hub.sent = 0
    fetch(page)
    loaded(page, "tiny-Q4_0.gguf")
    expect(page.locator("#models-kept li", has_text=ENGLISH["models.in.use"])).to_contain_text(NAME)
    expect(part).to_have_count(0)
    sent = hub.sent
    assert len(MODEL) - BLOCK <= sent <= len(MODEL) - BLOCK + CUT
    assert "hf_yes" not in page.evaluate("JSON.stringify({ ...localStorage })")

    # It is there without the hub.
    page.reload()
    loaded(page, "tiny-Q4_0.gguf")
    expect(page.locator("#fact-weights")).to_contain_text("cache")
    go(page, "post")
    assert write(page)
    assert hub.sent == sent

    # What is wrong is thrown away, and the model before comes back.
    at_hub(page, hub)
    wrong = Repository({"w-Q4_0.gguf": build(Tiny(chat=True, layers=3, seed=8))})
    wrong.announced["w-Q4_0.gguf"] = "0" * 64
    hub.repositories["owner/wrong"] = wrong
    look(page, "owner/wrong")
    fetch(page)
    says(page, "models-error-text", "not what the hub says it is")
    expect(page.locator("#models-kept li")).to_have_count(2)
    page.get_by_role("button", name=ENGLISH["error.before.action"]).click()
    loaded(page, "tiny-Q4_0.gguf")


def test_a_folder_of_transformers_from_a_hub(models: Page, hub: Hub, tmp_path: Path) -> None:
    page, size = models, sum(map(len, FILES.values()))
    blocks = sum(-(-len(data) // BLOCK) for data in FILES.values())
    assert blocks > len(FILES) + 6

    # It is one model, known by its headers, with what becomes of its weights.
    look(page, FOLDER)
    offer = page.locator("#hub-offers li")
    expect(offer).to_have_count(1)
    for said in (FIRST, f"{len(FILES)} files", "BF16", "rounded to int8", ENGLISH["hub.recommended"]):
        expect(offer).to_contain_text(said)
    assert hub.sent < size / 10

    # Stopped in the middle: what has arrived of all its files is one thing to go on with, or to drop.
    come = len(FILES) + 3
    hub.faults += [*[None] * come, *[Fault(status=429, retry_after="59")] * 99]
    hub.sent = 0
    fetch(page)
    page.click("#hub-yes")
    says(page, "hub-what", f"{FOLDER} is fetched")
    until_kept(page, come)
    page.click("#hub-stop")
    loaded(page, "tiny")
    hub.faults.clear()
    arrived = hub.sent
    part = page.locator("#hub-unfinished li")
    expect(part).to_have_count(1)
    expect(part).to_contain_text(f"{FOLDER}:{FIRST}")
    expect(part).to_contain_text(f"of {numbers.size(size)}")

    # Gone on with over a bad line: nothing comes again but what broke, and it is converted meanwhile.
    page.evaluate("document.querySelector('#hub-of').textContent = ''")
    look_again(page)
    hub.faults += [Fault(cut=CUT), Fault(status=503), Fault(cut=0)]
    hub.sent = 0
    fetch(page)
    loaded(page, FOLDER)
    assert size <= arrived + hub.sent <= size + CUT
    expect(page.locator("#models-kept li", has_text=ENGLISH["models.in.use"])).to_contain_text(
        f"{FOLDER}:{FIRST}"
    )
    expect(part).to_have_count(0)

    # It is there without the hub.
    sent = hub.sent
    page.reload()
    loaded(page, FOLDER)
    expect(page.locator("#fact-weights")).to_contain_text("rounded to int8")
    expect(page.locator("#fact-weights")).to_contain_text("cache")
    go(page, "post")
    post = write(page)
    assert post and hub.sent == sent

    # Rounded in another way it is fetched again; the same folder from the disk is the same model.
    at_hub(page, hub)
    page.click("#model > summary")
    page.select_option("#weights", "q4_0")
    page.click("#model > summary")
    expect(page.locator("#fact-weights")).to_contain_text("rounded to q4_0")
    state(page, "ready")
    page.set_input_files("#pick", sorted(hugging.write(tmp_path / "copy", FILES).iterdir()))
    expect(page.locator("#fact-weights")).to_contain_text("from this browser")
    state(page, "ready")
    expect(page.locator("#models-kept li")).to_have_count(2)
