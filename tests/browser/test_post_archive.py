"""What a person does with texts and posts: they stay where they were left, are found again, changed, taken away.

A tiny random Gemma 3 stands in for the model, so what it writes means nothing.
"""

from __future__ import annotations

from pathlib import Path

from common import PATIENCE
from playwright.sync_api import Browser, Page, expect


def opened(page: Page, address: str) -> Page:
    """A page that is shown, with its first script run."""
    page.set_default_timeout(PATIENCE)
    page.goto(address)
    expect(page.locator("html")).to_have_attribute("data-screen", "post")
    return page


def test_each_tab_has_its_own_text(browser: Browser, site: str, runtime: Path) -> None:
    context = browser.new_context(service_workers="block")
    first = opened(context.new_page(), site)
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
    context.close()
