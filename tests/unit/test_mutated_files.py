"""10,000 mutated files for the readers of headers: of models, whole and in parts, and of adapters, in GGUF and PEFT's;
and 1,500 of what transformers writes.

Whatever is done to a file, it is refused with a sentence, or read as what it was before: with the same tensors of the
same shapes, each at a place of its own in the file. Nothing crashes, or takes long, or more memory than a multiple of
the file.

The counts are what there is time for in every run at a desk; SOTTO_MUTATIONS=10000 in the environment tries so many of
each reader, as .ci/run does.
"""

from __future__ import annotations

import os
import random
import struct
import time
import tracemalloc
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

import pytest

import hugging
import lora
import tiny
from sotto import formats, models
from sotto.api import drive
from sotto.errors import SottoError
from sotto.formats import gguf
from sotto.formats.blocks import TYPES
from sotto.formats.checkpoint import Checkpoint
from sotto.formats.gguf_writer import RawTensor, write
from sotto.source import Folder, MemorySource
from sotto.text.tokenizer import Tokenizer
from sotto.weights.image import Image

SIZES = tiny.Tiny(layers=2, width=64, hidden=64, heads=2, head_dim=32, chat=True)
MODEL = tiny.build(replace(SIZES, types=dict.fromkeys(tiny.DEFAULT_TYPES, "Q4_0")))
HEADER = gguf.parse(MODEL)
SAVED = {
    **hugging.files(SIZES, shards=2),
    "tokenizer.model": hugging.sentencepiece(tiny.vocabulary()),
    "chat_template.jinja": tiny.CHAT_TEMPLATE.encode(),
}
SHAPES = {"layers.0.query": (64, 64), "layers.1.down": (64, 64)}
HALVES = lora.halves(SHAPES, rank=4)
MUTATIONS = int(os.environ.get("SOTTO_MUTATIONS", "0"))
EXTREMES = [
    *(
        struct.pack("<Q", n)
        for n in (0, 1, 255, 1 << 20, 1 << 31, (1 << 32) - 1, 1 << 40, (1 << 63) - 1, 1 << 63)
    ),
    *(struct.pack("<Q", (1 << 64) - n) for n in (1, 8, 1 << 20)),
    *(struct.pack("<I", n) for n in (0, 1, 8, 9, 0x7F800000, 0x7FC00000, 0x80000000, 0xFFFFFFFF)),
]  # lengths, counts and offsets; types; infinity and what is no number


def mutated(data: bytes, header: int, generator: random.Random) -> bytes:
    """A file with something done to it, mostly to its first `header` bytes."""
    out = bytearray(data)
    at = generator.randrange(header)
    match generator.randrange(8):
        case 0 | 1 | 2:
            for _ in range(generator.choice((1, 1, 1, 2, 8))):
                out[generator.randrange(header)] ^= 1 << generator.randrange(8)
        case 3 | 4:
            value = generator.choice(EXTREMES)
            out[at : at + len(value)] = value
        case 5:
            del out[generator.randrange(len(data)) :]
        case 6:
            del out[at : at + generator.choice((1, 4, 8, 300))]
        case _:
            out[at:at] = out[generator.randrange(header) :][: generator.choice((1, 4, 8, 300))]
    return bytes(out)


def split(count: int) -> dict[str, bytes]:
    """The model in parts."""
    raw = {
        n: RawTensor(r.shape, r.type, MODEL[r.offset : r.offset + r.nbytes])
        for n, r in HEADER.tensors.items()
    }
    names, files = list(raw), {}
    for part in range(count):
        metadata = {**(HEADER.metadata if part == 0 else {}), "split.no": part, "split.count": count}
        held = {name: raw[name] for name in names[part::count]}
        files[f"m-{part + 1:05}-of-{count:05}.gguf"] = write(metadata, held)
    return files


def shapes_of(checkpoint: Checkpoint) -> dict[str, tuple[int, ...]]:
    return {name: info.shape for name, info in checkpoint.tensors.items()}


USUAL = drive(formats.open(MemorySource(MODEL, "m.gguf", "k")))


def load(source: MemorySource | Folder) -> None:
    """Do what a load does before it takes memory, and hold what was read against the file."""
    checkpoint = drive(formats.open(source))
    model = models.find(checkpoint.architecture).read(checkpoint.settings)
    vocabulary = checkpoint.check_model()
    Image.of(checkpoint.tensors, model.wanted())
    Tokenizer(vocabulary).encode("the voice\n of <b>🚀")
    assert (checkpoint.architecture, shapes_of(checkpoint)) == ("gemma3", shapes_of(USUAL))
    files = source.files if isinstance(source, Folder) else {"": source}
    for name, file in files.items():
        end = 0
        for info in sorted(checkpoint.tensors.values(), key=lambda info: info.offset):
            if info.file == name:
                assert end <= info.offset and info.offset + info.nbytes <= file.size
                assert info.nbytes == TYPES[info.type].size(info.shape)
                end = info.offset + info.nbytes


def one_model(generator: random.Random) -> Callable[[], None]:
    return partial(load, MemorySource(mutated(MODEL, HEADER.nbytes, generator), "m.gguf", "k"))


def model_in_parts(generator: random.Random) -> Callable[[], None]:
    files = split(3)
    name = generator.choice(list(files))
    files[name] = mutated(files[name], gguf.parse(files[name]).nbytes, generator)
    return partial(load, Folder("m", {n: MemorySource(data, n, n) for n, data in files.items()}))


def folder_of_transformers(generator: random.Random) -> Callable[[], None]:
    files = dict(SAVED)
    name = generator.choice([name for name in files if name != "tokenizer_config.json"])
    header = len(files[name])
    if name.endswith(".safetensors"):
        header = 8 + int.from_bytes(files[name][:8], "little")
    files[name] = mutated(files[name], header, generator)
    return partial(load, hugging.folder(files))


def _adapt(source: MemorySource | Folder) -> None:
    """Read an adapter: what it changes is a part of what it changed before, with matrices that fit together."""
    adapter = drive(formats.open_adapter(source))
    for name, (a, b) in ((name, (factor.a, factor.b)) for name, factor in adapter.factors.items()):
        assert name.startswith("layers.") and a.shape[0] == b.shape[1]


def adapter_in_gguf(generator: random.Random) -> Callable[[], None]:
    data = lora.gguf(HALVES)
    return partial(_adapt, MemorySource(mutated(data, gguf.parse(data).nbytes, generator), "a.gguf", "k"))


def adapter_of_peft(generator: random.Random) -> Callable[[], None]:
    files = lora.files(HALVES)
    name = generator.choice(list(files))
    header = len(files[name])
    if name.endswith(".safetensors"):
        header = 8 + int.from_bytes(files[name][:8], "little")
    files[name] = mutated(files[name], header, generator)
    return partial(_adapt, lora.folder(files))


def tally(uses: Iterable[Callable[[], None]], memory: int, watch: int) -> tuple[int, int]:
    """Try files that are made one by one; how many were read, and how many refused with a sentence.

    Args:
        memory: bytes that none may take; looked at for every `watch`th, as that takes time.
    """
    read = refused = 0
    for number, use in enumerate(uses):
        watched = number % watch == 0
        if watched:
            tracemalloc.start()
        started = time.process_time()  # not the clock: the machine has other work
        try:
            use()
            read += 1
        except SottoError as error:
            assert error.message and len(str(error)) < 1000, number
            refused += 1
        except Exception as error:
            raise AssertionError(f"file {number}: {error!r}") from error
        finally:
            peak = tracemalloc.get_traced_memory()[1] if watched else 0
            if watched:
                tracemalloc.stop()
        assert time.process_time() - started < 3, f"file {number}"
        assert peak < memory, f"file {number} took {peak:,} bytes"
    print(f"{read} read, {refused} refused")
    return read, refused


@pytest.mark.parametrize(
    ("make", "count"),
    [
        (one_model, 5000),
        (model_in_parts, 1000),
        (adapter_in_gguf, 2000),
        (adapter_of_peft, 2000),
        (folder_of_transformers, 1500),
    ],
)
def test_mutated_files(make: Callable[[random.Random], Callable[[], None]], count: int) -> None:
    generator = random.Random(20261128)
    count = MUTATIONS or count
    read, refused = tally((make(generator) for _ in range(count)), 20 * len(MODEL), 5)
    assert refused > count // 3 and read > count // 50
