"""The simple kernels, which run everywhere: one function for each, which checks shapes and records a dispatch.

Nothing runs here. Axis letters: T tokens, D model dim, H heads, G KV heads, E head dim, F FFN dim,
V vocabulary, S cache slots.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import UnsupportedModel
from ..plan import wgsl
from ..plan.plan import Plan, Tensor
from ..plan.weights import LowRank, Matrix, Shard
from ..reports import MOST_CANDIDATES
from ..text.sampler import PICKS

WORKGROUP = 64  # threads, in every kernel
LEAST_SLICE, MOST_SLICES = 64, 4096  # of the logits, whose maxima sample looks at first
NEVER = 0xFFFFFFFF  # a row that no matrix has
KEPT = 1024  # values that sample puts in order at a time, in workgroup memory


@dataclass(frozen=True)
class Cache:
    """Keys and values of one layer, (SLOTS, G, E) f16 each; position p lives in slot p mod SLOTS."""

    keys: Tensor
    values: Tensor


def groups(threads: int) -> int:
    """Workgroups for so many threads."""
    return -(-threads // WORKGROUP)


def require(condition: bool, what: str) -> None:
    """Raise UnsupportedModel, naming the shape, unless the condition holds."""
    if not condition:
        raise UnsupportedModel(f"The kernels cannot run this shape: {what}.")


def planes(shard: Shard) -> dict[str, Tensor]:
    """The bindings of a shard of a matrix."""
    return {"weights": shard.weights} | ({"scales": shard.scales} if shard.scales is not None else {})


def embed(p: Plan, table: Matrix, *, scale: float) -> Tensor:
    """(T,) token ids -> (T, D): rows of the table times `scale`; one dispatch for each shard of the table."""
    y = p.scratch("embedding", (p.tokens, table.columns))
    for shard in table.shards:
        p.add(
            "embed",
            wgsl.load("embed", shard.format),
            (groups(table.columns // 32), p.tokens, 1),
            planes(shard) | {"tokens": p.token_ids, "y": y},
            K=table.columns,
            FIRST=shard.row,
            ROWS=shard.rows,
            SCALE=scale,
        )
    return y


def matmul(p: Plan, label: str, x: Tensor, matrix: Matrix, *, across: bool = False) -> Tensor:
    """(T, K) times (N, K) transposed -> (T, N); `across` for few rows, where tokens are more to share out."""
    tokens, columns = x.shape
    require(columns == matrix.columns, f"{matrix.name} has {matrix.columns} columns, its input {columns}")
    y = p.scratch(label, (tokens, matrix.rows))
    for shard in matrix.shards:
        p.add(
            label,
            wgsl.load("matmul", shard.format),
            (groups(-(-tokens // 4)), -(-shard.rows // 8), 1)
            if across
            else (groups(-(-shard.rows // 8)), -(-tokens // 4), 1),
            planes(shard) | {"x": x, "y": y},
            K=columns,
            N=shard.rows,
            OFFSET=shard.row,
            STRIDE=matrix.rows,
            **({"ACROSS": 1} if across else {}),
        )
    return y


def matvec(p: Plan, label: str, x: Tensor, matrix: Matrix) -> Tensor:
    """(1, K) times (N, K) transposed -> (1, N)."""
    _, columns = x.shape
    require(columns == matrix.columns, f"{matrix.name} has {matrix.columns} columns, its input {columns}")
    y = p.scratch(label, (1, matrix.rows))
    for shard in matrix.shards:
        p.add(
            label,
            wgsl.load("matvec", shard.format),
            (groups(-(-shard.rows // 4)), 1, 1),
            planes(shard) | {"x": x, "y": y},
            K=columns,
            N=shard.rows,
            OFFSET=shard.row,
        )
    return y


def adapters(low: Tensor, low_rank: LowRank) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Bindings and constants for what adds B u, where low (T, stacked * rank) is u: kernels/lib/low_rank.wgsl."""
    begins = (*low_rank.begins, NEVER, NEVER)
    require(len(low_rank.begins) <= 2, f"{len(low_rank.begins) + 1} stacked matrices with an adapter")
    require(all(begin % 8 == 0 for begin in low_rank.begins), f"matrices stacked at rows {low_rank.begins}")
    return {"low": low, "b": low_rank.b}, {
        "RANK": low_rank.rank, "WIDTH": low.shape[1], "BEGIN_1": begins[0], "BEGIN_2": begins[1],
    }  # fmt: skip


def low_rank_add(p: Plan, label: str, y: Tensor, low: Tensor, low_rank: LowRank) -> None:
    """y (T, N) += B u, in place, where low (T, stacked * rank) is u."""
    tokens, rows = y.shape
    tensors, constants = adapters(low, low_rank)
    p.add(
        label,
        wgsl.load("low_rank_add"),
        (groups(-(-rows // 8)), -(-tokens // 4), 1),
        {"y": y, **tensors},
        N=rows,
        **constants,
    )


def rms_norm(p: Plan, label: str, x: Tensor, weight: Tensor, *, eps: float) -> Tensor:
    """(T, D) -> (T, D)."""
    tokens, dim = x.shape
    require(dim % 4 == 0, f"a norm of {dim} dimensions")
    y = p.scratch(label, (tokens, dim))
    p.add(label, wgsl.load("rms_norm"), (tokens, 1, 1), {"x": x, "weight": weight, "y": y}, D=dim, EPS=eps)
    return y


def norm_add(p: Plan, label: str, x: Tensor, y: Tensor, weight: Tensor, *, eps: float) -> None:
    """x += rms_norm(y), both (T, D), in place."""
    tokens, dim = x.shape
    require(dim % 4 == 0, f"a norm of {dim} dimensions")
    p.add(label, wgsl.load("norm_add"), (tokens, 1, 1), {"x": x, "y": y, "weight": weight}, D=dim, EPS=eps)


def rope_kv(
    p: Plan,
    qkv: Tensor,
    cache: Cache,
    q_norm: Tensor,
    k_norm: Tensor,
    angles: Tensor,
    *,
    eps: float,
    scale: float,
) -> Tensor:
    """(T, (H+2G)*E) -> queries (T, H*E), normed, rotated, scaled; keys and values go to the cache in place.

    H may be 0: then there are only keys and values.
    """
    _, kv_heads, head_dim = cache.keys.shape
    heads = qkv.shape[1] // head_dim - 2 * kv_heads
    return _rope(p, qkv, cache, q_norm, k_norm, angles, (heads, kv_heads), eps=eps, scale=scale)


def rope_queries(
    p: Plan,
    queries: Tensor,
    cache: Cache,
    q_norm: Tensor,
    k_norm: Tensor,
    angles: Tensor,
    *,
    eps: float,
    scale: float,
) -> Tensor:
    """(T, H*E) -> the same normed, rotated, scaled; rope_kv without keys and values. The cache is left alone."""
    heads = queries.shape[1] // cache.keys.shape[2]
    return _rope(p, queries, cache, q_norm, k_norm, angles, (heads, 0), eps=eps, scale=scale)


def _rope(
    p: Plan,
    qkv: Tensor,
    cache: Cache,
    q_norm: Tensor,
    k_norm: Tensor,
    angles: Tensor,
    counts: tuple[int, int],
    *,
    eps: float,
    scale: float,
) -> Tensor:
    heads, kv_heads = counts
    slots, _, head_dim = cache.keys.shape
    tokens = qkv.shape[0]
    require(head_dim % 4 == 0 and head_dim <= 256, f"heads of {head_dim} dimensions")
    q = p.scratch("q" if heads else "no queries", (tokens, max(heads, 1) * head_dim))
    p.add(
        "rope kv",
        wgsl.load("rope_kv"),
        (tokens, heads + 2 * kv_heads, 1),
        {
            "qkv": qkv,
            "q_norm": q_norm,
            "k_norm": k_norm,
            "angles": angles,
            "q": q,
            "keys": cache.keys,
            "values": cache.values,
        },
        H=heads,
        G=kv_heads,
        E=head_dim,
        SLOTS=slots,
        EPS=eps,
        SCALE=scale,
    )
    return q


def attention(p: Plan, q: Tensor, cache: Cache, *, window: int) -> Tensor:
    """Queries (T, H*E) against the cache -> (T, H*E); causal, over at most `window` positions."""
    slots, kv_heads, head_dim = cache.keys.shape
    tokens, width = q.shape
    heads = width // head_dim
    require(heads % kv_heads == 0, f"{heads} heads on {kv_heads} KV heads")
    y = p.scratch("attention", (tokens, width))
    p.add(
        "attention",
        wgsl.load("attention"),
        (tokens, kv_heads, -(-(heads // kv_heads) // 4)),
        {"q": q, "keys": cache.keys, "values": cache.values, "y": y},
        H=heads,
        G=kv_heads,
        E=head_dim,
        SLOTS=slots,
        WINDOW=window,
    )
    return y


def geglu(p: Plan, gate_up: Tensor) -> Tensor:
    """(T, 2F), gate then up -> (T, F)."""
    tokens, width = gate_up.shape
    y = p.scratch("geglu", (tokens, width // 2))
    p.add(
        "geglu",
        wgsl.load("geglu"),
        (groups(width // 8), tokens, 1),
        {"gate_up": gate_up, "y": y},
        F=width // 2,
    )
    return y


def last_row(p: Plan, x: Tensor) -> Tensor:
    """(T, D) -> (1, D): the run's last real token. Nothing to do when T is 1."""
    tokens, dim = x.shape
    if tokens == 1:
        return x
    y = p.scratch("last row", (1, dim))
    p.add("last row", wgsl.load("last_row"), (groups(dim), 1, 1), {"x": x, "y": y}, D=dim)
    return y


def slice_maxima(p: Plan, x: Tensor) -> tuple[Tensor, int]:
    """(1, V) -> maxima of at most MOST_SLICES slices, and the slice length."""
    vocabulary = x.shape[-1]
    length = max(LEAST_SLICE, math.ceil(vocabulary / MOST_SLICES))
    slices = math.ceil(vocabulary / length)
    y = p.scratch("slice maxima", (slices,))
    p.add(
        "slice maxima",
        wgsl.load("slice_maxima"),
        (groups(slices), 1, 1),
        {"x": x, "y": y},
        V=vocabulary,
        SLICE=length,
    )
    return y, length


def sample(p: Plan, x: Tensor, text: Tensor, count: int, maxima: tuple[Tensor, int] | None = None) -> Tensor:
    """Pick the next token and prepare the inputs of the run that continues with it.

    Args:
        x: logits (1, V), of which a processor's own kernel may leave what it likes.
        text: (context,) u32, the text's token ids by position; the new one is added.
        count: candidates to select.
        maxima: what `slice_maxima` gives for x, where that is known already.

    Returns:
        The plan's output (2*count + PICKS,) u32: index and f32 bits of the candidates, highest first, then a ring
        of the picked tokens.
    """
    vocabulary = x.shape[-1]
    require(count <= min(vocabulary, MOST_CANDIDATES), f"{count} candidates from {vocabulary} logits")
    slices, length = maxima or slice_maxima(p, x)
    chosen = p.outputs("candidates", (2 * count + PICKS,), "u32")
    p.add(
        "sample",
        wgsl.load("sample"),
        (1, 1, 1),
        {"x": x, "maxima": slices, "chosen": chosen, "inputs": p.state, "text": text},
        V=vocabulary,
        SLICE=length,
        COUNT=count,
        KEPT=KEPT,
        PICKS=PICKS,
        CONTEXT=text.shape[0],
    )
    return chosen


def best(p: Plan, x: Tensor, maxima: tuple[Tensor, int] | None = None) -> Tensor:
    """Logits (T, V) -> the plan's output (T,) u32: each token's most probable successor.

    Args:
        maxima: (T, slices) of x's slices, and their length, where they are known.
    """
    tokens, vocabulary = x.shape
    slices, length = maxima or (x, vocabulary)  # a single slice: its maximum is not asked for its value
    y = p.outputs("best", (tokens,), "u32")
    tensors = {"x": x, "maxima": slices, "y": y}
    p.add("best", wgsl.load("best"), (tokens, 1, 1), tensors, V=vocabulary, SLICE=length)
    return y


def log_prob(p: Plan, x: Tensor, targets: Tensor) -> Tensor:
    """Logits (T, V) and target ids (T,) -> the plan's output (T,) f32."""
    tokens, vocabulary = x.shape
    y = p.outputs("log probabilities", (tokens,))
    p.add(
        "log prob", wgsl.load("log_prob"), (tokens, 1, 1), {"x": x, "targets": targets, "y": y}, V=vocabulary
    )
    return y
