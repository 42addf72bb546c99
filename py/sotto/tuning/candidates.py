"""Which kernel variants there are, which can run on a device, and which a person asks for."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from .. import ops
from ..device import Processor
from ..errors import SottoError
from ..plan.variants import SIMPLE, Job, Variant

VARIANTS: Mapping[Job, tuple[Variant, ...]] = MappingProxyType(
    {
        Job.DECODE: (SIMPLE[Job.DECODE], *ops.DECODES),
        Job.MATMUL: (SIMPLE[Job.MATMUL], *ops.MATMULS),
        Job.ATTENTION: (SIMPLE[Job.ATTENTION], *ops.ATTENTIONS),
    }
)
MEASURE = "measure"  # in the place of a variant's name
PRECISIONS = ("int8", "f16", "f32")  # likewise: the least that is computed with; the first one allows all


def candidates(job: Job, device: Processor, precision: str = PRECISIONS[0]) -> tuple[Variant, ...]:
    """The variants that run on a device with a precision, or a higher one, the likely winner first.

    Those made for its kind come before the others. The simple one is the last resort of a GPU; where barriers and
    small workgroups cost much it goes before what was made for GPUs.
    """
    dear = device.traits.dear_barriers
    kind = "software" if dear else "gpu"

    def rank(variant: Variant) -> int:
        simple = variant == SIMPLE[job]
        return 0 if variant.suits == kind else 1 if simple == dear else 2

    exact = PRECISIONS[PRECISIONS.index(precision) :]
    return tuple(sorted((v for v in VARIANTS[job] if v.precision in exact and v.runs_on(device)), key=rank))


def measured_again(text: str) -> bool:
    """Whether a person asks, beside variants or alone, to forget what was measured on the device before."""
    return MEASURE in _names(text)


def precision(text: str) -> str:
    """The least precision that a person asks for, beside variants or alone: the highest of those named."""
    return max(
        (name for name in _names(text) if name in PRECISIONS), key=PRECISIONS.index, default=PRECISIONS[0]
    )


def pinned(text: str, device: Processor) -> dict[Job, Variant]:
    """The variants that a person asks for, "job:name" with commas between them, MEASURE and PRECISIONS left out.

    Raises:
        SottoError: there is no such variant, or it does not run on this device; the possible ones are told.
    """
    known = {str(variant): variant for variants in VARIANTS.values() for variant in variants}
    found: dict[Job, Variant] = {}
    for name in _names(text):
        if name in (MEASURE, *PRECISIONS):
            continue
        variant = known.get(name)
        if variant is None:
            choices = ", ".join((*known, *PRECISIONS, MEASURE))
            raise SottoError(f"There is no kernel variant {name!r}.", f"Choose from: {choices}.")
        if not variant.runs_on(device):
            there = [str(v) for v in candidates(variant.job, device)]
            raise SottoError(
                f"The kernel variant {name} does not run on {device.adapter.name}.",
                f"Here run: {', '.join(there)}.",
            )
        found[variant.job] = variant
    return found


def _names(text: str) -> dict[str, None]:
    """Each once, in their order."""
    return dict.fromkeys(filter(None, map(str.strip, text.split(","))))
