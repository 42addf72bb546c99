"""What a person can ask for of a post: remembered, checked, and disabled where a model cannot hear it."""

from __future__ import annotations

import re
from pathlib import Path

from common import ENGLISH, ROOT, WORDS, Offer, Serve
from pages import SHORT, TEXT, barriers, fault, state, write
from playwright.sync_api import Page, expect

import lora
from sotto.site.site import OfferedModel
from tiny import Tiny, build

BRIDGE = (ROOT / "web" / "bridge.js").read_text("utf-8")


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
    page.fill("#source", "הנהר קפא אתמול בלילה, לראשונה מאז 1990.")
    expect(page.locator("#wishes-why")).to_have_text(ENGLISH["wishes.foreign"])
    page.fill("#source", TEXT)
    expect(page.locator("#wishes-why")).to_be_empty()
    expect(length).to_have_value("30")
    assert barriers(page) == []
    reset.click()
    expect(reset).to_be_hidden()
    expect(length).to_have_value("")
    page.reload()  # what the model read before would leave traces in the last digits
    state(page, "ready")
    expect(page.locator("#wish-tone")).to_have_value("")
    assert write(page) == usual


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
    expect(page.locator("#wish-voice")).to_be_disabled()
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


def test_in_a_persons_own_voice(page: Page, tiny: str) -> None:
    page.goto(tiny + SHORT)
    state(page, "ready")
    usual = write(page)
    expect(page.locator("#voice")).to_be_hidden()
    page.select_option("#wish-tone", "voice")
    expect(page.locator("#voice-posts")).to_be_focused()
    page.keyboard.type("the tomatoes made it #slow\n\nno post today #slow\n")
    expect(page.locator("#voice-said")).to_have_text(ENGLISH["voice.posts"].format(count=2))
    in_voice = write(page)
    assert in_voice != usual
    assert barriers(page) == []
    page.reload()
    state(page, "ready")
    expect(page.locator("#wish-tone")).to_have_value("voice")
    expect(page.locator("#voice-said")).to_have_text(ENGLISH["voice.posts"].format(count=2))
    expect(page.locator("#voice-posts")).to_be_hidden()
    assert write(page) == in_voice
    page.select_option("#wish-tone", "")
    expect(page.locator("#voice")).to_be_hidden()
    page.reload()  # what the model read before would leave traces in the last digits
    state(page, "ready")
    assert write(page) == usual
    page.select_option("#wish-tone", "voice")
    expect(page.locator("#voice")).not_to_have_attribute("open", "")  # there are posts already
    page.click("#voice-said")
    page.fill("#voice-posts", "")
    expect(page.locator("#voice-said")).to_have_text(ENGLISH["voice.none"])
    assert write(page) == usual

    page.check("#private")
    page.fill("#voice-posts", "nobody keeps this #slow")
    expect(page.locator("#voice-said")).not_to_have_text(ENGLISH["voice.none"])
    page.reload()
    state(page, "ready")
    expect(page.locator("#voice-posts")).to_have_value("")


def test_a_long_text_is_told_before_anything_is_written(page: Page, tiny: str) -> None:
    """It can be cut, read whole with more memory, or summed up; the way is remembered."""
    text = TEXT * 60
    page.goto(tiny + SHORT + "&context=768")
    page.fill("#source", text)
    page.click("#write")  # before there is a model that could count it
    choice = page.locator("#long")
    expect(choice).to_be_visible()
    state(page, "ready")
    expect(page.locator("#post")).to_be_empty()
    expect(page.locator("#long-parts")).to_be_focused()
    tokens, room = (int(number) for number in re.findall(r"\d+", choice.inner_text().replace(",", ""))[:2])
    assert room < 768 < tokens
    page.check("#long-cut")
    page.click("#write")
    expect(page.locator("#note")).to_contain_text("Written from the first")
    used, total = re.findall(r"[\d,]+", page.inner_text("#long-cut-text"))
    assert used in page.inner_text("#note") and total == f"{len(text):,}"
    state(page, "ready")

    page.check("#long-parts")
    page.click("#write")
    expect(page.locator("#when")).to_contain_text("Summing up part")
    page.press("body", "Escape")
    state(page, "ready")
    expect(page.locator("#note")).to_have_text(ENGLISH["note.stopped"])
    page.click("#write")
    expect(page.locator("#note")).to_contain_text("summar")
    state(page, "ready")
    page.click("#summaries summary")
    lines = page.inner_text("#summaries-text").splitlines()
    assert f"from {len(lines)} summar" in page.inner_text("#note")

    page.fill("#source", TEXT)
    expect(choice).to_be_hidden()
    page.fill("#source", text)
    expect(page.locator("#long-parts")).to_be_checked()
    page.check("#long-whole")
    size = page.inner_text("#long-whole-text")
    assert "MB more memory" in size or "kB more memory" in size
    page.click("#write")
    expect(choice).to_be_hidden()
    expect(page.locator("#stats")).to_contain_text("tokens read at")
    state(page, "ready")
    assert int(page.input_value("#context")) > tokens
    expect(page.locator("#note")).not_to_contain_text("Written from")


def test_a_text_that_no_context_holds(page: Page, offer: Offer) -> None:
    page.goto(offer("small", build(Tiny(chat=True, context=1024))) + SHORT + "&context=512")
    state(page, "ready")
    page.fill("#source", TEXT * 120)
    expect(page.locator("#long-whole")).to_be_disabled()
    expect(page.locator("#long-whole-text")).to_contain_text("more than the 1,024 tokens")
    expect(page.locator("#long-parts")).to_be_checked()
    assert barriers(page) == []


def test_the_keyboard_goes_along_and_faults_of_a_text_stand_alone(page: Page, tiny: str) -> None:
    page.goto(tiny + "?max_tokens=3000&temperature=0&context=4096&loop_guard=0&versions=1")
    page.fill("#source", TEXT)
    page.focus("#write")
    page.keyboard.press("Enter")
    expect(page.locator("#announced")).to_have_text(ENGLISH["queued"])
    state(page, "writing")
    expect(page.locator("#stop")).to_be_focused()
    expect(page.locator("#announced")).to_have_text(ENGLISH["state.writing"])
    expect(page.locator("#post")).not_to_be_empty()
    page.keyboard.press("Enter")
    state(page, "ready")
    expect(page.locator("#write")).to_be_focused()
    expect(page.locator("#stats")).to_be_visible()
    expect(page.locator("#source")).to_have_attribute("dir", "auto")

    page.fill("#source", "")
    page.press("#source", "Control+Enter")
    fault(page, "empty")
    expect(page.locator("#post")).to_be_hidden()
    expect(page.locator("#stats")).to_be_hidden()
    page.fill("#source", TEXT)
    state(page, "ready")
    expect(page.locator("#post")).to_be_visible()
    expect(page.locator("#stats")).to_be_visible()


def test_a_browser_without_a_graphics_processor_offers_the_cpu(page: Page, tiny: str) -> None:
    """Where the address asks for one; the next visit without that address asks for none."""
    page.route(
        "**/bridge.js",
        lambda route: route.fulfill(
            body=f"GPU.prototype.requestAdapter = async () => null;\n{BRIDGE}", content_type="text/javascript"
        ),
    )
    page.goto(tiny + SHORT + "&device=gpu")
    fault(page, "adapter")
    page.click("#error-action")
    state(page, "ready")
    expect(page.locator("#fact-processor")).to_contain_text("CPU")
    assert write(page)
    page.goto(tiny + SHORT)
    state(page, "ready")
