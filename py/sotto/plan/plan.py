"""The recorded forward pass: tensors, dispatches and the list that is replayed.

A `Plan` is plain data. A model's `forward` runs once per length class and leaves dispatches in it; a device
replays them. Nothing in a plan depends on the position in the text: what changes from token to token lives in
the `inputs` buffer (the step block and the token ids), so that shapes, grids and offsets stay fixed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property

from ..errors import LimitError
from ..weights.layout import aligned
from .costs import COSTS
from .variants import SIMPLE, KernelChoice
from .wgsl import Kernel

STEP_BYTES = 256  # the step block at the start of `inputs`; the token ids follow
ITEM_BYTES = {"f32": 4, "u32": 4, "f16": 2}


class Use(Enum):
    """What a tensor's memory is for, and so who allocates it and for how long it lives."""

    WEIGHT = "weight"  # converted model weights, shared by all plans
    CACHE = "cache"  # keys and values, shared by all plans
    SCRATCH = "scratch"  # activations: memory is reused after the last reader
    INPUTS = "inputs"  # the step block and token ids, written before every run
    OUTPUTS = "outputs"  # read back after every run


@dataclass(frozen=True)
class Tensor:
    """A named piece of device memory with a shape.

    `offset` and `nbytes` select a part of the memory called `memory` (a weight plane cut into shards, or a
    region of a larger tensor); for whole tensors `memory == name` and `offset == 0`.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    use: Use
    memory: str
    offset: int
    nbytes: int


def tensor(name: str, shape: tuple[int, ...], dtype: str, use: Use) -> Tensor:
    """A whole tensor; its size in bytes is rounded up to 4 (WebGPU's copy granularity)."""
    count = 1
    for length in shape:
        count *= length
    nbytes = -(-count * ITEM_BYTES[dtype] // 4) * 4
    return Tensor(name, shape, dtype, use, name, 0, nbytes)


@dataclass(frozen=True)
class Binding:
    """A tensor bound to one binding number of a kernel."""

    number: int
    access: str  # "read", "read_write" or "uniform"
    tensor: Tensor


@dataclass(frozen=True)
class Dispatch:
    """One kernel launch: everything needed to replay it, and nothing that changes between replays."""

    label: str
    kernel: Kernel
    constants: tuple[tuple[str, float], ...]
    bindings: tuple[Binding, ...]
    grid: tuple[int, int, int]

    @property
    def reads(self) -> tuple[Tensor, ...]:
        """Tensors the kernel may read."""
        return tuple(b.tensor for b in self.bindings)

    @property
    def writes(self) -> tuple[Tensor, ...]:
        """Tensors the kernel may write."""
        return tuple(b.tensor for b in self.bindings if b.access == "read_write")


@dataclass
class Plan:
    """The dispatches of one length class.

    Args:
        name: for people, e.g. "decode" or "prefill 128".
        tokens: T, the most tokens one run takes.
        scored: the inputs also carry each token's successor (`targets`), for log_prob.
        choice: which variant of the heavy kernels the ops record.
    """

    name: str
    tokens: int
    scored: bool = False
    choice: KernelChoice = SIMPLE
    dispatches: list[Dispatch] = field(default_factory=list)
    output: Tensor | None = None
    body: int = 0  # dispatches that later chunks depend on: a chunk that is not the last one stops here
    _labels: list[str] = field(default_factory=list)
    _step: Tensor = field(init=False)
    _names: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ids_nbytes = aligned(4 * self.tokens)

        def inputs(name: str, count: int, offset: int) -> Tensor:
            return Tensor(name, (count,), "u32", Use.INPUTS, "inputs", offset, 4 * count)

        self.step = inputs("step", STEP_BYTES // 4, 0)
        self.token_ids = inputs("token ids", self.tokens, STEP_BYTES)
        self.state = inputs("state", STEP_BYTES // 4 + 1, 0)  # what picking a token renews
        self.targets = inputs("targets", self.tokens, STEP_BYTES + ids_nbytes)
        self.last_step = inputs(
            "last step", STEP_BYTES // 4, STEP_BYTES + ids_nbytes * (2 if self.scored else 1)
        )
        self.inputs_nbytes = self.last_step.offset + (STEP_BYTES if self.tokens > 1 else 0)
        self._step = self.step

    def inputs(
        self, position: int, tokens: Sequence[int], targets: Sequence[int] = (), rule: bytes = b""
    ) -> bytes:
        """The bytes of one run: the step block, the token ids, in a scored plan their successors, and in a plan of
        more than one token the step block of the last one alone.

        Args:
            position: of the first token.
            rule: how the next token is picked, as `sampler.Rule` packs it; without one, the most probable.
        """
        data = bytearray(self.inputs_nbytes)
        struct.pack_into("<2I", data, 0, position, len(tokens))
        data[8 : 8 + len(rule)] = rule
        struct.pack_into(f"<{len(tokens)}I", data, self.token_ids.offset, *tokens)
        if self.scored:
            struct.pack_into(f"<{len(targets)}I", data, self.targets.offset, *targets)
        if self.tokens > 1:
            struct.pack_into("<2I", data, self.last_step.offset, position + len(tokens) - 1, 1)
        return bytes(data)

    @contextmanager
    def scope(self, label: str) -> Iterator[None]:
        """Prefix the labels of what is recorded inside, e.g. "layer 3"."""
        outside = self._labels
        self._labels = [*outside, label]
        try:
            yield
        finally:
            self._labels = outside

    def follow_last_token(self) -> None:
        """What is recorded from here on sees a run of one token, the last of this run, at its place in the text."""
        self._step = self.last_step
        self._labels.append("last token")

    def scratch(self, name: str, shape: tuple[int, ...], dtype: str = "f32") -> Tensor:
        """A tensor that lives from its first writer to its last reader."""
        return tensor(self._unique(name), shape, dtype, Use.SCRATCH)

    def outputs(self, name: str, shape: tuple[int, ...], dtype: str = "f32") -> Tensor:
        """The tensor that is read back after every run."""
        if self.output is not None:
            raise ValueError(f"plan {self.name!r} already has an output")
        self.output = tensor(self._unique(name), shape, dtype, Use.OUTPUTS)
        return self.output

    def add(
        self,
        label: str,
        kernel: Kernel,
        grid: tuple[int, int, int],
        tensors: Mapping[str, Tensor],
        **constants: float,
    ) -> None:
        """Record one dispatch. Names in `tensors` and `constants` are the kernel's own.

        Raises:
            ValueError: a binding or a constant is missing or unknown, or costs.py does not say what the kernel
                computes.
        """
        if kernel.operation not in COSTS:
            raise ValueError(f"{kernel.name}: plan/costs.py does not say what {kernel.operation} computes")
        declared = kernel.numbers
        bound = dict(tensors)
        if "step" in declared:
            bound.setdefault("step", self._step)
        if bound.keys() != declared.keys():
            raise ValueError(f"{kernel.name} binds {sorted(declared)}, given {sorted(bound)}")
        if not kernel.required <= constants.keys() <= kernel.overrides.keys():
            unknown, missing = constants.keys() - kernel.overrides.keys(), kernel.required - constants.keys()
            raise ValueError(f"{kernel.name}: unknown constants {sorted(unknown)}, missing {sorted(missing)}")
        bindings = tuple([Binding(d.number, d.access, bound[d.name]) for d in kernel.bindings])
        full = " / ".join([*self._labels, label])
        self.dispatches.append(Dispatch(full, kernel, tuple(sorted(constants.items())), bindings, grid))

    def tensors(self, use: Use) -> dict[str, Tensor]:
        """Every tensor of that use that some dispatch binds, by name, in order of first use."""
        return {t.name: t for d in self.dispatches for t in d.reads if t.use is use}

    @cached_property
    def scratch_slots(self) -> tuple[dict[str, int], list[int]]:
        """A slot for every scratch tensor, once all is recorded; a slot is free again after its tensor's last use.

        Each slot becomes a device buffer of its own, because WebGPU forbids binding one buffer both for
        reading and for writing in a dispatch, even on ranges that do not overlap.

        Returns:
            slot number by tensor name, and the size in bytes of each slot, largest first.
        """
        first: dict[str, int] = {}  # the dispatches that use it first and last
        last: dict[str, int] = {}
        nbytes: dict[str, int] = {}
        for index, dispatch in enumerate(self.dispatches):
            for binding in dispatch.bindings:
                t = binding.tensor
                if t.use is Use.SCRATCH:
                    name = t.memory
                    first.setdefault(name, index)
                    last[name] = index
                    nbytes[name] = max(nbytes.get(name, 0), t.nbytes)
        slot_of: dict[str, int] = {}
        sizes: list[int] = []
        taken: list[int] = []  # a bit for each dispatch during which the slot is somebody's
        for name in sorted(nbytes, key=nbytes.__getitem__, reverse=True):  # so that no slot has to grow
            life = (2 << last[name]) - (1 << first[name])
            slot = next((slot for slot, others in enumerate(taken) if not others & life), len(taken))
            if slot == len(taken):
                sizes.append(nbytes[name])
                taken.append(0)
            taken[slot] |= life
            slot_of[name] = slot
        return slot_of, sizes

    def check(self, *, max_binding: int, max_grid: int, max_storage_buffers: int) -> None:
        """Hold the plan against a device's limits. Raises LimitError naming the step and the limit."""
        for dispatch in self.dispatches:
            storage = [b for b in dispatch.bindings if b.access != "uniform"]
            if len(storage) > max_storage_buffers:
                raise LimitError(
                    f"Step {dispatch.label!r} binds {len(storage)} storage buffers; "
                    f"this adapter allows {max_storage_buffers}."
                )
            for binding in storage:
                if binding.tensor.nbytes > max_binding:
                    raise LimitError(
                        f"{binding.tensor.name} needs {binding.tensor.nbytes / 2**20:,.0f} MiB in one binding; "
                        f"this adapter allows {max_binding / 2**20:,.0f} MiB.",
                        "Use a smaller model or context, or another adapter.",
                    )
            if max(dispatch.grid) > max_grid:
                raise LimitError(
                    f"Step {dispatch.label!r} needs a grid of {dispatch.grid}; this adapter allows {max_grid}."
                )

    def table(self) -> list[tuple[str, str, str, str, str]]:
        """Rows (label, kernel, grid, constants, tensors with shapes) for people."""
        rows = []
        for d in self.dispatches:
            shapes = ", ".join(
                f"{'>' if b.access == 'read_write' else ''}{b.tensor.name}{list(b.tensor.shape)}"
                for b in d.bindings
                if b.access != "uniform"
            )
            constants = " ".join(f"{k}={v:g}" for k, v in d.constants)
            rows.append((d.label, d.kernel.name, "x".join(map(str, d.grid)), constants, shapes))
        return rows

    def _unique(self, name: str) -> str:
        full = " / ".join([*self._labels, name])
        count = self._names.get(full, 0)
        self._names[full] = count + 1
        return full if count == 0 else f"{full} #{count}"
