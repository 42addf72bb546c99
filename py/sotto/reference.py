"""Every kernel in numpy, under the kernel's own name, and a device that replays plans with them.

This is the truth the GPU is held against: the same recorded plan, the same weights in the same layout, no GPU.
Each function takes the kernel's bindings by name, its constants, and the run's position and token count; it
writes to its outputs in place, and like the kernel leaves tokens past the count alone.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Generator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import layout, wgsl
from .device import AdapterInfo, Batch, Bytes, Limits, Pipeline, Program, Shader
from .errors import Cancelled, DeviceError, OutOfMemory
from .reference_call import Call, Floats, Int8, gated, normed, rotated
from .reference_decode import DECODE_KERNELS
from .sampler import NO_TOKEN, Rule, choose


def embed(c: Call) -> None:
    columns, first, rows = c.size("K"), c.size("FIRST"), c.size("ROWS")
    table = c.dequantized(rows, columns)
    y = c.f32("y").reshape(-1, columns)
    for t, token in enumerate(c.u32("tokens")[: c.count]):
        if first <= token < first + rows:
            y[t] = table[token - first] * np.float32(c.constants["SCALE"])


def matvec(c: Call) -> None:
    rows, columns, offset = c.size("N"), c.size("K"), c.size("OFFSET")
    c.f32("y")[offset : offset + rows] = c.dequantized(rows, columns) @ c.f32("x")[:columns]


def matmul(c: Call) -> None:
    _products(c, c.f32("x").reshape(-1, c.size("K"))[: c.count])


def _products(c: Call, x: Floats) -> None:
    rows, columns, offset = c.size("N"), c.size("K"), c.size("OFFSET")
    w = c.dequantized(rows, columns).T
    parts = c.grid[2]  # of the columns, in blocks of 32
    edges = [part * (columns // 32) // parts * 32 for part in range(parts + 1)]
    y = c.f32("y").reshape(-1, parts, c.size("STRIDE"))
    for part, (begin, end) in enumerate(pairwise(edges)):
        y[: c.count, part, offset : offset + rows] = x[:, begin:end] @ w[begin:end]


def quantize(c: Call) -> None:
    blocks = c.size("K") // 32
    x = Int8.of(c.f32("x").reshape(-1, c.size("K"))[: c.count])
    c.raw["codes"].view(np.int8).reshape(-1, blocks, 32)[: c.count] = x.codes
    c.f32("scales").reshape(-1, blocks, 2)[: c.count, :, :1] = x.scales
    c.f32("scales").reshape(-1, blocks, 2)[: c.count, :, 1:] = x.codes.sum(axis=-1, keepdims=True) * x.scales


def matmul_int8(c: Call) -> None:
    columns = c.size("K")
    codes = c.raw["codes"].view(np.int8).reshape(-1, columns // 32, 32)[: c.count]
    scales = c.f32("scales_of_x").reshape(-1, columns // 32, 2)[: c.count, :, :1]
    _products(c, Int8(codes.astype(np.float32), scales).values())


def sum_parts(c: Call) -> None:
    rows, parts = c.size("N"), c.f32("parts").reshape(-1, c.size("PARTS"), c.size("N"))
    c.f32("y").reshape(-1, rows)[: c.count] = parts[: c.count].sum(axis=1)


def rms_norm(c: Call) -> None:
    dim = c.size("D")
    x, y = c.f32("x").reshape(-1, dim), c.f32("y").reshape(-1, dim)
    y[: c.count] = normed(x[: c.count], c.f32("weight"), c.constants["EPS"])


def norm_add(c: Call) -> None:
    dim = c.size("D")
    x, y = c.f32("x").reshape(-1, dim), c.f32("y").reshape(-1, dim)
    x[: c.count] += normed(y[: c.count], c.f32("weight"), c.constants["EPS"])


def rope_kv(c: Call) -> None:
    heads, kv_heads, dim, slots = c.size("H"), c.size("G"), c.size("E"), c.size("SLOTS")
    qkv = c.f32("qkv").reshape(-1, heads + 2 * kv_heads, dim)[: c.count]
    positions = c.position + np.arange(c.count)
    angles = c.f32("angles").reshape(-1, dim // 2, 2)[positions][:, None]
    eps = c.constants["EPS"]

    if heads:
        q = rotated(normed(qkv[:, :heads], c.f32("q_norm"), eps), angles) * np.float32(c.constants["SCALE"])
        c.f32("q").reshape(-1, heads, dim)[: c.count] = q
    if not kv_heads:
        return
    k = rotated(normed(qkv[:, heads : heads + kv_heads], c.f32("k_norm"), eps), angles)
    c.f16("keys").reshape(slots, kv_heads, dim)[positions % slots] = k
    c.f16("values").reshape(slots, kv_heads, dim)[positions % slots] = qkv[:, heads + kv_heads :]


def attention(c: Call) -> None:
    heads, kv_heads, dim, slots = c.size("H"), c.size("G"), c.size("E"), c.size("SLOTS")
    q = c.f32("q").reshape(-1, kv_heads, heads // kv_heads, dim)
    if "y" in c.raw:
        y = c.f32("y").reshape(-1, kv_heads, heads // kv_heads, dim)
    else:  # in splits, of which the first has all
        y = c.f32("partials").reshape(-1, c.grid[2], kv_heads, heads // kv_heads, dim)[:, 0]
        stats = c.f32("stats").reshape(-1, c.grid[2], heads, 2)
        stats[:] = -3e38, 0
        stats[:, 0] = 0, 1
    keys = c.f16("keys").reshape(slots, kv_heads, dim)
    values = c.f16("values").reshape(slots, kv_heads, dim)
    for t in range(c.count):
        position = c.position + t
        seen = np.arange(max(0, position + 1 - c.size("WINDOW")), position + 1) % slots
        scores = np.einsum("ghe,sge->ghs", q[t], keys[seen].astype(np.float32))
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        y[t] = np.einsum("ghs,sge->ghe", weights, values[seen].astype(np.float32))


def attention_merge(c: Call) -> None:
    splits, heads, dim = c.size("SPLITS"), c.size("H"), c.size("E")
    highest, total = np.moveaxis(c.f32("stats").reshape(-1, splits, heads, 2)[: c.count], -1, 0)
    shares = np.exp(highest - highest.max(axis=1, keepdims=True))
    partials = c.f32("partials").reshape(-1, splits, heads, dim)[: c.count]
    y = (shares[..., None] * partials).sum(axis=1) / (shares * total).sum(axis=1)[..., None]
    c.f32("y").reshape(-1, heads, dim)[: c.count] = y


def geglu(c: Call) -> None:
    dim = c.size("F")
    gate_up = c.f32("gate_up").reshape(-1, 2, dim)[: c.count]
    gate, up = gate_up[:, 0], gate_up[:, 1]
    c.f32("y").reshape(-1, dim)[: c.count] = gated(gate, up)


def last_row(c: Call) -> None:
    dim = c.size("D")
    c.f32("y")[:dim] = c.f32("x").reshape(-1, dim)[c.count - 1]


def slice_maxima(c: Call) -> None:
    length, vocabulary = c.size("SLICE"), c.size("V")
    c.f32("y")[: -(-vocabulary // length)] = np.maximum.reduceat(
        c.f32("x")[:vocabulary], np.arange(0, vocabulary, length)
    )


def sample(c: Call) -> None:
    x, inputs, chosen = c.f32("x")[: c.size("V")], c.u32("inputs"), c.u32("chosen")
    rule, draw = Rule.unpack(inputs[2:13].tobytes())
    most, place = c.size("COUNT"), c.position + c.count
    wanted = min(rule.wanted, most) or most
    best = np.argsort(-x, kind="stable")[:wanted]
    chosen[: 2 * wanted] = np.stack([best.astype(np.uint32), x[best].view(np.uint32)], axis=-1).ravel()
    text = c.u32("text")
    try:
        token = choose(rule, draw, best, x[best], text[:place])
    except DeviceError:
        token = NO_TOKEN
    text[place : place + 1] = token
    chosen[2 * most + inputs[13] % c.size("PICKS")] = token
    inputs[:2] = place, 1
    inputs[5] += 1
    inputs[13] += 1
    inputs[-1] = token


def best(c: Call) -> None:
    x = c.f32("x").reshape(-1, c.size("V"))[: c.count]
    found = np.where(np.isfinite(x.max(axis=-1)), x.argmax(axis=-1), NO_TOKEN)
    c.u32("y")[: c.count] = found.astype(np.uint32)


def log_prob(c: Call) -> None:
    x = c.f32("x").reshape(-1, c.size("V"))[: c.count].astype(np.float64)
    peak = x.max(axis=-1)
    total = np.log(np.exp(x - peak[:, None]).sum(axis=-1)) + peak
    c.f32("y")[: c.count] = x[np.arange(c.count), c.u32("targets")[: c.count]] - total


KERNELS: dict[str, Callable[[Call], None]] = {
    f.__name__: f
    for f in (
        embed,
        matvec,
        matmul,
        sum_parts,
        quantize,
        matmul_int8,
        rms_norm,
        norm_add,
        rope_kv,
        attention,
        geglu,
        attention_merge,
        last_row,
        slice_maxima,
        sample,
        best,
        log_prob,
    )
} | DECODE_KERNELS


class Later:
    """A batch that is computed when it is awaited."""

    def __init__(self, compute: Callable[[], bytes]) -> None:
        self._compute = compute

    def __await__(self) -> Generator[None, None, Batch]:
        outputs = self._compute()
        return Batch(outputs, time.perf_counter(), 0.0)
        yield  # makes this function a generator


class NumpyDevice:
    """Replays programs with the functions above. Satisfies `device.Device`.

    Dequantised weights are kept as float32 between runs: a reference, not a way to save memory.
    """

    def __init__(self) -> None:
        self.adapter = AdapterInfo("numpy", "numpy", "reference", "cpu", np.__version__, True, ())
        self.limits = Limits(1 << 40, 1 << 40, 64, 1 << 16, 1 << 30, 1 << 30)
        self._buffers: dict[int, NDArray[np.uint8]] = {}
        self._programs: dict[int, Program] = {}
        self._matrices: dict[tuple[int, int, int, int], Floats] = {}  # by buffer, offset, rows, columns
        self._next = 1
        self._cancelled = False

    def buffer(self, nbytes: int, label: str) -> int:
        try:
            made = np.zeros(-(-nbytes // 16) * 16, np.uint8)
        except MemoryError as error:
            raise OutOfMemory(f"No memory for {label} ({nbytes / 2**20:,.1f} MiB).") from error
        return self._keep(self._buffers, made)

    def _keep(self, table: dict[int, Any], value: Any) -> int:
        handle = self._next
        self._next += 1
        table[handle] = value
        return handle

    def free(self, buffer: int) -> None:
        del self._buffers[buffer]
        self._forget(buffer)

    def _forget(self, buffer: int) -> None:
        for key in [k for k in self._matrices if k[0] == buffer]:
            del self._matrices[key]

    def write(self, buffer: int, offset: int, data: Bytes) -> None:
        source = (
            np.ascontiguousarray(data).reshape(-1).view(np.uint8) if isinstance(data, np.ndarray) else data
        )
        flat = np.frombuffer(source, np.uint8)
        self._buffers[buffer][offset : offset + flat.size] = flat
        self._forget(buffer)

    async def read(self, buffer: int, offset: int, nbytes: int) -> bytes:
        return self._buffers[buffer][offset : offset + nbytes].tobytes()

    def prepare(self, shaders: Sequence[Shader], pipelines: Sequence[Pipeline]) -> None:
        """Nothing is compiled."""

    async def ready(self, shaders: Sequence[Shader], pipelines: Sequence[Pipeline], seconds: float) -> bool:
        return True

    async def load(self, program: Program) -> int:
        return self._keep(self._programs, program)

    def unload(self, program: int) -> None:
        del self._programs[program]

    async def run(self, program: int, inputs: bytes, *, steps: int | None = None) -> bytes:
        loaded = self._programs[program]
        self.write(loaded.inputs.buffer, 0, inputs)
        return self._replayed(loaded, steps)

    def longest_steps(self, program: int, position: int, tokens: int) -> tuple[float, float]:
        return 0.0, 0.0

    def submit(self, program: int, inputs: bytes | None, repeats: int) -> Awaitable[Batch]:
        loaded = self._programs[program]

        def replays() -> bytes:
            if inputs is not None:
                self.write(loaded.inputs.buffer, 0, inputs)
            for _ in range(repeats):
                outputs = self._replayed(loaded, None)
            return outputs

        return Later(replays)

    def _replayed(self, loaded: Program, steps: int | None) -> bytes:
        position, count = self._buffers[loaded.inputs.buffer][:8].view(np.uint32).tolist()
        self._cancelled = False
        for step in loaded.steps[:steps]:
            if self._cancelled:
                raise Cancelled
            pipeline = loaded.pipelines[step.pipeline]
            kernel = wgsl.named(loaded.shaders[pipeline.shader].label)
            names = {b.number: b.name for b in kernel.bindings}
            raw = {names[n]: self._buffers[b][at : at + size] for n, b, at, size, _ in step.bindings}
            planes = {names[n]: (b, at) for n, b, at, _, _ in step.bindings}
            if "step" in raw:
                position, count = raw["step"][:8].view(np.uint32).tolist()

            def dequantized(
                rows: int, columns: int, raw: Any = raw, planes: Any = planes, form: str = kernel.format
            ) -> Floats:
                key = (*planes["weights"], rows, columns)
                if key not in self._matrices:
                    scales = raw.get("scales", np.empty(0, np.uint8))
                    self._matrices[key] = layout.dequantize(
                        layout.FORMATS[form], raw["weights"], scales, rows, columns
                    )
                return self._matrices[key]

            element = kernel.options.get("element", "f32")
            call = Call(
                raw, pipeline.constants, kernel.format, step.grid, position, count, dequantized, element
            )
            KERNELS[kernel.operation](call)
        out = loaded.outputs
        return self._buffers[out.buffer][out.offset : out.offset + out.nbytes].tobytes()

    async def profile(
        self, program: int, inputs: bytes, passes: Sequence[Sequence[int]]
    ) -> list[float] | None:
        return None

    def cancel(self) -> None:
        self._cancelled = True

    async def finish(self) -> None:
        """Everything is always done."""

    def close(self) -> None:
        self._buffers.clear()
        self._programs.clear()
        self._matrices.clear()
