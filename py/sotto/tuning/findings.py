"""What is known about kernel variants on a device, while more is being found out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..plan.variants import Job, KernelChoice, Variant
from ..reports import Rejection
from .verdict import Verdict

CLEARLY = 0.97  # of the time of a likelier variant: only then is the less likely one taken


class Findings:
    """What is known now.

    Args:
        candidates: of each job, the likely winner first.
        untried: variants to be tried, by plan size.

    Attributes:
        rejected: why a variant is not to be used, by "job:name".
        seconds: medians of a workload, by plan size and variant.
        untried: by plan size.
        checked: the share of the self-check's kernels that have run.
        fruitless: loads that added nothing, one after the other.
    """

    def __init__(self, candidates: Mapping[Job, Sequence[Variant]], untried: Mapping[int, list[str]]) -> None:
        self._candidates = candidates
        self.untried = dict(untried)
        self.rejected: dict[str, Rejection] = {}
        self.seconds: dict[int, dict[str, float]] = {}
        self.checked = 0.0
        self.fruitless = 0

    def recall(self, verdict: Verdict) -> None:
        """Go on from what earlier loads found."""
        self.checked = verdict.checked
        self.rejected.update(verdict.rejected)
        self.seconds = {n: dict(times) for n, times in verdict.seconds.items()}
        self.untried = {n: list(verdict.untried.get(n, ())) for n in self.untried}
        self.fruitless = verdict.fruitless

    @property
    def amount(self) -> float:
        """How much is known; it only grows."""
        return len(self.rejected) + sum(map(len, self.seconds.values())) + self.checked

    def reject(self, name: str, why: Rejection) -> None:
        """A variant is not to be used, nor tried."""
        self.rejected[name] = why
        for names in self.untried.values():
            if name in names:
                names.remove(name)

    def tried(self, tokens: int, variant: Variant) -> None:
        """A variant need not be tried with so many tokens any more."""
        if str(variant) in self.untried[tokens]:
            self.untried[tokens].remove(str(variant))

    def open(self, tokens: int, job: Job) -> list[Variant]:
        """The candidates that were not tried yet, the likely winner first."""
        return [v for v in self._candidates[job] if str(v) in self.untried[tokens]]

    def timed(self, tokens: int, found: Mapping[str, float], before: Variant | None) -> None:
        """Seconds of variants, measured now beside `before`, which was the fastest so far: what earlier loads measured
        counts in the measure of this one."""
        times = self.seconds.setdefault(tokens, {})
        if str(before) in found:
            now = found[str(before)] / times[str(before)]
            assert before
            times |= {n: now * times[n] for n in map(str, self._candidates[before.job]) if n in times}
        times |= found

    def fastest(self, tokens: int, job: Job) -> Variant | None:
        """The fastest of those that gave the right result and were timed with so many tokens; None without one."""
        times = self.seconds.get(tokens, {})
        best = None
        for variant in self._candidates[job]:
            name = str(variant)
            if name not in times or name in self.rejected:  # wrong in one size is not trusted in another
                continue
            if best is None or times[name] < CLEARLY * times[str(best)]:
                best = variant
        return best

    def choices(self, sizes: Sequence[int], otherwise: KernelChoice) -> dict[int, KernelChoice]:
        """For each plan size what was the fastest there, else in the next smaller or larger one, else `otherwise`."""
        choices = {}
        for tokens in sizes:
            nearest = sorted(sizes, key=lambda n: (n != tokens, n > tokens, abs(n - tokens)))
            found = [next(filter(None, (self.fastest(n, job) for n in nearest)), None) for job in Job]
            choices[tokens] = otherwise.but(*filter(None, found))
        return choices
