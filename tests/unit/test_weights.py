"""From a file's tensors to the image, its pieces and its shards."""

from __future__ import annotations

import struct
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from gguf.constants import GGMLQuantizationType
from gguf.quants import dequantize

import tiny
from rows import weights_like
from sotto import formats, models
from sotto.api import drive
from sotto.devices.reference.device import NumpyDevice
from sotto.engine.engine import Engine
from sotto.errors import FormatError, UnsupportedModel
from sotto.formats import blocks, gguf
from sotto.formats.checkpoint import TensorInfo
from sotto.formats.gguf_writer import RawTensor, write
from sotto.plan.weights import bind
from sotto.reports import Settings
from sotto.source import Folder, MemorySource, Source
from sotto.weights import image as weights
from sotto.weights import layout, reads
from sotto.weights.image import Image
from sotto.weights.layout import ALIGNMENT


def opened(data: bytes) -> tuple[MemorySource, dict[str, TensorInfo], list[weights.Wanted]]:
    source = MemorySource(data, "tiny.gguf", "tiny")
    checkpoint = drive(formats.open(source))
    model = models.find(checkpoint.architecture).read(checkpoint.settings)
    return source, dict(checkpoint.tensors), model.wanted()


async def collect(image: Image, source: Source | Folder) -> tuple[np.ndarray, list[int]]:
    parts, done = [], []
    async for count, data in image.convert(source):
        parts.append(data.copy())
        done.append(count)
    return np.concatenate(parts), done


def test_the_image_holds_every_tensor_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "READ_BYTES", 20_000)  # many pieces for each tensor
    source, tensors, wanted = opened(tiny.build(tiny.Tiny()))
    image = Image.of(tensors, wanted)
    data, done = drive(collect(image, source))
    assert data.size == image.nbytes
    assert done == sorted(done)
    assert done[-1] == image.source_nbytes
    loaded = bind(image, max_binding=1 << 30)

    def plane(name: str, nbytes: int) -> np.ndarray:
        return data[loaded.offsets[name] : loaded.offsets[name] + nbytes]

    checked = 0
    for want in (want for want in wanted if not want.optional):
        expected = []
        for name in want.sources:
            info = tensors[name]
            raw = np.frombuffer(drive(source.read(info.offset, info.nbytes)), np.uint8)
            expected.append(blocks.dequantize(info.type, raw, info.shape))
        if expected[0].ndim == 1:
            vector = loaded.vector(want.name)
            np.testing.assert_array_equal(plane(vector.memory, vector.nbytes).view(np.float32), expected[0])
        else:
            truth = np.concatenate(expected)
            matrix = loaded.matrix(want.name)
            assert (matrix.rows, matrix.columns) == truth.shape
            for piece in matrix.shards:
                scales = (
                    plane(piece.scales.memory, piece.scales.nbytes) if piece.scales else np.empty(0, np.uint8)
                )
                got = layout.dequantize(
                    layout.FORMATS[piece.format],
                    plane(piece.weights.memory, piece.weights.nbytes),
                    scales,
                    piece.rows,
                    piece.columns,
                )
                np.testing.assert_array_equal(
                    got, truth[piece.row : piece.row + piece.rows], err_msg=want.name
                )
        checked += len(want.sources)
    assert checked == len(tensors)


class Watched(MemorySource):
    """Notes what is expected and what is read."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data, "tiny.gguf", "tiny")
        self.expected: list[tuple[int, int]] = []
        self.reads: list[tuple[int, int]] = []

    def expect(self, offset: int, nbytes: int) -> None:
        self.expected.append((offset, nbytes))

    async def read(self, offset: int, nbytes: int) -> bytes:
        assert (offset, nbytes) in self.expected
        self.reads.append((offset, nbytes))
        assert len(self.expected) <= len(self.reads) + weights.READS_AHEAD
        return await super().read(offset, nbytes)


@pytest.mark.parametrize("piece", [20_000, 300_000, 8 << 20])
def test_the_file_is_read_once_in_large_pieces_announced_before(
    monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    monkeypatch.setattr(reads, "READ_BYTES", piece)
    data = tiny.build(tiny.Tiny())
    _, tensors, wanted = opened(data)
    source = Watched(data)
    image = Image.of(tensors, wanted)
    drive(collect(image, source))
    assert source.reads == source.expected
    total = sum(nbytes for _, nbytes in source.reads)
    assert image.source_nbytes <= total <= image.source_nbytes * 17 / 16
    assert max(nbytes for _, nbytes in source.reads) <= piece
    if piece == 8 << 20:
        assert len(source.reads) == 1


@pytest.mark.parametrize("kind", ["IQ1_S", "IQ2_XXS", "Q4_0", "Q8_0", "F32"])
def test_what_is_made_of_a_file_at_a_time_is_bounded_however_tightly_it_is_packed(kind: str) -> None:
    rows, columns = 65_536, 1024
    info = TensorInfo(
        "embedding", "token_embd", (rows, columns), kind, 0, blocks.TYPES[kind].size((rows, columns))
    )
    image = Image.of({"embedding": info}, [weights.Wanted("embedding", ("embedding",), ((rows, columns),))])
    pieces = [piece for read in reads.planned(reads.all_rows(image.parts)) for piece in read.rows]
    assert sum(piece.count for piece in pieces) == rows
    assert max(piece.nbytes for piece in pieces) <= reads.READ_BYTES
    form = image.parts[0].form
    assert form
    assert max(form.weight_bytes(piece.count, columns) for piece in pieces) <= reads.CONVERTED_BYTES


def test_shards_cover_a_matrix_and_fit_the_binding_limit() -> None:
    _, tensors, wanted = opened(tiny.build(tiny.Tiny()))
    image = Image.of(tensors, wanted)
    whole, cut = bind(image, 1 << 30), bind(image, 70_000)
    assert len(cut.matrix("embedding").shards) > len(whole.matrix("embedding").shards)
    for want in wanted:
        if len(want.shapes[0]) == 1 or want.optional:
            continue
        matrix = cut.matrix(want.name)
        rows = [(p.row, p.row + p.rows) for p in matrix.shards]
        assert rows[0][0] == 0
        assert rows[-1][1] == matrix.rows
        assert all(a[1] == b[0] for a, b in pairwise(rows))
        assert all(p.weights.nbytes <= 70_000 for p in matrix.shards)
    assert all(offset % ALIGNMENT == 0 for offset in cut.offsets.values())


def test_formats_that_differ_stay_apart_and_equal_ones_merge() -> None:
    types = {"blk.0.attn_q": "Q5_0", "blk.0.attn_k": "Q8_0", "blk.0.attn_v": "Q4_0"}
    _, tensors, wanted = opened(tiny.build(tiny.Tiny(types=types)))
    pieces = bind(Image.of(tensors, wanted), 1 << 30).matrix("layers.0.qkv").shards
    assert [p.format for p in pieces] == ["q8", "q4"]
    assert pieces[1].row == pieces[0].rows


def test_a_missing_tensor_is_named() -> None:
    _, tensors, wanted = opened(tiny.build(tiny.Tiny()))
    del tensors["layers.1.up"]
    with pytest.raises(FormatError, match=r"layers\.1\.up"):
        Image.of(tensors, wanted)


def test_a_wrong_shape_is_named() -> None:
    _, tensors, wanted = opened(tiny.build(tiny.Tiny()))
    tensors["final_norm"] = replace(tensors["final_norm"], shape=(3,), nbytes=12)
    with pytest.raises(FormatError, match=r"output_norm\.weight has shape \[3\]"):
        Image.of(tensors, wanted)


def test_an_undecodable_type_is_named() -> None:
    _, tensors, wanted = opened(tiny.build(tiny.Tiny(types={"blk.3.ffn_down": "NVFP4"})))
    with pytest.raises(UnsupportedModel, match=r"blk\.3\.ffn_down\.weight.*NVFP4.*Q4_K_M") as error:
        Image.of(tensors, wanted)
    assert "Q4_0" in error.value.hint


@pytest.mark.parametrize(
    ("name", "type_name", "at"),
    [
        ("blk.1.attn_k", "Q6_K", 208),
        ("output_norm", "F32", 2),
        ("blk.2.ffn_up", "Q5_K", 2),
        ("token_embd", "F16", 0),
    ],
)
@pytest.mark.parametrize("value", [0x7C00, 0xFE01])
def test_numbers_that_are_none_are_refused(name: str, type_name: str, at: int, value: int) -> None:
    data = bytearray(tiny.build(tiny.Tiny(layers=3, types={name: type_name})))
    source, tensors, wanted = opened(bytes(data))
    info = next(info for info in tensors.values() if info.source == f"{name}.weight")
    assert info.type == type_name
    struct.pack_into("<H", data, info.offset + at, value | (0x7F80 if type_name == "F32" else 0))
    source = MemorySource(bytes(data), "tiny.gguf", "tiny")
    with pytest.raises(
        FormatError, match=rf"{name}\.weight \(type {type_name}\) holds what is no finite number"
    ):
        drive(collect(Image.of(tensors, wanted), source))


# --- Every type, from the file to what a model says -------------------------------------------------------------

SIZES = tiny.Tiny(layers=2, width=256, hidden=256, heads=4, head_dim=64)
TOKENS = [2, 300, 301, 302, 303, 310, 320, 330]


def scores(tensors: dict[str, RawTensor]) -> np.ndarray:
    """The log probabilities of some tokens by a tiny model with these tensors."""
    header = gguf.parse(tiny.build(SIZES)).metadata
    source = MemorySource(write(header, tensors), "tiny.gguf", "key")
    engine = drive(Engine.load(source, NumpyDevice(), None, Settings(32, chunks=(8,))))
    return drive(engine.score(TOKENS))


@pytest.mark.parametrize("type_name", layout.types())
def test_a_model_says_what_its_dequantised_weights_say(type_name: str) -> None:
    """Against the same model as F32, by ggml's own decoder: a small golden run of each type."""
    typed, plain = {}, {}
    for name, shape in tiny.shapes(SIZES).items():
        if len(shape) == 1:
            typed[name] = plain[name] = RawTensor(shape, "F32", np.ones(shape, "<f4").tobytes())
            continue
        data = weights_like(type_name, *shape)
        typed[name] = RawTensor(shape, type_name, data.tobytes())
        kind = GGMLQuantizationType[type_name]
        values = dequantize(data.reshape(shape[0], -1), kind).reshape(shape).astype("<f4")
        plain[name] = RawTensor(shape, "F32", values.tobytes())
    expected, got = scores(plain), scores(typed)
    difference = np.abs(got - expected)
    print(f"mean |delta logprob| {difference.mean():.6f}, largest {difference.max():.6f}")
    assert np.ptp(expected) > 1
    assert difference.max() <= (1e-4 if layout.is_exact(type_name) else 0.05)
