"""How a run is cut into submits, on a device of known speed."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import pytest

from sotto.api import drive
from sotto.device import Work
from sotto.devices.pace import GROWTH, SUBMIT_SECONDS, Amount, Pace, amounts, longest
from sotto.devices.reference.device import NumpyDevice
from sotto.engine.engine import Engine
from sotto.models import synthetic
from sotto.ops import Cache, attention, matmul, rms_norm
from sotto.plan.plan import Plan, Tensor, Use, tensor
from sotto.plan.weights import Matrix, Shard
from sotto.plan.work import STEP_OPERATIONS, work
from sotto.reports import Settings

CHUNK = 512


def submits(
    pace: Pace, steps: Sequence[Amount], seconds: Sequence[float], flying: int = 1
) -> list[tuple[float, int]]:
    """Run the steps on a device that takes so long for each: seconds and steps of each submit. What one took is learnt
    when so many have been submitted."""
    first, seen = 0, []
    unknown: deque[tuple[Sequence[Amount], float]] = deque()
    while first < len(steps):
        end = pace.end(steps, first, len(steps))
        unknown.append((steps[first:end], sum(seconds[first:end])))
        seen.append((unknown[-1][1], end - first))
        if len(unknown) == flying:
            pace.learn(*unknown.popleft())
        first = end
    return seen


def plain(work: list[float], rate: float) -> tuple[list[Amount], list[float]]:
    """Steps without attention, and their seconds on a device of so many operations a second."""
    return [(0.0, each) for each in work], [each / rate for each in work]


@pytest.mark.parametrize("rate", [3e9, 1e11, 5e12])
def test_no_submit_is_long_and_on_a_quick_device_few_are_needed(rate: float) -> None:
    work = [2e8, 1e6, 4e7, 4e8] * 300
    pace = Pace()
    seen = submits(pace, *plain(work, rate))
    assert sum(steps for _, steps in seen) == len(work)
    assert max(seconds for seconds, _ in seen) <= max(SUBMIT_SECONDS, max(work) / rate) * 1.01
    again = submits(pace, *plain(work, rate))
    assert len(again) <= 1 + 2 * sum(work) / rate / SUBMIT_SECONDS or len(again) <= len(work)
    if rate > 1e12:
        assert len(again) == 1


def test_a_device_that_slows_down_is_given_less() -> None:
    pace = Pace()
    work = [1e9] * 1000
    submits(pace, *plain(work, 1e12))
    slow = submits(pace, *plain(work, 1e11))
    assert slow[0][0] > SUBMIT_SECONDS, "nobody could know"
    assert all(seconds <= 1.01 * SUBMIT_SECONDS for seconds, _ in slow[1:])


def test_two_submits_noticed_at_once_do_not_make_a_device_infinitely_fast() -> None:
    pace = Pace()
    before = pace.rates
    pace.learn([(1e12, 1e12)], 0.0)
    assert all(old < new <= GROWTH * old for old, new in zip(before, pace.rates, strict=True))


def test_a_submit_teaches_what_it_consists_of() -> None:
    pace = Pace()
    pace.learn([(0.0, 1e9)], 0.5)
    assert pace.rates == (1e9, 2e9), "nothing is known about attention"
    pace.learn([(1e9, 0.0)], 4.0)
    assert pace.rates == (0.25e9, 2e9)
    pace.learn([(0.25e9, 6e9)], 1.0)  # thought to take 1 and 3 s
    assert pace.rates == pytest.approx((0.25e9 * 4**0.25, 2e9 * 4**0.75))
    pace.learn([(1e3, 1e3)], 0.01)
    assert pace.rates == pytest.approx((0.25e9 * 4**0.25, 2e9 * 4**0.75)), "too short to tell"


def test_the_longest_steps() -> None:
    rates = 1e9, 1e10
    assert longest([(1e9, 1e6), (2e8, 1e6), (0.0, 3e10)], rates) == (1.0, 3.0)
    assert longest([], rates) == (0.0, 0.0)


def test_estimates_are_those_of_the_arithmetic() -> None:
    def plane(name: str, *shape: int) -> Tensor:
        return tensor(name, shape, "f32", Use.CACHE)

    p = Plan("test", 32)
    piece = Shard(0, 64, 128, "q4", plane("w", 64, 128), plane("s", 64, 128))
    matmul(p, "y", plane("x", 32, 128), Matrix("m", 64, 128, (piece,)))
    cache = Cache(
        tensor("keys", (96, 1, 64), "f16", Use.CACHE), tensor("values", (96, 1, 64), "f16", Use.CACHE)
    )
    attention(p, plane("q", 32, 256), cache, window=40)
    rms_norm(p, "norm", plane("x", 32, 128), plane("weight", 128), eps=1e-6)
    found = [work(d, 32) for d in p.dispatches]
    assert found == [
        Work(STEP_OPERATIONS, token=2 * 64 * 128),
        Work(STEP_OPERATIONS, key=4 * 256, window=40),
        Work(STEP_OPERATIONS, token=4 * 128),
    ]
    # Token t of 20 after 10 others attends to 11 + t positions; all of 20 after 60 others to their window.
    assert amounts(found, 10, 20)[1] == (4 * 256 * 20 * 20, STEP_OPERATIONS)
    assert amounts(found, 60, 20)[1] == (4 * 256 * 20 * 40, STEP_OPERATIONS)
    assert amounts(found, 60, 20)[0] == (0, STEP_OPERATIONS + 20 * 2 * 64 * 128)


def test_what_is_for_the_last_token_alone_does_not_grow_with_the_chunk() -> None:
    plan = recorded("270m", 2048)
    found = {d.label: work(d, CHUNK) for d in plan.dispatches}
    assert found["head"].flat == STEP_OPERATIONS + 2 * 640 * 262_144
    assert found["layer 17 / last token / attention"] == Work(STEP_OPERATIONS + 4 * 4 * 256 * 2048)
    assert amounts([found["head"]], 0, 32) == amounts([found["head"]], 1000, CHUNK)
    layer = 640 * 1536 + 1024 * 640 + 3 * 640 * 2048  # weights; of the last layer, keys and values
    assert sum(step.token for step in found.values()) == pytest.approx(2 * (17 * layer + 640 * 512), rel=0.02)


@cache
def recorded(shape: str, context: int) -> Plan:
    """The prefill of a chunk, as a GPU does it."""
    device = NumpyDevice()
    device.adapter = replace(device.adapter, software=False, features=("shader-f16", "subgroups"))
    engine = drive(Engine.outline(synthetic.source(shape), device, Settings(context, chunks=(CHUNK,))))
    return engine.plans[-1]


@pytest.mark.parametrize("efficiency", [1, 1 / 8])  # of attention, beside matrix products
@pytest.mark.parametrize("rate", [5e10, 3e11, 3e12])  # of matrix products
@pytest.mark.parametrize("context", [2048, 32_768])
@pytest.mark.parametrize("shape", ["270m", "1b"])
def test_a_long_prompt_holds_the_gpu_briefly(
    shape: str, context: int, rate: float, efficiency: float
) -> None:
    """As far as single steps allow it: attention to 32,768 positions is one."""
    plan = recorded(shape, context)
    steps = [work(d, CHUNK) for d in plan.dispatches]
    pace = Pace()
    for prompt in range(2):
        count, whole, single = 0, 0.0, 0
        positions = range(
            0, (context, 2048)[prompt], CHUNK
        )  # the second begins with what the end of the first taught
        for position in positions:
            seen_by = {w: sum(min(w, position + t + 1) for t in range(CHUNK)) for w in (0, 512, context)}
            seconds = [
                (step.key * seen_by[step.window] / efficiency + step.flat + CHUNK * step.token) / rate
                for step in steps[: plan.body]
            ]
            seen = submits(pace, amounts(steps, position, CHUNK)[: plan.body], seconds, flying=2)
            assert max((held for held, several in seen if several > 1), default=0) < 0.2, position
            count += len(seen)
            whole += sum(seconds)
            single += sum(held > SUBMIT_SECONDS / 2 for held in seconds)
        assert count <= 3 * single + 10 + len(positions) + 2 * whole / SUBMIT_SECONDS
