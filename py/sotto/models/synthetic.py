"""Models without a file: Gemma 3's exact shapes with random int4 weights, to measure speed by.

A `SyntheticSource` looks like a GGUF file to the engine. Its header is written, its tensors are made up when they
are read: Q4_0 blocks of random codes, small enough that all activations stay finite, and norms of ones. It says
nothing sensible, but at the speed of a real int4 model, whose embedding table is int4 too.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import asdict
from itertools import accumulate

import numpy as np

from ..errors import SottoError
from ..formats.blocks import TYPES
from ..formats.gguf_checkpoint import source_name
from ..formats.gguf_writer import header, metadata_of
from ..text.vocabulary import SENTENCEPIECE, TokenType, Vocabulary
from .gemma3 import Config, Gemma3


def _config(
    layers: int, dim: int, heads: int, kv_heads: int, head_dim: int, ffn_dim: int, window: int,
    vocabulary: int = 262_144,
) -> Config:  # fmt: skip
    return Config(
        layers, dim, heads, kv_heads, head_dim, ffn_dim, vocabulary, window,
        eps=1e-6, rope_base=1e6, rope_factor=1.0, context_limit=32_768,
    )  # fmt: skip


BLOCK = TYPES["Q4_0"]
_ALIGNMENT = 32  # GGUF's default for tensor data
_POOL_BLOCKS = 65_521  # prime, so that no row of a matrix repeats another one
_MEAN_CODE = 4.6  # standard deviation of the codes -8..7 when all are equally probable


# From the models' published configurations (google/gemma-3-270m, -1b-pt, -4b-pt; the text part of the last); the
# tiny one is no model's: it shows in a second or two that everything runs.
SHAPES = {
    "tiny": _config(4, 256, 4, 1, 64, 512, 32, vocabulary=1024),
    "270m": _config(18, 640, 4, 1, 256, 2048, 512),
    "1b": _config(26, 1152, 4, 1, 256, 6912, 512),
    "4b": _config(34, 2560, 8, 4, 256, 10_240, 1024),
}


def tensors(config: Config) -> dict[str, tuple[int, ...]]:
    """Every tensor of a model with a tied head by its canonical name, in numpy order (rows, columns)."""
    wanted = [want for want in Gemma3(config).wanted() if not want.optional]
    return {name: shape for want in wanted for name, shape in zip(want.sources, want.shapes, strict=True)}


class SyntheticSource:
    """A GGUF file that exists only while it is read. Satisfies `source.Source`."""

    def __init__(self, name: str, config: Config) -> None:
        self.name = f"synthetic Gemma 3 {name} (int4)"
        self.key = f"synthetic:{config}"
        kinds = {
            source_name(name): (shape, BLOCK if len(shape) > 1 else TYPES["F32"])
            for name, shape in tensors(config).items()
        }
        sizes = [kind.size(shape) for shape, kind in kinds.values()]
        ends = list(accumulate(-(-nbytes // _ALIGNMENT) * _ALIGNMENT for nbytes in sizes))
        metadata = metadata_of("gemma3", asdict(config), _vocabulary(config.vocabulary))
        records = {name: (shape, kind.name, kind.size(shape)) for name, (shape, kind) in kinds.items()}
        self._header = header({**metadata, "general.name": self.name}, records, _ALIGNMENT)
        self._starts = [len(self._header) + offset for offset in (0, *ends[:-1])]
        self._matrix = [kind is BLOCK for _, kind in kinds.values()]
        self.size = len(self._header) + ends[-1]
        blocks = np.random.default_rng(0).integers(0, 256, (_POOL_BLOCKS, BLOCK.nbytes), np.uint8)
        scale = np.array([1 / (_MEAN_CODE * config.dim**0.5)], "<f2")
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
    return SyntheticSource(name.lower(), SHAPES[name.lower()])


def _vocabulary(size: int) -> Vocabulary:
    """Control tokens, the 256 bytes, printable characters; the rest are words no text contains."""
    control = ["<pad>", "<eos>", "<bos>", "<unk>"]
    known = [*(f"<0x{value:02X}>" for value in range(256)), "▁", *map(chr, range(33, 127))]
    tokens = [*control, *known]
    tokens += [f"▁word{number}" for number in range(size - len(tokens))]
    types = np.full(size, TokenType.NORMAL, np.uint8)
    types[: len(control)] = TokenType.CONTROL
    types[len(control) : len(control) + 256] = TokenType.BYTE
    return Vocabulary(SENTENCEPIECE, tokens, -np.arange(size, dtype=np.float32), types, bos=2, eos=1)
