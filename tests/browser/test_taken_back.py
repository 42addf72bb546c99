"""What was saved as JSON is taken back from its file: nothing is lost, nothing is there twice, bad files are told.

A tiny random Gemma 3 stands in for the model, so what it writes means nothing.
"""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import unquote

import pytest
from common import ENGLISH, JAPANESE, PATIENCE
from pages import TEXT, barriers, go, state, write
from playwright.sync_api import Browser, Page, expect

ASKED = "?max_tokens=12&temperature=0&seed=3&versions=1&device=cpu"


def choose(page: Page, field: str, file: Path) -> None:
    """Press the button that opens a file, and choose one."""
    with page.expect_file_chooser() as chooser:
        page.click(f"#{field}-open")
    chooser.value.set_files(file)


@pytest.fixture
def bad(tmp_path: Path) -> list[tuple[Path, str]]:
    """Files that are of no use to the history, and a part of what is said of each."""
    texts = {
        "no.json": ("{not", "no posts that Sotto has kept"),
        "other.json": ('{"sotto": "conversation", "version": 1}', "open it there"),
        "later.json": ('{"sotto": "posts", "version": 99, "posts": []}', "not of this version"),
        "wrong.json": (
            '{"sotto": "posts", "version": 1, "posts": [{"text": 1}]}',
            "Choose one that was saved",
        ),
    }
    for name, (text, _) in texts.items():
        (tmp_path / name).write_text(text, "utf-8")
    return [(tmp_path / name, said) for name, (_, said) in texts.items()]


def test_posts(browser: Browser, tiny: str, tmp_path: Path, bad: list[tuple[Path, str]]) -> None:
    context = browser.new_context(service_workers="block", accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(tiny + ASKED)
    state(page, "ready")
    posts = [write(page, TEXT), write(page, "every morning the garden reads a quiet article. ")]
    page.click("#history > summary")
    listed, note = page.locator("#history-list b"), page.locator("#history-note-text")
    expect(listed).to_have_count(2)
    file = tmp_path / "posts.json"
    with page.expect_download() as download:
        page.click("#history-json")
    download.value.save_as(file)

    choose(page, "history", file)
    expect(note).to_have_text(ENGLISH["history.known"])
    expect(listed).to_have_count(2)
    page.locator("#history-list [data-do=drop]").first.click()
    expect(listed).to_have_count(1)
    for path, said in bad:
        choose(page, "history", path)
        expect(note).to_contain_text(said)
        expect(listed).to_have_count(1)
    choose(page, "history", file)
    expect(note).to_have_text(ENGLISH["history.taken.one"].format(count=1))
    expect(listed).to_have_count(2)
    assert barriers(page) == []
    context.close()

    # On another computer, in another language.
    context = browser.new_context(
        service_workers="block", locale="ja-JP", viewport={"width": 390, "height": 800}
    )
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(tiny + ASKED)
    expect(page.locator("main[data-screen=post]")).to_have_attribute("data-made", "")
    page.click("#history > summary")
    listed, note = page.locator("#history-list b"), page.locator("#history-note-text")
    expect(page.locator("#history-none")).to_have_text(JAPANESE["history.none"])
    choose(page, "history", file)
    expect(note).to_have_text(JAPANESE["history.taken"].format(count=2))
    page.reload()
    page.click("#history > summary")
    expect(listed).to_have_text(posts[::-1])
    choose(page, "history", bad[1][0])
    expect(note).to_have_text(JAPANESE["open.other"].format(screen=JAPANESE["screen.chat"]))
    page.locator("#history-list [data-do=open]").last.click()
    expect(page.locator("#source")).to_have_value(TEXT)
    expect(page.locator("#post")).to_have_text(posts[0])
    context.close()


def test_a_conversation(page: Page, tiny: str, tmp_path: Path) -> None:
    page.goto(tiny + ASKED + "#chat")
    listed, note = page.locator("#chat-list b"), page.locator("#chat-note-text")
    expect(page.locator("#chat")).to_have_attribute("data-state", "ready")
    page.fill("#chat-input", "who reads the small library")
    page.press("#chat-input", "Enter")
    expect(page.locator("#chat-turns .figures")).to_have_count(1)
    expect(page.locator("#chat")).to_have_attribute("data-state", "ready")
    answer = page.inner_text(".answer")
    file = tmp_path / "talk.json"
    text = unquote(str(page.get_attribute("#chat-json", "href")).partition(",")[2])
    file.write_text(text, "utf-8")

    page.click("#chat-new")
    expect(page.locator(".answer")).to_have_count(0)
    choose(page, "chat", file)
    expect(note).to_have_text(ENGLISH["chat.note.known"])
    expect(page.locator(".answer")).to_have_text(answer)
    expect(listed).to_have_count(1)
    page.click("#chat-delete")
    expect(listed).to_have_count(0)
    wrong: dict[str, dict[str, object]] = {
        "yesterday": {"changed": "yesterday"},
        "is no text": {"turns": [{"question": 1, "answer": "", "ended": "", "figures": None}]},
        "screen “Post”": {"sotto": "posts"},
    }
    for number, (said, change) in enumerate(wrong.items()):
        path = tmp_path / f"wrong{number}.json"
        path.write_text(json.dumps(json.loads(text) | change), "utf-8")
        choose(page, "chat", path)
        expect(note).to_contain_text(said)
        expect(listed).to_have_count(0)
    choose(page, "chat", file)
    expect(note).to_have_text(ENGLISH["chat.note.taken"])
    expect(page.locator(".answer")).to_have_text(answer)
    page.reload()
    expect(listed).to_have_count(1)
    expect(page.locator(".answer")).to_have_text(answer)
    go(page, "tasks")
    with page.expect_file_chooser() as chooser:
        page.click("#tasks-import")
    chooser.value.set_files(file)
    expect(page.locator("#tasks-note-text")).to_have_text(ENGLISH["open.other"].format(screen="Chat"))
