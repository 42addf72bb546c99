"""The time that choosing kernels may take, and what becomes of what it does not suffice for: with a clock of our own.

The device is numpy, which replays every variant, in the place of a GPU that takes as long as a test wants.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

import tiny
from sotto.api import drive
from sotto.device import AdapterInfo, Batch, Limits, Pipeline, Program, Shader
from sotto.devices.reference.device import NumpyDevice
from sotto.engine.engine import Engine
from sotto.errors import Cancelled, DeviceError, OutOfMemory, StoreFull, WrongResults
from sotto.native.disk import NOTES, DiskStore
from sotto.plan.variants import Job
from sotto.reports import LoadProgress, LoadStats, Rejection, Settings
from sotto.source import MemorySource
from sotto.store import Manifest, Store, Writer
from sotto.text.sampler import PICKS
from sotto.tuning import candidates, trial, verdict
from sotto.tuning.budget import Budget
from sotto.tuning.crash_log import LOST

MODEL = tiny.build(
    tiny.Tiny(
        layers=2,
        width=128,
        hidden=256,
        heads=2,
        head_dim=32,
        types=dict.fromkeys(tiny.DEFAULT_TYPES, "Q4_0"),
    )
)
GPU = AdapterInfo("A GPU", "", "", "", "", False, (), runtime="Browser 1")
LIMITS = Limits(1 << 30, 1 << 30, 8, 256, 16_384, 65_535)
LATER = 1e9  # seconds: never ready
BUDGET = Budget().seconds


class FakeGpu(NumpyDevice):
    """A GPU on which time passes only in compilers and in runs.

    Args:
        compiled: when kernels are ready, by a part of their name.
        takes: seconds of a run, by a part of the program's name; 0.001 otherwise.
        away: seconds that the way there and back takes, each time another.
    """

    def __init__(
        self,
        compiled: Mapping[str, float] = MappingProxyType({}),
        takes: Mapping[str, float] = MappingProxyType({}),
        software: bool = False,
        away: Callable[[], float] = lambda: 0.0,
    ) -> None:
        super().__init__()
        self.adapter = replace(GPU, software=software)
        self.limits = LIMITS
        self.now = 0.0
        self.compiled = compiled
        self.takes = takes
        self.away = away
        self.dies_of = ""
        self.dead = False
        self.ran: list[str] = []
        self._outputs: dict[int, bytes] = {}

    async def ready(self, shaders: Sequence[Shader], pipelines: Sequence[Pipeline], seconds: float) -> bool:
        self.check()
        at = max((t for part, t in self.compiled.items() for s in shaders if part in s.label), default=0.0)
        self.now = max(self.now, min(at, self.now + max(seconds, 0.0)))
        return at <= self.now

    async def run(self, program: int, inputs: bytes, *, steps: int | None = None) -> bytes:
        self.pass_time(program, 1)
        if program not in self._outputs:  # a sample gives the same each time
            self._outputs[program] = await super().run(program, inputs, steps=steps)
        return self._outputs[program]

    async def submit(self, program: int, inputs: bytes | None, repeats: int) -> Batch:
        assert repeats > 1 and inputs is not None
        self.pass_time(program, repeats)
        return Batch(b"", self.now, 0.0)

    def pass_time(self, program: int, repeats: int) -> None:
        self.check()
        name = self._programs[program].name
        self.ran.append(name)
        self.dead = bool(self.dies_of) and name.startswith(self.dies_of)
        self.check()
        each = next((seconds for part, seconds in self.takes.items() if part in name), 0.001)
        self.now += repeats * each + self.away()

    async def finish(self) -> None:
        self.check()

    def check(self) -> None:
        if self.dead:
            raise DeviceError("The GPU was lost.")


@dataclass
class Notes:
    """A store that keeps notes only."""

    notes: dict[str, str] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)

    async def find(self, key: str) -> Manifest | None:
        return None

    async def begin(self, manifest: Manifest) -> Writer:
        raise StoreFull("No room.")

    async def find_note(self, key: str) -> str | None:
        return self.notes.get(key)

    async def keep_note(self, key: str, text: str) -> None:
        self.notes[key] = text

    async def hold(self, name: str) -> Callable[[], None] | None:
        if name in self.held:
            return None
        self.held.add(name)
        return partial(self.held.remove, name)


def load(
    device: FakeGpu,
    store: Store | None = None,
    variant: str = "",
    report: Callable[[LoadProgress], None] = lambda progress: None,
) -> LoadStats:
    """Load on the device's clock; the model is closed again."""
    settings = Settings(context=96, chunks=(8, 32), variant=variant)
    budget = Budget(BUDGET, lambda: device.now)
    engine = drive(Engine.load(MemorySource(MODEL, "tiny", "tiny"), device, store, settings, report, budget))
    engine.close()
    assert not device._buffers and not device._programs
    return engine.load_stats


def crash_notes(folder: Path) -> list[str]:
    """What the store has about kernels that are being tried."""
    notes = [json.loads(path.read_text("utf-8")) for path in (folder / NOTES).glob("*.json")]
    return [note["text"] for note in notes if note["key"].endswith(" crashes")]


@pytest.fixture(autouse=True)
def few_variants(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of decoding besides the simple kernels, whatever others there are."""
    decodes = [v for v in candidates.VARIANTS[Job.DECODE] if v.name in ("simple", "lanes", "rows")]
    monkeypatch.setattr(candidates, "VARIANTS", candidates.VARIANTS | {Job.DECODE: tuple(decodes)})


def used(stats: LoadStats) -> set[str]:
    """All variants in use."""
    return {f"{job}:{name}" for names in stats.variants.values() for job, name in names.items()}


SIMPLE = {"decode:simple", "matmul:simple", "attention:simple"}


def test_with_time_for_all_every_variant_is_tried() -> None:
    device = FakeGpu(takes={"decode:lanes": 0.0001, "matmul:tiled-wide": 0.0001, "attention:tiled": 0.0001})
    stats = load(device)
    assert stats.chosen == "measured" and not stats.untried and not stats.rejected
    assert used(stats) == {"decode:lanes", "matmul:tiled-wide", "attention:tiled"}
    assert stats.tuned["prefill 8"].keys() == stats.tuned["prefill 32"].keys()
    assert device.now < BUDGET


@pytest.mark.parametrize("each", [0.05, 0.3, 0.7])
def test_the_budget_is_kept_to_within_a_sample(each: float) -> None:
    """However slow the runs are, and the check of the device counts too."""
    device = FakeGpu(takes={"": each})
    stats = load(device)
    assert stats.chosen == "partly" and stats.untried
    assert device.now < BUDGET + 2 * each + 0.001, "a sample is run twice: for its answer and its time"


def test_a_compiler_is_not_waited_for_beyond_the_budget() -> None:
    slow = {"sweep=lanes_memory": LATER, "matmul_int8": LATER}
    device = FakeGpu(slow, takes={"": 0.001})
    stats = load(device)
    assert device.now <= BUDGET + 10 * trial.LONG
    assert stats.untried == {
        "decode": ("decode:lanes",),
        "prefill 8": ("matmul:tiled-int8",),
        "prefill 32": ("matmul:tiled-int8",),
    }
    assert used(stats) & {"decode:lanes", "matmul:tiled-int8"} == set()
    assert "decode:rows" in used(stats), "what was compiled did not wait for what was not"


def test_a_real_gpu_runs_nothing_that_was_not_held_against_the_simple_kernels() -> None:
    never = FakeGpu({"sweep=": LATER, "matmul_tiled": LATER, "attention_tiled": LATER, "matmul_quad": LATER})
    stats = load(never)
    assert used(stats) == SIMPLE and stats.chosen == "partly"
    late = FakeGpu(takes={"self-check": 3.0})
    stats = load(late)
    assert used(stats) == SIMPLE and stats.tuned == {}
    assert late.ran == ["self-check, one token", "self-check"]


def test_a_software_adapter_keeps_the_usual_kernels_when_the_time_is_up() -> None:
    stats = load(FakeGpu(takes={"self-check": 3.0}, software=True))
    assert used(stats) == {"decode:rows", "matmul:simple", "attention:simple"}
    assert stats.chosen == "partly" and stats.tuned == {}


class Lazy(FakeGpu):
    """A software adapter that compiles a kernel when it runs first, unless a disk remembers it."""

    def __init__(self, disk: set[object], seconds: float = 0.4, **kwargs: Any) -> None:
        super().__init__(software=True, **kwargs)
        self.disk = disk
        self.seconds = seconds

    def compile(self, program: int, steps: Sequence[int]) -> None:
        loaded = self._programs[program]
        for step in steps:
            pipeline = loaded.pipelines[loaded.steps[step].pipeline]
            which = loaded.shaders[pipeline.shader].label, tuple(pipeline.constants.items())
            self.now += 0.0 if which in self.disk else self.seconds
            self.disk.add(which)

    def pass_time(self, program: int, repeats: int) -> None:
        super().pass_time(program, repeats)
        self.compile(program, range(len(self._programs[program].steps)))

    async def profile(
        self, program: int, inputs: bytes, passes: Sequence[Sequence[int]]
    ) -> list[float] | None:
        for steps in passes:
            self.compile(program, steps)
        return [0.0] * len(passes)


def loads(seconds: float) -> tuple[LoadStats, float, int]:
    """Load until nothing is tuned any more, with an adapter that compiles a kernel so long when it runs first.
    What the last load says, the seconds and the number of those before."""
    disk: set[object] = set()
    store = Notes()
    spent: list[float] = []
    for _ in range(12):
        device = Lazy(disk, seconds)
        stats = load(device, store)
        if stats.chosen == "remembered":
            break
        assert device.now <= BUDGET
        spent.append(device.now)
    assert stats.chosen == "remembered" and device.now == 0
    return stats, sum(spent), len(spent)


def test_compiling_in_the_first_run_keeps_to_the_budget_too() -> None:
    """All of it would take longer than a load may: the loads share it."""
    stats, seconds, count = loads(0.15)
    assert not stats.untried and all(stats.tuned.values())
    assert count > 1 and seconds > BUDGET


def test_a_slow_adapter_is_not_taken_for_one_that_compiles() -> None:
    """Every run of a kernel takes long, not only the first."""

    class Slow(Lazy):
        async def profile(
            self, program: int, inputs: bytes, passes: Sequence[Sequence[int]]
        ) -> list[float] | None:
            if self._programs[program].name == "decode:simple for 1" and list(passes) == [[0]]:
                self.now += 0.3
            return await super().profile(program, inputs, passes)

    stats = load(Slow(set(), 0.0), Notes())
    assert stats.chosen == "measured" and stats.tuned["decode"]


def test_an_adapter_that_compiles_for_long_is_checked_only() -> None:
    """The check alone would take four seconds."""
    stats, seconds, count = loads(0.4)
    assert "decode" in stats.untried and not any(stats.tuned.values())
    assert used(stats) == {"decode:rows", "matmul:simple", "attention:simple"}
    assert count > 2 and seconds > 4


def test_what_was_not_checked_is_checked_later() -> None:
    store = Notes()
    first = load(Lazy(set()), store)
    assert first.chosen == "partly" and not first.rejected
    assert used(first) == {"decode:rows", "matmul:simple", "attention:simple"}

    class Wrong(Lazy):
        async def run(self, program: int, inputs: bytes, *, steps: int | None = None) -> bytes:
            return bytes(len(await super().run(program, inputs, steps=steps)))

    disk: set[object] = set()
    with pytest.raises(WrongResults):
        for _ in range(8):
            load(Wrong(disk), store)


def test_nothing_is_compiled_for_the_model_on_a_device_that_computes_wrongly() -> None:
    class Wrong(FakeGpu):
        def __init__(self) -> None:
            super().__init__()
            self.compiled_for: list[tuple[Pipeline, ...]] = []

        def prepare(self, shaders: Sequence[Shader], pipelines: Sequence[Pipeline]) -> None:
            self.compiled_for.append(tuple(pipelines))

        async def run(self, program: int, inputs: bytes, *, steps: int | None = None) -> bytes:
            return bytes(len(await super().run(program, inputs, steps=steps)))

    device = Wrong()
    with pytest.raises(WrongResults):
        load(device, Notes())
    assert device.ran == ["self-check, one token", "self-check"]
    assert len(device.compiled_for) == 2
    assert not device._buffers and not device._programs


@pytest.mark.parametrize("seed", range(5))
def test_a_fast_gpu_is_timed_in_spite_of_the_way_to_it(seed: int) -> None:
    """A sample takes a tenth of the way there and back, which is never the same."""
    random = np.random.default_rng(seed)
    takes = {"decode:lanes": 0.00036, "decode:rows": 0.0003, "tiled-wide": 0.0003, "matmul": 0.00036}
    stats = load(FakeGpu(takes=takes, away=lambda: random.uniform(0.0025, 0.0035)))
    assert stats.chosen == "measured"
    assert {"decode:rows", "matmul:tiled-wide"} <= used(stats)


def test_a_device_that_names_wrong_tokens_is_found_out() -> None:
    """Its logits are right, and sorted; whose they are is not."""

    class WrongIds(FakeGpu):
        wrong = "self-check"

        async def run(self, program: int, inputs: bytes, *, steps: int | None = None) -> bytes:
            out = await super().run(program, inputs, steps=steps)
            name, nbytes = self._programs[program].name, self._programs[program].outputs.nbytes
            if self.wrong not in name or nbytes <= 4 * PICKS:
                return out
            words = np.frombuffer(out, np.uint32).copy()
            self.spoil(words)
            return words.tobytes()

        def spoil(self, words: np.ndarray) -> None:
            words[:-PICKS:2] = (words[:-PICKS:2] + 1) % 512
            words[-PICKS] = words[0]

    class Same(WrongIds):
        def spoil(self, words: np.ndarray) -> None:
            words[:-PICKS:2] = words[-PICKS] = 7

    class WrongPick(WrongIds):
        def spoil(self, words: np.ndarray) -> None:
            words[-PICKS] = words[2]

    for kind in (WrongIds, Same, WrongPick):
        with pytest.raises(WrongResults):
            load(kind())
        device = kind()
        device.wrong = "decode:lanes"
        stats = load(device)
        assert (
            stats.rejected.keys() == {"decode:lanes"}
            and "wrong results" in stats.rejected["decode:lanes"].text
        )
        assert "decode:rows" in used(stats)


def test_a_later_load_goes_on_where_the_time_was_up() -> None:
    store = Notes()
    slow = {"self-check": 0.9, "for 1": 0.09}
    first = load(FakeGpu(takes=slow), store)
    assert first.chosen == "partly" and first.untried
    device = FakeGpu(takes={"": 0.01, "decode:rows": 0.005})
    second = load(device, store)
    assert "self-check" not in device.ran, "the device has passed the check"
    assert second.chosen == "measured" and not second.untried
    third = load(FakeGpu(), store)
    assert third.chosen == "remembered" and used(third) == used(second)


def test_what_was_measured_in_two_loads_is_compared_in_one_measure() -> None:
    """The second load finds the machine ten times as slow: that makes nothing look slower than what it adds."""
    store = Notes()
    fast = {"decode:lanes for": 0.002, "decode:rows": 0.003}
    load(FakeGpu({"sweep=rows": LATER}, takes=fast), store)
    slower = load(FakeGpu(takes={name: 10 * seconds for name, seconds in fast.items()}), store)
    assert slower.chosen == "measured" and "decode:lanes" in used(slower)
    assert slower.tuned["decode"] == pytest.approx({"decode:lanes": 0.02, "decode:rows": 0.03})


def test_what_never_has_the_time_is_given_up() -> None:
    store = Notes()
    slow = {"sweep=lanes_memory": LATER}
    for _ in range(1 + verdict.FRUITLESS):
        assert load(FakeGpu(slow), store).chosen == "partly"
    stats = load(FakeGpu(slow), store)
    assert stats.chosen == "remembered" and stats.untried == {"decode": ("decode:lanes",)}


def test_what_loses_the_device_is_not_tried_again(tmp_path: Path) -> None:
    device = FakeGpu()
    device.dies_of = "matmul:tiled-wide for"
    with pytest.raises(DeviceError, match="lost"):
        load(device, DiskStore(tmp_path))
    again = FakeGpu()
    stats = load(again, DiskStore(tmp_path))
    assert stats.rejected == {"matmul:tiled-wide": LOST}
    assert stats.chosen == "measured" and not any("tiled-wide" in name for name in again.ran)
    assert load(FakeGpu(), DiskStore(tmp_path)).rejected == {"matmul:tiled-wide": LOST}, (
        "and that is remembered"
    )
    store = DiskStore(tmp_path)
    (key,) = (key for key, note in drive(store.notes("tuning")).items() if "choices" in note)
    kept = json.loads(drive(store.find_note(key)) or "")
    kept["rejected"] = {
        name: why["text"] for name, why in kept["rejected"].items()
    }  # as older versions kept it
    drive(store.keep_note(key, json.dumps(kept)))
    assert load(FakeGpu(), store).rejected == {"matmul:tiled-wide": Rejection("other", LOST.text)}


def test_a_page_closed_during_a_trial_is_forgiven_once() -> None:
    """Nobody is left to say whether the kernel took the page with it or somebody closed it."""

    class Closed(FakeGpu):
        async def run(self, program: int, inputs: bytes, *, steps: int | None = None) -> bytes:
            out = await super().run(program, inputs, steps=steps)
            if self.ran[-1].startswith("matmul:tiled-wide for"):
                raise RuntimeError("the tab died")
            return out

    store = Notes()
    with pytest.raises(RuntimeError):
        load(Closed(), store)
    with pytest.raises(RuntimeError):
        load(Closed(), store)
    stats = load(FakeGpu(), store)
    assert stats.rejected == {"matmul:tiled-wide": LOST}


def test_what_loses_the_device_while_several_are_timed_is_found_in_two_loads() -> None:
    store = Notes()

    class Dying(FakeGpu):
        """Loses the device the third time that it runs a variant, while the others of the race wait."""

        def pass_time(self, program: int, repeats: int) -> None:
            if self.ran.count("decode:rows for 1") == 2:
                self.dies_of = "decode:rows"
            super().pass_time(program, repeats)

    for _ in range(2):
        with pytest.raises(DeviceError):
            load(Dying(), store)
    stats = load(Dying(), store)
    assert stats.rejected == dict.fromkeys(("decode:lanes", "decode:rows"), LOST)
    assert "decode:simple" in used(stats)


def test_what_is_compiled_ahead_is_suspected_the_second_time() -> None:
    """A page that is closed while the weights arrive says nothing; two in a row make the next load careful."""
    store = Notes()
    asked: list[str] = []

    class Watched(FakeGpu):
        def prepare(self, shaders: Sequence[Shader], pipelines: Sequence[Pipeline]) -> None:
            asked.extend(shader.label for shader in shaders)

    def die(progress: LoadProgress) -> None:
        if progress.stage == "weights":
            raise RuntimeError("the tab died")

    def note(progress: LoadProgress) -> None:
        if progress.stage == "tuning":  # what checks drafts is compiled after it, by what was found
            before.extend(asked[len(before) :])

    before: list[str] = []
    for _ in range(2):
        with pytest.raises(RuntimeError):
            load(Watched(), store, report=die)
        assert any("sweep=" in label for label in asked)
        asked.clear()
    stats = load(Watched(), store, report=note)
    assert before and not any("sweep=" in label for label in before)
    assert stats.chosen == "measured" and not stats.rejected


@pytest.mark.parametrize("stage", ["weights", "tuning"])
def test_a_load_that_was_stopped_blames_nothing(stage: str) -> None:
    store = Notes()

    def stop(progress: LoadProgress) -> None:
        if progress.stage == stage and progress.done:
            raise Cancelled

    for _ in range(3):
        with pytest.raises(Cancelled):
            load(FakeGpu(), store, report=stop)
        assert set(store.notes.values()) == {""}
    stats = load(FakeGpu(), store)
    assert stats.rejected == {} and stats.chosen == "measured"


def test_loads_at_the_same_time_do_not_suspect_each_other(tmp_path: Path) -> None:
    """Four tabs: each is opened while the one before tries kernels."""
    store = DiskStore(tmp_path)
    found: list[LoadStats] = []

    def open_another(progress: LoadProgress) -> None:
        if progress.stage == "tuning" and progress.done and len(started) < 4:
            started.append(True)
            found.append(load(FakeGpu(), DiskStore(tmp_path), report=open_another))

    started = [True]
    found.append(load(FakeGpu(), store, report=open_another))
    assert len(found) == 4
    for stats in found:
        assert stats.chosen == "measured" and not stats.rejected
    assert load(FakeGpu(), store).chosen == "remembered"
    assert all(note == "" for note in crash_notes(tmp_path))


def test_without_memory_for_a_sample_nothing_is_tuned() -> None:
    store = Notes()

    class Full(FakeGpu):
        async def load(self, program: Program) -> int:
            if program.name.startswith("decode:simple for"):
                raise OutOfMemory("The GPU ran out of memory.")
            return await super().load(program)

    stats = load(Full(), store)
    assert stats.chosen == "partly" and not stats.rejected
    assert "decode" in stats.untried and "decode:simple" in used(stats)
    assert load(FakeGpu(), store).chosen == "measured"


def test_a_lack_of_memory_bans_nothing() -> None:
    store = Notes()

    class Full(FakeGpu):
        async def load(self, program: Program) -> int:
            if program.name.startswith("matmul:tiled-wide"):
                raise OutOfMemory("The GPU ran out of memory.")
            return await super().load(program)

    stats = load(Full(), store)
    assert stats.chosen == "partly" and not stats.rejected
    assert stats.untried.keys() == {"prefill 8", "prefill 32"}
    stats = load(FakeGpu(takes={"matmul:tiled-wide": 0.0001}), store)
    assert stats.chosen == "measured" and "matmul:tiled-wide" in used(stats)


def test_a_refused_kernel_is_no_lost_device() -> None:
    class Refusing(FakeGpu):
        async def load(self, program: Program) -> int:
            if program.name.startswith("matmul:tiled-wide"):
                raise DeviceError("The GPU driver refused a kernel.")
            return await super().load(program)

    stats = load(Refusing(), Notes())
    assert stats.rejected == {"matmul:tiled-wide": Rejection("device", "The GPU driver refused a kernel.")}
    assert stats.chosen == "measured"


def test_a_person_can_let_it_measure_again() -> None:
    """Whatever was rejected, and whatever a lost device was blamed on."""
    store = Notes()
    device = FakeGpu(takes={"decode:lanes": 0.0001})
    device.dies_of = "matmul:tiled-wide for"
    with pytest.raises(DeviceError, match="lost"):
        load(device, store)
    assert load(FakeGpu(takes={"decode:lanes": 0.0001}), store).rejected == {"matmul:tiled-wide": LOST}
    assert load(FakeGpu(), store).chosen == "remembered"
    stats = load(FakeGpu(takes={"decode:rows": 0.0001}), store, "measure")
    assert stats.chosen == "measured" and not stats.rejected and "decode:rows" in used(stats)
    stats = load(FakeGpu(), store)
    assert stats.chosen == "remembered" and "decode:rows" in used(stats)


def test_a_pinned_job_is_not_tried_and_nothing_is_remembered() -> None:
    store = Notes()
    device = FakeGpu()
    stats = load(device, store, "decode:rows,matmul:tiled")
    assert {"decode:rows", "matmul:tiled"} <= used(stats)
    assert not any(name.startswith(("decode:lanes", "matmul")) for name in device.ran)
    assert set(store.notes.values()) == {""}


def test_an_exact_variant_beside_a_rough_one_is_not_wrong() -> None:
    """Where int8 activations won the race of the matmuls, attention is held against what they give."""
    stats = load(FakeGpu(takes={"matmul:tiled-int8": 0.0001}))
    assert "matmul:tiled-int8" in used(stats) and not stats.rejected


def test_the_key_is_the_same_in_every_process() -> None:
    """Sets of strings come in another order in each: the order must not count."""
    script = "from sotto.tuning import verdict; print(verdict.kernels_digest())"
    digests = {
        subprocess.run(
            [sys.executable, "-c", script],
            env=os.environ
            | {"PYTHONHASHSEED": str(seed), "PYTHONPATH": str(Path(verdict.__file__).parents[2])},
            check=True,
            capture_output=True,
        ).stdout
        for seed in range(4)
    }
    assert len(digests) == 1
