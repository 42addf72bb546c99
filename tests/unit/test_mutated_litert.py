"""Mutated files for the readers of the LiteRT family: refused with a sentence, or read as what they were before."""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from test_mutated_files import MUTATIONS, mutated, tally

import hugging
import litert
import tiny
from sotto import formats, models
from sotto.api import drive
from sotto.source import MemorySource
from sotto.text.tokenizer import Tokenizer
from sotto.weights.image import Image

SIZES = tiny.Tiny(
    layers=1, width=64, hidden=64, heads=2, head_dim=32, types=dict.fromkeys(tiny.DEFAULT_TYPES, "F32")
)
WEIGHTS = litert.quantized(litert.values_of(tiny.build(SIZES)), litert.web_mix)
VOCABULARY = tiny.vocabulary()
PARAMETERS = litert.llm_parameters({3: 64, 4: 64, 5: 32, 6: 2, 7: 1, 9: 1}, 512)
PHONE = litert.phone(WEIGHTS, 2)
TOKENIZER = litert.sentencepiece(VOCABULARY)
SHAPES = {name: getattr(value, "codes", value).shape for name, value in WEIGHTS.items()}
PARTS = [(5, "", litert.llm_metadata()), (3, "tf_lite_prefill_decode", PHONE), (4, "", TOKENIZER)]
JSON = json.dumps(hugging.tokenizer_json(VOCABULARY)).encode()
PACKED = len(JSON).to_bytes(8, "little") + zlib.compress(JSON)
FILES = {  # and where what is said of the weights ends
    "task": (litert.bundle(PHONE, VOCABULARY, PARAMETERS), 12_000),
    "litertlm": (litert.litertlm(PARTS), 600),
    "tokenizer.json": (litert.litertlm([*PARTS[:2], (6, "", PACKED)]), 600),
    "web": (litert.web(WEIGHTS, VOCABULARY, PARAMETERS), 6_000),
}


def load(data: bytes) -> None:
    """Do what a load does before it takes memory, and hold what was read against the file."""
    checkpoint = drive(formats.open(MemorySource(data, "m", "k")))
    model = models.find(checkpoint.architecture).read(checkpoint.settings)
    Image.of(checkpoint.tensors, model.wanted())
    Tokenizer(checkpoint.check_model()).encode("the voice\n of <b>")
    assert {name: info.shape for name, info in checkpoint.tensors.items()} == SHAPES
    for info in checkpoint.tensors.values():
        for offset, nbytes in ((info.offset, info.nbytes), *info.beside):
            assert offset >= 0 and nbytes > 0 and offset + nbytes <= len(data), info


@pytest.mark.parametrize(
    ("name", "count"), [("task", 300), ("litertlm", 200), ("tokenizer.json", 100), ("web", 400)]
)
def test_mutated_files_of_litert(name: str, count: int) -> None:
    data, header = FILES[name]
    count = MUTATIONS or count
    generator = random.Random(20261128)
    load(data)

    def files() -> Iterator[Callable[[], None]]:
        for number in range(count):
            changed = bytearray(mutated(data, header, generator))
            if number % 4 == 0:  # the directory of a zip, or the tokenizer
                changed = bytearray(data[:-4000]) + mutated(data[-4000:], 4000, generator)
            yield partial(load, bytes(changed))

    read, refused = tally(files(), 40 * len(data), 10)
    assert refused > count // 4 and read > count // 50
