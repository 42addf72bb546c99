"""Finds the kernels that are right and fastest on the device at hand, in two parts of a load.

Before the weights arrive the device is held against numpy (self_check.py); when all is there, a workload out of the
forward pass (trial.py) is run with each variant (races.py). One whose result differs from the simple kernels' by more
than its precision explains, or that does not compile, is rejected. The others are timed in turns, the likely winners
first.

There is a budget for all of it. When it is used up, what was found so far holds, and what was not tried is remembered
as such: the next load goes on with it. On a real GPU nothing is used that was not held against the simple kernels on
it. On a software adapter the usual kernels are, unless they were found to be wrong: they are the same programs
wherever that adapter runs, this project's tests run on it, and to compile others would take longer than the budget.
One that compiles a kernel only when it runs, for seconds that cannot be cut short, is checked and no more.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from types import TracebackType
from typing import Self

from ..device import Device
from ..errors import DeviceError, SottoError, WrongResults
from ..models.recorder import Recorder
from ..plan.memory import Memory, kernels
from ..plan.plan import Plan
from ..plan.variants import SIMPLE, Job, KernelChoice, Variant
from ..reports import How, Stages
from ..store import Store
from .budget import Budget, Spending
from .candidates import PRECISIONS, candidates
from .crash_log import CrashLog
from .findings import Findings
from .races import Races, races
from .self_check import SelfCheck
from .trial import Trial
from .verdict import FRUITLESS, Verdict, fingerprint, usual

LOOK = 1.0  # seconds between two looks at whether the device can be checked


class Tuner:
    """Tunes one model on one device, in a load: `before` its weights arrive and `after` all is there. The load is what
    its `async with` holds: one that ends inside in an error may be what the variant at hand did to it.

    Args:
        pinned: variants that a person chose: their jobs are not tuned.
        sizes: tokens of the plans, 1 among them, ascending.
        budget: none for a load that takes what is usual.
        forget: what earlier loads found counts no more.
        precision: the least that kernels may compute with.

    Attributes:
        verdict: what is to be used as far as is known: what earlier loads found, but for what is pinned; else what is
            usual.
    """

    def __init__(
        self,
        device: Device,
        recorder: Recorder,
        memory: Memory,
        pinned: Mapping[Job, Variant],
        sizes: Sequence[int],
        store: Store | None,
        budget: Budget | None = None,
        forget: bool = False,
        precision: str = PRECISIONS[0],
    ) -> None:
        self._device = device
        self._recorder = recorder
        self._memory = memory
        self._pinned = pinned
        self._sizes = tuple(sizes)
        self._store = store
        self._forget = forget
        self._precision = precision
        self._spending = Spending(budget or Budget())
        self._active = budget is not None and device.traits.tunable
        self._fingerprint = fingerprint(device, recorder, self._sizes, precision) if self._active else ""
        self._crash_log = CrashLog(store, self._fingerprint)
        self._candidates = {job: self._of(job) for job in Job}
        jobs = {n: races(self._candidates, self._sizes, n, device) for n in self._sizes}
        untried = {n: [str(v) for job in jobs[n] for v in self._candidates[job]] for n in self._sizes}
        self._findings = Findings(self._candidates, untried)
        self._trial = Trial(device, memory, self._crash_log, self._findings.reject, self._spending.clock)
        self._self_check: SelfCheck | None = None  # None where the device has passed
        self._amount = 0.0  # of what was known when the load began
        self.verdict = Verdict({})

    def _of(self, job: Job) -> tuple[Variant, ...]:
        """The candidates for a job. Where compilers are slow, none that was made for GPUs: compiling alone would use up
        the budget."""
        if job in self._pinned:
            return (self._pinned[job],)
        dear = self._device.traits.dear_compiler
        return tuple(
            v for v in candidates(job, self._device, self._precision) if not (dear and v.suits == "gpu")
        )

    def _usual(self, barred: Collection[str] = ()) -> Verdict:
        """What is taken where nothing was measured, without what is barred."""
        return usual(self._device, self._recorder, self._pinned, self._sizes, barred, self._precision)

    async def __aenter__(self) -> Self:
        if not self._active:
            self.verdict = self._usual()
            return self
        if self._store and self._forget:
            await self._store.keep_note(self._fingerprint, "")
        await self._crash_log.recall(self._forget)
        note = await self._store.find_note(self._fingerprint) if self._store else None
        found = Verdict.of_text(note, self._device, self._sizes) if note else None
        if not found or found.checked < 1.0:
            self._self_check = SelfCheck(self._recorder)
        if found:
            self._findings.recall(found)
        for name, why in self._crash_log.rejected.items():
            self._findings.reject(name, why)
        barred = {*self._findings.rejected, *self._crash_log.suspects}
        self.verdict = self._usual(barred)
        if found:
            choices = {n: choice.but(*self._pinned.values()) for n, choice in found.choices.items()}
            self.verdict = replace(found, choices=choices)
        self._amount = self._findings.amount
        if self.verdict.finished:
            self._active = False
            self._crash_log.close()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """A lost device may be what the variant at hand did to it; so may what nobody has foreseen, and a coroutine
        that is closed cannot wait for a store any more: then the note stays as it is.
        """
        if self._active and error:
            if isinstance(error, DeviceError) and not isinstance(error, WrongResults):
                await self._crash_log.blame()
            elif isinstance(error, SottoError) or not isinstance(error, Exception | GeneratorExit):
                await self._crash_log.end()
        self._crash_log.close()

    async def before(self, plans: Sequence[Plan], stages: Stages) -> None:
        """Check the device, and begin to compile what is needed when the weights have arrived.

        Args:
            plans: the model's own.

        Raises:
            WrongResults: the device computes wrongly even with the simple kernels.
            DeviceError: the device gave up.
        """
        if self._active and self._self_check:
            stages.tell("pipelines", 0, len(plans))
            await self._expect(self._self_check)
            stages.lap("pipelines")
            await self._check(self._self_check)
            stages.lap("tuning")
        first, then = await self._races.ahead() if self._active else ([], [])
        for plan in (*first, *plans, *then):
            self._device.prepare(*kernels(plan)[:2])

    async def after(self, stages: Stages) -> Verdict:
        """Tune, if the device is known to be right, and remember what was found: what is to be used.

        The usual programs may be loaded: they are not touched.

        Raises:
            DeviceError: the device gave up. What was being tried then is not tried again.
        """
        if not self._active:
            return self.verdict
        found = self._findings
        if found.checked == 1.0:
            await self._races.run(self._spending.until, partial(stages.tell, "tuning"))
        untried = {n: names for n, names in found.untried.items() if names}
        how = How.MEASURED if found.checked == 1.0 and not untried else How.PARTLY
        found.fruitless = found.fruitless + 1 if how is How.PARTLY and found.amount == self._amount else 0
        if self._trial.lazy and found.checked == 1.0:
            found.fruitless = FRUITLESS
        choices = found.choices(self._sizes, self._otherwise())
        choices = {n: choice.but(*self._pinned.values()) for n, choice in choices.items()}
        self.verdict = Verdict(
            choices, found.rejected, found.seconds, untried, found.checked, found.fruitless, how
        )
        if self._store and not self._pinned:
            await self._store.keep_note(self._fingerprint, self.verdict.to_text())
            self._crash_log.rejected.clear()
            self._crash_log.suspects &= {name for names in untried.values() for name in names}
        await self._crash_log.end()
        self._active = False
        stages.lap("tuning")
        return self.verdict

    @cached_property
    def _races(self) -> Races:
        return Races(
            self._device,
            self._recorder,
            self._memory,
            self._candidates,
            self._sizes,
            self._findings,
            self._crash_log,
            self._trial,
            self._spending.clock,
        )

    async def _expect(self, self_check: SelfCheck) -> None:
        """Let the kernels that are held against numpy compile, work out meanwhile what numpy says, and wait for them.

        Nothing else compiles yet: a browser that is told to give up a device waits for all that it compiles there,
        and shows no picture so long.
        """
        wanted = [kernels(plan)[:2] for plan in self_check.plans]
        for shaders, pipelines in wanted:
            self._device.prepare(shaders, pipelines)
        with self._spending.counted():
            await self_check.expect()
        for shaders, pipelines in wanted:
            while not await self._device.ready(shaders, pipelines, LOOK):
                pass

    async def _check(self, self_check: SelfCheck) -> None:
        """Hold the device against numpy: a load need not go on with one that computes wrongly.

        Where there is no time for it, which happens on a software adapter only, the next load does it.
        """
        with self._spending.counted():
            warm = partial(self._trial.warm, until=self._spending.until)
            checked = await self_check.check(self._device, warm)
        self._findings.checked = max(self._findings.checked, checked)

    def _otherwise(self) -> KernelChoice:
        """What is used where no variant was timed."""
        if not self._device.traits.dear_compiler:
            return SIMPLE
        began_with = list(self.verdict.choices.values())[-1].variants.values()
        return SIMPLE.but(*(v for v in began_with if str(v) not in self._findings.rejected))
