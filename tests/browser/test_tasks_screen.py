"""The screens of tasks and of settings in a real Chromium, used as a person uses them.

A tiny random Gemma 3 stands in for the model, so what it answers means nothing.
"""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import unquote

from common import ENGLISH, JAPANESE, PATIENCE
from pages import barriers, state, until
from playwright.sync_api import Browser, Page, expect

from sotto.tasks.templates import READY, Template, from_json, to_json


def done(page: Page) -> None:
    """Wait until nothing is being answered."""
    expect(page.locator("#tasks")).to_have_attribute("data-state", "ready")


def run(page: Page, answers: int) -> list[str]:
    """Run what is shown with the keyboard; the answers."""
    page.press("#tasks-source", "Control+Enter")
    expect(page.locator("#tasks-out .figures")).to_have_count(answers)
    done(page)
    return page.locator("#tasks-out .answer").all_inner_texts()


def choose(page: Page, name: str) -> None:
    """Take a template from the list."""
    page.get_by_role("button", name=name, exact=True).click()
    expect(page.locator("#tasks-list [aria-current=true]")).to_have_text(name)


def test_tasks(page: Page, tiny: str, tmp_path: Path) -> None:
    page.goto(tiny + "?seed=3&max_tokens=40&loop_guard=0#tasks")
    expect(page.locator("#tasks-list button")).to_have_text([ENGLISH[f"tasks.{each.id}"] for each in READY])
    expect(page.locator("#tasks-source")).to_have_value(ENGLISH["tasks.caption.example"])
    page.click("#tasks-run")  # before there is a model
    expect(page.locator("#tasks-stop")).to_be_focused()
    expect(page.locator("#tasks-out .figures")).to_have_count(1)
    expect(page.locator("#tasks-run")).to_be_focused()
    done(page)

    choose(page, ENGLISH["tasks.reply"])
    expect(page.locator("#tasks-source")).to_have_value(ENGLISH["tasks.reply.example"])
    assert len(set(run(page, 3))) == 3, "three different replies"
    assert barriers(page) == []

    page.fill("#tasks-source", "the small library writes a story")
    choose(page, ENGLISH["tasks.translation"])
    expect(page.locator("#tasks-source")).to_have_value("the small library writes a story")  # it goes along
    page.click("#tasks-how > summary")
    prompt = page.locator("#tasks-prompt")
    expect(prompt).to_have_value(
        "Translate the text below. It should be: into German. Answer with nothing else.\n\n{text}"
    )
    page.select_option("#tasks-choice", "ja")
    expect(prompt).to_have_value(
        "Translate the text below. It should be: into Japanese. Answer with nothing else.\n\n{text}"
    )

    choose(page, ENGLISH["tasks.record"])  # the answer is JSON, whatever the model would say
    page.fill("#tasks-longest", "none")
    page.click("#tasks-run")
    expect(page.locator("#tasks-longest-fault")).to_have_text("A whole number, 1 or more")
    expect(page.locator("#tasks-longest")).to_be_focused()
    page.click("#tasks-original")
    expect(page.locator("#tasks-longest-fault")).to_be_hidden()
    schema = {"type": "object", "properties": {"day": {"enum": ["Friday", "Sunday"]}}, "required": ["day"]}
    page.fill("#tasks-schema", json.dumps(schema))
    page.fill("#tasks-prompt", "Which day is it in this? {text}")
    (answer,) = run(page, 1)
    assert json.loads(answer)["day"] in ("Friday", "Sunday")

    page.fill("#tasks-name", "The day")
    page.click("#tasks-save")
    expect(page.locator("#tasks-note")).to_contain_text(ENGLISH["tasks.note.saved"])
    page.reload()
    expect(page.locator("#tasks-list [aria-current=true]")).to_have_text("The day")
    page.click("#tasks-how > summary")
    expect(prompt).to_have_value("Which day is it in this? {text}")
    (own,) = from_json(unquote(str(page.get_attribute("#tasks-export", "href")).partition(",")[2]))
    assert (own.name, own.text, json.loads(own.schema)) == (
        "The day",
        "the small library writes a story",
        schema,
    )

    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(to_json([Template("x", "From a friend", task="headline"), own]), "utf-8")
    bad.write_text(good.read_text("utf-8").replace('"answers": 1', '"answers": 99'), "utf-8")
    page.set_input_files("#tasks-file", bad)
    expect(page.locator("#tasks-note")).to_contain_text("answers is 99")
    expect(page.locator("#tasks-list button")).to_have_count(len(READY) + 1)
    page.set_input_files("#tasks-file", good)
    expect(page.locator("#tasks-note")).to_contain_text("1 task taken from the file.")
    expect(page.locator("#tasks-list button")).to_have_count(len(READY) + 2)
    page.click("#tasks-delete")
    expect(page.locator("#tasks-list button")).to_have_count(len(READY) + 1)
    expect(page.locator("#tasks-undo")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#tasks-list [aria-current=true]")).to_have_text("From a friend")


def test_settings(browser: Browser, tiny: str) -> None:
    context = browser.new_context(service_workers="block", color_scheme="light")
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(tiny + "#settings")
    expect(page.locator("#preferences-fields")).to_be_enabled()
    html = page.locator("html")
    expect(html).to_have_attribute("data-theme", "light")
    page.emulate_media(color_scheme="dark")
    expect(html).to_have_attribute("data-theme", "dark")
    assert barriers(page) == []
    page.select_option("#theme", "light")
    expect(html).to_have_attribute("data-theme", "light")
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "light"
    assert barriers(page) == []

    page.fill("#max-tokens", "5")
    page.fill("#top-k", "no")
    page.press("#top-k", "Tab")
    expect(page.locator("#top-k-fault")).to_have_text("A whole number, 0 or more")
    page.fill("#seed", "7")
    page.press("#seed", "Tab")
    page.uncheck("#loop-guard")
    until(page, "localStorage.getItem('sotto.setting.loop_guard') === 'off'")  # Python has heard of all of it
    page.select_option("#language", "ja")
    expect(html).to_have_attribute("lang", "ja")
    expect(page.locator("#screens a[aria-current]")).to_have_text(JAPANESE["screen.settings"])
    expect(page.locator("#preferences-fields")).to_be_enabled()
    for name, value in (
        ("max-tokens", "5"),
        ("seed", "7"),
        ("top-k", "64"),
        ("theme", "light"),
        ("language", "ja"),
    ):
        expect(page.locator(f"#{name}")).to_have_value(value)
    expect(page.locator("#loop-guard")).not_to_be_checked()
    page.select_option("#language", "en")
    expect(html).to_have_attribute("lang", "en")
    expect(page.locator("#preferences-fields")).to_be_enabled()

    # What writes keeps to them.
    state(page, "ready")
    page.click("#screens a[data-screen=tasks]")
    page.click("#tasks-run")
    expect(page.locator("#tasks-out .figures summary")).to_contain_text("5 tokens")
    context.close()


def setting(page: Page, name: str, text: str) -> None:
    """Write into a field of the settings, and wait until Python has heard of it."""
    page.fill(f"#{name.replace('_', '-')}", text)
    page.press(f"#{name.replace('_', '-')}", "Tab")
    until(page, "(localStorage.getItem('sotto.setting.' + v.name) ?? '') === v.text", name=name, text=text)


def test_chat_and_post_keep_to_the_settings(page: Page, tiny: str) -> None:
    page.goto(tiny + "#settings")
    expect(page.locator("#preferences-fields")).to_be_enabled()
    for name, text in (
        ("max_tokens", "5"),
        ("seed", "7"),
        ("top_k", "0"),
    ):  # all tokens: Python chooses, singly
        setting(page, name, text)
    page.fill("#versions-wanted", "1")
    page.press("#versions-wanted", "Tab")
    until(page, "localStorage.getItem('sotto.setting.versions') === '1'")

    def asked(tokens: str) -> str:
        """Ask in the chat; the mode in which the answer was written."""
        page.click("#screens a[data-screen=chat]")
        expect(page.locator("#chat")).to_have_attribute("data-state", "ready")  # Python has made the screen
        page.click("#chat-new")
        page.fill("#chat-input", "the small library writes a story")
        page.press("#chat-input", "Enter")
        expect(page.locator("#chat-turns .figures summary")).to_contain_text(tokens)
        expect(page.locator("#chat")).to_have_attribute("data-state", "ready")
        kept = unquote(str(page.get_attribute("#chat-json", "href")).partition(",")[2])
        return str(json.loads(kept)["turns"][0]["figures"]["run"]["mode"])

    assert asked("5 tokens") == "single"
    page.click("#screens a[data-screen=post]")
    page.fill("#source", "the small library writes a short story for every morning. ")
    page.click("#write")
    expect(page.locator("#stats")).to_contain_text("5 tokens")
    state(page, "ready")

    page.click("#screens a[data-screen=settings]")
    page.click("#preferences-reset")
    expect(page.locator("#preferences-note")).to_have_text(ENGLISH["settings.reset.done"])
    defaults = {"max-tokens": "", "seed": "", "top-k": "64"}
    for name, text in defaults.items():
        expect(page.locator(f"#{name}")).to_have_value(text)
    page.reload()
    expect(page.locator("#preferences-fields")).to_be_enabled()
    for name, text in defaults.items():
        expect(page.locator(f"#{name}")).to_have_value(text)
    setting(page, "max_tokens", "9")
    assert asked("9 tokens") != "single", "the device chooses among 64 again"
