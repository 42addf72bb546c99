"""Whether a device computes what it should: the simple kernels on a small model, held against numpy.

There are drivers that compile a kernel to something else. The simple kernels are what every variant is held
against (trial.py), so they are held against numpy (devices/reference/) here, once for each device: the model's own
architecture in small, with every weight format that its matrices have, and with numbers that are always the same.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Awaitable, Callable
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from ..device import Device
from ..devices.reference.device import NumpyDevice
from ..errors import WrongResults
from ..models.base import Head
from ..models.recorder import Recorder
from ..plan.memory import Memory, first_steps
from ..plan.plan import Dispatch, Plan, Tensor, Use
from ..plan.variants import SIMPLE
from ..plan.weights import Matrix, Shard, Weights
from ..weights.image import Wanted
from ..weights.layout import FORMATS, ROWS, Codes, Floats, Format, RowCodes, aligned
from .comparison import Result, distance, fake_cache, probe_inputs

CONTEXT, CHUNK = 160, 32
POSITION, COUNT = 100, 29  # past the window, round the ring, and with a tail
CANDIDATES = 64
_LAYER = re.compile(r"layer (\d+) / ")
TOLERANCE = 0.002  # of the outputs' spread; sound devices differ by some 0.00003

# Lets each kernel of a plan run, given its program on the device and its inputs; how many there is no time for
Warm = Callable[[Plan, int, bytes], Awaitable[int]]


class SelfCheck:
    """A small model whose results are known, for one device after the other.

    Args:
        recorder: of the real model, whose architecture and formats it takes.

    Attributes:
        plans: what has to be compiled.
    """

    def __init__(self, recorder: Recorder) -> None:
        architecture = recorder.architecture.miniature()
        self._weights = _Invented(architecture.wanted(), recorder.weights)
        self._recorder = Recorder.of(architecture, self._weights, CONTEXT, CHUNK, CANDIDATES, recorder.limits)
        # The same kernels read both kinds of cache: the ring is the harder one, and a second one would be compiled
        # for as long as half of the rest together.
        ring = min(cache.keys.shape[0] for cache in recorder.caches)
        layers = cover(
            recorder.plan("kinds", 1, SIMPLE),
            lambda d: d.kernel.name if dict(d.constants).get("SLOTS", ring) == ring else None,
        )
        self._expected: list[Result] = []
        self.plans = (
            self._recorder.plan("self-check, one token", 1, SIMPLE, layers=layers),
            self._recorder.plan("self-check", CHUNK, SIMPLE, Head.SCORES, layers),
        )

    async def expect(self) -> None:
        """Compute what numpy says: while the kernels compile, it costs nothing."""
        self._expected = await self._run(NumpyDevice(), _at_once)

    async def check(self, device: Device, warm: Warm) -> float:
        """Hold the device against numpy. Call `expect` before.

        Args:
            warm: lets a program's kernels run once where that may take long.

        Returns:
            The share of the kernels that there was time for; 1.0: the device has passed.

        Raises:
            WrongResults: its results are not those of the reference.
            DeviceError: it does not run the kernels at all.
        """
        counts = [len(first_steps(plan)) for plan in self.plans]
        left = 0

        async def counted(plan: Plan, program: int, inputs: bytes) -> int:
            nonlocal left
            left = await warm(plan, program, inputs)
            return left

        got = await self._run(device, counted)
        for plan, a, b in zip(self.plans, got, self._expected, strict=False):
            off = distance(a, b)
            if not off <= TOLERANCE:
                raise WrongResults(
                    f"{device.adapter.name} computes wrong results ({plan.name}: off by {off:.1%}).",
                    "Update the graphics driver and the browser, or use the CPU.",
                )
        return (sum(counts[: len(got) + 1]) - left) / sum(counts)

    async def _run(self, device: Device, warm: Warm) -> list[Result]:
        """The results, up to the one for which there is no time."""
        memory = Memory(device)
        results = []
        try:
            self._recorder.allocate(memory)
            for tensor in self._weights.planes():
                memory.write(tensor, self._weights.data[tensor.memory])
            for cache in self._recorder.caches:
                for tensor in (cache.keys, cache.values):
                    memory.write(tensor, fake_cache(tensor, tensor.shape[0]))
            memory.reserve(self.plans)
            for plan in self.plans:
                program = await device.load(memory.program(plan))
                count = min(COUNT, plan.tokens)
                inputs = probe_inputs(plan, self._weights.head.rows, POSITION, count)
                try:
                    if await warm(plan, program, inputs):
                        break
                    results.append(Result.of(plan, await device.run(program, inputs), count))
                finally:
                    device.unload(program)
        finally:
            memory.release()
        return results


async def _at_once(plan: Plan, program: int, inputs: bytes) -> int:
    return 0


def cover(plan: Plan, kind: Callable[[Dispatch], object]) -> tuple[int, ...]:
    """A few layers in which every kind of dispatch occurs that occurs in any layer; those with most kinds first.

    Args:
        kind: None for a dispatch that need not occur.
    """
    kinds: dict[int, set[object]] = {}
    for dispatch in plan.dispatches:
        found, of = _LAYER.match(dispatch.label), kind(dispatch)
        if found and of is not None:
            kinds.setdefault(int(found[1]), set()).add(of)
    missing = set[object]().union(*kinds.values())
    chosen = []
    while missing:
        layer = max(kinds, key=lambda i: len(kinds[i] & missing))
        chosen.append(layer)
        missing -= kinds[layer]
    return tuple(chosen)


class _Invented(Weights):
    """Random weights of the sizes of `wanted` and in the formats of `real`, made when they are asked for.

    Attributes:
        data: the bytes of each plane, by its memory.
    """

    def __init__(self, wanted: list[Wanted], real: Weights) -> None:
        super().__init__({}, {}, {})
        self._end = 0
        self._wanted = {w.name: w for w in wanted}
        self._real = real
        self.data: dict[str, NDArray[np.generic]] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._real

    def matrix(self, name: str) -> Matrix:
        if name not in self._matrices:
            self._matrices[name] = self._invented(name)
        return self._matrices[name]

    def vector(self, name: str) -> Tensor:
        if name not in self._vectors:
            length = self._wanted[name].shapes[0][0]
            self._vectors[name] = Tensor(name, (length,), "f32", Use.WEIGHT, name, 0, 4 * length)
            self._put(name, 1 + _random(name).standard_normal(length, np.float32) / 4)
        return self._vectors[name]

    def _invented(self, name: str) -> Matrix:
        shapes = self._wanted[name].shapes
        rows, columns = sum(shape[0] for shape in shapes), shapes[0][1]
        formats = [form for form, _ in groupby(shard.format for shard in self._real.matrix(name).shards)]
        step = rows // len(formats) // ROWS * ROWS
        shards = []
        for index, form in enumerate(formats):
            first = index * step
            last = rows if index == len(formats) - 1 else first + step
            shards.append(self._shard(f"{name}[{first}:{last}]", FORMATS[form], first, last - first, columns))
        return Matrix(name, rows, columns, tuple(shards))

    def _shard(self, name: str, form: Format, first: int, rows: int, columns: int) -> Shard:
        random = _random(name)
        shape = (rows, columns)
        nbytes = form.weight_bytes(rows, columns)
        weights = Tensor(name, shape, "u32", Use.WEIGHT, name, 0, nbytes)
        if isinstance(form, Floats):
            values = random.standard_normal(rows * columns, np.float32) / np.float32(columns**0.5)
            self._put(name, form.type.encode(values))
            return Shard(first, rows, columns, form.name, weights, None)
        assert isinstance(form, Codes | RowCodes)
        self._put(name, random.integers(0, 256, nbytes, np.uint8))
        scales = Tensor(
            f"{name} scales", shape, "u32", Use.WEIGHT, f"{name} scales", 0, form.scale_plane_bytes(*shape)
        )
        dtype = form.scale_dtype if isinstance(form, Codes) else "<f4"
        items = scales.nbytes // np.dtype(dtype).itemsize
        levels = 1 << form.bits  # all equally probable
        deviation = ((levels**2 - 1) / 12) ** 0.5
        scale = random.uniform(0.5, 1.5, items).astype(np.float32) / np.float32(deviation * columns**0.5)
        if isinstance(form, RowCodes):  # of each pair; what is stored counts from the lowest
            scale[1::2] = scale[0::2] * np.float32(-form.lowest)
        elif form.minimum:  # likewise; the codes' mean becomes 0
            scale[1::2] = scale[0::2] * np.float32(form.lowest + (levels - 1) / 2)
        self._put(scales.memory, scale.astype(dtype))
        return Shard(first, rows, columns, form.name, weights, scales)

    def _put(self, memory: str, data: NDArray[np.generic]) -> None:
        self.data[memory] = data
        self.offsets[memory] = self._end
        self._end += aligned(data.nbytes)


def _random(name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(name.encode()))
