"""Runs one recorded operation on two devices, the GPU and numpy, on the same bytes; what such operations are given.

Tolerances are relative to the largest value of an output. f32 sums of a few thousand products in another order
differ by some 1e-6; f16 stores add half a unit in the last place (2^-11), and only where the f32 values round
differently.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from sotto.api import drive
from sotto.device import Device, Inputs, OutputRange, Pipeline, Program, Shader, Step
from sotto.devices.reference.device import NumpyDevice
from sotto.devices.reference.kernels import KERNELS
from sotto.formats import blocks
from sotto.native.wasm import open_cpu
from sotto.plan.plan import Plan, Tensor, Use, tensor
from sotto.plan.weights import LowRank, Matrix, Shard
from sotto.weights import layout

Arrays = Mapping[str, NDArray[np.generic]]
F32 = 3e-6
F16 = 1.1e-3
ROUNDED = ("q4r", "q8r")  # formats that no type of GGUF is stored in
TYPES = ("Q4_0", "Q4_K", "Q5_0", "Q6_K", "Q8_0", "F16", "BF16", "F32", *ROUNDED)


IN_ITS_PLACE = {  # kernels that do what another one is asked for, in some cases of its test
    "matmul": {"quantize", "matmul_int8"},  # of the formats that have codes, with int8 activations
    "decode_gate_up": {"decode_qkv", "geglu"},  # of a matrix in several shards
}
ran: set[str] = set()  # the operations of the kernels that the test under way has run


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """A test called test_<kernel> has run that kernel: conftest.py has this from here."""
    ran.clear()
    result = yield  # raises what the test does, a skip included
    name = getattr(item, "originalname", item.name).removeprefix("test_")
    right = name in ran or IN_ITS_PLACE.get(name, {name}) <= ran
    assert name not in KERNELS or right, f"{item.name} ran {sorted(ran)} and not {name}"
    return result


CPUS = ("relaxed", "simd")  # the builds of the CPU's kernels


def processor(name: str, request: pytest.FixtureRequest) -> Iterator[Device]:
    """What a fixture of devices yields: "gpu", "numpy", or a CPU of three threads with one of the builds."""
    if name == "gpu":
        yield request.getfixturevalue("gpu")  # which others use too
        return
    made = NumpyDevice() if name == "numpy" else drive(open_cpu(3, relaxed=name == "relaxed"))
    yield made
    made.close()


class Loaded:
    """A plan's dispatches on a device, one buffer for each memory name; run with one input after the other."""

    def __init__(self, device: Device, plan: Plan) -> None:
        self._device = device
        self._sizes: dict[str, int] = {"inputs": plan.inputs_nbytes}
        self._written: dict[str, Tensor] = {}
        for d in plan.dispatches:
            for t in d.reads:
                self._sizes[t.memory] = max(self._sizes.get(t.memory, 0), t.offset + t.nbytes)
            self._written |= {t.memory: t for t in d.writes}
        assert all(t.use is not Use.WEIGHT for t in self._written.values())
        self._buffers = buffers = {name: device.buffer(nbytes, name) for name, nbytes in self._sizes.items()}
        self._kernels = {d.kernel.operation for d in plan.dispatches}
        shaders = tuple(Shader(d.kernel.name, d.kernel.source) for d in plan.dispatches)
        pipelines = tuple(Pipeline(i, dict(d.constants)) for i, d in enumerate(plan.dispatches))
        steps = tuple(
            Step(
                d.label,
                i,
                tuple(
                    (b.number, buffers[b.tensor.memory], b.tensor.offset, b.tensor.nbytes, b.access)
                    for b in d.bindings
                ),
                d.grid,
            )
            for i, d in enumerate(plan.dispatches)
        )
        program = Program(
            plan.name,
            shaders,
            pipelines,
            steps,
            Inputs(buffers["inputs"], plan.inputs_nbytes),
            OutputRange(buffers["inputs"], 0, 4),
        )
        self._program = drive(device.load(program))

    def run(self, arrays: Arrays, inputs: bytes) -> dict[str, NDArray[np.uint8]]:
        """Write the arrays into the memories of their names, run every dispatch; all written memory."""
        for name, array in arrays.items():
            flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
            padded = np.concatenate([flat, np.zeros(-flat.size % 4, np.uint8)])
            self._device.write(self._buffers[name], 0, padded)
        drive(self._device.run(self._program, inputs))
        ran.update(self._kernels)
        return {
            name: np.frombuffer(drive(self._device.read(self._buffers[name], 0, self._sizes[name])), np.uint8)
            for name in self._written
        }

    def close(self) -> None:
        """Release the program and the memory."""
        self._device.unload(self._program)
        for buffer in self._buffers.values():
            self._device.free(buffer)


def execute(device: Device, plan: Plan, arrays: Arrays, inputs: bytes) -> dict[str, NDArray[np.uint8]]:
    """Run every dispatch of the plan once; all written memory."""
    with closing(Loaded(device, plan)) as loaded:
        return loaded.run(arrays, inputs)


def compare(
    gpu: Device,
    reference: Device,
    plan: Plan,
    arrays: Arrays,
    inputs: bytes,
    *,
    dtypes: Mapping[str, str],
    tolerance: float,
    exact: Callable[[str], bool] = lambda name: False,
) -> dict[str, NDArray[np.generic]]:
    """Hold the GPU's written memory against numpy's; `tolerance` is relative to the largest value."""
    on_gpu = execute(gpu, plan, arrays, inputs)
    on_numpy = execute(reference, plan, arrays, inputs)
    assert on_gpu.keys() == on_numpy.keys()
    seen = {}
    for name, dtype in dtypes.items():
        a, b = on_gpu[name].view(dtype), on_numpy[name].view(dtype)
        if exact(name):
            np.testing.assert_array_equal(a, b, err_msg=name)
        else:
            a, b = a.astype(np.float64), b.astype(np.float64)
            assert np.isfinite(a).all(), f"{name}: not finite"
            scale = max(np.abs(b).max(), 1e-30)
            worst = np.abs(a - b).max() / scale
            assert worst <= tolerance, f"{name}: off by {worst:.2e} of the largest value {scale:.3g}"
        assert np.any(b != 0), f"{name}: the reference is all zeros, so nothing was tested"
        seen[name] = a
    return seen


def given(name: str, shape: tuple[int, ...], dtype: str = "f32") -> Tensor:
    """A tensor the test fills."""
    return tensor(name, shape, dtype, Use.CACHE)


def form_of(name: str) -> layout.Format:
    """The format of a file's type, or of a name of ROUNDED."""
    return layout.FORMATS[name] if name in ROUNDED else layout.format_of(name)


def columns_of(name: str, columns: int, instead: int) -> int:
    """So many columns, where blocks of a file's type make them up; else as many as `instead`."""
    return columns if name in ROUNDED or columns % blocks.TYPES[name].elements == 0 else instead


def matrix(
    rng: np.random.Generator, type_name: str, rows: int, columns: int, shards: int = 1
) -> tuple[Matrix, dict[str, np.ndarray]]:
    """Random weights of a file type in the GPU's layout, as a matrix of one or more shards; of a format that no file's
    type is stored in, by its own name."""
    kind = "F32" if type_name in ROUNDED else type_name
    data = blocks.quantize(kind, rng.standard_normal((rows, columns)).astype(np.float32))
    return matrix_of(type_name, data, rows, columns, shards)


def matrix_of(
    type_name: str, data: NDArray[np.uint8], rows: int, columns: int, shards: int, prefix: str = ""
) -> tuple[Matrix, dict[str, np.ndarray]]:
    """A file's bytes of a matrix in the GPU's layout, in one or more shards, and their planes."""
    row_bytes = data.size // rows
    form = form_of(type_name)
    step = -(-rows // shards // 8) * 8
    pieces, arrays = [], {}
    for first in range(0, rows, step):
        count = min(step, rows - first)
        part = data[first * row_bytes : (first + count) * row_bytes]
        planes = layout.convert("F32" if type_name in ROUNDED else type_name, part, count, columns, form)
        tensors = []
        for kind, plane in zip(("w", "s"), planes, strict=True):
            name = f"{prefix}{kind}{first}"
            if plane.size:
                tensors.append(Tensor(name, (count, columns), "u32", Use.WEIGHT, name, 0, plane.size))
                arrays[name] = plane
        pieces.append(
            Shard(first, count, columns, form.name, tensors[0], tensors[1] if len(tensors) > 1 else None)
        )
    return Matrix("m", rows, columns, tuple(pieces)), arrays


def adapted(
    rng: np.random.Generator, m: Matrix, rank: int, begins: tuple[int, ...] = ()
) -> tuple[Matrix, dict[str, np.ndarray]]:
    """The matrix with random adapters, whose part of a product is about as large as the matrix's own, and their
    arrays."""
    rows = rank * (1 + len(begins))
    data = blocks.quantize("Q8_0", rng.standard_normal((rows, m.columns)).astype(np.float32))
    a, arrays = matrix_of("Q8_0", data, rows, m.columns, 1, "a ")
    b = given("b", (m.rows, rank), "f16")
    arrays["b"] = (rng.standard_normal((m.rows, rank)) / rank**0.5).astype(np.float16)
    return replace(m, low_rank=LowRank(a, b, rank, begins)), arrays
