"""A whole benchmark on devices in numpy: agreement with the reference, and processors that are lost meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import tiny
from sotto.api import drive
from sotto.bench import agreement
from sotto.bench.benchmark import Benchmark
from sotto.bench.control import BenchProgress
from sotto.bench.report import Machine, Report
from sotto.bench.request import Request
from sotto.device import Device
from sotto.devices.reference.device import NumpyDevice
from sotto.engine.engine import Engine
from sotto.errors import DeviceError
from sotto.native.disk import DiskStore
from sotto.reports import Settings
from sotto.source import MemorySource
from sotto.store import Store

SIZE = tiny.Tiny(layers=2, types=dict.fromkeys(tiny.DEFAULT_TYPES, "Q4_0"))
MODEL = tiny.build(SIZE)
REQUEST = Request(prefill=(8, 16), decode=3, context=64, runs=1, probes=False, agreement=False)


class Host:
    """Numpy devices. `lives`: after how many runs each one that is opened is lost; None never, -1 cannot be opened."""

    def __init__(self, folder: Path, lives: tuple[int | None, ...] = ()) -> None:
        self.kept = DiskStore(folder)
        self._lives = iter(lives)
        self.opened: list[str] = []

    async def open(self, request: Request) -> Device:
        self.opened.append(request.device)
        life = None if request.device == "cpu" else next(self._lives, None)
        if life == -1:
            raise DeviceError("There is none any more.")
        return Mortal(life)

    async def store(self, request: Request) -> Store | None:
        return self.kept

    async def discard(self, store: Store, key: str) -> None:
        await store.drop(key)

    def machine(self, device: Device) -> Machine:
        return Machine("", "", "", "")

    def disturbances(self) -> frozenset[str]:
        return frozenset()

    def alarm(self, seconds: float, ring: Callable[[], None]) -> Callable[[], None]:
        return lambda: None

    async def breathe(self) -> None: ...


class Mortal(NumpyDevice):
    """Is lost after so many runs; never for None."""

    def __init__(self, life: int | None) -> None:
        super().__init__()
        self._life = life

    async def run(self, *given, **named) -> bytes:  # type: ignore[override]
        self._live()
        return await super().run(*given, **named)

    def submit(self, *given, **named):
        self._live()
        return super().submit(*given, **named)

    def _live(self) -> None:
        if self._life is not None:
            self._life -= 1
            if self._life < 0:
                raise DeviceError("The GPU was lost (unplugged).")


def measured(host: Host, request: Request = REQUEST) -> tuple[Report, list[str]]:
    told: list[BenchProgress] = []
    source = MemorySource(MODEL, "tiny.gguf", "tiny")
    report = drive(Benchmark(host, request, source, told.append, lambda: None).run())
    return report, [progress.kind for progress in told]


def kinds(report: Report) -> list[str]:
    return [note.kind for note in report.notes]


def load(data: bytes) -> Engine:
    return drive(
        Engine.load(MemorySource(data, "tiny.gguf", "tiny"), NumpyDevice(), None, Settings(context=64))
    )


def test_a_processor_agrees_with_itself_and_not_with_another_model() -> None:
    reference, other = load(MODEL), load(tiny.build(replace(SIZE, seed=5)))
    answers = drive(agreement.write(reference, lambda part: None))
    assert len(answers) == len(agreement.BEGINNINGS)
    heard: list[float] = []
    same = drive(agreement.hold(reference, answers, "itself", heard.append))
    assert same.tokens == same.equal == sum(len(a.tokens) for a in answers) > len(answers)
    assert (same.share, same.widest_miss, same.reference) == (1.0, 0.0, "itself")
    assert same.logprob_difference < 1e-6
    assert heard == sorted(heard) and heard[-1] == 1.0

    wrong = drive(agreement.hold(other, answers, "another", lambda part: None))
    assert wrong.tokens == same.tokens and wrong.equal < same.tokens / 2
    assert wrong.logprob_difference > 0.5 and wrong.widest_miss > 0


def test_the_report_has_the_agreement(tmp_path: Path) -> None:
    report, told = measured(host := Host(tmp_path), replace(REQUEST, agreement=True))
    assert report.complete and report.agreement and report.agreement.share == 1
    assert told[-1] == "agreement" and "reference" in told
    assert host.opened == ["auto", "auto", "cpu"], "two loads that are measured, and the reference"
    assert not drive(host.kept.entries()), "the measured copy is gone"


@pytest.mark.parametrize("life", [1, 7])
def test_a_lost_processor_is_opened_again_and_the_rest_measured(tmp_path: Path, life: int) -> None:
    report, told = measured(Host(tmp_path, (None, life)))
    assert kinds(report) == ["lost"] and "again" in told
    assert "unplugged" in report.notes[0].text
    assert report.complete and report.decode and report.decode.rate
    assert [p.tokens for p in report.prefill] == [8, 16] and all(
        p.rate and p.rate.runs == 1 for p in report.prefill
    )


def test_what_loses_a_processor_twice_is_left_out(tmp_path: Path) -> None:
    report, _ = measured(Host(tmp_path, (None, 1, 1)))
    assert kinds(report) == ["lost", "lost.out"]
    assert report.decode is None and report.complete
    assert len(report.prefill) == 2 and report.prefill[1].rate


def test_a_processor_that_does_not_come_back_leaves_what_was_measured(tmp_path: Path) -> None:
    report, _ = measured(Host(tmp_path, (None, 8, -1)))
    assert kinds(report) == ["lost", "lost.end"] and not report.complete
    assert report.decode and report.decode.rate and len(report.prefill) < 2


def test_a_processor_that_is_lost_before_anything_was_measured_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="none any more"):
        measured(Host(tmp_path, (-1,)))
