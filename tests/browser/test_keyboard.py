"""All that the page is for, by a keyboard alone; the place of the keyboard is never lost meanwhile.

A tiny random Gemma 3 stands in for the model, so what it writes means nothing.
"""

from __future__ import annotations

from common import ENGLISH
from keyboard import Keyboard
from pages import TEXT, state
from playwright.sync_api import Page, expect

ENDLESS = "?max_tokens=30000&temperature=0&context=32768&loop_guard=0&versions=1&device=cpu"
SHORT = "?max_tokens=12&seed=3&versions=1&loop_guard=0&context=32768&device=cpu"


def screen(page: Page, keys: Keyboard, name: str) -> None:
    """Go to a screen."""
    keys.to(f"#screens [data-screen={name}]")
    keys.press("Enter")
    expect(page.locator(f"main[data-screen={name}]")).to_have_attribute("data-made", "")


def test_a_post(page: Page, tiny: str) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    keys = Keyboard(page)
    page.goto(tiny + SHORT)
    keys.to("#source")
    keys.type(TEXT)
    keys.press("Control+Enter")  # before there is a model
    expect(page.locator("#stats")).to_contain_text("12 tokens")
    state(page, "ready")
    assert keys.at("#source"), keys.place()
    post = page.inner_text("#post")

    keys.to("#copy")
    keys.press("Enter")
    expect(page.locator("#copy")).to_have_text(ENGLISH["copied"])
    assert page.evaluate("navigator.clipboard.readText()") == post.strip()

    expect(page.locator("#post mark")).to_have_count(1)  # which does not keep others from standing beside it
    keys.to("#posts [data-do=again]")
    keys.press("Space")
    expect(page.locator("#posts > li:visible")).to_have_count(2)
    state(page, "ready")
    keys.comes_to("#post-2")
    keys.to("#tones > summary")
    keys.press("Enter")
    keys.to("#tones [data-do=formal]")
    keys.press("Enter")
    expect(page.locator("#posts > li:visible")).to_have_count(3)
    state(page, "ready")
    keys.comes_to("#post-2")
    keys.into("#post-3", "My own words.")
    keys.to("#card-3 [data-do=discard]")
    keys.press("Enter")
    keys.comes_to("#posts-undo")
    keys.press("Enter")
    expect(page.locator("#posts > li:visible")).to_have_count(3)

    keys.to("#wish-length")
    keys.type("20")
    keys.press("Tab")
    keys.press("ArrowDown")
    expect(page.locator("#wish-tone")).to_have_value("friendly")
    keys.to("#wishes-reset")
    keys.press("Enter")
    keys.comes_to("#wish-length")

    keys.into("#source", " ")
    keys.to("#write")
    keys.press("Enter")
    state(page, "error")
    keys.to("#error-action")
    keys.press("Enter")
    keys.comes_to("#source")
    state(page, "ready")

    keys.to("#private")
    keys.press("Space")
    keys.to("#private-end")
    keys.press("Enter")
    expect(page.locator("#private-on")).to_be_hidden()
    keys.to("#history > summary")
    keys.press("Enter")
    keys.to("#history-list [data-do=open]")
    keys.press("Enter")
    keys.comes_to("#post")
    keys.to("#history-list [data-do=drop]")
    keys.press("Enter")
    keys.comes_to("#history-undo")
    keys.press("Enter")
    keys.comes_to("#history-search")
    keys.never_lost()


def test_a_post_is_stopped(page: Page, tiny: str) -> None:
    keys = Keyboard(page)
    page.goto(tiny + ENDLESS)
    keys.to("#source")
    keys.type(TEXT)
    state(page, "ready")
    for begin, end in (
        ("Control+Enter", "Escape"),
        ("Enter", "Enter"),
        ("Space", "Space"),
        ("Enter", "Escape"),
    ):
        if begin != "Control+Enter":
            keys.to("#write")
        keys.press(begin)
        expect(page.locator("#post")).not_to_be_empty()
        state(page, "writing")
        if end != "Escape":
            keys.comes_to("#stop")
        keys.press(end)
        state(page, "ready")
        expect(page.locator("#note")).to_have_text(ENGLISH["note.stopped"])
    keys.comes_to("#write")
    keys.never_lost()


def test_the_model_and_its_details(page: Page, tiny: str) -> None:
    keys = Keyboard(page)
    page.goto(tiny + SHORT)
    state(page, "ready")
    keys.to("#model > summary")
    keys.press("Enter")
    keys.into("#context", "4096")
    keys.press("Tab")
    keys.to("#context-load")
    keys.press("Enter")
    expect(page.locator("#fact-context")).to_have_text("4,096 tokens")
    state(page, "ready")
    keys.to("#device")
    keys.press("ArrowDown")
    expect(page.locator("#fact-processor")).to_contain_text(ENGLISH["why.asked"])
    state(page, "ready")
    keys.into("#context", "1024")
    keys.press("Escape")
    expect(page.locator("#facts")).to_be_hidden()
    keys.comes_to("#model > summary")
    keys.never_lost()


def test_a_conversation(page: Page, tiny: str) -> None:
    keys = Keyboard(page)
    chat, answers = page.locator("#chat"), page.locator("#chat-turns .figures")
    page.goto(tiny + SHORT)
    screen(page, keys, "chat")
    expect(chat).to_have_attribute("data-state", "ready")
    keys.to("#chat-try li:nth-child(2) button")
    keys.press("Enter")
    keys.comes_to("#chat-input")
    keys.press("Enter")
    expect(answers).to_have_count(1)
    expect(chat).to_have_attribute("data-state", "ready")
    keys.type("and who reads it")
    keys.to("#chat-send")
    keys.press("Enter")
    expect(answers).to_have_count(2)
    expect(chat).to_have_attribute("data-state", "ready")
    keys.to("#chat-turns > li:last-child [data-do=again]")
    keys.press("Enter")
    expect(page.locator("#chat-undo")).to_be_visible()
    expect(answers).to_have_count(2)
    expect(chat).to_have_attribute("data-state", "ready")
    keys.to("#chat-undo")
    keys.press("Enter")
    expect(page.locator("#chat-undo")).to_be_hidden()
    keys.to("#chat-turns > li:last-child [data-do=edit]")
    keys.press("Enter")
    keys.comes_to("#chat-edit")
    keys.press("Escape")
    expect(page.locator("#chat-edit")).to_have_count(0)
    keys.into("#chat-title", "Named")
    keys.press("Enter")
    keys.press("Tab")
    expect(page.locator("#chat-list b")).to_have_text(["Named"])
    keys.to("#chat-new")
    keys.press("Enter")
    expect(answers).to_have_count(0)
    keys.comes_to("#chat-input")
    keys.to("#chat-list button")
    keys.press("Enter")
    expect(answers).to_have_count(2)
    keys.comes_to("#chat-list button")
    keys.to("#chat-delete")
    keys.press("Enter")
    keys.comes_to("#chat-undo")
    keys.press("Enter")
    expect(answers).to_have_count(2)
    keys.never_lost()


def test_a_task(page: Page, tiny: str) -> None:
    keys = Keyboard(page)
    page.goto(tiny + SHORT + "#tasks")
    expect(page.locator("#tasks")).to_have_attribute("data-state", "ready")
    keys.to("#tasks-list li:nth-child(3) button")
    keys.press("Enter")
    keys.to("#tasks-how > summary")
    keys.press("Enter")
    keys.to("#tasks-run")
    keys.press("Enter")
    expect(page.locator("#tasks-out .figures")).to_have_count(3)
    expect(page.locator("#tasks")).to_have_attribute("data-state", "ready")
    keys.comes_to("#tasks-run")
    keys.into("#tasks-name", "Mine")
    keys.to("#tasks-save")
    keys.press("Enter")
    expect(page.locator("#tasks-list [aria-current=true]")).to_have_text("Mine")
    keys.into("#tasks-longest", "many")
    keys.press("Control+Enter")
    keys.comes_to("#tasks-longest")
    keys.to("#tasks-original")
    keys.press("Enter")
    keys.to("#tasks-delete")
    keys.press("Enter")
    keys.comes_to("#tasks-undo")
    keys.press("Enter")
    keys.comes_to("#tasks-source")
    keys.never_lost()


def test_the_other_screens(page: Page, tiny: str) -> None:
    keys = Keyboard(page)
    page.goto(tiny + SHORT)
    state(page, "ready")
    screen(page, keys, "models")
    drop = "#models-kept [data-do=drop]"
    keys.to(drop)
    keys.press("Enter")
    expect(page.locator(drop)).to_have_text(ENGLISH["models.drop.sure"])
    keys.comes_to(drop)
    keys.press("Enter")
    expect(page.locator(drop)).to_have_count(0)
    screen(page, keys, "settings")
    keys.into("#top-k", "no")
    keys.press("Tab")
    expect(page.locator("#top-k-fault")).to_be_visible()
    screen(page, keys, "post")
    keys.to("#source")
    keys.type(TEXT)
    keys.press("Control+Enter")
    keys.to("#error-action")
    keys.press("Enter")
    keys.comes_to("#top-k")
    keys.to("#preferences-reset")
    keys.press("Enter")
    screen(page, keys, "benchmark")
    keys.to("#bench-preset")
    keys.press("End")
    keys.to("#bench-run")
    keys.press("Enter")
    keys.comes_to("#bench-stop")
    keys.press("Enter")
    keys.comes_to("#bench-run")
    keys.never_lost()
