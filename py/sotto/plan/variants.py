"""Variants of the heavy kernels: several ways to compute the same thing, of which a device runs the fastest.

A job is a part of the forward pass. Each has a variant named "simple", which runs everywhere, also on processors
that know no WGSL, and which is the reference of the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

from ..device import Processor


class Job(Enum):
    """The jobs that have variants."""

    DECODE = "decode"  # a layer for one to four tokens: fused norms, weight sweeps and attention
    MATMUL = "matmul"  # a weight matrix against a chunk of tokens
    ATTENTION = "attention"  # a chunk of queries against the cache


@dataclass(frozen=True)
class Variant:
    """One way to do a job.

    Attributes:
        job: what it does.
        name: unique within the job, as people pin it.
        features: what the adapter must have (AdapterInfo.features).
        workgroup: threads in a workgroup; the adapter's limit must allow them.
        workgroup_bytes: workgroup memory it needs.
        options: what the kernel's text is read with (wgsl.load).
        constants: overrides that set the variant apart.
        portable: also for processors that run no WGSL.
        precision: of what it multiplies: "f32", "f16", or "int8" where activations are rounded to 8 bits.
        suits: the kind of adapter ("gpu", "software") it was made for and is tried on first.
    """

    job: Job
    name: str
    features: frozenset[str] = frozenset()
    workgroup: int = 64
    workgroup_bytes: int = 16_384
    options: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, float] = field(default_factory=dict)
    portable: bool = False
    precision: str = "f32"
    suits: str = "gpu"

    def __str__(self) -> str:
        return f"{self.job.value}:{self.name}"

    def __hash__(self) -> int:
        return hash((self.job, self.name))

    def runs_on(self, device: Processor) -> bool:
        """Whether the device has what this variant needs."""
        if not device.traits.wgsl:
            return self.portable
        return (
            self.features <= set(device.adapter.features)
            and self.workgroup <= device.limits.max_workgroup_invocations
            and self.workgroup_bytes <= device.limits.max_workgroup_memory
        )


@dataclass(frozen=True)
class KernelChoice:
    """A variant for each job."""

    variants: Mapping[Job, Variant]

    def __getitem__(self, job: Job) -> Variant:
        return self.variants[job]

    def names(self) -> dict[str, str]:
        """The variants' names by job."""
        return {job.value: variant.name for job, variant in self.variants.items()}

    def but(self, *others: Variant) -> KernelChoice:
        """The same choice with other variants for their jobs."""
        return KernelChoice(MappingProxyType({**self.variants, **{v.job: v for v in others}}))


SIMPLE = KernelChoice(MappingProxyType({job: Variant(job, "simple", portable=True, suits="") for job in Job}))
