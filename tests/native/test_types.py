"""Models with matrices of every tensor type, on the GPU in f32, against transformers on the dequantised weights.

What a device holds exactly is as near as the default model. Where it holds eight bits in place of what the file says,
here in all matrices of the layers, the bounds are what that was measured to cost: 0.037, 0.20 and +0.021.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

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
    try:
        nll = -drive(engine.score(ids))
    finally:
        engine.close()
    expected = np.array(golden_types[case]["nll"][: TOKENS - 1])
    off = np.abs(nll - expected)
    delta = float(nll.mean() - expected.mean())
    print(f"{case}: mean |delta logprob| {off.mean():.5f}, largest {off.max():.5f}, mean nll {delta:+.5f}")
    mean, largest, shift = bounds
    assert off.mean() <= mean and off.max() <= largest and abs(delta) <= shift
