"""A tiny model in each tensor type by itself, against transformers on the dequantised weights: on numpy, which computes
what GPUs do in f32, and on the CPU device, which rounds activations to eight bits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sotto.api import drive
from sotto.device import Device
from sotto.devices.reference.device import NumpyDevice
from sotto.engine.engine import Engine
from sotto.native.wasm import open_cpu
from sotto.reports import Settings
from sotto.source import MemorySource
from sotto.weights import layout
from typed import SMALL_IDS, small

GOLDEN = Path(__file__).parents[1] / "golden" / "tiny-types.json"
REFERENCE: dict[str, Any] = json.loads(GOLDEN.read_text("utf-8"))["types"]
BOUNDS = {True: ((0.003, 0.015), (0.12, 0.8)), False: ((0.13, 0.5), (0.16, 0.9))}
"""Mean and largest, on numpy and on the CPU, of types that devices hold and of those that are rounded. On numpy 0.0022
and 0.011 were measured, of F32 too, whose only loss is the f16 of keys and values; 0.10 and 0.36 of rounded types. A
random model feels all of this three times as much as the default model (test_types.py, test_cpu_golden.py)."""


@pytest.fixture(scope="module")
def cpu() -> Iterator[Device]:
    device = drive(open_cpu(2))
    yield device
    device.close()


def off(data: bytes, kind: str, device: Device) -> np.ndarray:
    """How far each token's log-probability is from the reference's."""
    engine = drive(
        Engine.load(MemorySource(data, "tiny.gguf", kind), device, None, Settings(64, chunks=(64,)))
    )
    found = drive(engine.score(SMALL_IDS))
    engine.close()
    return np.abs(found + np.array(REFERENCE[kind]["nll"]))


@pytest.mark.parametrize("kind", layout.types())
def test_a_model_in_one_type(kind: str, cpu: Device) -> None:
    data = small(kind)
    assert hashlib.sha256(data).hexdigest() == REFERENCE[kind]["sha256"], "run tools/reference_types.py again"
    exact = off(data, kind, NumpyDevice())
    rounded = off(data, kind, cpu)
    print(f"{kind}: {exact.mean():.5f}, {exact.max():.5f}; CPU {rounded.mean():.4f}, {rounded.max():.3f}")
    bounds, of_cpu = BOUNDS[layout.is_exact(kind)]
    assert exact.mean() <= bounds[0] and exact.max() <= bounds[1]
    assert rounded.mean() <= of_cpu[0] and rounded.max() <= of_cpu[1]
