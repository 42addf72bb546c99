"""What holds for every screen: axe-core finds nothing serious in either theme.

A tiny random Gemma 3 stands in for the model, so what it answers means nothing.
"""

from __future__ import annotations

import pytest
from pages import SHORT, barriers, state, write
from playwright.sync_api import Page, expect


def both_themes(page: Page) -> dict[str, list[str]]:
    """What axe-core finds on the screen that is shown, by theme."""
    found = {}
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        expect(page.locator("html")).to_have_attribute("data-theme", theme)
        found[theme] = barriers(page)
    return found


def post(page: Page) -> None:
    """A post, and the model's details open, which cover nothing of it."""
    write(page)
    page.click("#model > summary")
    expect(page.locator("#facts")).to_be_visible()
    ends = page.evaluate("document.querySelector('.panel').getBoundingClientRect().bottom")
    assert ends < page.evaluate("document.querySelector('main.post').getBoundingClientRect().top") + 1


def chat(page: Page) -> None:
    """An answer, with its figures open."""
    expect(page.locator("#chat")).to_have_attribute("data-state", "ready")
    page.fill("#chat-input", "the small library")
    page.press("#chat-input", "Enter")
    page.click(".figures > summary")
    expect(page.locator("#chat")).to_have_attribute("data-state", "ready")


def tasks(page: Page) -> None:
    """An answer, and the prompt that asked for it."""
    expect(page.locator("#tasks-run")).to_be_enabled()
    page.click("#tasks-run")
    expect(page.locator("#tasks-out .figures")).to_have_count(1)
    page.click("#tasks-how > summary")
    expect(page.locator("#tasks-prompt")).to_be_visible()


def settings(page: Page) -> None:
    """A field that says what it cannot take."""
    expect(page.locator("#preferences-fields")).to_be_enabled()
    page.fill("#top-k", "no")
    page.press("#top-k", "Tab")
    expect(page.locator("#top-k-fault")).to_be_visible()


SCREENS = {each.__name__: each for each in (post, chat, tasks, settings)}


@pytest.mark.parametrize("screen", SCREENS)
def test_no_barrier(page: Page, tiny: str, screen: str) -> None:
    page.goto(tiny + SHORT + f"#{screen}")
    if screen == "post":
        state(page, "ready")
    assert both_themes(page) == {"light": [], "dark": []}, "before anything was done"
    SCREENS[screen](page)
    assert both_themes(page) == {"light": [], "dark": []}
