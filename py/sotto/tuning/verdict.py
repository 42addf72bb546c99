"""What choosing kernels has found, what that holds for, and what is taken where nothing was found."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field

from ..device import Device
from ..errors import LimitError, SottoError, UnsupportedModel
from ..models.recorder import Recorder
from ..paths import kernels_folder
from ..plan.variants import SIMPLE, Job, KernelChoice, Variant
from ..reports import How, Rejection
from ..weights.layout import LAYOUT_VERSION
from . import candidates

FRUITLESS = 3  # loads one after the other that found nothing: then what is left stays untried


@dataclass(frozen=True)
class Verdict:
    """What was found.

    Attributes:
        choices: by tokens of a plan.
        rejected: why a variant was not taken, by "job:name".
        seconds: medians of a workload, by plan size and variant; empty for what was not timed.
        untried: variants for which there was no time yet, by plan size.
        checked: the share of the self-check's kernels that have run; 1.0: it was right.
        fruitless: loads that had no time for any of this, one after the other.
        how: it came about.
    """

    choices: Mapping[int, KernelChoice]
    rejected: Mapping[str, Rejection] = field(default_factory=dict)
    seconds: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    untried: Mapping[int, Collection[str]] = field(default_factory=dict)
    checked: float = 0.0
    fruitless: int = 0
    how: How = How.USUAL

    @property
    def finished(self) -> bool:
        """Whether another load has nothing to add."""
        done = self.checked == 1.0 and not self.untried
        return self.how is How.REMEMBERED and (done or self.fruitless >= FRUITLESS)

    def to_text(self) -> str:
        """For the store."""
        kept = {
            "choices": {n: [str(v) for v in choice.variants.values()] for n, choice in self.choices.items()},
            "rejected": {name: asdict(why) for name, why in self.rejected.items()},
            "seconds": self.seconds,
            "untried": {n: list(names) for n, names in self.untried.items()},
            "checked": self.checked,
            "fruitless": self.fruitless,
        }
        return json.dumps(kept)

    @classmethod
    def of_text(cls, text: str, device: Device, tokens: Sequence[int]) -> Verdict | None:
        """What `to_text` gave; None where it is not about these plan sizes, or a variant does not run any more."""
        try:
            found = json.loads(text)
            choices = {}
            for count in tokens:
                names = ",".join(found["choices"][str(count)])
                choices[count] = SIMPLE.but(*candidates.pinned(names, device).values())
            seconds = {int(count): dict(times) for count, times in found["seconds"].items()}
            untried = {int(count): list(names) for count, names in found["untried"].items()}
            checked, fruitless = float(found["checked"]), int(found["fruitless"])
            rejected = {name: _rejection(why) for name, why in found["rejected"].items()}
            return cls(choices, rejected, seconds, untried, checked, fruitless, How.REMEMBERED)
        except (ValueError, TypeError, KeyError, AttributeError, SottoError):
            return None


def _rejection(kept: dict[str, str] | str) -> Rejection:
    """What was kept of one; versions before kept its text alone."""
    return Rejection("other", kept) if isinstance(kept, str) else Rejection(**kept)


def usual(
    device: Device,
    recorder: Recorder,
    pinned: Mapping[Job, Variant],
    tokens: Sequence[int],
    barred: Collection[str] = (),
    precision: str = candidates.PRECISIONS[0],
) -> Verdict:
    """What is taken where nothing was measured: the likely winners among those that have the model's shapes.

    Args:
        barred: variants that are not taken.
        precision: the least that those taken compute with.
    """

    choice = SIMPLE.but(*pinned.values())
    for job in set(Job) - set(pinned):
        for variant in candidates.candidates(job, device, precision):
            if variant == SIMPLE[job]:
                break
            if str(variant) in barred:
                continue
            with suppress(UnsupportedModel, LimitError):
                count = tokens[0] if job is Job.DECODE else tokens[-1]
                recorder.plan("trial", count, SIMPLE.but(variant), layers=(0,))
                choice = choice.but(variant)
                break
    return Verdict(dict.fromkeys(tokens, choice))


def fingerprint(device: Device, recorder: Recorder, tokens: Sequence[int], precision: str) -> str:
    """What the result of tuning holds for: adapter, driver, browser, model shape, layout, kernels, and
    the least precision."""
    weights = [(t.name, t.shape, t.nbytes) for t in recorder.weights.planes()]
    shape = hashlib.sha256(repr(sorted(weights)).encode()).hexdigest()
    parts = [asdict(device.adapter), shape, list(tokens), LAYOUT_VERSION, kernels_digest()]
    parts += [precision] * (precision != candidates.PRECISIONS[0])  # what older versions found still holds
    return "tuning " + hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def kernels_digest() -> str:
    """Of the kernels' texts, and of the variants made from them; the same in every process."""
    variants = [
        {**asdict(variant), "job": job.value, "features": sorted(variant.features)}
        for job, variants in candidates.VARIANTS.items()
        for variant in variants
    ]
    digest = hashlib.sha256(json.dumps(variants).encode())
    folder = kernels_folder()
    for path in sorted(folder.rglob("*.wgsl")):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
