"""Adapters on the GPU: the fused kernels and the simple ones against the merged model on numpy."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import lora
import tiny
import turns
from sotto import formats
from sotto.api import drive, iterate
from sotto.device import Device
from sotto.devices.reference.device import NumpyDevice
from sotto.engine.engine import Engine
from sotto.native.dawn import NativeDevice
from sotto.reports import Settings
from sotto.source import MemorySource
from sotto.text.sampler import Sampling

ONE_FORMAT = dict.fromkeys(
    ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"), "Q8_0"
)
MODEL = tiny.build(tiny.Tiny(layers=2, types=ONE_FORMAT | {"blk.1.attn_v": "Q4_0", "blk.1.ffn_up": "Q4_0"}))
TENSORS = lora.halves(lora.shapes_of(MODEL), 8, strength=0.2)
IDS = [2, *np.random.default_rng(0).integers(300, 450, 50).tolist()]


def loaded(data: bytes, device: Device, variant: str) -> Engine:
    settings = Settings(context=96, chunks=(16,), tune=False, variant=variant)
    return drive(Engine.load(MemorySource(data, "tiny.gguf", "tiny"), device, None, settings))


@pytest.fixture(scope="module")
def merged() -> Iterator[Engine]:
    data = lora.merged(MODEL, lora.products(TENSORS, lambda path, rank: 2.0))
    engine = loaded(data, NumpyDevice(), "")
    yield engine
    engine.close()


@pytest.mark.parametrize(
    "variant",
    ["decode:rows,matmul:quad", "decode:lanes-subgroups,matmul:tiled", "decode:simple,matmul:tiled-int8"],
)
def test_the_model_with_an_adapter_is_the_merged_one(gpu: NativeDevice, merged: Engine, variant: str) -> None:
    engine = loaded(MODEL, gpu, variant)
    engine.add_adapter("one", drive(formats.open_adapter(lora.folder(lora.files(TENSORS)))))
    plain = turns.logits(engine, IDS[:21])
    drive(engine.use_adapters({"one": 1.0}))
    for length in (5, 21, 40):  # one chunk, several, past the window
        got, want = turns.logits(engine, IDS[:length]), turns.logits(merged, IDS[:length])
        assert np.abs(got - want).max() < 0.03 * np.abs(want).max()
    for position in (40, 41):  # decode's own kernels
        got = turns.decode(engine, position, IDS[position])
        turns.decode(merged, position, IDS[position])
        want = turns.logits(merged, IDS[: position + 1])
        assert np.abs(got.logits - want[got.ids]).max() < 0.03 * np.abs(want).max()
    want_tokens = [part.token for part in iterate(merged.generate(IDS[:30], 12, Sampling(temperature=0)))]
    got_tokens = [part.token for part in iterate(engine.generate(IDS[:30], 12, Sampling(temperature=0)))]
    assert got_tokens[:4] == want_tokens[:4]
    off = np.abs(drive(engine.score(IDS[:30])) - drive(merged.score(IDS[:30]))).mean()
    assert off < (0.1 if "int8" in variant else 0.03)
    drive(engine.use_adapters({}))
    np.testing.assert_array_equal(turns.logits(engine, IDS[:21]), plain)
    engine.close()
