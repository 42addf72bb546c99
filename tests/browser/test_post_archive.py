"""What a person does with texts and posts: they stay where they were left, are found again, changed, taken away.

A tiny random Gemma 3 stands in for the model, so what it writes means nothing.
"""

from __future__ import annotations

from pathlib import Path

from common import ENGLISH, PATIENCE
from pages import TEXT, barriers, in_page, state, until, write
from playwright.sync_api import Browser, BrowserContext, Page, expect

from sotto.page.post.entry import from_json

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
