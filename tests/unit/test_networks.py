"""How long a post is where it will be posted: a table of real examples, counted by the networks' own rules.

X's lengths are those of twitter-text, its conformance tests among them; Mastodon's of its StatusLengthValidator.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sotto.page.statistics import length
from sotto.page.words import Words
from sotto.tasks.networks import RULES
from sotto.tasks.phrases import NETWORKS
from sotto.text.graphemes import EMOJI, graphemes

FILE = Path(__file__).parents[2] / "web" / "words.json"
EXAMPLES = [  # text, and its length on X, Threads, Bluesky, Mastodon, LinkedIn, Instagram
    ("", 0, 0, 0, 0, 0, 0),
    ("This is a test.", 15, 15, 15, 15, 15, 15),
    ("http://test.com", 23, 15, 8, 23, 15, 15),
    ("test.com", 23, 8, 8, 8, 8, 8),
    ("Test https://test.com test https://test.com test.com test", 86, 57, 41, 71, 57, 57),
    ("\U00010000\U0010ffff", 4, 2, 2, 2, 4, 4),
    ("저찀쯿쿿", 8, 4, 4, 4, 4, 4),
    ("H\U0001f431☺", 5, 8, 3, 3, 4, 4),
    ("english text 日本語 😷 https://example.com", 46, 41, 30, 42, 39, 39),
    ("Grandma opened the chest. 🎉🎉 #family", 38, 42, 36, 36, 38, 38),
    (
        "図書館の夜間開館が始まりました！ https://library.example.jp/news/2026?id=12&lang=ja",
        56, 67, 51, 40, 67, 67,
    ),
    ("Nous aimons le café — “vraiment” ☕️", 35, 39, 34, 34, 35, 35),
    ("family 👨‍👩‍👧‍👦, flags 🇯🇵🇩🇪, keycap 1️⃣, thumbs 👍🏽", 43, 89, 38, 38, 59, 59),
    ("e\u0301te\u0301 = été", 9, 11, 9, 9, 11, 11),
    ("See (https://en.wikipedia.org/wiki/Sotto_(voice)).", 30, 50, 39, 30, 50, 50),
    ("Ask @ada@example.social or @bob about v1.2 of node.js", 53, 53, 53, 38, 53, 53),
    ("Prices: 3.14, U.S., e.g. this … and Mr.Smith", 45, 44, 44, 44, 44, 44),
    ("안녕하세요 여러분", 17, 9, 9, 9, 9, 9),
    ("一行目\n二行目", 13, 7, 7, 7, 7, 7),
    ("日本語https://example.com", 29, 22, 14, 26, 22, 22),
]  # fmt: skip


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: ascii(example[0])[:24])
def test_lengths(example: tuple[object, ...]) -> None:
    text, *lengths = example
    assert [RULES[name].count(str(text)) for name in NETWORKS] == lengths


def test_every_network_that_can_be_asked_for_has_its_rule() -> None:
    assert tuple(RULES) == NETWORKS
    assert [RULES[name].limit for name in NETWORKS] == [280, 500, 300, 500, 3000, 2200]


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        ("X", "の" * 140), ("X", "a" * 256 + " t.co"), ("X", "👨‍👩‍👧‍👦" * 140), ("Threads", "😷" * 125),
        ("Bluesky", "👨‍👩‍👧‍👦" * 300), ("Mastodon", "é" * 500), ("LinkedIn", "a" * 3000), ("Instagram", "の" * 2200),
    ],
)  # fmt: skip
def test_a_limit_is_reached_exactly(name: str, fits: str) -> None:
    assert RULES[name].left(fits) == 0
    assert RULES[name].left(fits + "!") == -1


def test_instagram_takes_thirty_hashtags() -> None:
    tags = " ".join(f"#tag{n}" for n in range(30))
    assert not RULES["Instagram"].too_many_hashtags(f"{tags} #1 a#b")
    assert RULES["Instagram"].too_many_hashtags(f"{tags} #もう一つ")
    assert not RULES["X"].too_many_hashtags(f"{tags} #more")


@pytest.mark.parametrize(
    "cluster",
    [
        "e\u0301", "\r\n", "한", "\u1112\u1161\u11ab", "가\u11a8", "👩🏽‍🚀",
        "🏴󠁧󠁢󠁳󠁣󠁴󠁿", "🇯🇵", "#️⃣", "नी", "กำ", "か\u3099", "ｶﾞ", "❤️‍🔥",
    ],
)  # fmt: skip
def test_one_character_for_people_is_one(cluster: str) -> None:
    assert graphemes(f"日{cluster}x") == ["日", cluster, "x"]


def test_characters_beside_each_other_are_several() -> None:
    assert graphemes("\n\r") == ["\n", "\r"]
    assert graphemes("🇯🇵🇩🇪🇯") == ["🇯🇵", "🇩🇪", "🇯"]
    assert graphemes("가나각ᅡ") == ["가", "나", "각", "ᅡ"]
    assert graphemes("a\u200b👩👩") == ["a", "\u200b", "👩", "👩"]
    assert [match.group() for match in EMOJI.finditer("1 ☕️👍🏽 # 5️⃣")] == ["☕️", "👍🏽", "5️⃣"]


def test_the_page_says_what_a_post_counts() -> None:
    english, japanese = (Words.load(FILE, language) for language in ("en", "ja"))
    assert length(english, "", "text") == length(english, "X", "") == ""
    assert length(english, "X", "日本語 https://example.com") == "30 of 280 characters"
    assert length(english, "LinkedIn", "a" * 3001) == "3,001 of 3,000 characters: 1 too many"
    assert length(japanese, "X", "の" * 150) == "280文字のうち300文字（20文字超過）"
    assert "more than 30 hashtags" in length(english, "Instagram", "#a " * 31)


@settings(max_examples=40)
@given(st.text(max_size=60))
def test_nothing_of_a_text_is_lost(text: str) -> None:
    assert "".join(graphemes(text)) == text
    for rule in RULES.values():
        assert rule.count(text) >= 0
