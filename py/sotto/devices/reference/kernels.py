"""Every kernel again, in numpy: what the others are held against."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from ...text.sampler import NO_TOKEN, Rule, choose
from .call import Call, Floats, Int8, gated, low_rank, normed, rotated, told
from .decode import DECODE_KERNELS


def embed(c: Call) -> None:
    columns, first, rows = c.size("K"), c.size("FIRST"), c.size("ROWS")
    table = c.dequantized(rows, columns)
    y = c.f32("y").reshape(-1, columns)
    for t, token in enumerate(c.u32("tokens")[: c.count]):
        if first <= token < first + rows:
            y[t] = table[token - first] * np.float32(c.constants["SCALE"])


def matvec(c: Call) -> None:
    rows, columns, offset = c.size("N"), c.size("K"), c.size("OFFSET")
    c.f32("y")[offset : offset + rows] = c.dequantized(rows, columns) @ c.f32("x")[:columns]


def matmul(c: Call) -> None:
    _products(c, c.f32("x").reshape(-1, c.size("K"))[: c.count])


def _products(c: Call, x: Floats) -> None:
    rows, columns, offset = c.size("N"), c.size("K"), c.size("OFFSET")
    w = c.dequantized(rows, columns).T
    parts = c.grid[2]  # of the columns, in blocks of 32
    edges = [part * (columns // 32) // parts * 32 for part in range(parts + 1)]
    y = c.f32("y").reshape(-1, parts, c.size("STRIDE"))
    for part, (begin, end) in enumerate(pairwise(edges)):
        y[: c.count, part, offset : offset + rows] = x[:, begin:end] @ w[begin:end]


def quantize(c: Call) -> None:
    blocks = c.size("K") // 32
    x = Int8.of(c.f32("x").reshape(-1, c.size("K"))[: c.count])
    c.raw["codes"].view(np.int8).reshape(-1, blocks, 32)[: c.count] = x.codes
    c.f32("scales").reshape(-1, blocks, 2)[: c.count, :, :1] = x.scales
    c.f32("scales").reshape(-1, blocks, 2)[: c.count, :, 1:] = x.codes.sum(axis=-1, keepdims=True) * x.scales


def matmul_int8(c: Call) -> None:
    columns = c.size("K")
    codes = c.raw["codes"].view(np.int8).reshape(-1, columns // 32, 32)[: c.count]
    scales = c.f32("scales_of_x").reshape(-1, columns // 32, 2)[: c.count, :, :1]
    _products(c, Int8(codes.astype(np.float32), scales).values())


def low_rank_add(c: Call) -> None:
    rows = c.size("N")
    c.f32("y").reshape(-1, rows)[: c.count] += low_rank(c, 0, rows)


def sum_parts(c: Call) -> None:
    rows, parts = c.size("N"), c.f32("parts").reshape(-1, c.size("PARTS"), c.size("N"))
    c.f32("y").reshape(-1, rows)[: c.count] = parts[: c.count].sum(axis=1)


def rms_norm(c: Call) -> None:
    dim = c.size("D")
    x, y = c.f32("x").reshape(-1, dim), c.f32("y").reshape(-1, dim)
    y[: c.count] = normed(x[: c.count], c.f32("weight"), c.constants["EPS"])


def norm_add(c: Call) -> None:
    dim = c.size("D")
    x, y = c.f32("x").reshape(-1, dim), c.f32("y").reshape(-1, dim)
    x[: c.count] += normed(y[: c.count], c.f32("weight"), c.constants["EPS"])


def rope_kv(c: Call) -> None:
    heads, kv_heads, dim, slots = c.size("H"), c.size("G"), c.size("E"), c.size("SLOTS")
    qkv = c.f32("qkv").reshape(-1, heads + 2 * kv_heads, dim)[: c.count]
    positions = c.position + np.arange(c.count)
    angles = c.f32("angles").reshape(-1, dim // 2, 2)[positions][:, None]
    eps = c.constants["EPS"]

    if heads:
        q = rotated(normed(qkv[:, :heads], c.f32("q_norm"), eps), angles) * np.float32(c.constants["SCALE"])
        c.f32("q").reshape(-1, heads, dim)[: c.count] = q
    if not kv_heads:
        return
    k = rotated(normed(qkv[:, heads : heads + kv_heads], c.f32("k_norm"), eps), angles)
    c.f16("keys").reshape(slots, kv_heads, dim)[positions % slots] = k
    c.f16("values").reshape(slots, kv_heads, dim)[positions % slots] = qkv[:, heads + kv_heads :]


def attention(c: Call) -> None:
    heads, kv_heads, dim, slots = c.size("H"), c.size("G"), c.size("E"), c.size("SLOTS")
    q = c.f32("q").reshape(-1, kv_heads, heads // kv_heads, dim)
    if "y" in c.raw:
        y = c.f32("y").reshape(-1, kv_heads, heads // kv_heads, dim)
    else:  # in splits, of which the first has all
        y = c.f32("partials").reshape(-1, c.grid[2], kv_heads, heads // kv_heads, dim)[:, 0]
        stats = c.f32("stats").reshape(-1, c.grid[2], heads, 2)
        stats[:] = -3e38, 0
        stats[:, 0] = 0, 1
    keys = c.f16("keys").reshape(slots, kv_heads, dim)
    values = c.f16("values").reshape(slots, kv_heads, dim)
    for t in range(c.count):
        position = c.position + t
        seen = np.arange(max(0, position + 1 - c.size("WINDOW")), position + 1) % slots
        scores = np.einsum("ghe,sge->ghs", q[t], keys[seen].astype(np.float32))
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        y[t] = np.einsum("ghs,sge->ghe", weights, values[seen].astype(np.float32))


def attention_merge(c: Call) -> None:
    splits, heads, dim = c.size("SPLITS"), c.size("H"), c.size("E")
    highest, total = np.moveaxis(c.f32("stats").reshape(-1, splits, heads, 2)[: c.count], -1, 0)
    shares = np.exp(highest - highest.max(axis=1, keepdims=True))
    partials = c.f32("partials").reshape(-1, splits, heads, dim)[: c.count]
    y = (shares[..., None] * partials).sum(axis=1) / (shares * total).sum(axis=1)[..., None]
    c.f32("y").reshape(-1, heads, dim)[: c.count] = y


def geglu(c: Call) -> None:
    dim = c.size("F")
    gate_up = c.f32("gate_up").reshape(-1, 2, dim)[: c.count]
    gate, up = gate_up[:, 0], gate_up[:, 1]
    c.f32("y").reshape(-1, dim)[: c.count] = gated(gate, up)


def last_row(c: Call) -> None:
    dim = c.size("D")
    c.f32("y")[:dim] = c.f32("x").reshape(-1, dim)[c.count - 1]


def slice_maxima(c: Call) -> None:
    length, vocabulary = c.size("SLICE"), c.size("V")
    c.f32("y")[: -(-vocabulary // length)] = np.maximum.reduceat(
        told(c.f32("x")[:vocabulary]), np.arange(0, vocabulary, length)
    )


def sample(c: Call) -> None:
    x, inputs, chosen = c.f32("x")[: c.size("V")], c.u32("inputs"), c.u32("chosen")
    rule, draw = Rule.unpack(inputs[2:16].tobytes())
    most, place = c.size("COUNT"), c.position + c.count
    wanted = min(rule.wanted, most) or most
    finite = np.isfinite(x)
    best = np.argsort(np.where(finite, -x, -np.inf), kind="stable")[:wanted]
    chosen[: 2 * wanted] = np.stack([best.astype(np.uint32), x[best].view(np.uint32)], axis=-1).ravel()
    text = c.u32("text")
    token = choose(rule, draw, best, x[best], text[:place]) if finite.all() else NO_TOKEN
    text[place : place + 1] = token
    chosen[2 * most + inputs[13] % c.size("PICKS")] = token
    inputs[:2] = place, 1
    inputs[5] += 1
    inputs[13] += 1
    inputs[-1] = token


def best(c: Call) -> None:
    x = c.f32("x").reshape(-1, c.size("V"))[: c.count]
    found = np.where(np.isfinite(x).all(axis=-1), x.argmax(axis=-1), NO_TOKEN)
    c.u32("y")[: c.count] = found.astype(np.uint32)


def log_prob(c: Call) -> None:
    x = told(c.f32("x").reshape(-1, c.size("V"))[: c.count]).astype(np.float64)
    peak = x.max(axis=-1)
    total = np.log(np.exp(x - peak[:, None]).sum(axis=-1)) + peak
    c.f32("y")[: c.count] = x[np.arange(c.count), c.u32("targets")[: c.count]] - total


KERNELS: dict[str, Callable[[Call], None]] = {
    f.__name__: f
    for f in (
        embed,
        matvec,
        matmul,
        low_rank_add,
        sum_parts,
        quantize,
        matmul_int8,
        rms_norm,
        norm_add,
        rope_kv,
        attention,
        geglu,
        attention_merge,
        last_row,
        slice_maxima,
        sample,
        best,
        log_prob,
    )
} | DECODE_KERNELS
