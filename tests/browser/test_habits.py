"""What holds for every screen: axe-core finds nothing serious in either theme.

A tiny random Gemma 3 stands in for the model, so what it answers means nothing.
"""

from __future__ import annotations

import pytest
from common import ENGLISH, PATIENCE
from pages import SHORT, TEXT, barriers, go, state, write
from playwright.sync_api import Browser, Page, expect


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


def models(page: Page) -> None:
    """A model that is kept, and an address that is none."""
    expect(page.locator("#models-kept [data-do=drop]")).to_have_count(1)
    page.fill("#hub-address", "nothing at all")
    page.click("#hub-look")
    expect(page.locator("#hub-fault")).not_to_be_empty()


def benchmark(page: Page) -> None:
    """A number that is none, and results."""
    expect(page.locator("#bench-run")).to_be_enabled()
    page.click("#bench-more > summary")
    for name in ("loads", "probes", "agreement"):
        page.uncheck(f"#bench-{name}")
    page.fill("#bench-prefill", "none")
    page.click("#bench-run")
    expect(page.locator("#bench-error")).to_be_visible()
    for name, text in {"prefill": "16", "decode": "4", "context": "64", "runs": "1", "warmup": "1"}.items():
        page.fill(f"#bench-{name}", text)
    page.click("#bench-run")
    expect(page.locator("#bench-actions")).to_be_visible()
    page.click("#bench-keep")
    expect(page.locator("#bench-kept li")).to_have_count(1)
    expect(page.locator("#bench-run")).to_be_visible()


SCREENS = {each.__name__: each for each in (post, chat, tasks, settings, models, benchmark)}


@pytest.mark.parametrize("screen", SCREENS)
def test_no_barrier(page: Page, tiny: str, screen: str) -> None:
    page.goto(tiny + SHORT + f"#{screen}")
    if screen == "post":
        state(page, "ready")
    assert both_themes(page) == {"light": [], "dark": []}, "before anything was done"
    SCREENS[screen](page)
    assert both_themes(page) == {"light": [], "dark": []}


@pytest.mark.parametrize("screen", ["post", "chat", "tasks", "models"])
def test_no_barrier_where_there_is_no_model(page: Page, tiny: str, screen: str) -> None:
    page.goto(tiny + f"?model=huge#{screen}")
    expect(page.locator("#error-title" if screen == "post" else f"#{screen}-error-title")).to_be_visible()
    page.click("#model > summary")
    assert both_themes(page) == {"light": [], "dark": []}


def test_no_barrier_where_a_phone_shows_a_post(page: Page, tiny: str) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(tiny + SHORT)
    state(page, "ready")
    assert both_themes(page) == {"light": [], "dark": []}
    write(page)
    page.fill("#source", " ")
    page.click("#write")
    expect(page.locator("#error")).to_be_visible()
    page.click("#history > summary")
    assert both_themes(page) == {"light": [], "dark": []}


def test_a_phone_is_told_of_no_keys(browser: Browser, tiny: str) -> None:
    for touch in (True, False):
        context = browser.new_context(service_workers="block", has_touch=touch)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(tiny + "?max_tokens=30000&temperature=0&context=32768&loop_guard=0&versions=1&device=cpu")
        state(page, "ready")
        page.fill("#source", TEXT)
        told = [page.inner_text("#when")]
        page.click("#write")
        expect(page.locator("#post")).not_to_be_empty()
        told.append(page.inner_text("#when"))
        page.click("#stop")
        state(page, "ready")
        for screen, when in (("chat", "#chat-when"), ("tasks", "#tasks-when")):
            go(page, screen)
            expect(page.locator(f"#{screen}")).to_have_attribute("data-state", "ready")
            told.append(page.inner_text(when))
        words = [ENGLISH["hint.write"].format(key="Ctrl"), ENGLISH["hint.stop"], ENGLISH["chat.hint.send"]]
        assert told == ([""] * 4 if touch else [*words, words[0]])
        context.close()
