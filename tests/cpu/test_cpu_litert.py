"""A whole model from a file of the LiteRT family, by itself and with an adapter, against the same values in GGUF."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import litert
import lora
import tiny
from sotto import formats
from sotto.api import drive, iterate
from sotto.devices.reference.device import NumpyDevice
from sotto.engine.engine import Engine
from sotto.formats.gguf import parse
from sotto.formats.gguf_checkpoint import source_name
from sotto.formats.gguf_writer import RawTensor, write
from sotto.native.wasm import open_cpu
from sotto.reports import Settings
from sotto.source import MemorySource
from sotto.text.sampler import Sampling

SIZES = tiny.Tiny(types=dict.fromkeys(tiny.DEFAULT_TYPES, "F32"))


def files() -> dict[str, bytes]:
    """The same weights in GGUF and in both containers; their scales are f16 numbers, so that GGUF can hold them."""
    plain, vocabulary = tiny.build(SIZES), tiny.vocabulary()
    mix = litert.quantized(litert.values_of(plain), litert.web_mix)
    for name, value in mix.items():
        if isinstance(value, litert.Quantized):
            mix[name] = replace(value, scales=value.scales.astype(np.float16).astype(np.float32))
    tensors = {}
    for name, value in mix.items():
        if isinstance(value, litert.Quantized):
            tensors[source_name(name)] = RawTensor(value.codes.shape, *value.ggml)
        else:
            tensors[source_name(name)] = RawTensor(value.shape, "F32", value.tobytes())
    parameters = litert.llm_parameters({3: 256, 4: 512, 5: 64, 6: 4, 7: 7, 9: 1}, 512)
    return {
        "gguf": write(parse(plain).metadata, tensors),
        "web": litert.web(mix, vocabulary, parameters),
        "phone": litert.bundle(litert.phone(mix, 4), vocabulary, parameters),
    }


@pytest.mark.parametrize("processor", ["numpy", "cpu"])
def test_the_same_log_probabilities_and_text_from_every_container(processor: str) -> None:
    """In numpy all is computed in floats; on the CPU activations are rounded to eight bits, where a last bit that
    differs, because sums are of other parts of a row, becomes a step."""
    device = NumpyDevice() if processor == "numpy" else drive(open_cpu(2))
    ids = [2, *np.random.default_rng(5).integers(270, 500, 15).tolist()]
    scores, texts, adapted = {}, {}, {}
    given = files()
    adapter = drive(
        formats.open_adapter(
            lora.folder(lora.files(lora.halves(lora.shapes_of(given["gguf"]), 4, strength=0.05)))
        )
    )
    for name, data in given.items():
        engine = drive(Engine.load(MemorySource(data, name, name), device, None, Settings(128, chunks=(16,))))
        scores[name] = drive(engine.score(ids))
        pieces = iterate(engine.generate(ids, 3, Sampling(temperature=0)))
        texts[name] = "".join(piece.text for piece in pieces)
        engine.add_adapter("adapter", adapter)
        drive(engine.use_adapters({"adapter": 1.0}))
        adapted[name] = drive(engine.score(ids))
        engine.close()
    device.close()
    for name in ("web", "phone"):
        assert texts[name]
        assert np.abs(adapted[name] - scores[name]).max() > 0.5, "the adapter changes them"
        for found in (scores, adapted):
            difference = np.abs(found[name] - found["gguf"])
            print(f"{name}: mean |delta logprob| {difference.mean():.6f}, largest {difference.max():.6f}")
            assert difference.mean() <= (1e-4 if processor == "numpy" else 0.09)
            assert difference.max() <= (1e-3 if processor == "numpy" else 0.5)
