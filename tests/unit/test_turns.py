"""Who has the KV cache: generations, scores and stops that overlap on a device that really waits."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator, Awaitable, Callable

import numpy as np
import pytest

import tiny
from late_device import LateDevice
from sotto.api import drive
from sotto.device import Device
from sotto.devices.reference.device import NumpyDevice
from sotto.engine.engine import Engine
from sotto.errors import Cancelled, DeviceError, TurnLost
from sotto.reports import Settings, TextPart
from sotto.source import MemorySource
from sotto.text.sampler import Sampling

TYPES = dict.fromkeys(tiny.DEFAULT_TYPES, "F16")
DATA = tiny.build(tiny.Tiny(layers=2, width=128, hidden=128, heads=2, head_dim=32, seed=3, types=TYPES))
LENGTH = 14  # tokens of an answer
PROMPTS = [[2, *np.random.default_rng(seed).integers(200, 512, 40).tolist()] for seed in (1, 2)]


def load(device: Device) -> Engine:
    settings = Settings(context=160, chunks=(8, 16))
    return drive(Engine.load(MemorySource(DATA, "tiny.gguf", "t"), device, None, settings))


def answer(engine: Engine, ids: list[int]) -> AsyncGenerator[TextPart]:
    return engine.generate(ids, LENGTH, Sampling(temperature=0), ignore_eos=True)


async def written(engine: Engine, ids: list[int], into: list[int] | None = None) -> list[int]:
    tokens = [] if into is None else into
    async for piece in answer(engine, ids):
        tokens.append(piece.token)
    return tokens


async def wait(turns: int) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)


Story = Callable[[Engine, int], Awaitable[None]]


def moments(story: Story, device: LateDevice, count: int, step: int) -> None:
    """A story that has something happen after so many turns of the event loop, told anew for each number of them."""

    async def stories() -> None:
        engine = load(device)
        for after in range(1, count, step):
            engine.forget()
            await story(engine, after)

    asyncio.run(stories())


@pytest.fixture(scope="module")
def expected() -> list[list[int]]:
    """Each prompt's answer, and that to the beginning of the second, on a device where nothing overlaps."""
    engine = load(NumpyDevice())
    return [drive(written(engine, ids)) for ids in (*PROMPTS, PROMPTS[1][:30])]


@pytest.mark.parametrize("turns", [1, 4])
def test_a_second_answer_is_right_whenever_it_begins(expected: list[list[int]], turns: int) -> None:
    """While the first one reads its prompt, decodes, or its last tokens are landing: the second has its own tokens, the
    first no other than its own, and what is in the cache afterwards is what it says."""
    ended = set()

    async def story(engine: Engine, after: int) -> None:
        first: list[int] = []
        writing = asyncio.ensure_future(written(engine, PROMPTS[0], first))
        await wait(after)
        stats = engine.stats
        assert await written(engine, PROMPTS[1]) == expected[1]
        await writing
        assert first == expected[0][: len(first)]
        assert stats.stop_reason == ("length" if len(first) == LENGTH else "cancelled")
        ended.add(len(first))
        assert engine.session.kept.ids == [*PROMPTS[1], *expected[1]][: len(engine.session.kept.ids)]
        assert await written(engine, PROMPTS[1][:30]) == expected[2]
        assert not engine.session.taken

    moments(story, LateDevice(turns), 90 * turns, 9 * turns)
    assert {0, LENGTH} < ended, "during the prompt, between tokens, and afterwards"


def test_many_at_once(expected: list[list[int]]) -> None:
    """Whoever comes last has it to the end."""

    async def story() -> None:
        engine = load(LateDevice())
        told: list[list[int]] = [[] for _ in range(6)]
        tasks = []
        for index, into in enumerate(told):
            tasks.append(asyncio.ensure_future(written(engine, PROMPTS[index % 2], into)))
            await wait(5 * index)
        await asyncio.gather(*tasks)
        for index, tokens in enumerate(told):
            assert tokens == expected[index % 2][: len(tokens)]
        assert len(told[-1]) == LENGTH

    asyncio.run(story())


def test_scores_while_an_answer_is_written(expected: list[list[int]]) -> None:
    reference = drive(load(NumpyDevice()).score(PROMPTS[1]))

    async def story(engine: Engine, after: int) -> None:
        first: list[int] = []
        writing = asyncio.ensure_future(written(engine, PROMPTS[0], first))
        await wait(after)
        np.testing.assert_array_equal(await engine.score(PROMPTS[1]), reference)
        await writing
        assert first == expected[0][: len(first)]
        assert await written(engine, PROMPTS[1]) == expected[1], "what was scored is in the cache"

    moments(story, LateDevice(), 120, 11)


def test_a_score_that_lost_the_cache_says_so(expected: list[list[int]]) -> None:
    outcomes = set()

    async def story(engine: Engine, after: int) -> None:
        scoring = asyncio.ensure_future(engine.score(PROMPTS[0]))
        await wait(after)
        assert await written(engine, PROMPTS[1]) == expected[1]
        [outcome] = await asyncio.gather(scoring, return_exceptions=True)
        outcomes.add(type(outcome))

    moments(story, LateDevice(), 40, 3)
    assert outcomes == {TurnLost, np.ndarray}, "lost while it ran, and done before"


def test_stop_at_any_moment(expected: list[list[int]]) -> None:
    """Nothing is shown afterwards, and the same text can be gone on with."""
    shown = set()

    async def story(engine: Engine, after: int) -> None:
        first: list[int] = []
        writing = asyncio.ensure_future(written(engine, PROMPTS[0], first))
        await wait(after)
        engine.stop()
        before = len(first)
        await writing
        assert first == expected[0][:before]
        assert engine.stats.stop_reason == ("length" if before == LENGTH else "cancelled")
        shown.add(before)
        assert await written(engine, PROMPTS[0]) == expected[0]

    moments(story, LateDevice(), 120, 9)
    assert {0, LENGTH} < shown, "during the prompt, between tokens, and afterwards"


def test_an_answer_that_is_thrown_away_gives_the_cache_back(expected: list[list[int]]) -> None:
    async def story() -> None:
        engine = load(LateDevice())
        for way in ("closed", "collected", "interrupted"):
            left = answer(engine, PROMPTS[0])
            assert (await anext(left)).token == expected[0][0]
            assert engine.session.taken
            if way == "closed":
                await left.aclose()
            elif way == "collected":
                del left
                gc.collect()
                await wait(2)
            else:
                task = asyncio.ensure_future(anext(left))
                await wait(1)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            assert not engine.session.taken, way
            assert engine.stats.stop_reason == "cancelled"
            assert await written(engine, PROMPTS[1]) == expected[1]

    asyncio.run(story())


def test_what_was_interrupted_does_not_go_on_beside_what_follows(expected: list[list[int]]) -> None:
    """A task that is cancelled while the device reads its prompt: the device's own run would submit its other parts."""

    class Detached(LateDevice):
        """Its runs go on when whoever waits for them is gone, as a promise of JavaScript does."""

        async def run(self, program: int, inputs: bytes, *, steps: int | None = None) -> bytes:
            return await asyncio.shield(asyncio.ensure_future(super().run(program, inputs, steps=steps)))

    async def story(engine: Engine, after: int) -> None:
        task = asyncio.ensure_future(written(engine, PROMPTS[0]))
        await wait(after)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert await written(engine, PROMPTS[1]) == expected[1]

    moments(story, Detached(), 30, 2)


def test_a_turn_that_is_over_refuses_everything() -> None:
    async def story() -> None:
        engine = load(LateDevice())
        session = engine.session
        decode = session.programs[1]
        with session.turn() as lost:
            await lost.prefill(PROMPTS[0])
            flight = lost.decode(2, 300)
            with session.turn() as turn:
                await turn.prefill(PROMPTS[1])
                kept = list(session.kept.ids)
                for use in (
                    lambda: lost.prefill(PROMPTS[0]),
                    lambda: lost.read(PROMPTS[0], 100),
                    lambda: lost.run(decode, 0, [2]),
                    lambda: lost.profile(decode, 0, [[0]]),
                    lambda: lost.land(flight),
                ):
                    with pytest.raises(TurnLost):
                        await use()
                with pytest.raises(TurnLost):
                    lost.decode(1, 300)
                assert session.kept.ids == kept
                session.stop()
                with pytest.raises(Cancelled) as stopped:
                    turn.decode(1, 300)
                assert not isinstance(stopped.value, TurnLost)
        assert not session.taken
        with pytest.raises(TurnLost):
            await turn.run(decode, 0, [2])

    asyncio.run(story())


def test_a_lost_device_is_no_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = load(NumpyDevice())

    def lost(*_: object) -> None:
        raise DeviceError("The GPU was lost.")

    pieces = answer(engine, PROMPTS[0])
    drive(anext(pieces))
    monkeypatch.setattr(engine.device, "submit", lost)
    with pytest.raises(DeviceError, match="lost"):
        drive(anext(pieces))
    assert engine.stats.stop_reason == "failed"
    assert not engine.session.taken
