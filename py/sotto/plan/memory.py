"""Buffers for the tensors of recorded plans, and plans turned into programs with real addresses."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ..device import Bytes, Device, Inputs, OutputRange, Pipeline, Program, Shader, Step
from ..errors import LimitError
from ..store import Placement
from .plan import Plan, Tensor, Use
from .weights import Weights
from .work import work

RUN = (
    64 << 20
)  # bytes of weights in a buffer, unless a single plane is larger, or the device wants another number


def kernels(plan: Plan) -> tuple[tuple[Shader, ...], tuple[Pipeline, ...], list[int]]:
    """What a plan needs compiled: the shaders, the pipelines, and the pipeline of each dispatch."""
    shaders: dict[str, int] = {}
    pipelines: dict[tuple[str, tuple[tuple[str, float], ...]], int] = {}
    made: list[Shader] = []
    used = []
    for d in plan.dispatches:
        if d.kernel.name not in shaders:
            shaders[d.kernel.name] = len(made)
            made.append(Shader(d.kernel.name, d.kernel.source))
        used.append(pipelines.setdefault((d.kernel.name, d.constants), len(pipelines)))
    return tuple(made), tuple(Pipeline(shaders[name], dict(c)) for name, c in pipelines), used


def first_steps(plan: Plan) -> list[int]:
    """The numbers of the dispatches with which each pipeline of a plan runs first."""
    used = kernels(plan)[2]
    return [used.index(pipeline) for pipeline in range(len(set(used)))]


@dataclass(frozen=True)
class _Buffer:
    """A buffer that there is; `number` counts all that were ever made."""

    kind: str
    nbytes: int
    number: int


class Memory:
    """Owns the device buffers of one loaded model.

    Weights, caches and constants are shared by all plans; scratch slots are pooled, the n-th largest slot of
    every plan sharing a buffer; each plan has its own inputs and outputs. A buffer of weights holds a run of the
    image as it is, so that a chunk of the image is one write: browsers take large writes twice as fast as small ones.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._shared: dict[str, tuple[int, int]] = {}  # buffer and offset by memory name
        self._placements: list[Placement] = []
        self._pool: list[int] = []
        self._pool_sizes: list[int] = []
        self._own: dict[int, list[int]] = {}  # what each program has for itself, by the buffer of its inputs
        self._buffers: dict[int, _Buffer] = {}  # by handle; a device may give a freed one's again
        self._made = 0
        # Bytes by kind: "weights", "adapters", "cache", "constants", "scratch".
        self.nbytes: dict[str, int] = {}

    def allocate(self, kind: str, tensors: Iterable[Tensor]) -> None:
        """Buffers for shared tensors, by memory name. Raises DeviceError, LimitError."""
        for t in tensors:
            if t.memory not in self._shared:
                self._shared[t.memory] = self._buffer(kind, t.nbytes, t.memory), 0

    def allocate_weights(self, weights: Weights) -> None:
        """Buffers for the weights, which `placements` tells how to fill. Raises DeviceError, LimitError."""
        offsets = weights.offsets
        limits = self._device.limits
        most = min(limits.best_buffer or RUN, limits.max_buffer)
        planes = deque(sorted(weights.planes(), key=lambda t: offsets[t.memory]))
        while planes:
            run = [planes.popleft()]
            begin = offsets[run[0].memory]
            end = begin + run[0].nbytes
            room = begin + most
            while planes and offsets[planes[0].memory] + planes[0].nbytes <= room:
                run.append(planes.popleft())
                end = offsets[run[-1].memory] + run[-1].nbytes
            buffer = self._buffer("weights", end - begin, f"{run[0].memory} to {run[-1].memory}")
            self._placements.append(Placement(begin, end - begin, buffer, 0))
            self._shared |= {t.memory: (buffer, offsets[t.memory] - begin) for t in run}

    @property
    def placements(self) -> Sequence[Placement]:
        """Where the image's bytes belong, in the image's order."""
        return self._placements

    def place(self, t: Tensor) -> tuple[int, int]:
        """The buffer of a shared tensor, and where in it the tensor begins."""
        buffer, offset = self._shared[t.memory]
        return buffer, offset + t.offset

    def write(self, t: Tensor, data: Bytes) -> None:
        """Fill a shared tensor, or its beginning."""
        self._device.write(*self.place(t), data)

    def reserve(self, plans: Iterable[Plan]) -> None:
        """Size the scratch pool for these plans; call before `program`, and when no program is used any more."""
        self._free([*self._pool, *(handle for own in self._own.values() for handle in own)])
        for plan in plans:
            for rank, nbytes in enumerate(plan.scratch_slots[1]):
                if rank == len(self._pool_sizes):
                    self._pool_sizes.append(0)
                self._pool_sizes[rank] = max(self._pool_sizes[rank], nbytes)
        self._pool = [
            self._buffer("scratch", nbytes, f"scratch {rank}") for rank, nbytes in enumerate(self._pool_sizes)
        ]

    def program(self, plan: Plan) -> Program:
        """The plan with buffer handles in place of tensors."""
        slots, sizes = plan.scratch_slots
        inputs = self._buffer("scratch", plan.inputs_nbytes, f"{plan.name} inputs")
        own = self._own[inputs] = [inputs]

        def of_program(nbytes: int, what: str) -> int:
            own.append(self._buffer("scratch", nbytes, f"{plan.name} {what}"))
            return own[-1]

        pool = [
            self._pool[rank]
            if rank < len(self._pool) and nbytes <= self._pool_sizes[rank]
            else of_program(nbytes, f"scratch {rank}")
            for rank, nbytes in enumerate(sizes)
        ]
        assert plan.output is not None
        output = of_program(plan.output.nbytes, "outputs")

        def place(t: Tensor) -> tuple[int, int]:
            if t.use is Use.INPUTS:
                return inputs, t.offset
            if t.use is Use.OUTPUTS:
                return output, t.offset
            return (pool[slots[t.memory]], t.offset) if t.use is Use.SCRATCH else self.place(t)

        shaders, pipelines, used = kernels(plan)
        steps: list[Step] = []
        for d, pipeline in zip(plan.dispatches, used, strict=True):
            bindings = tuple([(b.number, *place(b.tensor), b.tensor.nbytes, b.access) for b in d.bindings])
            steps.append(Step(d.label, pipeline, bindings, d.grid))
        return Program(
            name=plan.name,
            shaders=shaders,
            pipelines=pipelines,
            steps=tuple(steps),
            inputs=Inputs(inputs, plan.inputs_nbytes),
            outputs=OutputRange(output, 0, plan.output.nbytes),
            work=tuple(work(d, plan.tokens) for d in plan.dispatches) if plan.tokens > 1 else (),
        )

    def forget(self, inputs: int) -> None:
        """Free what a program had for itself; `inputs` is its buffer of inputs. Nothing where that is gone already."""
        self._free(self._own.pop(inputs, []))

    def free(self, tensors: Iterable[Tensor]) -> None:
        """Free the buffers of shared tensors that have one each."""
        self._free([self._shared[t.memory][0] for t in tensors])

    @contextmanager
    def temporary(self) -> Iterator[None]:
        """What is made inside is freed at the end."""
        before = self._made
        try:
            yield
        finally:
            self._free([handle for handle, buffer in self._buffers.items() if buffer.number > before])

    def release(self) -> None:
        """Free every buffer."""
        self._free(list(self._buffers))

    def _buffer(self, kind: str, nbytes: int, label: str) -> int:
        if nbytes > self._device.limits.max_buffer:
            raise LimitError(
                f"{label} needs a buffer of {nbytes / 2**20:,.0f} MiB; "
                f"this adapter allows {self._device.limits.max_buffer / 2**20:,.0f} MiB.",
                "Use a smaller model or context, or another adapter.",
            )
        buffer = self._device.buffer(nbytes, label)
        self._made += 1
        self._buffers[buffer] = _Buffer(kind, nbytes, self._made)
        self.nbytes[kind] = self.nbytes.get(kind, 0) + nbytes
        return buffer

    def _free(self, buffers: Sequence[int]) -> None:
        for handle in buffers:
            buffer = self._buffers.pop(handle)
            self.nbytes[buffer.kind] -= buffer.nbytes
            self._device.free(handle)
        there = self._buffers
        self._own = {inputs: own for inputs, own in self._own.items() if inputs in there}
        self._shared = {name: place for name, place in self._shared.items() if place[0] in there}
        self._placements = [place for place in self._placements if place.buffer in there]
        if any(handle not in there for handle in self._pool):
            self._pool, self._pool_sizes = [], []
