"""Runs one recorded operation on two devices, the GPU and numpy, on the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from sotto.api import drive
from sotto.device import Device, Inputs, OutputRange, Pipeline, Program, Shader, Step
from sotto.plan.plan import Plan, Tensor, Use

Arrays = Mapping[str, NDArray[np.generic]]


def execute(device: Device, plan: Plan, arrays: Arrays, inputs: bytes) -> dict[str, NDArray[np.uint8]]:
    """Run every dispatch of the plan with one buffer for each memory name; return all written memory."""
    sizes: dict[str, int] = {"inputs": plan.inputs_nbytes}
    written: dict[str, Tensor] = {}
    for d in plan.dispatches:
        for t in d.reads:
            sizes[t.memory] = max(sizes.get(t.memory, 0), t.offset + t.nbytes)
        written |= {t.memory: t for t in d.writes}
    buffers = {name: device.buffer(nbytes, name) for name, nbytes in sizes.items()}
    for name, array in arrays.items():
        flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        device.write(buffers[name], 0, np.concatenate([flat, np.zeros(-flat.size % 4, np.uint8)]))
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
    handle = drive(device.load(program))
    drive(device.run(handle, inputs))
    result = {}
    for name, t in written.items():
        assert t.use is not Use.WEIGHT
        result[name] = np.frombuffer(drive(device.read(buffers[name], 0, sizes[name])), np.uint8)
    device.unload(handle)
    for buffer in buffers.values():
        device.free(buffer)
    return result


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
