"""Choosing kernels on a real adapter: what is wrong is rejected, the fastest is taken, and both are remembered."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

import tiny
from sotto import api
from sotto.api import drive, iterate
from sotto.device import Device, Program
from sotto.engine.engine import Engine
from sotto.errors import Cancelled, DeviceError, UnsupportedModel, WrongResults
from sotto.native import dawn
from sotto.native.dawn import NativeDevice
from sotto.native.disk import DiskStore
from sotto.ops import layer, simple
from sotto.plan.plan import Plan, Tensor
from sotto.plan.variants import SIMPLE, Job, Variant
from sotto.plan.weights import Matrix
from sotto.reports import LoadProgress, Settings
from sotto.source import MemorySource
from sotto.text.sampler import Sampling
from sotto.tuning import candidates, crash_log, verdict
from sotto.tuning.budget import Budget

TYPES = dict.fromkeys(tiny.DEFAULT_TYPES, "Q4_0") | {"token_embd": "Q8_0"}
MODEL = tiny.build(tiny.Tiny(layers=6, types=TYPES))
SETTINGS = Settings(context=96, chunks=(8, 32))
GREEDY = Sampling(temperature=0)
AMPLE = Budget(
    60.0
)  # on a busy machine the usual one ends before the last candidate, and time is not tested here


def offer(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Offer matmuls beside the simple one; their names say what they do."""

    def matmul(p: Plan, label: str, x: Tensor, matrix: Matrix) -> Tensor:
        y = simple.matmul(p, label, x, matrix)
        last = p.dispatches[-1]
        how = p.choice[Job.MATMUL].name if p.tokens > 1 else ""
        if how == "slow":
            p.dispatches.extend([last] * 15)  # the same again
        elif how == "skipping":
            shorter = tuple((name, value - 32 * (name == "K")) for name, value in last.constants)
            p.dispatches[-1] = replace(last, constants=shorter)
        elif how == "broken":
            p.dispatches[-1] = replace(last, kernel=replace(last.kernel, name="broken", source="fn main( {"))
        elif how == "unbound":
            text = last.kernel.source.replace("@binding(1)", "@binding(9)")
            p.dispatches[-1] = replace(last, kernel=replace(last.kernel, name="unbound", source=text))
        elif how == "narrow":
            raise UnsupportedModel("The kernels cannot run this shape: a wide one.")
        return y

    monkeypatch.setattr(layer, "matmul", matmul)
    found = {job: (SIMPLE[job],) for job in Job}
    found[Job.MATMUL] = (*(Variant(Job.MATMUL, n, suits="software") for n in names), SIMPLE[Job.MATMUL])
    monkeypatch.setattr(candidates, "VARIANTS", MappingProxyType(found))


def load(device: Device, store: DiskStore | None = None, variant: str = "") -> Engine:
    settings = replace(SETTINGS, variant=variant)
    source = MemorySource(MODEL, "tiny", "tiny")
    return drive(Engine.load(source, device, store, settings, budget=AMPLE))


def matmuls(engine: Engine) -> set[str]:
    """The matmuls of the prefill plans, as told and as recorded."""
    told = {names["matmul"] for plan, names in engine.load_stats.variants.items() if plan != "decode"}
    assert told == {plan.choice[Job.MATMUL].name for plan in engine.plans if plan.tokens > 1}
    return told


def test_wrong_ones_are_rejected_and_slow_ones_lose(
    gpu: NativeDevice, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    offer(monkeypatch, "skipping", "broken", "unbound", "slow", "narrow")
    store = DiskStore(tmp_path)
    engine = load(gpu, store)
    stats = engine.load_stats
    assert matmuls(engine) == {"simple"} and stats.chosen == "measured"
    assert stats.rejected.keys() == {
        "matmul:skipping",
        "matmul:broken",
        "matmul:unbound",
        "matmul:narrow",
    }
    assert "wrong results, off by" in stats.rejected["matmul:skipping"].text
    assert "refused the kernel" in stats.rejected["matmul:broken"].text
    assert "The GPU refused matmul:unbound for 8: " in stats.rejected["matmul:unbound"].text
    assert "a wide one" in stats.rejected["matmul:narrow"].text
    for times in stats.tuned.values():
        assert times["matmul:slow"] > 1.5 * times["matmul:simple"] > 0
    assert stats.tuned.keys() == {"prefill 8"}, (
        "on a software adapter larger chunks take what the smallest showed"
    )
    assert stats.seconds["tuning"] > 0
    tokens = [piece.token for piece in iterate(engine.generate([2, *range(300, 340)], 4, GREEDY))]
    used = dict(engine.load_stats.device_bytes)
    engine.close()

    again = load(gpu, store)
    assert again.load_stats.chosen == "remembered" and "tuning" not in again.load_stats.seconds
    assert matmuls(again) == {"simple"} and again.load_stats.rejected == stats.rejected
    assert again.load_stats.device_bytes == used, "tuning leaves nothing on the device"
    assert [p.token for p in iterate(again.generate([2, *range(300, 340)], 4, GREEDY))] == tokens
    again.close()


def test_a_faster_one_is_taken_for_what_it_is_faster_in(
    gpu: NativeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, "slow")
    monkeypatch.setattr(  # the slow one changes places with the simple one, and would be taken untried
        candidates, "candidates", lambda job, *_: candidates.VARIANTS[job]
    )
    engine = load(gpu)
    assert matmuls(engine) == {"simple"}
    engine.close()
    pinned = load(gpu, variant="matmul:slow")
    assert matmuls(pinned) == {"slow"} and pinned.load_stats.tuned == {}
    pinned.close()


def test_what_is_remembered_ends_with_the_browser_the_kernels_and_the_model(
    gpu: NativeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = load(gpu, variant="matmul:simple,attention:simple,decode:simple")
    recorder = engine._recorder

    def key(device: NativeDevice = gpu, sizes: tuple[int, ...] = (1, 8)) -> str:
        return verdict.fingerprint(device, recorder, sizes, "int8")

    keys = [key(), key(sizes=(1, 32))]
    monkeypatch.setattr(gpu, "adapter", replace(gpu.adapter, runtime="Dawn 99"))
    keys.append(key())
    monkeypatch.undo()
    offer(monkeypatch, "slow")
    keys.append(key())
    recorder = replace(recorder, weights=recorder.weights.shortened(64))
    keys.append(key())
    assert len(set(keys)) == 5
    engine.close()


def test_a_stopped_tuning_leaves_the_device_as_it_was(
    gpu: NativeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, "slow")
    buffers, programs = set(gpu._buffers), set(gpu._programs)

    def stop(progress: LoadProgress) -> None:
        if progress.stage == "tuning" and progress.done:
            raise Cancelled

    with pytest.raises(Cancelled):
        drive(Engine.load(MemorySource(MODEL, "t", "t"), gpu, None, SETTINGS, stop, AMPLE))
    assert set(gpu._buffers) == buffers
    assert set(gpu._programs) == programs


class Losing(NativeDevice):
    """A GPU that is lost when a variant runs."""

    def __init__(self, variant: str) -> None:
        super().__init__()
        self._variant = variant

    async def run(self, program: int, inputs: bytes, *, steps: int | None = None) -> bytes:
        if self._programs[program].program.name.startswith(self._variant):
            self._device.destroy()
        return await super().run(program, inputs, steps=steps)


def test_a_variant_that_lost_the_device_is_not_tried_again(
    gpu: NativeDevice, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    offer(monkeypatch, "plain", "deadly", "slow")
    device = Losing("matmul:deadly for")
    with pytest.raises(DeviceError, match="The GPU was lost"):
        load(device, DiskStore(tmp_path))
    assert not device._buffers and not device._programs
    device.close()

    engine = load(gpu, DiskStore(tmp_path))
    stats = engine.load_stats
    assert stats.rejected == {"matmul:deadly": crash_log.LOST} and stats.chosen == "measured"
    assert stats.tuned["prefill 8"].keys() == {"matmul:plain", "matmul:slow", "matmul:simple"}
    engine.close()
    again = load(gpu, DiskStore(tmp_path))
    assert again.load_stats.chosen == "remembered" and again.load_stats.rejected == stats.rejected
    again.close()


class Miscompiling(NativeDevice):
    """A driver that makes something else of a kernel."""

    async def load(self, program: Program) -> int:
        wrong = tuple(replace(s, code=s.code.replace("0.044715", "0.144715")) for s in program.shaders)
        assert wrong != program.shaders
        return await super().load(replace(program, shaders=wrong))


def test_a_device_that_computes_wrongly_is_found_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    offer(monkeypatch)  # compiling the other variants, all of them wrong, would take longest
    device = Miscompiling()
    with pytest.raises(WrongResults, match="computes wrong results"):
        load(device)
    assert not device._buffers and not device._programs
    device.close()

    class RealGpu(Miscompiling):
        def __init__(self, adapter: str | None = None) -> None:
            super().__init__(adapter)
            self.adapter = replace(self.adapter, software=False)

    monkeypatch.setattr(dawn, "NativeDevice", RealGpu)
    (tmp_path / "tiny.gguf").write_bytes(MODEL)
    with api.load(tmp_path / "tiny.gguf", cache=False, context=96, threads=1) as model:
        assert model.adapter.name == "CPU"
        assert "The CPU is used in place of the GPU" in model.load_stats.instead
        assert "wrong results" in model.load_stats.instead
        assert "".join(model.generate("the", max_tokens=3))
    with pytest.raises(DeviceError, match="wrong results"):
        api.load(tmp_path / "tiny.gguf", device="gpu", cache=False, context=96)
