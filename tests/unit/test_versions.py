"""Several answers to one request: which is shown, and what is marked in it."""

from __future__ import annotations

import pytest

from sotto.tasks.candidates import COPY_BIAS, VARIED, best_first, fitted, judge, sampling_of
from sotto.tasks.request import Request, frame
from sotto.text.sampler import Sampling

TEXT = "The bakery on Hill Road opens at six from Monday on. Until now it was seven. Rye bread costs 4.20."
GOOD = "From Monday on the bakery on Hill Road opens at six."
FREE = "Early risers rejoice: six is when bread is sold now."
WRONG = "From Monday on the bakery opens at 8, and Lena sells rye bread."


def judged(*answers: str):
    return [judge(Request(), TEXT, answer) for answer in answers]


def test_what_breaks_no_rule_comes_first_and_then_what_is_close():
    found = best_first(judged(WRONG, FREE, "", GOOD))
    assert [each.answer for each in found] == [GOOD, FREE, WRONG, ""]


def test_an_answer_that_comes_twice_is_kept_once():
    assert [each.answer for each in best_first(judged(GOOD, f" {GOOD}\n", FREE))] == [GOOD, FREE]


def test_the_parts_of_an_answer():
    (wrong,) = judged(WRONG)
    assert wrong.parts() == [
        ("From Monday on the bakery opens at ", False), ("8", True), (", and ", False), ("Lena", True),
        (" sells rye bread.", False),
    ]  # fmt: skip
    (good,) = judged(GOOD)
    assert good.parts() == [(GOOD, False)]
    assert "".join(text for text, _ in judged("Lena")[0].parts()) == "Lena"


@pytest.mark.parametrize(
    ("instruction_tuned", "cards", "expected"),
    [
        (False, [], "examples"),
        (True, [], "chat"),
        (False, [{}], "examples"),
        (False, [{"frame": "plain"}], "plain"),
        (True, [{"frame": "chat"}], "chat"),
        (True, [{}, {"frame": "plain"}], "plain"),
    ],
)
def test_how_a_request_is_put(instruction_tuned, cards, expected):
    assert frame(instruction_tuned, cards) == expected


@pytest.mark.parametrize(
    ("language", "limit", "answer", "expected"),
    [
        (
            "en",
            9,
            "The fair opens at noon. It closes at ten. Bring a friend.",
            "The fair opens at noon. It closes at ten.",
        ),
        (
            "en",
            8,
            "The fair opens at noon. It closes at ten. #Fair #Noon",
            "The fair opens at noon. #Fair #Noon",
        ),
        ("en", 6, "“The fair opens at noon.” It closes at ten.", "“The fair opens at noon.”"),
        ("en", 5, "The fair opens at noon\nIt closes at ten", "The fair opens at noon"),
        (
            "en",
            4,
            "The fair opens at noon. It closes.",
            "The fair opens at noon. It closes.",
        ),  # the first is too long
        (
            "en",
            6,
            "Ask Dr. Adebayo or Mrs. Lee about it today.",
            "Ask Dr. Adebayo or Mrs. Lee about it today.",
        ),
        ("en", 6, "The day at the baker's. It was long.", "The day at the baker's."),
        ("de", 5, "Am 5. Mai ist Markt. Kommt alle vorbei.", "Am 5. Mai ist Markt."),
        ("ja", 8, "今日は晴れです。明日は雨です。", "今日は晴れです。"),
        ("en", 20, "It closes at ten. ", "It closes at ten. "),
    ],
)
def test_what_is_too_long_is_cut_after_a_sentence(language, limit, answer, expected):
    request = Request(language=language, limit=limit)
    assert fitted(request, answer) == expected
    assert judge(request, answer, answer).answer == expected.strip()


def test_a_post_is_cut_to_what_its_network_takes():
    sentence = "The fair of the old harbour opens at noon and closes at ten. "  # 61 characters
    answer = sentence * 5 + "#Fair"
    assert fitted(Request(limit=200), answer) == answer
    assert fitted(Request(limit=200, network="X"), answer) == sentence * 4 + "#Fair"
    assert fitted(Request(limit=200, network="LinkedIn"), answer) == answer
    long = "a" * 281
    (found,) = [each for each in judge(Request(network="X"), long, long).findings if each.rule == "length"]
    assert found.detail == "281"


def test_how_answers_are_drawn():
    """An adapted base model keeps to its text's phrases where it is to tell what stands there."""
    usual = Sampling(temperature=0.1, seed=2**64 - 1)
    assert sampling_of(usual, Request(), "plain", 0) == Sampling(0.1, seed=2**64 - 1, copy_bias=COPY_BIAS)
    assert sampling_of(usual, Request(), "plain", 2) == Sampling(VARIED, seed=1, copy_bias=COPY_BIAS)
    assert sampling_of(usual, Request(task="rewrite"), "plain", 0).copy_bias == 0
    assert sampling_of(usual, Request(), "chat", 0) == usual
    assert sampling_of(usual, None, "plain", 0) == usual
    warm = Sampling(temperature=0.9, seed=None)
    assert sampling_of(warm, Request(), "examples", 1) == warm
