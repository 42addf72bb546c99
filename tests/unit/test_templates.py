"""Templates of tasks: what the model is told, what can be written into one, and files of them, good and bad."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_page_archive import Kept, opened

from sotto.errors import FormatError, InvalidSetting
from sotto.page.tasks.own import Templates
from sotto.tasks.phrases import LANGUAGES, PHRASES, TRAINED
from sotto.tasks.request import prompt, put
from sotto.tasks.templates import READY, TEXT, Template, from_json, to_json

OWN = Template("a1", "Mine", prompt=f"Say {TEXT} twice.", answers=2, longest=40, text="It rains.")


@pytest.mark.parametrize("template", READY, ids=lambda each: each.id)
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_ready_one_asks_as_every_request_does(template: Template, language: str) -> None:
    """The adapter was trained with those words: there are no others for the same thing."""
    for chosen in template.options or ("",):
        request = template.request(language, chosen)  # type: ignore[arg-type]
        assert request is not None
        for how in ("chat", "plain"):
            words = template.wording(request, "A.", how)  # type: ignore[arg-type]
            assert put(words, how) == prompt(request, "A.", how)  # type: ignore[arg-type]
            assert template.wording(request, TEXT, how).replace(TEXT, "A.") == words  # type: ignore[arg-type]
        assert template.wording(request, "A.", "examples") == template.wording(request, "A.", "plain")
        assert template.learned(request) == (request.task in TRAINED)


def test_what_is_chosen_is_asked() -> None:
    by_id = {each.id: each for each in READY}
    request = by_id["translation"].request("en", "ja")
    assert by_id["translation"].wording(request, "A.", "plain").endswith("Translation (into Japanese):\n")
    assert "書き直し（親しみやすく）：" in by_id["rewrite"].wording(
        by_id["rewrite"].request("ja"), "A.", "plain"
    )
    assert by_id["summary"].request("de", "no such") == by_id["summary"].request("de", "bullets")
    assert all(set(words.languages) == set(LANGUAGES) for words in PHRASES.values())


def test_a_prompt_of_ones_own() -> None:
    assert OWN.wording(OWN.request("en"), "this", "chat") == "Say this twice."
    assert replace(OWN, prompt="Shout it!\n").wording(None, "this", "plain") == "Shout it!\n\nthis"
    assert not OWN.learned(None)
    ready = READY[0]
    assert replace(ready, prompt="Own {text}").wording(ready.request("en"), "x", "plain") == "Own x"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"answers": 0}, "answers"), ({"answers": 10}, "answers"), ({"longest": 0}, "longest"),
        ({"longest": "9"}, "longest"), ({"prompt": " \n"}, "prompt"), ({"schema": "{"}, "no JSON"),
        ({"schema": '{"type": "date"}'}, "date"), ({"schema": "[" * 200_000}, "no JSON"), ({"task": "sing"}, "task"),
        ({"name": 3}, "name"), ({"choice": "tone"}, "options"), ({"temperature": -1}, "temperature"),
        ({"task": "rewrite", "choice": "tone", "options": ("rude",)}, "options"), ({"task": ["post"]}, "task"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_named(change: dict[str, object], named: str) -> None:
    with pytest.raises(InvalidSetting, match=named):
        replace(OWN, **change)  # type: ignore[arg-type]
    row = json.loads(to_json([OWN]))["tasks"][0] | change
    with pytest.raises(FormatError, match=r"^Task 2 of the file cannot be used.*" + named):
        from_json(json.dumps({"sotto": "tasks", "version": 1, "tasks": [{"id": "", "task": "post"}, row]}))


def test_files_give_back_what_was_saved() -> None:
    templates = [OWN, *READY]
    assert from_json(to_json(templates)) == templates


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no JSON"), ("\0\1", "no JSON"), ("[" * 200_000, "no JSON"), ("[]", "no tasks"), ("null", "no tasks"),
        ('{"sotto": "conversation", "version": 1, "turns": []}', "no tasks"),
        ('{"sotto": "tasks", "version": 2, "tasks": []}', "version 2"),
        ('{"sotto": "tasks", "version": 1, "tasks": [3]}', "Task 1"),
        ('{"sotto": "tasks", "version": 1, "tasks": [{"task": "post", "run": "rm"}]}', "Task 1"),
        ('{"sotto": "tasks", "version": 1, "tasks": [{"task": "post", "options": 3}]}', "options"),
    ],
)  # fmt: skip
def test_what_is_no_file_of_tasks_is_told(text: str, told: str) -> None:
    with pytest.raises(FormatError, match=told):
        from_json(text)


@settings(max_examples=60)
@given(
    st.dictionaries(st.sampled_from([*OWN.__dataclass_fields__, "x"]), st.none() | st.integers() | st.text())
)
def test_any_row_is_a_task_or_told(row: dict[str, object]) -> None:
    try:
        (template,) = from_json(json.dumps({"sotto": "tasks", "version": 1, "tasks": [row]}))
    except FormatError:
        return
    assert template.wording(template.request("en"), "A.", "chat")


def test_the_shelf_keeps_and_takes_and_never_loses() -> None:
    async def work() -> None:
        kept = Kept()
        kept.texts["task", "later"] = '{"sotto": "tasks", "version": 9, "tasks": []}'
        shelf = Templates(opened(kept, "task"))
        await shelf.read()
        assert shelf.own == [] and shelf.find("reply") in READY
        mine = await shelf.keep(OWN)
        assert shelf.is_own(mine) and not shelf.is_own(READY[0])

        taken, known = await shelf.take(
            [replace(OWN, id="other"), replace(OWN, name="New"), replace(OWN, name="New")]
        )
        assert [each.name for each in taken] == ["New"], "one that is there already is not taken twice"
        assert known == [mine]
        assert await shelf.take(from_json(to_json(shelf.own))) == ([], shelf.own)

        again = Templates(opened(kept, "task"))
        await again.read()
        assert again.own == shelf.own and [each.name for each in again.own] == ["Mine", "New"]
        changed = await again.keep(replace(mine, name="Changed there"))
        copy = await shelf.keep(replace(mine, name="Changed here"))
        assert copy.id != changed.id == mine.id
        await again.read()
        assert {each.name for each in again.own} == {"Changed there", "Changed here", "New"}

        await again.drop(changed)
        assert again.find(mine.id) is None
        assert ("task", "later") in kept.texts, "what another version kept stays"
        kept.refuses = True
        await again.keep(replace(OWN, id="b2", name="Unkept"))
        assert not again.keeps and again.find("b2")

    asyncio.run(work())
