"""What a person does with texts and posts: they stay where they were left, are found again, changed, taken away.

A tiny random Gemma 3 stands in for the model, so what it writes means nothing.
"""

from __future__ import annotations

from pathlib import Path

from common import ENGLISH, PATIENCE, Offer
from pages import TEXT, barriers, in_page, state, until, write
from playwright.sync_api import Browser, BrowserContext, Page, expect

from sotto.page.post.entry import from_json
from tiny import Tiny, build

ASKED = "?max_tokens=12&temperature=0&seed=3&versions=1"
OTHER = "every morning the garden reads a quiet article and the river writes a story for the people. "
KEPT = """{
    const told = (request) => new Promise((resolve, reject) => {
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
    });
    const database = await told(indexedDB.open('sotto-texts'));
    const texts = database.objectStoreNames.length
        ? await told(database.transaction('texts').objectStore('texts').getAll()) : [];
    database.close();
    return texts.join() + JSON.stringify([{ ...localStorage }, { ...sessionStorage }]);
}"""


def opened(page: Page, address: str) -> Page:
    """A page that is shown, with its first script run."""
    page.set_default_timeout(PATIENCE)
    page.goto(address)
    expect(page.locator("html")).to_have_attribute("data-screen", "post")
    return page


def started(browser: Browser) -> tuple[BrowserContext, Page]:
    """A new browser, and a page in it."""
    context = browser.new_context(service_workers="block", accept_downloads=True)
    return context, context.new_page()


def kept(page: Page) -> str:
    """All that the browser has kept of what was written."""
    return str(in_page(page, KEPT))


def saved(page: Page, name: str) -> str:
    """The text of the file that a button saves."""
    with page.expect_download() as download:
        page.click(name)
    return Path(download.value.path()).read_text("utf-8")


def do(page: Page, name: str, card: int = 0) -> None:
    """Press a button of a post."""
    page.locator("#posts > li").nth(card).get_by_role("button", name=ENGLISH[name], exact=True).click()


def posts(page: Page, count: int) -> list[str]:
    """The posts that are shown, when there are so many and none is being written."""
    cards = page.locator("#posts > li:visible .text")
    expect(cards).to_have_count(count)
    state(page, "ready")
    expect(page.locator("#posts")).to_have_attribute("aria-busy", "false")
    return cards.all_inner_texts()


def test_each_tab_has_its_own_text(browser: Browser, site: str, runtime: Path) -> None:
    context, page = started(browser)
    first = opened(page, site)
    first.fill("#source", "of the first tab")
    second = opened(context.new_page(), site)
    expect(second.locator("#source")).to_have_value(
        "of the first tab"
    )  # the last text of any tab, to begin with
    second.fill("#source", "of the second tab")
    first.reload()
    expect(first.locator("#source")).to_have_value("of the first tab")
    first.fill("#source", "")
    first.reload()
    second.reload()
    expect(second.locator("#source")).to_have_value("of the second tab")
    expect(first.locator("#source")).to_have_value("")

    # A private tab keeps nothing, says so, and forgets what it had.
    second.check("#private")
    expect(second.locator("#private-on")).to_contain_text(ENGLISH["private.on"])
    second.fill("#source", "a secret")
    assert "secret" not in kept(second) and "second tab" not in kept(second)
    second.reload()
    expect(second.locator("#source")).to_have_value("")
    expect(second.locator("#private-on")).to_be_visible()
    second.click("#private-end")
    expect(second.locator("#private-on")).to_be_hidden()
    second.fill("#source", "no secret")
    assert "no secret" in kept(second)
    context.close()


def test_posts_are_kept_found_and_deleted(browser: Browser, tiny: str) -> None:
    context, page = started(browser)
    opened(page, tiny + ASKED + "&context=32768")
    expect(page.locator("#history-none")).to_be_hidden()
    first = write(page)
    page.click("#post")
    page.keyboard.press("End")
    page.keyboard.type(" And more")
    page.click("#history > summary")
    expect(page.locator("#history-list b")).to_have_text([f"{first} And more"])
    second = write(page, OTHER)
    assert second != first
    expect(page.locator("#history-list b")).to_have_text([second, f"{first} And more"])

    # A new beginning finds it, in this tab and, where the text is the same, in another.
    page.reload()
    expect(page.locator("#post")).to_have_text(second)  # long before the model is there
    expect(page.locator("#stats")).to_contain_text("12 tokens")
    other = opened(context.new_page(), tiny + ASKED)
    expect(other.locator("#post")).to_have_text(second)
    other.click("#history > summary")
    expect(other.locator("#history-list b")).to_have_count(2)

    # One that is looked up brings its text along.
    page.click("#history > summary")
    page.fill("#history-search", "AND library more")
    expect(page.locator("#history-list b")).to_have_text([f"{first} And more"])
    page.locator("#history-list b").click()
    expect(page.locator("#post")).to_have_text(f"{first} And more")
    expect(page.locator("#source")).to_have_value(TEXT)
    state(page, "ready")
    assert barriers(page) == []
    (entry,) = from_json(saved(page, "#history-json"))
    assert (entry.text, entry.versions[0].answer) == (TEXT, f"{first} And more")
    assert entry.versions[0].edited and entry.versions[0].figures.run.new_tokens == 12
    page.fill("#history-search", "")
    markdown = saved(page, "#history-md")
    assert all(part in markdown for part in (TEXT.strip(), OTHER.strip(), first, second))

    # Stopped before its first word, a new post takes nothing away, and leaves nothing.
    page.evaluate("(text) => { document.querySelector('#source').value = text.repeat(400) }", TEXT)
    page.press("#source", "Control+Enter")
    state(page, "writing")
    expect(page.locator("#post")).to_have_text(f"{first} And more")
    page.keyboard.press("Escape")
    state(page, "ready")
    expect(page.locator("#note")).to_have_text(ENGLISH["note.stopped"])
    expect(page.locator("#post")).to_have_text(f"{first} And more")
    expect(page.locator("#history-list b")).to_have_count(2)

    # What is deleted can be brought back, until it is deleted for good; other tabs see it.
    page.locator("#history-list [data-do=drop]").first.click()
    expect(page.locator("#history-list b")).to_have_text([f"{first} And more"])
    expect(page.locator("#history-undo")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#history-list b")).to_have_count(2)
    page.click("#history-clear")
    expect(page.locator("#history-list b")).to_have_count(0)
    expect(page.locator("#post")).to_be_empty()
    until(
        page, "v.text && document.querySelector('#history-note').innerText.includes(v.text)", text="2 texts"
    )
    assert first not in kept(page) and second not in kept(page)
    other.click("#history > summary")
    other.click("#history > summary")
    expect(other.locator("#history-none")).to_have_text(ENGLISH["history.none"])
    page.reload()
    expect(page.locator("#posts")).to_have_attribute("aria-busy", "false")
    expect(page.locator("#post")).to_be_empty()

    # In a private tab a post is there while the tab is, and nowhere else.
    page.check("#private")
    third = write(page, OTHER)
    page.click("#history > summary")
    expect(page.locator("#history-list b")).to_have_text([third])
    assert third and third not in kept(page) and "river" not in kept(page)
    page.reload()
    expect(page.locator("#posts")).to_have_attribute("aria-busy", "false")
    expect(page.locator("#post")).to_be_empty()
    context.close()


def test_posts_beside_each_other(browser: Browser, offer: Offer) -> None:
    context, page = started(browser)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    context.add_init_script(
        "navigator.share = async (given) => { document.body.dataset.given = given.text; };"
    )
    page.set_viewport_size({"width": 1280, "height": 900})
    far = offer(
        "far", build(Tiny(chat=True, window=512))
    )  # so that the cache still has the text after a post
    opened(page, far + ASKED.replace("versions=1", "versions=2").replace("seed=3", "seed=5"))
    page.select_option("#posts-wanted", "3")
    page.fill("#source", TEXT)
    page.click("#write")
    shown = posts(page, 3)
    assert len(set(shown)) == 3
    boxes = [page.locator("#posts > li").nth(at).bounding_box() for at in range(3)]
    assert boxes[0] and boxes[1] and boxes[2]
    assert boxes[0]["y"] == boxes[1]["y"] and boxes[0]["x"] < boxes[1]["x"], "side by side"
    page.locator("#posts .figures > summary").first.click()
    assert page.locator("#posts .figures", has_text="1 token read").count() >= 2, (
        "all come of the first one's prefill"
    )
    assert barriers(page) == []
    page.set_viewport_size({"width": 390, "height": 800})
    narrow = [page.locator("#posts > li").nth(at).bounding_box() for at in range(2)]
    assert narrow[0] and narrow[1] and narrow[0]["x"] == narrow[1]["x"] and narrow[0]["y"] < narrow[1]["y"]
    page.set_viewport_size({"width": 1280, "height": 900})

    # What was tried besides is a click away.
    more = page.locator("#posts-more")
    expect(more).to_contain_text("1 other")  # twelve tokens do not end by themselves: none is good enough
    more.click()
    expect(page.locator("#posts > li .text").nth(2)).to_have_text(
        shown[2].strip()
    )  # one is filled after the other
    assert posts(page, 4)[:3] == shown
    expect(more).to_be_hidden()

    do(page, "copy", 1)
    expect(page.locator("#posts > li").nth(1)).to_contain_text(ENGLISH["copied"])
    assert page.evaluate("navigator.clipboard.readText()") == shown[1].strip()
    do(page, "share", 2)
    expect(page.locator("body")).to_have_attribute("data-given", shown[2].strip())
    do(page, "post.again", 1)
    five = posts(page, 5)
    assert five[:2] == shown[:2] and five[3] == shown[2] and five[2] not in shown
    page.locator("#posts > li").nth(0).locator(".tones > summary").click()
    do(page, "tasks.tone.formal", 0)
    six = posts(page, 6)
    assert [six[0], *six[2:]] == five
    cards = page.locator("#posts > li:visible .text")
    do(page, "post.discard", 1)
    expect(cards).to_have_text(five)
    expect(page.locator("#posts-undo")).to_be_focused()
    page.keyboard.press("Enter")
    expect(cards).to_have_text(six)

    # A shorter one is shorter, or there is none.
    none = ENGLISH["note.not-shorter"]
    do(page, "post.shorter", 0)
    until(
        page,
        """document.documentElement.dataset.state === 'ready' && (document.querySelector('#note').textContent === v.none
        || document.querySelectorAll('#posts > li:not([hidden])').length === 7)""",
        none=none,
    )
    if page.inner_text("#note") == none:
        assert posts(page, 6) == six
    else:
        assert len(posts(page, 7)[1].split()) < len(six[0].split())

    page.click("#posts > li:nth-child(2) .text")  # in place, whichever it is
    page.keyboard.press("Control+A")
    page.keyboard.type("My own words.")
    until(page, "document.querySelector('#post-2').innerText === 'My own words.'")
    page.click("h1")
    left = cards.all_inner_texts()
    until(page, "v.text && (await (async () => " + KEPT + ")()).includes(v.text)", text="My own words.")
    page.reload()
    expect(page.locator("#post-2")).to_have_text("My own words.")
    expect(cards).to_have_text(left)
    context.close()
