"""The rules that answers are held against."""

from __future__ import annotations

import pytest

from sotto.tasks import few_shot
from sotto.tasks.request import Request
from sotto.tasks.rules import (
    Finding,
    check,
    closeness,
    is_one_sentence,
    is_one_stretch,
    length,
    loops,
    numbers,
    weight,
)

TEXT = (
    "The library on Mill Street stays open until 9 pm from 3 September. Of 560 readers, 412 asked for it. "
    "Samir Haddad has hired two people; the café keeps the same hours. It cost 12,400 euros."
)
GOOD = "From 3 September the Mill Street library stays open until 9 pm, and so does the café."


def rules_of(answer: str, request: Request = Request(), text: str = TEXT, **more: object) -> list[str]:  # noqa: B008
    return [finding.rule for finding in check(request, text, answer, **more)]


def test_a_good_answer_breaks_none():
    assert check(Request(), TEXT, GOOD) == []


@pytest.mark.parametrize(
    ("answer", "broken"),
    [
        ("  ", ["empty"]),
        ("...", ["empty"]),
        ("From 4 September the library stays open until 9 pm.", ["number"]),
        ("The café of Lena Ortiz stays open until 9 pm.", ["name", "name"]),
        ("The library stays open until 9 pm, said Samir.", []),
        ("Samir's two people keep the café open.", []),
        ("2 people were hired for 12400 euros.", []),
        ("It cost 12.400 euros, for 560 readers.", []),
        ("It cost 12,500 euros.", ["number"]),
        ("Of 560 readers, 412 asked for it.", ["copy"]),
        ("of 560 readers 412 asked for it", ["copy"]),
        (
            "Die Bibliothek ist am Abend für die Leser auf und das Café auch.",
            ["language", "name", "name", "name"],
        ),
        ("The library stays open. The library stays open. It is late.", ["loop"]),
        ("open until open until open until open until", ["loop"]),
        (" ".join(["library"] + [f"w{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(50)]), ["length"]),
    ],
)
def test_what_an_answer_breaks(answer, broken):
    assert rules_of(answer) == broken


def test_an_answer_that_did_not_end():
    assert rules_of(GOOD, ended=False) == ["unended"]


def test_an_example_of_the_prompt_that_comes_back():
    shown = few_shot.shown("en")
    assert "prompt" in rules_of(shown[0], shown=shown)
    assert "prompt" not in rules_of(shown[0])
    assert not rules_of("My first bread: no salt, a crust like stone!", text=shown[0], shown=shown)


@pytest.mark.parametrize(
    ("language", "text", "answer", "broken"),
    [
        ("ja", "図書館は４月３日から九時まで開いています。佐藤ユキさんの提案です。", "4月3日から図書館は9時まで。", []),
        ("ja", "図書館は4月3日から開いています。", "4月5日から図書館が開きます。", ["number"]),
        ("ja", "図書館は4月3日から開いています。", "スターバックスが4月3日から開きます。", ["name"]),
        ("ja", "図書館は4月3日から開いています。", "Starbucksが4月3日から開きます。", ["name"]),
        ("de", "Frau Kern leitet den Verein seit 2019.", "Seit 2019 leitet ihn Frau Ahrens.", ["name"]),
        ("de", "Frau Kern leitet den Verein.", "Bitte wenden Sie sich an Frau Kern.", []),
        ("fr", "Le pont coûte 12 500 euros.", "Un pont pour 12 500 euros et pas plus.", []),
        ("en", "Sat 18:00: 182 cm, Sept 4", "On Saturday at 18:00 it was 182 cm in September.", []),
        ("en", "It rained.", "It rained 🎶 There was nothing more to it. “Rain” it was: Rain.", []),
        ("ko", "도서관은 3월 4일에 엽니다.", "도서관은 3월 5일에 엽니다.", ["number"]),
    ],
)  # fmt: skip
def test_languages(language, text, answer, broken):
    assert rules_of(answer, Request(language=language), text) == broken


def test_a_finding_says_where():
    answer = "From 4 September the library of Ada Lark stays open."
    places = [(f.rule, answer[f.start : f.end]) for f in check(Request(), TEXT, answer)]
    assert places == [("number", "4"), ("name", "Ada"), ("name", "Lark")]


def test_what_is_one_stretch_of_the_text():
    assert is_one_stretch(TEXT, "Samir Haddad has hired two people; the café keeps the same hours! #Café")
    assert is_one_stretch(TEXT, "of 560 readers 412 asked")
    assert not is_one_stretch(TEXT, "Of 560 readers, 412 asked. It cost 12,400 euros.")
    assert not is_one_stretch(TEXT, GOOD)


def test_a_limit_that_is_asked_for():
    assert rules_of(GOOD, Request(limit=5)) == ["length"]
    assert rules_of(GOOD, Request("summary")) == []
    short = "The library, of all places. #Library #Books #Mill #Street"
    assert rules_of(short, Request(limit=15)) == ["short"]  # 5 of 15 words of its own, of a text of 36
    assert rules_of(short, Request(limit=19)) == []  # the text has little more to say
    assert rules_of("The library stays open longer now.", Request(limit=15)) == []
    assert (length("one two", "en"), length("雪 が\n降る", "ja")) == (2, 4)


def test_numbers():
    assert numbers("１２時30分, 1,200 or 1.5 and 19:30") == [
        ("12", 0, 2), ("30", 3, 5), ("1200", 8, 13), ("1.5", 17, 20), ("19:30", 25, 30),
    ]  # fmt: skip


def test_loops_are_no_repeated_words_of_prose():
    assert not loops("We met again and again, year after year, day by day, and again in 1999.")
    assert not loops("0000000000000")
    assert loops("ばばばばばばばばばば")


def test_one_sentence():
    assert is_one_sentence("A b. C d e!", "c D e")
    assert not is_one_sentence("A b. C d e!", "A b. C d e!")


def test_closeness():
    assert closeness("the cat sat on the mat", "the cat sat", "en") == 1
    assert closeness("the cat sat on the mat", "a dog sat on", "en") == pytest.approx(1 / 3)
    assert closeness("x", "", "en") == 0


def test_what_is_untrue_weighs_more_than_what_is_poor():
    assert weight([Finding("number")]) > weight([Finding("copy")]) > weight([]) == 0
