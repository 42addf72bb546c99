"""The steps of a layer as a model names them.

Whether the fused kernels of decoding take a step or the simple ones is decided here, by the plan's choice and the
number of tokens, and so is what a chunk of the prompt may leave out: a model writes its block once. The fused kernels
add a sublayer's output when they read the residual stream next, the simple ones at once and in place: a stream that
was given to a step is used up, and the one that the step returns takes its place.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..plan.plan import Plan, Tensor
from ..plan.variants import Job
from ..plan.weights import Matrix
from .decode import (
    MOST_TOKENS,
    Logits,
    Partials,
    Pending,
    decode_attention,
    decode_down,
    decode_gate_up,
    decode_head,
    decode_output,
    decode_qkv,
)
from .prefill import attention, matmul
from .simple import Cache, geglu, last_row, norm_add, require, rms_norm, rope_kv, rope_queries


@dataclass(frozen=True)
class Stream:
    """The residual stream between two sublayers.

    Attributes:
        x: (T, D) f32, what was added up so far.
        pending: a sublayer's output that is still to be added; of the fused kernels.
        ends: the chunk's last layer is being recorded: all that is wanted of it is keys and values, and behind its
            attention the last token.
    """

    x: Tensor
    pending: Pending | None = None
    ends: bool = False


@dataclass(frozen=True)
class Attention:
    """What a layer's attention sees of the text.

    Attributes:
        cache: its keys and values.
        angles: (context, E/2, 2) f32, cos and sin of RoPE by position.
        window: positions it looks back, the token's own included.
    """

    cache: Cache
    angles: Tensor
    window: int


def fused(p: Plan, tokens: int) -> bool:
    """Whether the fused kernels take so many tokens. They never score: that is what they are held against."""
    return p.choice[Job.DECODE].name != "simple" and tokens <= MOST_TOKENS and not p.scored


def attend(
    p: Plan,
    stream: Stream,
    norm: Tensor,
    qkv: Matrix,
    q_norm: Tensor,
    k_norm: Tensor,
    seen: Attention,
    *,
    eps: float,
    scale: float,
) -> tuple[Tensor | Partials, Stream]:
    """Normed, queries, keys and values; these normed and rotated, the queries scaled; causal attention.

    Args:
        norm: (D,), before the projection.
        qkv: ((H+2G)*E, D).
        q_norm, k_norm: (E,).

    Returns:
        attention (T, H*E), and the residual stream (T, D). At a chunk's end they are the last token's, and so is all
        that is recorded afterwards.
    """
    cache = seen.cache
    _, kv_heads, head_dim = cache.keys.shape
    queries = qkv.rows - 2 * kv_heads * head_dim
    rope = q_norm, k_norm, seen.angles
    alone = stream.ends
    if alone:
        h = rms_norm(p, "attention norm", stream.x, norm, eps=eps)  # (T, D)
        kv = matmul(p, "kv", h, qkv.part(queries, qkv.rows - queries))  # (T, 2G*E)
        rope_kv(p, kv, cache, *rope, eps=eps, scale=scale)
        p.body = len(p.dispatches)
        stream = Stream(last_row(p, stream.x))  # (1, D)
        p.follow_last_token()
    if fused(p, stream.x.shape[0]):
        both, x = decode_qkv(p, "qkv", stream.x, stream.pending, norm, qkv, eps=eps)  # (T, (H+2G)*E)
        a = decode_attention(p, both, cache, *rope, window=seen.window, eps=eps, scale=scale)
        return a, Stream(x)
    h = rms_norm(p, "attention norm", stream.x, norm, eps=eps)  # (T, D)
    if alone:
        q = matmul(p, "queries", h, qkv.part(0, queries))  # (1, H*E)
        q = rope_queries(p, q, cache, *rope, eps=eps, scale=scale)
    else:
        both = matmul(p, "qkv", h, qkv)  # (T, (H+2G)*E)
        q = rope_kv(p, both, cache, *rope, eps=eps, scale=scale)  # (T, H*E)
    return attention(p, q, cache, window=seen.window), stream


def linear(p: Plan, label: str, x: Tensor | Partials, matrix: Matrix) -> Tensor:
    """Attention (T, H*E), or any (T, K), times W^T -> (T, N)."""
    if isinstance(x, Partials):
        return decode_output(p, label, x, matrix)
    return (decode_down if fused(p, x.shape[0]) else matmul)(p, label, x, matrix)


def norm_gate(p: Plan, stream: Stream, norm: Tensor, gate_up: Matrix, *, eps: float) -> tuple[Tensor, Stream]:
    """gelu(gate) * up (T, F) of the normed residual stream, and the stream (T, D); gate_up: (2F, D)."""
    if not fused(p, stream.x.shape[0]):
        h = rms_norm(p, "ffn norm", stream.x, norm, eps=eps)  # (T, D)
        return geglu(p, matmul(p, "gate up", h, gate_up)), stream
    h, x = decode_gate_up(p, "gate up", stream.x, stream.pending, norm, gate_up, eps=eps)
    return h, Stream(x)


def add(p: Plan, label: str, stream: Stream, y: Tensor, norm: Tensor, *, eps: float) -> Stream:
    """The residual stream plus a sublayer's output y (T, D), normed."""
    if fused(p, y.shape[0]):
        require(stream.pending is None, f"{label}: two outputs are added and none is read between them")
        return Stream(stream.x, Pending(y, norm))
    norm_add(p, label, stream.x, y, norm, eps=eps)
    return stream


def last_token(p: Plan, stream: Stream) -> Stream:
    """(T, D) -> (1, D): the run's last real token. Nothing to do when T is 1."""
    pending = stream.pending and Pending(last_row(p, stream.pending.y), stream.pending.norm)
    return Stream(last_row(p, stream.x), pending)


def logits(p: Plan, stream: Stream, norm: Tensor, head: Matrix, *, eps: float) -> Logits:
    """The normed residual stream (T, D) times the head (V, D) transposed -> (T, V)."""
    if stream.pending and fused(p, stream.x.shape[0]):
        return decode_head(p, "head", stream.x, stream.pending, norm, head, eps=eps)
    h = rms_norm(p, "norm", stream.x, norm, eps=eps)  # (T, D)
    return Logits(matmul(p, "head", h, head), None)
