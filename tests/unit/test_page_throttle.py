"""Progress is painted at once when it is of a new kind, and otherwise ten times a second."""

from __future__ import annotations

from sotto.page.throttle import PAINT, Throttle


def test_a_new_kind_at_once_and_the_rest_in_time() -> None:
    now = [0.0]
    throttle = Throttle(lambda: now[0])
    assert throttle.due("weights")
    assert not throttle.due("weights")
    assert throttle.due("tuning")
    now[0] += 0.9 * PAINT
    assert not throttle.due("tuning")
    now[0] += 0.2 * PAINT
    assert throttle.due("tuning")
    assert not throttle.due("tuning")
