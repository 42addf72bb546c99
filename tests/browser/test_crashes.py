"""A model that took the tab or the GPU down is not loaded again without asking; one that did not, is."""

from __future__ import annotations

from contextlib import suppress

import pytest
from common import ENGLISH, Offer
from pages import SHORT, TEXT, fault, losing, state, until, write
from playwright.sync_api import Error, Page, Route, expect

from tiny import Tiny, build

MARKED = "Object.keys(localStorage).some((key) => key.startsWith('sotto.at-work.'))"


@pytest.fixture(scope="module")
def address(offer: Offer) -> str:
    """A page whose model is nobody else's, and larger than what is read at once with the header."""
    return offer("heavy", build(Tiny(chat=True, layers=10, width=512, hidden=1024, seed=9))) + SHORT


def kill(page: Page) -> None:
    """End the tab as a lack of memory does."""
    with page.expect_event("crash"), suppress(Error):
        page.goto("chrome://crash")


def test_a_model_that_took_the_tab_down_is_asked_for(page: Page, address: str) -> None:
    def hold(route: Route) -> None:
        """Never answer what is behind the header: the load is in its middle for as long as it takes."""
        if "bytes=0-" in route.request.headers["range"]:
            route.continue_()

    page.route("**/models/heavy.gguf", hold)
    page.goto(address)
    until(page, MARKED)

    # A second tab is asked nothing while the first one lives, nor is who opens the page again in the middle.
    other = page.context.new_page()
    other.goto(address)
    expect(other.locator("#model-state")).to_have_text(ENGLISH["state.waiting"])
    other.close()
    page.reload()
    until(page, MARKED)
    state(page, "loading")

    kill(page)
    again = page.context.new_page()
    again.goto(address)
    said = fault(again, "down")
    assert "heavy" in said and "CPU" in said and ENGLISH["error.kept"] in said
    expect(again.get_by_role("button", name=ENGLISH["error.cpu.action"])).to_be_hidden()
    again.get_by_role("button", name=ENGLISH["error.other.action"]).click()
    expect(again.locator("main.models")).to_be_visible()
    again.go_back()
    again.get_by_role("button", name=ENGLISH["error.down.action"]).click()
    state(again, "ready")
    assert write(again)
    assert again.evaluate("localStorage.getItem('sotto.crashes')") == "{}", "it is forgiven"


def test_a_model_that_lost_the_gpu_is_asked_for(page: Page, address: str) -> None:
    losing(page)
    page.goto(address + "&device=gpu")
    state(page, "ready")
    page.evaluate("new BroadcastChannel('lose').postMessage('')")
    page.fill("#source", TEXT)
    page.click("#write")
    fault(page, "lost")
    page.reload()
    said = fault(page, "reset")
    assert "heavy" in said and "GPU" in said
    page.get_by_role("button", name=ENGLISH["error.cpu.action"]).click()
    state(page, "ready")
    expect(page.locator("#fact-processor")).to_contain_text("CPU")
    expect(page.locator("#fact-processor")).to_contain_text(ENGLISH["why.asked"])
    assert write(page)
