"""Drafts from the text itself, and the rule that says when they are worth checking."""

from __future__ import annotations

import pytest

from sotto.engine.drafts import Costs, Lookup


def test_a_draft_is_what_followed_the_latest_repetition() -> None:
    lookup = Lookup()
    lookup.read([1, 2, 3, 4, 5, 6, 1, 2])
    assert lookup.draft(3) == [3, 4, 5]
    assert lookup.draft(2) == [3, 4]
    assert lookup.draft(0) == []
    lookup.read([1, 2, 3, 4, 5, 6, 1, 2, 9, 8, 1, 2])
    assert lookup.draft(3) == [9, 8, 1], "the latest of two"
    lookup.read([1, 2, 3, 4, 5, 6, 1, 2, 9, 8, 1, 2, 3])
    assert lookup.draft(9) == [4, 5, 6], "three tokens go before two"
    lookup.read([1, 2, 3, 4, 5, 6, 1, 2, 9, 8, 1, 2, 3, 7])
    assert lookup.draft(3) == []


def test_a_text_that_repeats_itself_is_its_own_draft() -> None:
    lookup = Lookup()
    lookup.read([7, 7, 7, 7])
    assert lookup.draft(3) == [7], "no further than the text goes"
    lookup.read([5])
    assert lookup.draft(3) == [7]
    assert Lookup().draft(3) == []


def test_the_first_checks_find_out_what_a_check_takes() -> None:
    costs = Costs()
    costs.decoded(0.010)
    assert costs.worthwhile
    costs.checked(5.0)  # it compiled
    assert costs.worthwhile
    costs.checked(0.015)
    costs.checked(0.015)
    assert costs.check == pytest.approx(0.015)
    assert costs.worthwhile, "two tokens for the time of one and a half"
    for _ in range(10):
        costs.agreed(0)
    assert not costs.worthwhile
    for _ in range(3):
        costs.agreed(3)  # as plain decoding told
    assert costs.worthwhile
    costs.decoded(0.001)
    for _ in range(20):
        costs.decoded(0.001)
    assert not costs.worthwhile, "batches of plain tokens are faster here"


def test_drafts_that_are_never_right_are_not_even_tried() -> None:
    costs = Costs()
    costs.agreed(0)
    assert not costs.worthwhile
