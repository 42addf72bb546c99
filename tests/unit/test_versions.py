"""Several answers to one request: which is shown, and what is marked in it."""

from __future__ import annotations

import pytest

from sotto.tasks.candidates import best_first, judge
from sotto.tasks.request import Request, frame

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
