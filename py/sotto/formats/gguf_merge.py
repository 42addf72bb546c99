"""A GGUF file with adapters merged into its matrices: W' = W + scale * B A, for who wants one file and no adapter.

What is changed is written anew in a format of its own choice, everything else byte for byte: a small change to four-bit
weights would be lost in their rounding.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from ..errors import UnsupportedModel, about
from ..source import Source
from . import blocks, gguf, gguf_checkpoint, gguf_kinds
from .adapter import Adapter, Floats
from .checkpoint import Checkpoint, TensorInfo
from .gguf_writer import entry, tensor_record

TYPES = ("Q8_0", "F16", "BF16", "F32")
"""In which changed matrices can be written."""

_COPIED = 16 << 20  # bytes at once


@dataclass(frozen=True)
class Merged:
    """What merging has done.

    Attributes:
        matrices: that were changed.
        nbytes: of the new file.
        error: of the changed matrices' rounding, as a share of their values (root mean square over all of them).
        change_error: the same error as a share of what the adapters changed.
    """

    matrices: int
    nbytes: int
    error: float
    change_error: float


async def merge(
    source: Source,
    adapters: Sequence[tuple[Adapter, float]],
    out: BinaryIO,
    type_name: str = TYPES[0],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Merged:
    """Write a model's file with adapters merged into it.

    Args:
        source: the model, a GGUF file.
        adapters: each with its scale; 1 is how it was trained.
        out: where the new file goes, from its beginning on.
        type_name: of TYPES; rows that it cannot hold are written as F16.
        progress: told the bytes of the file that are done, and all.

    Raises:
        FormatError: the file is damaged.
        UnsupportedModel: it is no model of one GGUF file, or an adapter does not fit it.
    """
    start = bytes(await source.read(0, min(source.size, 8 << 20)))
    header = await gguf.read_header(source, start)
    with about(source.name):
        checkpoint = gguf_checkpoint.read(header, source.name)
        checkpoint.check_model()
    if gguf_kinds.part(header.metadata)[1] > 1:
        raise UnsupportedModel(
            f"{source.name} is one part of a model that was split.",
            "Join its parts first: llama-gguf-split --merge does it.",
        )
    changed = _changed(checkpoint, adapters)
    types = {
        info.source: type_name if info.shape[1] % blocks.TYPES[type_name].elements == 0 else "F16"
        for info in changed.values()
    }
    described = bytes(await source.read(gguf.VALUES_AT, header.values_end - gguf.VALUES_AT))
    alignment = gguf.alignment_of(header.metadata)
    out.write(_start(header, described, types, _frame(header, adapters), alignment))
    canonical = {info.source: name for name, info in changed.items()}
    squares = np.zeros(3)  # of the rounding, of the values, of the change
    for record in header.tensors.values():
        progress(record.offset, source.size)
        if record.name not in canonical:
            await _copy(source, record, out)
            nbytes = record.nbytes
        else:
            data = np.frombuffer(await source.read(record.offset, record.nbytes), np.uint8)
            values = blocks.dequantize(record.type, data, record.shape)
            change = _change(canonical[record.name], adapters)
            wanted = values + change
            written = blocks.quantize(types[record.name], wanted)
            rounding = blocks.dequantize(types[record.name], written, record.shape) - wanted
            squares += [float(np.vdot(each, each)) for each in (rounding, wanted, change)]
            out.write(written.tobytes())
            nbytes = written.size
        out.write(bytes(-nbytes % alignment))
    progress(source.size, source.size)
    rounding_squares, value_squares, change_squares = squares.tolist()
    return Merged(
        len(changed),
        out.tell(),
        math.sqrt(rounding_squares / value_squares) if value_squares else 0.0,
        math.sqrt(rounding_squares / change_squares) if change_squares else 0.0,
    )


def _changed(checkpoint: Checkpoint, adapters: Sequence[tuple[Adapter, float]]) -> dict[str, TensorInfo]:
    """The matrices that adapters change, by canonical name. Raises UnsupportedModel where one does not fit."""
    shapes = {name: info.shape for name, info in checkpoint.tensors.items()}
    for adapter, _ in adapters:
        adapter.outline.check_fits(shapes)
    found = {
        name: info
        for name, info in checkpoint.tensors.items()
        if any(name in adapter.factors for adapter, _ in adapters)
    }
    readable = {kind.name for kind in blocks.decodable()}
    for info in found.values():
        if info.type not in readable:
            raise UnsupportedModel(
                f"The tensor {info.source} is of {info.type}, which cannot be read.", blocks.ADVICE
            )
    return found


def _change(name: str, adapters: Sequence[tuple[Adapter, float]]) -> Floats:
    """What the adapters add to a matrix."""
    parts = [
        (adapter.factors[name].b * np.float32(scale * adapter.factors[name].scale)) @ adapter.factors[name].a
        for adapter, scale in adapters
        if name in adapter.factors
    ]
    change: Floats = np.sum(parts, axis=0, dtype=np.float32)
    return change


def _frame(header: gguf.Header, adapters: Sequence[tuple[Adapter, float]]) -> bytes:
    """How prompts are to be framed, as metadata; nothing where the adapters do not say, or the file does already."""
    frames = [frame for adapter, _ in adapters if isinstance(frame := adapter.card.get("frame"), str)]
    if not frames or gguf_checkpoint.FRAME in header.metadata:
        return b""
    return entry(gguf_checkpoint.FRAME, frames[0])


def _start(
    header: gguf.Header, described: bytes, types: Mapping[str, str], more: bytes, alignment: int
) -> bytes:
    """The new file up to its tensors' data: what the old one says of itself, and where its tensors lie now."""
    out = bytearray(b"GGUF" + struct.pack("<IQQ", 3, len(header.tensors), len(header.metadata) + bool(more)))
    out += described + more
    offset = 0
    for record in header.tensors.values():
        kind = types.get(record.name, record.type)
        out += tensor_record(record.name, record.shape, kind, offset)
        nbytes = blocks.TYPES[kind].size(record.shape)
        offset += nbytes + -nbytes % alignment
    return bytes(out + bytes(-len(out) % alignment))


async def _copy(source: Source, record: gguf.Record, out: BinaryIO) -> None:
    for done in range(0, record.nbytes, _COPIED):
        out.write(await source.read(record.offset + done, min(_COPIED, record.nbytes - done)))
