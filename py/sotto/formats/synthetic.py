"""Models without a file: Gemma 3's exact shapes with random int4 weights, to measure speed by.

A `SyntheticSource` looks like a GGUF file to the engine. Its header is written, its tensors are made up when they
are read: Q4_0 blocks of random codes, small enough that all activations stay finite, and norms of ones. It says
nothing sensible, but at the speed of a real int4 model, whose embedding table is int4 too.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from dataclasses import dataclass

import numpy as np

from ..errors import SottoError
from .blocks import TYPES

BLOCK = TYPES["Q4_0"]
_ALIGNMENT = 32  # GGUF's default for tensor data
_POOL_BLOCKS = 65_521  # prime, so that no row of a matrix repeats another one
_MEAN_CODE = 4.6  # standard deviation of the codes -8..7 when all are equally probable


@dataclass(frozen=True)
class Shape:
    """The sizes of one model."""

    name: str
    layers: int
    dim: int  # D
    heads: int  # H
    kv_heads: int  # G
    head_dim: int  # E
    ffn_dim: int  # F
    window: int
    vocabulary: int = 262_144

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Every tensor of the file by name, in numpy order (rows, columns)."""
        q, kv, dim = self.heads * self.head_dim, self.kv_heads * self.head_dim, self.dim
        layer = {
            "attn_norm": (dim,),
            "attn_q": (q, dim),
            "attn_k": (kv, dim),
            "attn_v": (kv, dim),
            "attn_q_norm": (self.head_dim,),
            "attn_k_norm": (self.head_dim,),
            "attn_output": (dim, q),
            "post_attention_norm": (dim,),
            "ffn_norm": (dim,),
            "ffn_gate": (self.ffn_dim, dim),
            "ffn_up": (self.ffn_dim, dim),
            "ffn_down": (dim, self.ffn_dim),
            "post_ffw_norm": (dim,),
        }
        found: dict[str, tuple[int, ...]] = {"token_embd.weight": (self.vocabulary, dim)}
        for index in range(self.layers):
            found |= {f"blk.{index}.{name}.weight": shape for name, shape in layer.items()}
        return found | {"output_norm.weight": (dim,)}


# From the models' published configurations (google/gemma-3-270m, -1b-pt, -4b-pt; the text part of the last); the
# tiny one is no model's: it shows in a second or two that everything runs.
SHAPES = {
    shape.name: shape
    for shape in (
        Shape("tiny", 4, 256, 4, 1, 64, 512, 32, vocabulary=1024),
        Shape("270m", 18, 640, 4, 1, 256, 2048, 512),
        Shape("1b", 26, 1152, 4, 1, 256, 6912, 512),
        Shape("4b", 34, 2560, 8, 4, 256, 10_240, 1024),
    )
}


class SyntheticSource:
    """A GGUF file that exists only while it is read. Satisfies `source.Source`."""

    def __init__(self, shape: Shape) -> None:
        self.name = f"synthetic Gemma 3 {shape.name} (int4)"
        self.key = f"synthetic:{shape}"
        tensors: dict[str, tuple[tuple[int, ...], int, int]] = {}  # shape, offset, nbytes
        end = 0
        for name, lengths in shape.tensors().items():
            nbytes = BLOCK.size(lengths) if len(lengths) > 1 else 4 * lengths[0]
            tensors[name] = (lengths, end, nbytes)
            end += -(-nbytes // _ALIGNMENT) * _ALIGNMENT
        header = bytearray(_header(shape, {name: t[:2] for name, t in tensors.items()}))
        header += bytes(-len(header) % _ALIGNMENT)
        self._header = bytes(header)
        self._starts = [len(header) + offset for _, offset, _ in tensors.values()]
        self._matrix = [len(lengths) > 1 for lengths, _, _ in tensors.values()]
        self.size = len(header) + end
        blocks = np.random.default_rng(0).integers(0, 256, (_POOL_BLOCKS, BLOCK.nbytes), np.uint8)
        scale = np.array([1 / (_MEAN_CODE * shape.dim**0.5)], "<f2")
        blocks[:, :2] = scale.view(np.uint8)
        self._pool = blocks.reshape(-1)
        self._ones = np.ones(1, "<f4").view(np.uint8)

    async def read(self, offset: int, nbytes: int) -> bytes:
        if offset < 0 or offset + nbytes > self.size:
            raise SottoError(f"{self.name} has {self.size:,} bytes; {offset + nbytes:,} were asked for.")
        parts = []
        while nbytes:
            part = self._piece(offset, nbytes)
            parts.append(part)
            offset += len(part)
            nbytes -= len(part)
        return b"".join(parts)

    def _piece(self, offset: int, nbytes: int) -> bytes:
        """What lies at `offset`, up to the end of its tensor or of the header at most."""
        if offset < len(self._header):
            return self._header[offset : offset + nbytes]
        index = bisect_right(self._starts, offset) - 1
        end = self._starts[index + 1] if index + 1 < len(self._starts) else self.size
        inside = offset - self._starts[index]
        count = min(nbytes, end - offset)
        pool = self._pool if self._matrix[index] else self._ones
        first = inside % pool.size
        data: bytes = np.resize(np.roll(pool, -first) if first else pool, count).tobytes()
        return data

    def expect(self, offset: int, nbytes: int) -> None:
        """Nothing is waited for."""

    def close(self) -> None:
        """Nothing to release."""


def source(name: str) -> SyntheticSource:
    """A model by the name of its shape. Raises SottoError for an unknown one."""
    if name.lower() not in SHAPES:
        raise SottoError(f"There is no shape {name!r}.", f"Choose one of: {', '.join(SHAPES)}.")
    return SyntheticSource(SHAPES[name.lower()])


def _header(shape: Shape, tensors: dict[str, tuple[tuple[int, ...], int]]) -> bytes:
    """A GGUF version 3 header."""
    metadata: dict[str, object] = {
        "general.architecture": "gemma3",
        "general.name": f"Synthetic Gemma 3 {shape.name}",
        "gemma3.context_length": 32_768,
        "gemma3.embedding_length": shape.dim,
        "gemma3.block_count": shape.layers,
        "gemma3.feed_forward_length": shape.ffn_dim,
        "gemma3.attention.head_count": shape.heads,
        "gemma3.attention.head_count_kv": shape.kv_heads,
        "gemma3.attention.key_length": shape.head_dim,
        "gemma3.attention.value_length": shape.head_dim,
        "gemma3.attention.layer_norm_rms_epsilon": 1e-6,
        "gemma3.attention.sliding_window": shape.window,
        "gemma3.rope.freq_base": 1e6,
        **_vocabulary(shape.vocabulary),
    }
    out = bytearray(struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(metadata)))
    for key, value in metadata.items():
        out += _string(key) + _value(value)
    for name, (lengths, offset) in tensors.items():
        kind = BLOCK if len(lengths) > 1 else TYPES["F32"]
        out += _string(name) + struct.pack("<I", len(lengths))
        out += struct.pack(f"<{len(lengths)}Q", *reversed(lengths)) + struct.pack("<IQ", kind.id, offset)
    return bytes(out)


def _vocabulary(size: int) -> dict[str, object]:
    """Control tokens, the 256 bytes, printable characters; the rest are words no text contains."""
    control = ["<pad>", "<eos>", "<bos>", "<unk>"]
    known = [*(f"<0x{value:02X}>" for value in range(256)), "▁", *map(chr, range(33, 127))]
    tokens = [*control, *known]
    tokens += [f"▁word{number}" for number in range(size - len(tokens))]
    types = np.full(size, 1, np.int32)  # normal
    types[: len(control)] = 3
    types[len(control) : len(control) + 256] = 6
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": -np.arange(size, dtype=np.float32),
        "tokenizer.ggml.token_type": types,
        "tokenizer.ggml.bos_token_id": 2,
        "tokenizer.ggml.eos_token_id": 1,
        "tokenizer.ggml.unknown_token_id": 3,
        "tokenizer.ggml.padding_token_id": 0,
    }


def _string(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _value(value: object) -> bytes:
    """A metadata value with its type id: uint32 4, int32 5, float32 6, string 8, array 9."""
    match value:
        case int():
            return struct.pack("<II", 4, value)
        case float():
            return struct.pack("<If", 6, value)
        case str():
            return struct.pack("<I", 8) + _string(value)
        case np.ndarray():
            kind = 6 if value.dtype == np.float32 else 5
            return struct.pack("<IIQ", 9, kind, value.size) + value.tobytes()
        case list():
            return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(_string, value))
    raise TypeError(f"no GGUF type for {value!r}")
