"""How a run is cut into submits, on a device of known speed."""

from __future__ import annotations

import pytest

from sotto.ops import Cache, attention, matmul, rms_norm
from sotto.pace import STEP_OPERATIONS, SUBMIT_SECONDS, Pace, operations
from sotto.plan import Plan, Role, Tensor, tensor
from sotto.weights import Matrix, Piece


def submits(pace: Pace, work: list[float], rate: float) -> list[tuple[float, int]]:
    """Run the work on a device of so many operations a second: seconds and steps of each submit."""
    first, seen = 0, []
    while first < len(work):
        end = pace.end(work, first, len(work))
        seconds = sum(work[first:end]) / rate
        pace.learn(sum(work[first:end]), seconds)
        seen.append((seconds, end - first))
        first = end
    return seen


@pytest.mark.parametrize("rate", [3e9, 1e11, 5e12])
def test_no_submit_is_long_and_on_a_quick_device_few_are_needed(rate: float) -> None:
    work = [2e8, 1e6, 4e7, 4e8] * 300
    pace = Pace()
    seen = submits(pace, work, rate)
    assert sum(steps for _, steps in seen) == len(work)
    assert max(seconds for seconds, _ in seen) <= max(SUBMIT_SECONDS, max(work) / rate) * 1.01
    again = submits(pace, work, rate)
    assert len(again) <= 1 + 2 * sum(work) / rate / SUBMIT_SECONDS or len(again) <= len(work)
    if rate > 1e12:
        assert len(again) == 1


def test_a_device_that_slows_down_is_given_less() -> None:
    pace = Pace()
    work = [1e9] * 1000
    submits(pace, work, 1e12)
    slow = submits(pace, work, 1e11)
    assert slow[0][0] > SUBMIT_SECONDS, "nobody could know"
    assert all(seconds <= 1.01 * SUBMIT_SECONDS for seconds, _ in slow[1:])


def test_two_submits_noticed_at_once_do_not_make_a_device_infinitely_fast() -> None:
    pace = Pace()
    before = pace.rate
    pace.learn(1e12, 0.0)
    assert before < pace.rate <= 4 * before


def test_estimates_are_those_of_the_arithmetic() -> None:
    def plane(name: str, *shape: int) -> Tensor:
        return tensor(name, shape, "f32", Role.CACHE)

    p = Plan("test", 32)
    piece = Piece(0, 64, 128, "q4", plane("w", 64, 128), plane("s", 64, 128))
    matmul(p, "y", plane("x", 32, 128), Matrix("m", 64, 128, (piece,)))
    cache = Cache(
        tensor("keys", (96, 1, 64), "f16", Role.CACHE), tensor("values", (96, 1, 64), "f16", Role.CACHE)
    )
    attention(p, plane("q", 32, 256), cache, window=40)
    rms_norm(p, "norm", plane("x", 32, 128), plane("weight", 128), eps=1e-6)
    found = [operations(d) - STEP_OPERATIONS for d in p.dispatches]
    assert found[:2] == [2 * 64 * 128 * 32, 4 * 256 * 40 * 32]
    assert 0 < found[2] < found[0]
