"""The fused kernels of decoding in numpy (see kernels.py)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .call import Call, Floats, Int8, gated, low_rank, normed, rotated, told


def _normed_sum(c: Call) -> Floats:
    """What the sweeps behind a norm multiply: (T, K); the new residual stream goes to `sum` where that is bound."""
    columns, eps = c.size("K"), c.constants["EPS"]
    x = c.f32("residual").reshape(-1, columns)[: c.count]
    if "pending" in c.raw:
        pending = c.f32("pending").reshape(-1, columns)[: c.count]
        x = x + normed(pending, c.f32("pending_norm"), eps)
    if "sum" in c.raw:
        c.f32("sum").reshape(-1, columns)[: c.count] = x
    return normed(x, c.f32("norm"), eps)


def _product(c: Call, x: Floats, rows: int) -> Floats:
    """The weights' rows times x (T, K), which an int8 variant rounds first."""
    x = Int8.of(x).values() if c.element == "int8" else x
    return x @ c.dequantized(rows, c.size("K")).T


def _sweep(c: Call, x: Floats) -> None:
    rows, offset = c.size("N"), c.size("OFFSET")
    y = c.f32("y").reshape(-1, c.size("STRIDE"))
    y[: len(x), offset : offset + rows] = _product(c, x, rows) + low_rank(c, offset, rows)


def decode_qkv(c: Call) -> None:
    _sweep(c, _normed_sum(c))


def decode_attention(c: Call) -> None:
    heads, kv_heads, dim, slots = c.size("H"), c.size("G"), c.size("E"), c.size("SLOTS")
    splits, tile, eps = c.size("SPLITS"), c.size("TILE"), c.constants["EPS"]
    qkv = c.f32("qkv").reshape(-1, heads + 2 * kv_heads, dim)[: c.count]
    positions = c.position + np.arange(c.count)
    angles = c.f32("angles").reshape(-1, dim // 2, 2)[positions][:, None]
    q = rotated(normed(qkv[:, :heads], c.f32("q_norm"), eps), angles) * np.float32(c.constants["SCALE"])
    q = q.reshape(-1, kv_heads, heads // kv_heads, dim)
    keys = c.f16("keys").reshape(slots, kv_heads, dim)
    values = c.f16("values").reshape(slots, kv_heads, dim)
    keys[positions % slots] = rotated(normed(qkv[:, heads : heads + kv_heads], c.f32("k_norm"), eps), angles)
    values[positions % slots] = qkv[:, heads + kv_heads :]
    partials = c.f32("partials").reshape(-1, splits, kv_heads, heads // kv_heads, dim)
    stats = c.f32("stats").reshape(-1, splits, kv_heads, heads // kv_heads, 2)
    for t in range(c.count):
        position = c.position + t
        seen = np.arange(max(0, position + 1 - c.size("WINDOW")), position + 1)
        for split in range(splits):
            own = seen[seen // tile % splits == split] % slots
            if own.size == 0:
                partials[t, split] = stats[t, split] = 0
                continue
            scores = np.einsum("ghe,sge->ghs", q[t], keys[own].astype(np.float32))
            highest = scores.max(axis=-1)
            weights = np.exp(scores - highest[..., None])
            partials[t, split] = np.einsum("ghs,sge->ghe", weights, values[own].astype(np.float32))
            stats[t, split] = np.stack([highest, weights.sum(axis=-1)], axis=-1)


def decode_output(c: Call) -> None:
    heads, splits, columns = c.size("H"), c.size("SPLITS"), c.size("K")
    partials = c.f32("partials").reshape(-1, splits, heads, columns // heads)[: c.count]
    highest, total = np.moveaxis(c.f32("stats").reshape(-1, splits, heads, 2)[: c.count], -1, 0)
    has_keys = total > 0
    peak = np.where(has_keys, highest, -np.inf).max(axis=1, keepdims=True)
    weights = np.exp(np.where(has_keys, highest - peak, -np.inf))
    shares = weights / (weights * total).sum(axis=1, keepdims=True)
    x = (shares[..., None] * partials).sum(axis=1)
    _sweep(c, x.reshape(-1, columns).astype(np.float32))


def decode_gate_up(c: Call) -> None:
    width = c.size("N")
    both = _product(c, _normed_sum(c), 2 * width) + low_rank(c, 0, 2 * width)
    c.f32("y").reshape(-1, width)[: c.count] = gated(both[:, :width], both[:, width:])


def decode_down(c: Call) -> None:
    _sweep(c, c.f32("x").reshape(-1, c.size("K"))[: c.count])


def decode_head(c: Call) -> None:
    rows, offset, length = c.size("N"), c.size("OFFSET"), c.size("SLICE")
    x = _normed_sum(c)
    _sweep(c, x)
    vocabulary = c.size("STRIDE")
    logits = c.f32("y").reshape(-1, vocabulary)[: len(x), offset : offset + rows]
    maxima = c.f32("maxima").reshape(-1, -(-vocabulary // length))
    into = maxima[: len(x), offset // length : offset // length - (-rows // length)]
    into[:] = np.maximum.reduceat(told(logits), np.arange(0, rows, length), axis=1)[:, : into.shape[1]]


DECODE_KERNELS: dict[str, Callable[[Call], None]] = {
    f.__name__: f
    for f in (decode_qkv, decode_attention, decode_output, decode_gate_up, decode_down, decode_head)
}
