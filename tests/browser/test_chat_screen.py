"""Talking with a model in a real Chromium: turns, what is kept of them, and a context that is full.

A tiny random Gemma 3 stands in for the model, so what it answers means nothing.
"""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from common import ENGLISH, Offer
from pages import TEXT, in_page, open_blank, state, until
from playwright.sync_api import Page, expect

from sotto.page.chat.conversation import Conversation
from tiny import Tiny, build

QUESTION = "the small library writes a short story"
TITLE = "Über Gärten"  # the tiny model has no such letters, so that no answer of its own is found with it


def settings(page: Page, temperature: str = "0", longest: str = "16") -> None:
    """Write into the fields of a conversation."""
    page.click("#chat .how > summary")
    for name, value in (("temperature", temperature), ("longest", longest)):
        page.fill(f"#chat-{name}", value)
        page.press(f"#chat-{name}", "Tab")
    page.click("#chat .how > summary")


def done(page: Page) -> None:
    """Wait until nothing is being answered."""
    expect(page.locator("#chat")).to_have_attribute("data-state", "ready")


def ask(page: Page, question: str) -> str:
    """Ask with the keyboard; the answer."""
    number = page.locator(".answer").count()
    page.fill("#chat-input", question)
    page.press("#chat-input", "Enter")
    expect(page.locator(".figures")).to_have_count(number + 1)
    done(page)
    return answer(page)


def answer(page: Page) -> str:
    """The last one."""
    return page.locator(".answer").last.inner_text()


def file_of(page: Page, name: str) -> str:
    """What a link saves."""
    return unquote(str(page.get_attribute(f"#chat-{name}", "href")).partition(",")[2])


def test_a_conversation(page: Page, tiny: str) -> None:
    page.goto(tiny + "?seed=3&loop_guard=0&context=32768#chat")
    page.click("#chat .how > summary")
    expect(page.locator("#chat-send")).to_be_enabled()  # Python is there, and the model is not yet
    page.fill("#chat-longest", "16")
    page.fill("#chat-temperature", "0")
    page.press("#chat-temperature", "Tab")
    page.click("#chat .how > summary")
    first = ask(page, QUESTION)
    assert first
    second = ask(page, "and who\nreads it")
    figures = page.locator(".figures").last
    expect(figures.locator("summary")).to_contain_text("16 tokens")
    figures.locator("summary").click()
    expect(figures).to_contain_text("kept from before")
    expect(figures).to_contain_text("CPU")
    expect(page.locator("#chat-fill-text")).to_contain_text("of 32,768 tokens")

    page.get_by_role("button", name=ENGLISH["chat.again"]).click()  # of the last answer alone
    expect(page.locator("#chat-note")).to_contain_text(ENGLISH["chat.note.again"])
    done(page)
    assert answer(page) == second  # at temperature 0

    page.get_by_role("button", name=ENGLISH["chat.edit"]).first.click()
    expect(page.locator("#chat-edit")).to_be_focused()
    page.fill("#chat-edit", "every morning in the garden")
    page.press("#chat-edit", "Enter")
    expect(page.locator(".question")).to_have_text(["every morning in the garden"])
    expect(page.locator(".figures")).to_have_count(1)
    done(page)
    assert answer(page) != first
    page.click("#chat-undo")
    expect(page.locator(".question")).to_have_text([QUESTION, "and who\nreads it"], use_inner_text=True)
    assert answer(page) == second

    kept = Conversation.from_json(file_of(page, "json"))
    assert [turn.question for turn in kept.turns] == [QUESTION, "and who\nreads it"]
    assert kept.turns[1].figures and kept.turns[1].figures.run.reused_tokens > 16
    assert f"## {ENGLISH['chat.you']}\n\n{QUESTION}\n" in file_of(page, "md")

    page.fill("#chat-title", TITLE)
    page.press("#chat-title", "Enter")
    page.press("#chat-title", "Tab")
    expect(page.locator("#chat-list b")).to_have_text([TITLE])
    page.click("#chat-new")
    expect(page.locator(".answer")).to_have_count(0)
    settings(page, longest="30000")  # it is stopped long before, however slow the test is
    page.fill("#chat-input", "a river")
    page.press("#chat-input", "Control+Enter")
    expect(page.locator(".answer")).not_to_be_empty()
    page.press("#chat-input", "Escape")
    done(page)
    expect(page.locator(".ended")).to_have_text(ENGLISH["chat.ended.cancelled"])
    expect(page.locator("#chat-input")).to_be_focused()
    expect(page.locator("#chat-list b")).to_have_text(["a river", TITLE])
    stopped = answer(page)

    page.fill("#chat-input", "not sent yet")
    page.reload()
    expect(page.locator("#chat-list b")).to_have_text(["a river", TITLE])
    expect(page.locator("#chat-input")).to_have_value("not sent yet")
    assert answer(page) == stopped
    done(page)
    page.get_by_role("button", name=ENGLISH["chat.further"]).click()
    expect(page.locator("#chat")).to_have_attribute("data-state", "writing")
    until(page, "document.querySelector('.answer').innerText.length > v.had", had=len(stopped) + 20)

    # A post, asked for meanwhile, is written when the answer is.
    page.click("#screens a[data-screen=post]")
    page.fill("#source", TEXT)
    page.click("#write")
    expect(page.locator("#write")).to_have_text(ENGLISH["queued"], use_inner_text=True)
    page.click("#screens a[data-screen=chat]")
    page.click("#chat-stop")
    done(page)
    assert answer(page).startswith(stopped)
    page.click("#screens a[data-screen=post]")
    expect(page.locator("#stats")).to_contain_text("tok/s")
    state(page, "ready")
    page.click("#screens a[data-screen=chat]")

    page.fill("#chat-search", "GÄRTEN library")
    expect(page.locator("#chat-list b")).to_have_text([TITLE])
    page.click("#chat-list button")
    expect(page.locator(".question")).to_have_count(2)
    assert answer(page) == second
    page.fill("#chat-search", "")
    page.click("#chat-delete")
    expect(page.locator("#chat-list b")).to_have_text(["a river"])
    page.click("#chat-undo")
    expect(page.locator("#chat-list b")).to_have_count(2)
    page.click("#chat-delete")
    expect(page.locator("#chat-list b")).to_have_count(1)
    page.reload()
    expect(page.locator("#chat-list b")).to_have_text(["a river"])


def test_a_question_that_is_being_edited_stays_as_it_is(page: Page, tiny: str) -> None:
    """Also where something else changes meanwhile; and each time it is the text of this time that is asked."""
    page.goto(tiny + "?seed=3&loop_guard=0#chat")
    expect(page.locator("#chat-send")).to_be_enabled()
    settings(page)
    ask(page, QUESTION)
    edit = page.get_by_role("button", name=ENGLISH["chat.edit"])
    edit.click()
    page.fill("#chat-edit", "a river")
    page.fill("#chat-title", TITLE)
    page.locator("#chat-edit").click()  # which ends the title
    page.keyboard.type(" in ")
    expect(page.locator("#chat-list b")).to_have_text([TITLE])
    page.keyboard.type("spring")
    expect(page.locator("#chat-edit")).to_have_value("a river in spring")
    settings(page, longest="12")
    expect(page.locator("#chat-edit")).to_have_value("a river in spring")
    expect(page.locator("#chat-list small")).to_be_visible()
    page.press("#chat-edit", "Enter")
    expect(page.locator(".question")).to_have_text(["a river in spring"])
    done(page)
    edit.click()
    expect(page.locator("#chat-edit")).to_have_value("a river in spring")
    expect(page.locator("#chat-edit")).to_be_focused()
    page.fill("#chat-edit", "a garden")
    page.press("#chat-edit", "Enter")
    expect(page.locator(".question")).to_have_text(["a garden"])
    done(page)
    edit.click()
    page.press("#chat-edit", "Escape")
    expect(page.locator(".question")).to_have_text(["a garden"])


def test_a_full_context(page: Page, tiny: str) -> None:
    page.goto(tiny + "?seed=3&loop_guard=0&context=256#chat")
    done(page)
    settings(page, longest="24")
    for number in range(9):
        page.fill("#chat-input", f"{QUESTION} and a garden {number}")
        page.press("#chat-input", "Enter")
        until(
            page,
            """!document.querySelector("#chat-full").hidden
                || document.querySelectorAll(".figures").length > v.had""",
            had=number,
        )
        done(page)
        if page.is_visible("#chat-full"):
            break
    assert number > 1
    expect(page.locator("#chat-forget")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#chat-turns .forgotten")).to_have_count(1)
    expect(page.locator(".figures")).to_have_count(number + 1)
    done(page)
    forgotten = page.locator("[data-forgotten]").count()
    assert 0 < forgotten <= number
    until(page, "Number(document.querySelector('#chat-fill').ariaValueNow) < v.most", most=256 - 64)

    page.fill("#chat-input", "river " * 200)  # no turn that is forgotten makes room for this one
    page.press("#chat-input", "Enter")
    expect(page.locator("#chat-full")).to_be_visible()
    page.click("#chat-forget")
    expect(page.locator("#chat-note")).to_contain_text(ENGLISH["chat.note.long"])
    page.get_by_role("button", name=ENGLISH["chat.edit"]).last.click()
    page.fill("#chat-edit", "river " * 80)
    page.press("#chat-edit", "Enter")
    expect(page.locator("#chat-full")).to_be_visible()
    page.click("#chat-anew")
    expect(page.locator("#chat-turns .summary p")).not_to_be_empty()
    expect(page.locator("#chat-list b")).to_have_count(2)
    expect(page.locator(".question")).to_have_count(1)


def test_a_base_model_is_told_kindly(page: Page, offer: Offer) -> None:
    page.goto(offer("base", build(Tiny())) + "#chat")
    expect(page.locator("#chat-cannot")).to_be_visible()
    expect(page.locator("#chat-cannot")).to_contain_text("base is a base model")
    page.click("#chat-models")
    expect(page.locator("#hub-address")).to_be_visible()
    page.go_back()
    expect(page.locator(".composer")).to_be_hidden()
    state(page, "ready")
    page.click("#screens a[data-screen=post]")
    expect(page.locator("#write")).to_be_enabled()


WRITTEN = """# Title
**bold** <b onclick="globalThis.ran = 1">html</b> <img src="/x.png" onerror="globalThis.ran = 1">
![picture](/y.png) [good](https://example.org/a) [bad](javascript:globalThis.ran=1) [data](data:text/html,x)
<script>globalThis.ran = 1</script><style>body { display: none }</style><iframe src="/z"></iframe>
<form action="/z"><input name="a"></form> <svg><a xlink:href="javascript:1"><text>t</text></a></svg>

- [x] one

| a | b |
|---|---|
| 1 | 2 |

```html
<script>globalThis.ran = 1</script>
```
<a href="/unclosed" onmouseover="globalThis.ran = 1"
"""


def test_what_a_model_writes_is_shown_and_never_run(page: Page, site: str, runtime: object) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.partition(site)[2]))
    open_blank(page, site)
    asked.clear()
    found = in_page(
        page,
        """{
            const { fill, grow } = await import("/markdown.js");
            document.body.innerHTML = '<div id="there"></div>';
            const names = (all) => [...new Set([...all].map(({ localName }) => localName))].sort();
            await fill("there", '<p data-markdown="a"></p>', JSON.stringify({ a: "*one*" }));
            const first = document.body.innerHTML;
            await grow("there", "a", v.written);
            const place = document.querySelector("#there p");
            const over = () => new MouseEvent("mouseover", { bubbles: true });
            place.querySelectorAll("*").forEach((each) => each.dispatchEvent(over()));
            place.querySelectorAll("*:not(a)").forEach((each) => each.click());
            await new Promise((resolve) => setTimeout(resolve, 300));
            return {
                first, ran: globalThis.ran ?? 0, text: place.textContent, names: names(place.querySelectorAll("*")),
                attributes: names([...place.querySelectorAll("*")].flatMap((each) => [...each.attributes])),
                links: [...place.querySelectorAll("a")].map((link) => [link.getAttribute("href"), link.rel]),
            };
        }""",
        written=WRITTEN,
    )
    assert "<em>one</em>" in found["first"]
    assert found["ran"] == 0
    assert '<img src="/x.png" onerror="globalThis.ran = 1">' in found["text"], "the model's HTML is text"
    assert "picture" in found["text"] and "☑ one" in found["text"]
    assert {"a", "code", "h4", "li", "pre", "strong", "table"} <= set(found["names"])
    assert not {"b", "form", "iframe", "img", "input", "script", "style", "svg"} & set(found["names"])
    assert set(found["attributes"]) <= {"href", "rel", "target", "tabindex"}
    assert [link for link in found["links"] if link[0]] == [["https://example.org/a", "noopener noreferrer"]]
    assert [url for url in asked if url not in ("markdown.js", "library.js", "lists.js")] == [
        "runtime/marked/marked.umd.js",
        "runtime/dompurify/purify.min.js",
        "runtime/idiomorph/idiomorph.min.js",
    ]


@pytest.mark.parametrize("missing", ["marked", "dompurify"])
def test_without_a_library_it_is_text(page: Page, site: str, missing: str) -> None:
    page.route(f"**/{missing}/*", lambda route: route.abort())
    open_blank(page, site)
    html = in_page(
        page,
        """{
            const { fill } = await import("/markdown.js");
            document.body.innerHTML = '<div id="there"></div>';
            await fill("there", '<p data-markdown="a"></p>', JSON.stringify({ a: "<b>*one*" }));
            return document.querySelector("#there p").innerHTML;
        }""",
    )
    assert html == '<p class="plain">&lt;b&gt;*one*</p>'
