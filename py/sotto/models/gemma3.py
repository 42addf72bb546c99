"""Gemma 3, text only: 270M, 1B, and the text part of 4B and larger.

Five local layers (a window of 512 positions) to one global layer, grouped-query attention with a norm on queries
and keys, GeGLU, a norm before and after each sublayer, the head tied to the embedding table.
Source: Gemma 3 technical report (arXiv:2503.19786) and transformers' modeling_gemma3.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from .. import ops
from ..errors import FormatError
from ..formats.checkpoint import Setting
from ..ops import Cache, Pending
from ..plan.plan import Plan, Tensor, Use, tensor
from ..plan.variants import Job
from ..plan.weights import Matrix
from ..weights.image import Wanted
from . import base
from .base import Architecture, Bound, Head, number, supported, understood

PATTERN = 6  # every sixth layer is global; not in the files
LOCAL_ROPE_BASE = 10_000.0  # not in the files
WIDTH_1B, LAYERS_1B, WINDOW_1B = 1152, 26, 512
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


def wanted(config: base.Config) -> list[Wanted]:
    """The weights, in the order the forward pass uses them."""
    c = cast(Config, config)
    q, kv, out = c.heads * c.head_dim, c.kv_heads * c.head_dim, c.dim
    weights = [Wanted("embed", ("embedding",), ((c.vocabulary, c.dim),))]

    def add(layer: int, name: str, *sources: tuple[str, tuple[int, ...]]) -> None:
        names = tuple(f"layers.{layer}.{source}" for source, _ in sources)
        weights.append(Wanted(f"layer {layer} {name}", names, tuple(shape for _, shape in sources)))

    for i in range(c.layers):
        add(i, "attention norm", ("attention_norm", (out,)))
        add(i, "qkv", ("query", (q, out)), ("key", (kv, out)), ("value", (kv, out)))
        add(i, "q norm", ("query_norm", (c.head_dim,)))
        add(i, "k norm", ("key_norm", (c.head_dim,)))
        add(i, "output", ("output", (out, q)))
        add(i, "post attention norm", ("post_attention_norm", (out,)))
        add(i, "ffn norm", ("ffn_norm", (out,)))
        add(i, "gate up", ("gate", (c.ffn_dim, out)), ("up", (c.ffn_dim, out)))
        add(i, "down", ("down", (out, c.ffn_dim)))
        add(i, "post ffn norm", ("post_ffn_norm", (out,)))
    weights.append(Wanted("final norm", ("final_norm",), ((c.dim,),)))
    return weights


def miniature(config: base.Config) -> base.Config:
    """A small Gemma 3 with the same heads. Gate and up together, and the head, have as many rows as queries, keys
    and values, where these are whole tiles: the fewer shapes there are, the fewer kernels have to be compiled."""
    c = cast(Config, config)
    ffn_dim = -(-(c.heads + 2 * c.kv_heads) * c.head_dim // 2 // 128) * 128
    return replace(c, dim=384, ffn_dim=ffn_dim, vocabulary=2 * ffn_dim, window=48)


def caches(config: base.Config, context: int, chunk: int) -> tuple[Cache, ...]:
    """A cache for each layer: the whole context, or a ring that holds a window and one chunk."""
    c = cast(Config, config)

    def cache(layer: int) -> Cache:
        slots = context if c.is_global(layer) else min(context, c.window + chunk)
        shape = (slots, c.kv_heads, c.head_dim)
        return Cache(
            tensor(f"layer {layer} keys", shape, "f16", Use.CACHE),
            tensor(f"layer {layer} values", shape, "f16", Use.CACHE),
        )

    return tuple(cache(layer) for layer in range(c.layers))


def constants(config: base.Config, context: int) -> dict[str, NDArray[np.float32]]:
    """RoPE angles of local and global layers: (context, E/2, 2) cos and sin, computed in float64."""
    c = cast(Config, config)

    def angles(rope_base: float, factor: float) -> NDArray[np.float32]:
        frequency = rope_base ** (-np.arange(0, c.head_dim, 2) / c.head_dim) / factor
        turn = np.arange(context)[:, None] * frequency
        return np.stack([np.cos(turn), np.sin(turn)], axis=-1).astype(np.float32)

    return {
        "local angles": angles(LOCAL_ROPE_BASE, 1.0),
        "global angles": angles(c.rope_base, c.rope_factor),
    }


def forward(p: Plan, config: base.Config, r: Bound) -> None:
    """Record one chunk of T = p.tokens tokens."""
    c = cast(Config, config)
    fused = p.choice[Job.DECODE].name != "simple"
    x = ops.embed(p, r.weights.matrix("embed"), scale=c.dim**0.5)  # (T, D)
    if r.head is Head.SCORES:
        for i in r.layers:
            x = _layer(p, c, r, x, i)
        _scores(p, c, r, x)  # (T,)
    elif fused and p.tokens <= ops.MOST_TOKENS:
        x, pending = _decode_layers(p, c, r, x, r.layers)  # (T, D)
        p.body = len(p.dispatches)
        _decode_head(p, c, r, x, pending)
    elif p.tokens == 1:
        for i in r.layers:
            x = _layer(p, c, r, x, i)
        p.body = len(p.dispatches)
        _head(p, c, r, x)
    else:
        *earlier, last = r.layers
        for i in earlier:
            x = _layer(p, c, r, x, i)
        x = _read(p, c, r, x, last)  # (1, D)
        with p.last_token():
            if fused:
                x, pending = _decode_layers(p, c, r, x, (last,))
                _decode_head(p, c, r, x, pending)
            else:
                _head(p, c, r, _last_token(p, c, r, x, last))


def _scores(p: Plan, c: Config, r: Bound, x: Tensor) -> None:
    """The residual stream (T, D) -> log-probabilities of the tokens that follow, (T,)."""
    h = ops.rms_norm(p, "norm", x, r.weights.vector("final norm"), eps=c.eps)  # (T, D)
    ops.log_prob(p, ops.matmul(p, "head", h, r.weights.matrix("embed")), p.targets)


def _head(p: Plan, c: Config, r: Bound, x: Tensor) -> None:
    """The last token's residual stream (1, D) -> the next token."""
    h = ops.rms_norm(p, "norm", x, r.weights.vector("final norm"), eps=c.eps)  # (1, D)
    ops.sample(p, ops.matmul(p, "head", h, r.weights.matrix("embed")), r.text, r.candidates)


def _decode_layers(p: Plan, c: Config, r: Bound, x: Tensor, layers: Sequence[int]) -> tuple[Tensor, Pending]:
    """The residual stream (T, D) after these layers with the fused kernels, T <= ops.MOST_TOKENS, and what the last
    one has left pending."""
    pending = None
    for i in layers:
        with p.scope(f"layer {i}"):
            x, pending = _decode_layer(p, c, r, x, pending, i)
    assert pending is not None
    return x, pending


def _decode_head(p: Plan, c: Config, r: Bound, x: Tensor, pending: Pending) -> None:
    """The residual stream (T, D) -> the next token; for Head.BEST that of every token."""
    norm, table = r.weights.vector("final norm"), r.weights.matrix("embed")
    if r.head is Head.BEST:
        every = ops.decode_head(p, "head", x, pending, norm, table, eps=c.eps)  # (T, V)
        ops.best(p, every.logits, every.slices)  # (T,)
        return
    last = ops.Pending(ops.last_row(p, pending.y), pending.norm)  # (1, D)
    head = ops.decode_head(p, "head", ops.last_row(p, x), last, norm, table, eps=c.eps)  # (1, V)
    ops.sample(p, head.logits, r.text, r.candidates, head.slices)


def _decode_layer(
    p: Plan, c: Config, r: Bound, x: Tensor, pending: Pending | None, i: int
) -> tuple[Tensor, Pending]:
    def vector(name: str) -> Tensor:
        return r.weights.vector(f"layer {i} {name}")

    def matrix(name: str) -> Matrix:
        return r.weights.matrix(f"layer {i} {name}")

    everywhere = c.is_global(i)
    angles = r.constants["global angles" if everywhere else "local angles"]
    window = r.constants["global angles"].shape[0] if everywhere else c.window
    qkv, x = ops.decode_qkv(
        p, "qkv", x, pending, vector("attention norm"), matrix("qkv"), eps=c.eps
    )  # (T, (H+2G)*E)
    a = ops.decode_attention(
        p, qkv, r.caches[i], vector("q norm"), vector("k norm"), angles,
        window=window, eps=c.eps, scale=c.query_scale,
    )  # fmt: skip
    o = ops.decode_output(p, "output", a, matrix("output"))  # (T, D)
    h, x = ops.decode_gate_up(
        p, "gate up", x, Pending(o, vector("post attention norm")), vector("ffn norm"), matrix("gate up"),
        eps=c.eps,
    )  # fmt: skip  # (T, F)
    d = ops.decode_down(p, "down", h, matrix("down"))  # (T, D)
    return x, Pending(d, vector("post ffn norm"))


def _layer(p: Plan, c: Config, r: Bound, x: Tensor, i: int) -> Tensor:
    """The residual stream (T, D) after layer i, in place."""
    with p.scope(f"layer {i}"):
        norm, matrix = r.weights.vector(f"layer {i} attention norm"), r.weights.matrix(f"layer {i} qkv")
        h = ops.rms_norm(p, "attention norm", x, norm, eps=c.eps)  # (T, D)
        qkv = ops.matmul(p, "qkv", h, matrix)  # (T, (H+2G)*E)
        q = ops.rope_kv(p, qkv, r.caches[i], *_rope(c, r, i), eps=c.eps, scale=c.query_scale)  # (T, H*E)
        _attention(p, c, r, x, q, i)
        _ffn(p, c, r, x, i)
    return x


def _read(p: Plan, c: Config, r: Bound, x: Tensor, i: int) -> Tensor:
    """What of the last layer, i, later chunks need of the residual stream (T, D): keys and values. Returns the last
    token's stream (1, D): the rest of the layer is computed for that one alone."""
    queries = c.heads * c.head_dim
    with p.scope(f"layer {i}"):
        norm, matrix = r.weights.vector(f"layer {i} attention norm"), r.weights.matrix(f"layer {i} qkv")
        h = ops.rms_norm(p, "attention norm", x, norm, eps=c.eps)  # (T, D)
        kv = ops.matmul(p, "kv", h, matrix.part(queries, matrix.rows - queries))  # (T, 2G*E)
        ops.rope_kv(p, kv, r.caches[i], *_rope(c, r, i), eps=c.eps, scale=c.query_scale)
        p.body = len(p.dispatches)
        return ops.last_row(p, x)


def _last_token(p: Plan, c: Config, r: Bound, x: Tensor, i: int) -> Tensor:
    """The rest of the last layer, i, for the last token (1, D), in place; its key and value are in the cache."""
    with p.scope(f"layer {i} / last token"):
        norm, matrix = r.weights.vector(f"layer {i} attention norm"), r.weights.matrix(f"layer {i} qkv")
        h = ops.rms_norm(p, "attention norm", x, norm, eps=c.eps)  # (1, D)
        q = ops.matmul(p, "queries", h, matrix.part(0, c.heads * c.head_dim))  # (1, H*E)
        q = ops.rope_queries(p, q, r.caches[i], *_rope(c, r, i), eps=c.eps, scale=c.query_scale)
        _attention(p, c, r, x, q, i)
        _ffn(p, c, r, x, i)
    return x


def _rope(c: Config, r: Bound, i: int) -> tuple[Tensor, Tensor, Tensor]:
    """The norms of queries and keys, and the RoPE angles, of layer i."""
    angles = r.constants["global angles" if c.is_global(i) else "local angles"]
    return r.weights.vector(f"layer {i} q norm"), r.weights.vector(f"layer {i} k norm"), angles


def _attention(p: Plan, c: Config, r: Bound, x: Tensor, q: Tensor, i: int) -> None:
    window = r.constants["global angles"].shape[0] if c.is_global(i) else c.window
    a = ops.attention(p, q, r.caches[i], window=window)  # (T, H*E)
    o = ops.matmul(p, "output", a, r.weights.matrix(f"layer {i} output"))  # (T, D)
    norm = r.weights.vector(f"layer {i} post attention norm")
    ops.norm_add(p, "post attention norm", x, o, norm, eps=c.eps)


def _ffn(p: Plan, c: Config, r: Bound, x: Tensor, i: int) -> None:
    def vector(name: str) -> Tensor:
        return r.weights.vector(f"layer {i} {name}")

    h = ops.rms_norm(p, "ffn norm", x, vector("ffn norm"), eps=c.eps)  # (T, D)
    gate_up = ops.matmul(p, "gate up", h, r.weights.matrix(f"layer {i} gate up"))  # (T, 2F)
    d = ops.matmul(p, "down", ops.geglu(p, gate_up), r.weights.matrix(f"layer {i} down"))  # (T, D)
    ops.norm_add(p, "post ffn norm", x, d, vector("post ffn norm"), eps=c.eps)


ARCHITECTURE = Architecture(Config.read, wanted, miniature, caches, constants, forward)
