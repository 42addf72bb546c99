"""A tab that nobody sees finishes what it was asked for."""

from __future__ import annotations

from pathlib import Path

from chromium import as_a_person
from common import PATIENCE
from pages import TEXT, state
from playwright.sync_api import Playwright, expect

LONG = "?max_tokens=2000&temperature=0&context=32768&loop_guard=0&versions=1&device=cpu"
# Pictures that the browser draws of the page; of one that is hidden it draws none.
FRAMES = """(() => {
    globalThis.frames = 0;
    const count = () => { globalThis.frames += 1; requestAnimationFrame(count); };
    requestAnimationFrame(count);
})()"""


def test_a_hidden_tab_finishes(playwright: Playwright, tmp_path: Path, tiny: str) -> None:
    with as_a_person(playwright, tmp_path) as context:
        context.set_default_timeout(PATIENCE)
        page = context.pages[0]
        page.goto(tiny + LONG)
        state(page, "ready")
        page.fill("#source", TEXT)
        page.click("#write")
        expect(page.locator("#post")).not_to_be_empty()
        other = context.new_page()
        other.bring_to_front()
        expect(page.locator("html")).to_have_attribute("data-was-hidden", "")
        assert page.get_attribute("html", "data-state") == "writing", "it was hidden in the middle of it"
        page.evaluate(FRAMES)
        expect(page.locator("#stats")).to_contain_text("2,000 tokens")
        state(page, "ready")
        assert page.evaluate("document.visibilityState") == "hidden"
        assert page.evaluate("globalThis.frames") < 3

        page.evaluate("location.hash = 'chat'")
        chat = page.locator("#chat")
        expect(chat).to_have_attribute("data-state", "ready")
        page.evaluate("document.querySelector('#chat-input').value = 'who reads it'")
        page.evaluate("document.querySelector('#chat-send').click()")
        expect(page.locator("#chat-turns .figures")).to_contain_text("2,000 tokens")
        expect(chat).to_have_attribute("data-state", "ready")
        assert page.evaluate("document.visibilityState") == "hidden"
        assert page.evaluate("globalThis.frames") < 3
