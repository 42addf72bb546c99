"""A conversation: what the model is shown of it, what is forgotten, how it is found, kept and written out."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from sotto.errors import FormatError, InvalidSetting
from sotto.page.archive import Archive
from sotto.page.chat.context import FREE, forget_oldest, make_room, room
from sotto.page.chat.conversation import NAME, Conversation
from sotto.page.run_figures import Figures
from sotto.page.shelf import History
from sotto.reports import RunStats
from sotto.text.chat import Message, render

ABOUT = "In short:"
FIGURES = Figures(
    RunStats(prompt_tokens=9, new_tokens=4, adapters={"posts": 1.0}), "tiny", "CPU", "matmul simple", True
)


def talked(*questions: str) -> Conversation:
    """Every question answered by itself, in capitals."""
    conversation = Conversation()
    for question in questions:
        conversation = conversation.asked(question).answered(question.upper(), "eos", FIGURES)
    return conversation


def shown(conversation: Conversation) -> list[str]:
    messages = conversation.messages(ABOUT)
    render(messages)  # which wants turns to alternate, and a question at the end
    return [message.content for message in messages]


def test_the_model_is_shown_every_turn() -> None:
    asked = replace(talked("one", "two"), instructions="Be brief.").asked("three")
    assert asked.messages(ABOUT) == [
        Message("system", "Be brief."),
        Message("user", "one"),
        Message("assistant", "ONE"),
        Message("user", "two"),
        Message("assistant", "TWO"),
        Message("user", "three"),
    ]
    assert shown(replace(asked, summary="They met."))[0] == "Be brief.\n\nIn short:\nThey met."
    assert shown(asked.forgetting(1)) == ["Be brief.", "two", "TWO", "three"]
    assert shown(asked.forgetting(2)) == ["Be brief.", "three"]


def test_what_was_not_answered_is_not_shown_unless_it_is_the_last_question() -> None:
    stopped = talked("one").asked("two").answered("", "cancelled", None)
    assert shown(stopped) == ["one", "ONE", "two"]
    assert shown(stopped.asked("three")) == ["one", "ONE", "three"]


def test_a_last_answer_is_not_shown_as_a_turn() -> None:
    """It is what the model goes on with, or writes anew."""
    assert shown(talked("one", "two")) == ["one", "ONE", "two"]


def test_rewording_takes_away_what_came_later() -> None:
    before = talked("one", "two", "three").forgetting(2)
    after = before.reworded(1, "TOO")
    assert [turn.question for turn in after.turns] == ["one", "TOO"]
    assert after.turns[1].answer == "" and after.forgotten == 1 and after.id == before.id
    assert shown(after) == ["TOO"]
    assert len(before.turns) == 3, "what there was can be brought back"
    again = before.unanswered()
    assert [turn.answer for turn in again.turns] == ["ONE", "TWO", ""]
    assert [turn.question for turn in before.without_last().turns] == ["one", "two"]
    assert before.without_last().forgotten == 1


def test_a_name() -> None:
    assert Conversation().name == "" and Conversation().empty
    assert talked("  What is\na lake? ").name == "What is a lake?"
    assert len(talked("word " * 40).name) == NAME and talked("word " * 40).name.endswith("…")
    titled = talked("one").called("  About \n numbers ")
    assert titled.name == "About numbers"
    assert titled.called("").name == "one"
    assert not Conversation(instructions="Be brief.").empty


def test_beginning_anew() -> None:
    old = replace(talked("one"), instructions="Be brief.", temperature=0.5, longest=99)
    new = old.anew("They counted.")
    assert (new.instructions, new.temperature, new.longest) == ("Be brief.", 0.5, 99)
    assert new.id != old.id and new.turns == () and new.name == "one"
    assert old.anew().name == "" and old.anew().turns == ()
    assert shown(new.asked("two")) == ["Be brief.\n\nIn short:\nThey counted.", "two"]


def test_settings() -> None:
    told = Conversation().told(" Be brief. ", "0", "12")
    assert (told.instructions, told.temperature, told.longest) == ("Be brief.", 0.0, 12)
    left = told.told("", " ", "")
    assert (left.temperature, left.longest) == (None, None), "then the settings say it"
    assert Conversation.from_json(left.to_json()) == left
    for temperature, longest, named in (
        ("warm", "12", "warm"),
        ("-1", "12", "-1"),
        ("nan", "12", "temperature"),
        ("1", "0", "longest"),
        ("1", "1.5", "1.5"),
        ("1", "-", "longest"),
    ):
        with pytest.raises(InvalidSetting, match=named):
            Conversation().told("", temperature, longest)


def test_searching() -> None:
    async def nothing() -> None:
        raise OSError("This browser keeps nothing.")

    archive = Archive("conversation", nothing)
    history = History(archive, lambda _, text: Conversation.from_json(text), Conversation.to_json)
    one, two = Conversation(changed="2026-01-02T00:00:00"), Conversation(changed="2026-01-03T00:00:00")
    found = replace(talked("Where is the Lake?", "And the river"), changed="2026-01-01T00:00:00")
    for each in (one, two, found):
        history.hold(each)
    assert history.found("") == [two, one, found], "the newest comes first"
    for words in ("lake", "LAKE river", "AND THE"):
        assert history.found(words) == [found]
    assert history.found("lake sea") == []


def test_json_gives_it_back() -> None:
    whole = replace(
        talked("一つ", "<b>two</b>").forgetting(1), title="数", summary="s", instructions="i"
    ).asked("three")
    assert Conversation.from_json(whole.to_json()) == whole
    data = json.loads(whole.to_json())
    data["turns"][0]["figures"]["run"]["of a later version"] = 1
    assert Conversation.from_json(json.dumps(data)) == whole


@pytest.mark.parametrize(
    "change",
    [
        {"sotto": "benchmark"},
        {"version": 2},
        {"turns": "none"},
        {"turns": [{"question": 1, "answer": "", "ended": "", "figures": None}]},
        {"title": None},
        {"forgotten": 9},
        {"longest": "long"},
        {"temperature": -1},
        {"more": 1},
    ],
    ids=str,
)
def test_what_is_no_conversation_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(FormatError, match="no conversation"):
        Conversation.from_json(json.dumps({**json.loads(talked("one").to_json()), **change}))


@pytest.mark.parametrize("text", ["", "[]", "null", "{"])
def test_what_is_no_json_of_ours_is_refused(text: str) -> None:
    with pytest.raises(FormatError, match="no conversation"):
        Conversation.from_json(text)


def test_markdown() -> None:
    whole = replace(talked("one\n- two").asked("three"), instructions="Be\nbrief.")
    assert whole.to_markdown("You", "Sotto") == (
        "# one - two\n\n> Be\n> brief.\n\n## You\n\none\n- two\n\n## Sotto\n\nONE\n- TWO\n\n## You\n\nthree\n"
    )


# --- the context: here a question or an answer takes a token for each letter


def count(conversation: Conversation) -> int:
    return sum(map(len, shown(conversation)))


def test_room() -> None:
    assert room(2048) == 2048 - FREE
    assert room(400) == 300


def test_as_little_as_possible_is_forgotten() -> None:
    asked = talked("a" * 10, "b" * 10, "c" * 10, "d" * 10).asked("e" * 10)  # 90 letters
    for limit, forgotten in ((90, 0), (89, 1), (70, 1), (69, 2), (29, 4), (10, 4)):
        less = forget_oldest(asked, count, limit)
        assert less is not None and less.forgotten == forgotten
    assert forget_oldest(asked, count, 9) is None
    further = forget_oldest(asked.forgetting(2), count, 90)
    assert further is not None and further.forgotten == 2, "what was forgotten stays so"


def test_half_of_the_room_is_free_afterwards_where_that_can_be() -> None:
    asked = talked(*"abcdefgh").asked("i" * 10)
    less = make_room(asked, count, 40)  # 30 letters have room
    assert less is not None and count(less) <= 15
    long = talked(*"abcdefgh").asked("i" * 20)
    less = make_room(long, count, 40)
    assert less is not None and 20 <= count(less) <= 30
    assert make_room(talked("a").asked("i" * 31), count, 40) is None
