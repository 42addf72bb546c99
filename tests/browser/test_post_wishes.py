"""What a person can ask for of a post: remembered, checked, and disabled where a model cannot hear it."""

from __future__ import annotations

from pathlib import Path

from common import ENGLISH, WORDS, Offer, Serve
from pages import SHORT, TEXT, barriers, state, write
from playwright.sync_api import Page, expect

import lora
from sotto.site.site import OfferedModel
from tiny import Tiny, build


def test_wishes_are_checked_heard_and_remembered(page: Page, tiny: str) -> None:
    page.goto(tiny + SHORT)
    state(page, "ready")
    usual = write(page)
    length, reset = page.locator("#wish-length"), page.locator("#wishes-reset")
    expect(length).to_have_attribute("placeholder", "50")
    expect(reset).to_be_hidden()
    for nonsense in ("3", "-7", "1e3", "fifty", "12.5", "501"):
        length.fill(nonsense)
        page.press("#source", "Control+Enter")
        expect(page.locator("#wish-length-fault")).to_have_text("A whole number from 5 to 500")
        expect(length).to_be_focused()
        expect(length).to_have_value(nonsense)
    state(page, "ready")
    length.fill("30")
    length.press("Tab")
    expect(page.locator("#wish-length-fault")).to_be_hidden()
    page.select_option("#wish-tone", "formal")
    page.select_option("#wish-hashtags", "yes")
    assert write(page) != usual
    page.select_option("#wish-language", "ja")
    expect(length).to_have_value("")  # Japanese is counted in characters, of which none were asked for
    expect(length).to_have_attribute("placeholder", "100")
    expect(page.locator("#wish-length-unit")).to_have_text(ENGLISH["wish.length.characters"])
    write(page)
    expect(page.locator("#post")).to_have_attribute("lang", "ja")
    page.reload()
    state(page, "ready")
    expect(page.locator("#wish-language")).to_have_value("ja")
    page.select_option("#wish-language", "")
    expect(length).to_have_value("30")
    expect(page.locator("#wish-tone")).to_have_value("formal")
    page.fill("#source", WORDS["examples"]["ja"]["text"])
    expect(page.locator("#wish-length-unit")).to_have_text(ENGLISH["wish.length.characters"])
    page.fill("#source", TEXT)
    expect(length).to_have_value("30")
    assert barriers(page) == []
    reset.click()
    expect(reset).to_be_hidden()
    expect(length).to_have_value("")
    assert write(page) == usual
    page.reload()
    state(page, "ready")
    expect(page.locator("#wish-tone")).to_have_value("")


def test_wishes_that_a_model_cannot_hear(page: Page, serve: Serve, offer: Offer, tmp_path: Path) -> None:
    """An adapter keeps to the language of its texts; without it, a base model hears nothing."""
    data = build(Tiny())
    halves = lora.halves(lora.shapes_of(data), 8)
    folder = lora.written(lora.files(halves, sotto={"frame": "plain"}), tmp_path / "posts")
    (tmp_path / "tiny.gguf").write_bytes(data)
    page.goto(serve([OfferedModel("tiny", tmp_path / "tiny.gguf", folder)]) + SHORT)
    page.fill("#source", TEXT)
    page.select_option("#wish-language", "de")  # before there is a model
    state(page, "ready")
    expect(page.locator("#wish-language")).to_have_value("")
    expect(page.locator("#wish-languages")).to_be_disabled()
    expect(page.locator("#wish-languages")).to_have_attribute("label", ENGLISH["wish.language.own.only"])
    page.select_option("#wish-tone", "excited")
    expect(page.locator("#wishes-why")).to_have_text(ENGLISH["wishes.tone.little"])
    write(page)
    expect(page.locator("#post")).to_have_attribute("lang", "en")
    page.click("#model > summary")
    page.set_checked("#adapter", False)
    expect(page.locator("#wishes-why")).to_have_text(ENGLISH["wishes.deaf.adapter"])
    expect(page.locator("#wish-length")).to_be_disabled()
    page.set_checked("#adapter", True)
    expect(page.locator("#wishes-why")).to_have_text(ENGLISH["wishes.tone.little"])
    expect(page.locator("#wish-length")).to_be_enabled()
    page.goto(offer("tiny", build(Tiny(chat=True))))
    state(page, "ready")
    expect(page.locator("#wish-languages")).to_be_enabled()
