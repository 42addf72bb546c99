"""What a person may wish of a post, what of it a model hears, and the request that it makes."""

from __future__ import annotations

import pytest

from sotto.errors import InvalidSetting
from sotto.tasks import fit
from sotto.tasks.candidates import COPY_BIAS, sampling_of
from sotto.tasks.phrases import LANGUAGES, PHRASES, Language
from sotto.tasks.request import Request, prompt
from sotto.tasks.rules import check
from sotto.tasks.voice import LONGEST as LONGEST_POST
from sotto.tasks.voice import posts
from sotto.tasks.wishes import LONGEST, SHORTEST, Wishes
from sotto.text.sampler import Sampling

ENGLISH = (
    "The river froze last night, for the first time since 1990, and the children of Orra went out on it."
)
JAPANESE = "昨夜、川が1990年以来はじめて凍りました。"
ALL = Wishes("formal", 20, 70, "de", hashtags=True, voice=True)
OWN = (
    "ok so the bakery does buns on fridays now. go early #slow",
    "tiny update: the tomatoes made it.\nthe basil did not #slow",
)


@pytest.mark.parametrize(
    ("wishes", "text", "made"),
    [
        (Wishes(), ENGLISH, Request()),
        (Wishes(words=20, characters=70), ENGLISH, Request(limit=20)),
        (Wishes(words=20, characters=70), JAPANESE, Request(language="ja", limit=70)),
        (Wishes(words=20), JAPANESE, Request(language="ja")),
        (Wishes(language="ja", characters=70), ENGLISH, Request(language="ja", limit=70, into="ja")),
        (Wishes(language="ja"), JAPANESE, Request(language="ja")),
        (ALL, ENGLISH, Request(language="de", limit=20, tone="formal", hashtags=True, into="de")),
    ],
)
def test_the_request_of_wishes(wishes: Wishes, text: str, made: Request) -> None:
    assert wishes.request(text) == made
    assert wishes.request(text, "X").network == "X"


def test_what_models_hear() -> None:
    assert ALL.heard("chat") == ALL
    assert ALL.heard("plain") == Wishes("formal", 20, 70, hashtags=True), "it writes in its text's language"
    assert ALL.heard("examples") == Wishes()


def test_a_post_in_another_language_is_asked_for_in_that() -> None:
    asked = prompt(Wishes(language="de", words=30).request(ENGLISH), ENGLISH, "chat").segments
    assert any("Vorgaben: auf Deutsch, höchstens 30 Wörter." in segment.text for segment in asked)


@pytest.mark.parametrize("change", [{"words": SHORTEST - 1}, {"characters": LONGEST + 1}, {"words": "fifty"}])
def test_a_length_that_cannot_be(change: dict[str, object]) -> None:
    with pytest.raises(InvalidSetting, match=next(iter(change))):
        Wishes(**change)  # type: ignore[arg-type]


def test_they_are_kept_as_a_text() -> None:
    assert Wishes().to_text() == ""
    assert Wishes.from_text("") == Wishes()
    assert Wishes.from_text(ALL.to_text()) == ALL


@pytest.mark.parametrize(
    "kept", ["{", "7", '["en"]', '{"words": -3}', '{"tone": "angry"}', '{"emoji": true}']
)
def test_what_cannot_be_read_is_as_usual(kept: str) -> None:
    assert Wishes.from_text(kept) == Wishes()


def test_names_and_phrases_are_another_languages_in_it() -> None:
    asked, answer = Wishes(language="ja").request(ENGLISH), "昨夜、オッラの川が1990年以来はじめて凍りました。"
    assert check(asked, ENGLISH, answer) == []
    assert [each.detail for each in check(asked, ENGLISH, answer.replace("1990", "1890"))] == ["1890"]
    assert [each.rule for each in check(asked, ENGLISH, ENGLISH)] == ["language", "copy"]
    assert sampling_of(Sampling(), asked, "plain", 0).copy_bias == 0
    assert sampling_of(Sampling(), Request(), "plain", 0).copy_bias == COPY_BIAS


def test_a_longer_post_gets_more_tokens() -> None:
    assert fit.longest(Request()) == 100
    assert fit.longest(Request(limit=20)) == fit.longest(Request(language="ja", limit=50)) == fit.LONGEST
    assert fit.longest(Request(limit=200)) == 400
    assert fit.longest(Request(language="zh", limit=200)) == 200


def test_a_persons_own_posts_are_read_from_one_text() -> None:
    assert posts("\n \n".join(OWN) + "\n\n\n\n") == OWN
    assert posts(" \n\n ") == ()
    assert posts("a\n\nb\n\na\n\nc\n\nd\n\ne\n\nf") == tuple("abcde")
    assert len(posts("a" * 5000)[0]) == LONGEST_POST


@pytest.mark.parametrize("language", LANGUAGES)
def test_they_are_shown_to_a_chat_model_before_the_text(language: Language) -> None:
    asked = "".join(
        part.text for part in prompt(Request(language=language), ENGLISH, "chat", voice=OWN).segments
    )
    words = PHRASES[language]
    heading = f"\n\n{words.text}{words.colon}\n"
    places = [asked.index(part) for part in (words.voice, *OWN, heading, ENGLISH)]
    assert places == sorted(places)
    assert all(asked.count(part) == 1 for part in (*OWN, ENGLISH))
    plain = prompt(Request(language=language), ENGLISH, "plain", voice=OWN)
    assert plain == prompt(Request(language=language), ENGLISH, "plain")


def test_a_post_that_repeats_one_of_them_is_told() -> None:
    found = [each.rule for each in check(Request(), ENGLISH, OWN[0], shown=OWN)]
    assert "prompt" in found
    assert "prompt" not in [
        each.rule for each in check(Request(), ENGLISH, f"ok so {ENGLISH.lower()} #slow", shown=OWN)
    ]
