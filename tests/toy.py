"""A second architecture, which no file in the world has: it keeps the seam between a model and the rest real.

Its layers compute the FFN before attention, look back over two different windows, differ in their heads, KV heads and
FFN sizes, and its embedding is not scaled; in a Gemma 3 all of that is otherwise.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

import plain
import tiny
from sotto import ops
from sotto.formats.blocks import quantize
from sotto.formats.checkpoint import Setting
from sotto.formats.gguf_checkpoint import source_name
from sotto.formats.gguf_writer import RawTensor, metadata_of, write
from sotto.models.base import Architecture, Pattern, number, rope_angles
from sotto.models.declared import weight
from sotto.ops import Attention, Stream
from sotto.plan.plan import Plan, Tensor
from sotto.plan.weights import Matrix


@dataclass(frozen=True)
class Config:
    """Sizes; what differs from layer to layer is a list."""

    dim: int = 192
    heads: tuple[int, ...] = (4, 2, 4, 6)
    kv_heads: tuple[int, ...] = (2, 1, 1, 3)
    head_dim: tuple[int, ...] = (64, 32, 64, 32)
    ffn_dim: tuple[int, ...] = (256, 384, 128, 256)
    windows: tuple[int | None, ...] = (None, 24, 40, 24)
    vocabulary: int = 512
    eps: float = 1e-6
    context_limit: int = 4096

    @property
    def layers(self) -> int:
        return len(self.windows)

    @property
    def window(self) -> int:
        return max(window for window in self.windows if window)


@dataclass(frozen=True)
class Layer:
    """The weights of a layer."""

    ffn_norm: Tensor = weight("D")
    gate_up: Matrix = weight(gate="F D", up="F D")
    down: Matrix = weight("D F")
    post_ffn_norm: Tensor = weight("D")
    attention_norm: Tensor = weight("D")
    qkv: Matrix = weight(query="HE D", key="GE D", value="GE D")
    query_norm: Tensor = weight("E")
    key_norm: Tensor = weight("E")
    output: Matrix = weight("D HE")
    post_attention_norm: Tensor = weight("D")


ROPE_BASE = {64: 50_000.0, 32: 1_000.0}  # by the heads' dimensions


class Toy(Architecture[Config, Layer]):
    """See above."""

    weights = Layer

    @classmethod
    def read(cls, settings: Mapping[str, Setting]) -> Self:
        return cls(Config(vocabulary=int(number(settings, "vocabulary"))))

    def miniature(self) -> Self:
        return type(self)(replace(self.config, dim=128, vocabulary=256))

    def sizes(self, layer: int) -> dict[str, int]:
        c = self.config
        return {
            "D": c.dim,
            "H": c.heads[layer],
            "G": c.kv_heads[layer],
            "E": c.head_dim[layer],
            "F": c.ffn_dim[layer],
        }

    def pattern(self, layer: int) -> Pattern:
        return Pattern(self.config.windows[layer], f"angles of {self.config.head_dim[layer]}")

    def constants(self, context: int) -> dict[str, NDArray[np.float32]]:
        return {f"angles of {e}": rope_angles(context, e, base) for e, base in ROPE_BASE.items()}

    def embed(self, p: Plan, table: Matrix) -> Tensor:
        return ops.embed(p, table, scale=1.0)  # (T, D)

    def block(self, p: Plan, x: Stream, w: Layer, seen: Attention) -> Stream:
        eps, scale = self.config.eps, w.query_norm.shape[0] ** -0.5
        h, x = ops.norm_gate(p, x, w.ffn_norm, w.gate_up, eps=eps)  # (T, F)
        d = ops.linear(p, "down", h, w.down)  # (T, D)
        x = ops.add(p, "post ffn norm", x, d, w.post_ffn_norm, eps=eps)  # (T, D)
        norms = w.query_norm, w.key_norm
        a, x = ops.attend(p, x, w.attention_norm, w.qkv, *norms, seen, eps=eps, scale=scale)  # (T, H*E)
        o = ops.linear(p, "output", a, w.output)  # (T, D)
        return ops.add(p, "post attention norm", x, o, w.post_attention_norm, eps=eps)  # (T, D)


TYPES = ("Q8_0", "Q5_0", "F16", "Q4_0")  # every matrix has one, in turn


def build(head: bool = True, padding: int = 0) -> bytes:
    """The bytes of a model's file.

    Args:
        head: it has one of its own.
        padding: rows of the tables beyond the vocabulary: such as would be picked, if they were seen.
    """
    model = Toy(Config())
    found = {}
    for want in model.wanted():
        if want.name == "head" and not head:
            continue
        for name, shape in zip(want.sources, want.shapes, strict=True):
            values = _values(name, shape)
            if name in ("embedding", "head"):
                values = np.concatenate([values, 50 * values[:padding]])
            kind = TYPES[len(found) % len(TYPES)] if len(shape) > 1 else "F32"
            found[source_name(name)] = RawTensor(values.shape, kind, quantize(kind, values).tobytes())
    return write(metadata_of("toy", {}, tiny.vocabulary(model.config.vocabulary)), found)


def layers() -> list[plain.Layer]:
    """What plain numpy has to know of it."""
    c = Config()
    return [
        plain.Layer(h, g, e, window, ROPE_BASE[e], order=("ffn", "attention"))
        for h, g, e, window in zip(c.heads, c.kv_heads, c.head_dim, c.windows, strict=True)
    ]


def _values(name: str, shape: tuple[int, ...]) -> np.ndarray:
    values = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape, np.float32)
    if name == "final_norm":
        return 3 + 0.3 * values
    if len(shape) == 1:
        return (1.4 if name.endswith(("query_norm", "key_norm")) else 1) + 0.2 * values
    return values / np.float32(np.sqrt(shape[-1]))
