"""The bar of a load: it never goes back, ends at its end, and foretells from the recent rate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sotto.page.progress import SHARES, Loading

STAGES = tuple(SHARES)[1:]


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_shares_make_a_whole() -> None:
    assert sum(SHARES.values()) == pytest.approx(1)


def test_stages_follow_each_other() -> None:
    clock = Clock()
    loading = Loading(4.0, clock)
    assert loading.fraction == pytest.approx(SHARES["runtime"])
    loading.report("header", 0, 0, cached=False)
    clock.now += 1.5
    loading.report("weights", 50, 200, cached=False)
    assert loading.seconds == {"runtime": 4.0, "header": 1.5}
    assert loading.fraction == pytest.approx(SHARES["runtime"] + SHARES["header"] + SHARES["weights"] / 4)
    clock.now += 2
    loading.report("tokenizer", 0, 1, cached=False)
    loading.report("pipelines", 0, 4, cached=False)
    clock.now += 3
    loading.report("ready", 1, 1, cached=False)
    assert loading.fraction == pytest.approx(1)
    assert loading.seconds == {
        "runtime": 4.0,
        "header": 1.5,
        "weights": 2.0,
        "tokenizer": 0.0,
        "pipelines": 3.0,
    }


def test_time_left_follows_the_recent_rate() -> None:
    clock = Clock()
    loading = Loading(4.0, clock)
    done = 0
    loading.report("weights", done, 10_000, cached=False)
    assert loading.seconds_left is None  # nothing is known yet
    for rate in (100, 400):  # bytes a second, each for longer than the memory
        for _ in range(80):
            clock.now += 0.1
            done += rate // 10
            loading.report("weights", done, 10_000, cached=False)
    assert loading.seconds_left == pytest.approx((10_000 - done) / 400, rel=0.01)
    loading.report("tokenizer", 0, 1, cached=False)
    assert loading.seconds_left is None


def test_a_stage_that_begins_again_takes_no_time_back() -> None:
    clock = Clock()
    loading = Loading(4.0, clock)
    loading.report("weights", 0, 100, cached=True)
    clock.now += 2
    loading.report("weights", 90, 100, cached=True)
    before = loading.fraction
    clock.now += 1
    loading.report("weights", 1, 100, cached=False)  # the cache was damaged: converting from the file
    assert loading.fraction == before
    assert loading.seconds_left is None
    clock.now += 1
    loading.report("weights", 11, 100, cached=False)
    assert loading.seconds_left == pytest.approx(8.9)


@given(
    st.lists(
        st.tuples(st.sampled_from(STAGES), st.integers(0, 50), st.integers(0, 50), st.floats(0, 3)),
        max_size=40,
    )
)
def test_the_bar_never_goes_back(reports: list[tuple[str, int, int, float]]) -> None:
    clock = Clock()
    loading = Loading(1.0, clock)
    before = loading.fraction
    for stage, done, total, seconds in reports:
        clock.now += seconds
        loading.report(stage, min(done, total), total, cached=False)
        assert before <= loading.fraction <= 1
        assert (left := loading.seconds_left) is None or left >= 0
        before = loading.fraction
