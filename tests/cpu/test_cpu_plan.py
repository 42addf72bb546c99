"""The recorded plans on the CPU: dispatch by dispatch against numpy, and on any number of threads."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import tiny
import turns
from cpu import quantized
from sotto.api import drive, iterate
from sotto.device import Device, Work
from sotto.devices.cpu import CpuDevice
from sotto.devices.reference.device import NumpyDevice
from sotto.devices.reference.kernels import KERNELS
from sotto.devices.threads import KEPT_SECONDS, remembered_threads
from sotto.engine.engine import Engine
from sotto.errors import Cancelled
from sotto.native.disk import DiskStore
from sotto.native.wasm import open_cpu
from sotto.reports import Settings
from sotto.source import MemorySource
from sotto.text.sampler import Sampling

SETTINGS = Settings(context=160, chunks=(8, 32), variant="decode:simple")  # as the CPU, so numpy


@pytest.fixture
def cpu() -> Iterator[CpuDevice]:
    device = drive(open_cpu(4))
    yield device
    device.close()


def load(device: Device, data: bytes) -> Engine:
    return drive(Engine.load(MemorySource(data, "tiny.gguf", "tiny"), device, None, SETTINGS))


@pytest.mark.parametrize("chunk", [1, 8])
def test_every_dispatch_writes_what_numpy_writes(cpu: CpuDevice, monkeypatch, chunk: int) -> None:
    """Each dispatch starts from numpy's memory: a last bit's difference may round an activation to the next of its
    127 steps, and the layers after it would have parted for no fault of theirs."""
    for name, kernel in quantized.KERNELS.items():
        monkeypatch.setitem(KERNELS, name, kernel)
    data = tiny.build(tiny.Tiny())
    engines = load(cpu, data), load(NumpyDevice(), data)
    here, there = (engine.device for engine in engines)
    ids = np.random.default_rng(1).integers(200, engines[0].config.vocabulary, 50).tolist()
    turns.prefill(engines[1], ids[:40])  # the ring has wrapped: 32 + 8
    plan = engines[0].session.programs[chunk].plan
    inputs = plan.inputs(40, ids[40 : 40 + chunk])
    programs = [engine._memory.program(plan) for engine in engines]
    for index, dispatch in enumerate(plan.dispatches):
        steps = [p.steps[index] for p in programs]
        for (_, to, at, nbytes, _), (_, buffer, offset, _, _) in zip(
            *(s.bindings for s in steps), strict=True
        ):
            here.write(to, at, drive(there.read(buffer, offset, nbytes)))
        for engine, program, step in zip(engines, programs, steps, strict=True):
            handle = drive(engine.device.load(replace(program, steps=(step,), work=())))
            drive(engine.device.run(handle, inputs))
            engine.device.unload(handle)
        for i, binding in enumerate(dispatch.bindings):
            if binding.access != "read_write":
                continue
            dtype = {"f16": "f2", "f32": "f4", "u32": "u4"}[binding.tensor.dtype]
            got, expected = (
                np.frombuffer(drive(e.device.read(b[1], b[2], b[3])), dtype).astype(np.float64)
                for e, b in zip(engines, (s.bindings[i] for s in steps), strict=True)
            )
            assert np.any(expected)
            if dispatch.kernel.name == "sample" and binding.tensor.name != "candidates":
                continue  # consumed: the kernel may leave its logits as it likes
            worst = np.abs(got - expected).max() / np.abs(expected).max()
            bound = 1.1e-3 if dtype == "f2" else 1e-5
            assert worst < bound, f"{dispatch.label}: {binding.tensor.name} is off by {worst:.1e}"
    for engine in engines:
        engine.close()


@pytest.mark.parametrize("temperature", [0, 1])
def test_the_same_seed_gives_numpys_tokens(cpu: CpuDevice, monkeypatch, temperature: float) -> None:
    """One draw for each text: a rounded activation can make the next logits differ in the second decimal."""
    for name, kernel in quantized.KERNELS.items():
        monkeypatch.setitem(KERNELS, name, kernel)
    sampling = Sampling(
        temperature=temperature, top_k=40, repeat_penalty=1.2, repeat_last=20, copy_bias=2, seed=5
    )
    data = tiny.build(tiny.Tiny(seed=3, layers=1))
    engines = load(cpu, data), load(NumpyDevice(), data)
    same = 0
    for seed in range(40):
        ids = np.random.default_rng(seed).integers(200, engines[0].config.vocabulary, 20).tolist()
        a, b = ([p.token for p in iterate(e.generate(ids, 1, sampling))] for e in engines)
        same += a == b
    assert same >= 36
    for engine in engines:
        engine.close()


def test_results_do_not_depend_on_the_number_of_threads(cpu: CpuDevice) -> None:
    engine = load(cpu, tiny.build(tiny.Tiny(seed=3)))
    ids = np.random.default_rng(5).integers(200, engine.config.vocabulary, 90).tolist()
    assert cpu.traits.most_threads >= 4
    seen = []
    for threads in (1, 2, 3, 4, 1):
        cpu.threads = threads
        tokens = [p.token for p in iterate(engine.generate(ids, 20, Sampling(temperature=0)))]
        seen.append((tokens, drive(engine.score(ids)).tolist()))
    assert seen[1:] == seen[:-1]


def test_steps_are_timed(cpu: CpuDevice) -> None:
    engine = load(cpu, tiny.build(tiny.Tiny()))
    count = len(engine.session.programs[32].plan.dispatches)
    timed = drive(engine.profile(32, [range(10), *([step] for step in range(10, count))]))
    assert timed is not None and len(timed) == count - 9
    assert all(0 < seconds < 60 for seconds in timed)


def test_the_fastest_number_of_threads_is_found_and_remembered(
    cpu: CpuDevice, tmp_path: Path, monkeypatch
) -> None:
    seconds, timed, store = {1: 5.0, 2: 3.0, 3: 4.0, 4: 3.5}, [], DiskStore(tmp_path)

    async def time_token() -> float:
        timed.append(cpu.threads)
        return seconds[cpu.threads]

    def found(model: str = "a", forget: bool = False) -> bool:
        """Whether it was measured."""
        timed.clear()
        assert drive(remembered_threads(cpu, time_token, store, model, forget)) == cpu.threads
        return bool(timed)

    assert found() and cpu.threads == 2
    seconds[1] = 1.0
    cpu.threads = 4
    assert not found() and cpu.threads == 2
    assert found("b") and cpu.threads == 1, "another model"
    assert found(forget=True) and cpu.threads == 1
    seconds[3] = 0.5
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + KEPT_SECONDS + 1)
    assert found() and cpu.threads == 3, "a day later"
    for text in (
        "",
        "[]",
        json.dumps({"threads": 9, "measured": time.time()}),
        '{"threads": 1, "measured": "x"}',
    ):
        for key in drive(store.notes("threads:")):
            drive(store.keep_note(key, text))
        assert found(), text


def test_both_builds_agree_on_the_tokens() -> None:
    data = tiny.build(tiny.Tiny(seed=2))
    ids = np.random.default_rng(6).integers(200, 500, 45).tolist()
    scores = []
    for relaxed in (True, False):
        device = drive(open_cpu(2, relaxed=relaxed))
        scores.append(drive(load(device, data).score(ids)))
        device.close()
    np.testing.assert_array_equal(*scores)


def test_a_model_can_be_loaded_again_in_the_same_memory(cpu: CpuDevice) -> None:
    data = tiny.build(tiny.Tiny())
    sizes = []
    for _ in range(3):
        engine = load(cpu, data)
        tokens = [p.token for p in iterate(engine.generate([2, 300, 301], 5, Sampling(temperature=0)))]
        sizes.append((cpu.nbytes, tokens))
        engine.close()
    assert sizes[1:] == sizes[:-1]


def test_a_run_is_stopped_between_any_two_of_its_parts(cpu: CpuDevice, monkeypatch) -> None:
    """Every step is as much work as a part may be, and the third look at whether to stop finds a stop."""
    engine = load(cpu, tiny.build(tiny.Tiny()))
    plan = engine.session.programs[32].plan
    program, inputs = engine._memory.program(plan), plan.inputs(0, [2] * 32)
    looks, parts, call = 0, 0, cpu.machine.call

    async def breathe() -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            cpu.cancel()

    def counted(function: str, *arguments: int) -> int:
        nonlocal parts
        parts += function == "run"
        return call(function, *arguments)

    monkeypatch.setattr(cpu.machine, "breathe", breathe)
    monkeypatch.setattr(cpu.machine, "call", counted)
    handle = drive(cpu.load(replace(program, work=(Work(1e150),) * len(program.steps))))
    with pytest.raises(Cancelled):
        drive(cpu.run(handle, inputs))
    assert (looks, parts) == (3, 2)
    drive(cpu.run(handle, inputs))
    assert (looks, parts) == (3 + len(program.steps), 2 + len(program.steps))
    handle = drive(cpu.load(replace(program, work=())))
    drive(cpu.run(handle, inputs))
    assert looks == 4 + len(program.steps), "what tells no work is done in one go"
