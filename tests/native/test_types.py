"""Models with matrices of every tensor type, and a folder that is rounded when it is loaded, on the GPU in f32, against
transformers on the dequantised weights.

What a device holds exactly is as near as the default model. Where it holds eight bits in place of what the file says,
here in all matrices of the layers, the bounds are what that was measured to cost: 0.037, 0.20 and +0.021.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hugging
from sotto import assets
from sotto.api import drive
from sotto.engine.engine import Engine
from sotto.native.dawn import NativeDevice
from sotto.reports import Settings
from sotto.source import MemorySource
from typed import typed_file

TOKENS = 65  # of the reference's: software GPUs are slow, and the difference is the same everywhere


@pytest.mark.parametrize(("case", "bounds"), [("exact", (0.001, 0.01, 0.01)), ("rounded", (0.05, 0.3, 0.03))])
def test_log_probabilities_are_the_references(
    gpu: NativeDevice,
    golden: dict[str, Any],
    golden_types: dict[str, Any],
    case: str,
    bounds: tuple[float, float, float],
) -> None:
    ids = golden["perplexity"]["ids"][:TOKENS]
    data = typed_file(assets.default_model(), case, golden_types[case]["sha256"])
    source = MemorySource(data, "typed.gguf", case)
    engine = drive(Engine.load(source, gpu, None, Settings(128, chunks=(64,), tune=False)))
    compare(engine, ids, golden_types[case]["nll"], case, bounds)


# The rows of int8 are in the embedding of q4_0. int4 ruins this model; what is left of it feels each rounding more.
@pytest.mark.parametrize(("scheme", "bounds"), [("q4_0", (0.001, 0.01, 0.01)), ("int4", (0.003, 0.04, 0.01))])
def test_a_folder_rounded_when_loaded(
    gpu: NativeDevice,
    golden: dict[str, Any],
    golden_imports: dict[str, Any],
    scheme: str,
    bounds: tuple[float, float, float],
) -> None:
    folder = hugging.folder(hugging.whole(assets.default_model()))
    settings = Settings(128, chunks=(64,), tune=False, weights=scheme)
    engine = drive(Engine.load(folder, gpu, None, settings))
    ids = golden["perplexity"]["ids"][:TOKENS]
    compare(engine, ids, golden_imports["nll"][scheme], scheme, bounds)


def compare(
    engine: Engine, ids: list[int], reference: list[float], name: str, bounds: tuple[float, float, float]
) -> None:
    """Score the ids, and hold that against the reference: mean and largest |delta logprob|, and |mean nll delta|."""
    try:
        nll = -drive(engine.score(ids))
    finally:
        engine.close()
    expected = np.array(reference[: len(ids) - 1])
    off = np.abs(nll - expected)
    delta = float(nll.mean() - expected.mean())
    print(f"{name}: mean |delta logprob| {off.mean():.5f}, largest {off.max():.5f}, mean nll {delta:+.5f}")
    mean, largest, shift = bounds
    assert off.mean() <= mean and off.max() <= largest and abs(delta) <= shift
