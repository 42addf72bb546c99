"""To what the weights of a checkpoint are rounded: chosen among a model's details, where there is something to round,
remembered for the model, and kept so."""

from __future__ import annotations

from pathlib import Path

from common import ENGLISH
from pages import SHORT, go, state, write
from playwright.sync_api import Page, expect

import hugging
from tiny import Tiny

SIZES = Tiny(layers=2, chat=True)


def choose(page: Page, scheme: str) -> None:
    page.click("#model > summary")
    page.select_option("#weights", scheme)
    page.click("#model > summary")


def loaded(page: Page, scheme: str, how: str) -> None:
    """Wait until the model is there with its weights rounded so, from the cache or converted."""
    expect(page.locator("#fact-weights")).to_contain_text(f"rounded to {scheme}" if scheme else "")
    expect(page.locator("#fact-weights")).to_contain_text(how)
    state(page, "ready")


def test_the_choice_of_rounding(page: Page, tiny: str, tmp_path: Path) -> None:
    page.goto(f"{tiny}{SHORT}")
    state(page, "ready")
    expect(page.locator("#weights-setting")).to_have_attribute(
        "hidden", ""
    )  # a GGUF file holds what its maker chose
    folder = hugging.write(tmp_path / "checkpoint", hugging.files(SIZES))
    given = sorted(folder.iterdir())
    page.set_input_files("#pick", given)
    loaded(page, "int8", "prepared now")
    expect(page.locator("#weights-setting")).not_to_have_attribute("hidden", "")
    expect(page.locator("#weights")).to_have_value("auto")
    post = write(page)
    choose(page, "q4_0")
    loaded(page, "q4_0", "prepared now")
    rough = write(page)
    assert rough != post

    # It is remembered, and there without the files, in which alone it could be rounded in another way.
    page.reload()
    loaded(page, "q4_0", "cache")
    expect(page.locator("#weights")).to_have_value("q4_0")
    assert write(page) == rough
    choose(page, "int8")
    expect(page.locator("#error-title")).to_have_text(ENGLISH["error.files"])
    page.get_by_role("button", name=ENGLISH["error.files.action"]).click()
    loaded(page, "q4_0", "cache")
    assert write(page) == rough

    # With the files again it can be had; one entry is kept of it.
    page.evaluate("document.querySelector('#fact-weights').textContent = ''")  # of the load before
    page.set_input_files("#pick", given)
    loaded(page, "q4_0", "cache")
    choose(page, "auto")
    loaded(page, "int8", "prepared now")
    assert write(page) == post
    go(page, "models")
    expect(page.locator("#models-kept li")).to_have_count(2)
