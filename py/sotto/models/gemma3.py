"""Gemma 3, text only: 270M, 1B, and the text part of 4B and larger.

Five local layers (a window of 512 positions) to one global layer, grouped-query attention with a norm on queries
and keys, GeGLU, a norm before and after each sublayer, the head tied to the embedding where a file has none.
Source: Gemma 3 technical report (arXiv:2503.19786) and transformers' modeling_gemma3.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from .. import ops
from ..errors import FormatError
from ..formats.checkpoint import Setting
from ..ops import Attention, Stream
from ..plan.plan import Plan, Tensor
from ..plan.weights import Matrix
from .base import Architecture, Pattern, number, rope_angles, supported, understood
from .declared import weight

PATTERN = 6  # every sixth layer is global; not in the files
LOCAL_ROPE_BASE = 10_000.0  # not in the files
WIDTH_1B, LAYERS_1B, WINDOW_1B = 1152, 26, 512
LAYERS_4B, LONG_CONTEXT, FACTOR_4B = 34, 131_072, 8.0  # of 4B and larger; Ollama's files leave the factor out
UNDERSTOOD = frozenset({
    "layers", "dim", "heads", "kv_heads", "head_dim", "value_dim", "ffn_dim", "vocabulary", "context_limit", "eps",
    "window", "window_pattern", "rope_base", "local_rope_base", "rope_scaling", "rope_factor", "rope_dim",
    "query_scale", "attention_softcap", "logit_softcap", "causal",
})  # fmt: skip


@dataclass(frozen=True)
class Config:
    """Sizes as in the file; what the file lacks is Gemma 3's constant."""

    layers: int
    dim: int  # D
    heads: int  # H
    kv_heads: int  # G
    head_dim: int  # E
    ffn_dim: int  # F
    vocabulary: int  # V
    window: int
    eps: float
    rope_base: float  # of global layers
    rope_factor: float  # global positions are divided by this
    context_limit: int

    @classmethod
    def read(cls, settings: Mapping[str, Setting]) -> Config:
        """From a checkpoint's settings.

        Raises:
            FormatError: a setting is missing, or they do not fit together.
            UnsupportedModel: a setting changes what is computed, in a way that Sotto has not.
        """

        def size(name: str, default: float | None = None) -> int:
            return int(number(settings, name, default))

        understood(settings, UNDERSTOOD)
        layers, dim, heads = size("layers"), size("dim"), size("heads")
        # Some published 1B files say 1024.
        window = WINDOW_1B if (dim, layers) == (WIDTH_1B, LAYERS_1B) else size("window")
        config = cls(
            layers=layers,
            dim=dim,
            heads=heads,
            kv_heads=size("kv_heads", heads),
            head_dim=size("head_dim", 256),
            ffn_dim=size("ffn_dim"),
            vocabulary=size("vocabulary"),
            window=window,
            eps=number(settings, "eps", 1e-6),
            rope_base=number(settings, "rope_base", 1_000_000.0),
            rope_factor=number(settings, "rope_factor", 1.0)
            if settings.get("rope_scaling") == "linear"
            else 1.0,
            context_limit=size("context_limit", 32_768),
        )
        if "rope_scaling" not in settings and layers >= LAYERS_4B and config.context_limit >= LONG_CONTEXT:
            config = replace(config, rope_factor=FACTOR_4B)
        if heads % config.kv_heads or config.head_dim % 2:
            raise FormatError(
                f"The file's sizes do not make a Gemma 3: {config}.", "Try another copy of the model."
            )
        supported(settings, "value_dim", config.head_dim)
        supported(settings, "rope_dim", config.head_dim)
        supported(settings, "rope_scaling", "linear", "none")
        supported(settings, "local_rope_base", LOCAL_ROPE_BASE)
        if settings.get("window_pattern") != tuple(not config.is_global(i) for i in range(layers)):
            supported(settings, "window_pattern", PATTERN)
        supported(settings, "attention_softcap", 0.0)
        supported(settings, "logit_softcap", 0.0)
        supported(settings, "causal", True)
        scale = number(settings, "query_scale", config.query_scale)
        if not np.isclose(scale, config.query_scale, rtol=1e-4):
            supported(settings, "query_scale", config.query_scale)
        return config

    def is_global(self, layer: int) -> bool:
        """Whether a layer sees the whole text."""
        return layer % PATTERN == PATTERN - 1

    @property
    def query_scale(self) -> float:
        """1/sqrt(query_pre_attn_scalar): the head dimension, but for the 27B (62 layers) D/H."""
        return float((self.dim / self.heads if self.layers == 62 else self.head_dim) ** -0.5)


@dataclass(frozen=True)
class Layer:
    """The weights of a layer."""

    attention_norm: Tensor = weight("D")
    qkv: Matrix = weight(query="HE D", key="GE D", value="GE D")
    query_norm: Tensor = weight("E")
    key_norm: Tensor = weight("E")
    output: Matrix = weight("D HE")
    post_attention_norm: Tensor = weight("D")
    ffn_norm: Tensor = weight("D")
    gate_up: Matrix = weight(gate="F D", up="F D")
    down: Matrix = weight("D F")
    post_ffn_norm: Tensor = weight("D")


class Gemma3(Architecture[Config, Layer]):
    """A Gemma 3 of some size."""

    weights = Layer

    @classmethod
    def read(cls, settings: Mapping[str, Setting]) -> Self:
        return cls(Config.read(settings))

    def miniature(self) -> Self:
        """Gate and up together, and the head, have as many rows as queries, keys and values, where these are whole
        tiles: the fewer shapes there are, the fewer kernels have to be compiled."""
        c = self.config
        ffn_dim = -(-(c.heads + 2 * c.kv_heads) * c.head_dim // 2 // 128) * 128
        return type(self)(replace(c, dim=384, ffn_dim=ffn_dim, vocabulary=2 * ffn_dim, window=48))

    def sizes(self, layer: int) -> dict[str, int]:
        c = self.config
        return {"D": c.dim, "H": c.heads, "G": c.kv_heads, "E": c.head_dim, "F": c.ffn_dim}

    def pattern(self, layer: int) -> Pattern:
        if self.config.is_global(layer):
            return Pattern(None, "global angles")
        return Pattern(self.config.window, "local angles")

    def constants(self, context: int) -> dict[str, NDArray[np.float32]]:
        c = self.config
        return {
            "local angles": rope_angles(context, c.head_dim, LOCAL_ROPE_BASE),
            "global angles": rope_angles(context, c.head_dim, c.rope_base, c.rope_factor),
        }

    def embed(self, p: Plan, table: Matrix) -> Tensor:
        return ops.embed(p, table, scale=self.config.dim**0.5)  # (T, D)

    def block(self, p: Plan, x: Stream, w: Layer, seen: Attention) -> Stream:
        eps, scale = self.config.eps, self.config.query_scale
        norms = w.query_norm, w.key_norm
        a, x = ops.attend(p, x, w.attention_norm, w.qkv, *norms, seen, eps=eps, scale=scale)  # (T, H*E)
        o = ops.linear(p, "output", a, w.output)  # (T, D)
        x = ops.add(p, "post attention norm", x, o, w.post_attention_norm, eps=eps)  # (T, D)
        h, x = ops.norm_gate(p, x, w.ffn_norm, w.gate_up, eps=eps)  # (T, F)
        d = ops.linear(p, "down", h, w.down)  # (T, D)
        return ops.add(p, "post ffn norm", x, d, w.post_ffn_norm, eps=eps)  # (T, D)
