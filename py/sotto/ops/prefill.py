"""A chunk of tokens: the variants of matmul and attention, and the choice between them."""

from __future__ import annotations

from collections.abc import Mapping

from ..plan import wgsl
from ..plan.plan import Plan, Tensor
from ..plan.variants import Job, Variant
from ..plan.weights import Matrix, Shard
from ..weights.layout import FORMATS
from . import simple
from .simple import Cache, groups, low_rank_add, matvec, planes, require

BUSY = 256  # workgroups below which a matmul's columns are divided: several for each core of a GPU
LEAST_BLOCKS = 4  # blocks of 32 columns that a part keeps


def _tiled(name: str, stage: str, width: int, words: int) -> Variant:
    """64 tokens x 16*width rows; 8 tokens x `width` rows a thread, 8*words columns a stage."""
    return Variant(
        Job.MATMUL,
        name,
        frozenset({"shader-f16"} if stage == "f16" else ()),
        workgroup=128,
        workgroup_bytes=(64 + 16 * width) * 8 * words * (2 if stage == "f16" else 4),
        options={"stage": stage},
        constants={"WIDTH": width, "WORDS": words},
        precision=stage,
    )


def _subgroup_matrix(stage: str, shape: str) -> Variant:
    """64 tokens x 64 rows or 32 x 128, by matrices of `shape`, tokens x rows x columns, with sums in f32."""
    needed = {"subgroups", "chromium-experimental-subgroup-matrix", f"subgroup-matrix {stage} f32 {shape}"}
    return Variant(
        Job.MATMUL,
        f"subgroup-matrix-{shape}" + ("-f16" if stage == "f16" else ""),
        frozenset(needed | ({"shader-f16"} if stage == "f16" else set())),
        workgroup=128,
        workgroup_bytes=(32 + 128) * 80 + 4096,
        options={"stage": stage, "matrix": shape},
        constants={"WORDS": 4 if stage == "f16" else 2},
        precision=stage,
    )


MATMULS: tuple[Variant, ...] = (
    _tiled("tiled", "f32", 4, 2),
    _tiled("tiled-wide", "f32", 8, 2),
    _tiled("tiled-f16", "f16", 4, 4),
    _tiled("tiled-wide-f16", "f16", 8, 4),
    # Matrices of floats it takes as "tiled" does.
    Variant(
        Job.MATMUL,
        "tiled-int8",
        workgroup=128,
        workgroup_bytes=6_656,
        options={"stage": "f32"},
        constants={"WIDTH": 4, "WORDS": 2},
        precision="int8",
    ),
    _subgroup_matrix("f16", "16x16x16"),
    _subgroup_matrix("f16", "8x16x16"),
    _subgroup_matrix("f16", "8x8x16"),
    _subgroup_matrix("f16", "8x8x8"),
    _subgroup_matrix("f32", "8x8x8"),
    Variant(Job.MATMUL, "quad", frozenset({"subgroups"}), workgroup_bytes=0, suits="software"),
)

ATTENTIONS: tuple[Variant, ...] = (Variant(Job.ATTENTION, "tiled", workgroup=128, workgroup_bytes=14_336),)
TILE_ROWS = 32  # rows, heads of tokens, in a tile of attention
TILE_KEYS = 32
SPLIT_TO = 128  # workgroups below which attention's keys are divided
MOST_SPLITS = 16


def attention(p: Plan, q: Tensor, cache: Cache, *, window: int) -> Tensor:
    """Queries (T, H*E) against the cache -> (T, H*E); causal, over at most `window` positions.

    A single token, and heads that cannot be staged by 32 dimensions, take the simple form.
    """
    slots, kv_heads, head_dim = cache.keys.shape
    tokens, width = q.shape
    heads = width // head_dim
    if p.choice[Job.ATTENTION].name == "simple" or tokens == 1 or head_dim % 32 or head_dim > 256:
        return simple.attention(p, q, cache, window=window)
    require(heads % kv_heads == 0, f"{heads} heads on {kv_heads} KV heads")
    tiles = -(-tokens * (heads // kv_heads) // TILE_ROWS)
    most = -(-min(window - 1 + tokens, slots) // TILE_KEYS)  # tiles of keys that a tile of rows can see
    splits = max(1, min(SPLIT_TO // (tiles * kv_heads), most, MOST_SPLITS))
    if splits > 1:
        partials = p.scratch("attention partials", (tokens, splits, heads, head_dim))
        stats = p.scratch("attention stats", (tokens, splits, heads, 2))
        sums = {"partials": partials, "stats": stats}
    else:
        sums = {"y": p.scratch("attention", (tokens, width))}
    p.add(
        "attention",
        wgsl.load("attention_tiled", sums="whole" if splits == 1 else "split"),
        (tiles, kv_heads, splits),
        {"q": q, "keys": cache.keys, "values": cache.values, **sums},
        H=heads,
        G=kv_heads,
        E=head_dim,
        SLOTS=slots,
        WINDOW=window,
    )
    return attention_merge(p, partials, stats) if splits > 1 else sums["y"]


def attention_merge(p: Plan, partials: Tensor, stats: Tensor) -> Tensor:
    """Sums (T, SPLITS, H, E), not normalised, and (T, SPLITS, H, 2) their maxima and totals -> attention (T, H*E)."""
    tokens, splits, heads, head_dim = partials.shape
    y = p.scratch("attention", (tokens, heads * head_dim))
    p.add(
        "attention merge",
        wgsl.load("attention_merge"),
        (groups(heads * head_dim // 4), tokens, 1),
        {"partials": partials, "stats": stats, "y": y},
        H=heads,
        E=head_dim,
        SPLITS=splits,
    )
    return y


def matmul(p: Plan, label: str, x: Tensor, matrix: Matrix) -> Tensor:
    """(T, K) times (N, K) transposed, and what adapters add to it -> (T, N); a single token takes the decode form,
    `matvec`."""
    y = _product(p, label, x, matrix)
    if matrix.low_rank:
        low = _low(p, f"{label} low rank", x, matrix.low_rank.a)
        low_rank_add(p, f"{label} adapters", y, low, matrix.low_rank)
    return y


def _low(p: Plan, label: str, x: Tensor, a: Matrix) -> Tensor:
    """(T, K) times adapters' A, of few rows, -> (T, N)."""
    if x.shape[0] > 1 and p.choice[Job.MATMUL].name in ("simple", "quad"):
        return simple.matmul(p, label, x, a, across=True)
    return _product(p, label, x, a)


def _product(p: Plan, label: str, x: Tensor, matrix: Matrix) -> Tensor:
    tokens, columns = x.shape
    if tokens == 1:
        return matvec(p, label, x, matrix)
    variant = p.choice[Job.MATMUL]
    if variant.name == "simple":
        return simple.matmul(p, label, x, matrix)
    require(columns == matrix.columns, f"{matrix.name} has {matrix.columns} columns, its input {columns}")
    return (_quad if variant.name == "quad" else _in_tiles)(p, label, x, matrix)


def _quad(p: Plan, label: str, x: Tensor, matrix: Matrix) -> Tensor:
    tokens, columns = x.shape
    y = p.scratch(label, (tokens, matrix.rows))
    for shard in matrix.shards:
        p.add(
            label,
            wgsl.load("matmul_quad", shard.format),
            (groups(-(-shard.rows // 8)), -(-tokens // 8), 1),
            planes(shard) | {"x": x, "y": y},
            K=columns,
            N=shard.rows,
            OFFSET=shard.row,
            STRIDE=matrix.rows,
        )
    return y


def _tile(variant: Variant, tokens: int) -> tuple[str, int, int]:
    """The kernel of a variant, and the tokens and rows of a workgroup's tile."""
    tall = 32 if tokens <= 32 else 64
    if "matrix" in variant.options:
        return "matmul_subgroup_matrix", tall, 4096 // tall
    return "matmul_tiled", tall, 16 * int(variant.constants["WIDTH"])


def _in_tiles(p: Plan, label: str, x: Tensor, matrix: Matrix) -> Tensor:
    tokens, columns = x.shape
    variant = p.choice[Job.MATMUL]
    kernel, tall, wide = _tile(variant, tokens)
    tiles = -(-tokens // tall) * -(-matrix.rows // wide)
    splits = max(1, min(BUSY // tiles, columns // 32 // LEAST_BLOCKS))
    y = p.scratch(label, (tokens, matrix.rows))
    target = y if splits == 1 else p.scratch(f"{label} parts", (tokens, splits, matrix.rows))
    packed = variant.precision == "int8" and any(FORMATS[shard.format].packed for shard in matrix.shards)
    int8 = quantize(p, f"{label} input", x) if packed else None
    for shard in matrix.shards:
        grid = (-(-shard.rows // wide), -(-tokens // tall), splits)
        constants = {
            "K": columns, "N": shard.rows, "OFFSET": shard.row, "STRIDE": matrix.rows, "TOKENS": tall,
        }  # fmt: skip
        if int8 and FORMATS[shard.format].packed:
            matmul_int8(p, label, int8, shard, target, grid, constants)
            continue
        p.add(
            label,
            wgsl.load(kernel, shard.format, **variant.options),
            grid,
            planes(shard) | {"x": x, "y": target},
            ROWS=wide,
            **constants,
            **variant.constants,
        )
    if splits > 1:
        sum_parts(p, f"{label} sum", target, y)
    return y


def sum_parts(p: Plan, label: str, parts: Tensor, y: Tensor) -> None:
    """y (T, N) = the sum of parts (T, PARTS, N) over the second axis."""
    tokens, count, rows = parts.shape
    p.add(
        label,
        wgsl.load("sum_parts"),
        (groups(rows), tokens, 1),
        {"parts": parts, "y": y},
        N=rows,
        PARTS=count,
    )


def quantize(p: Plan, label: str, x: Tensor) -> tuple[Tensor, Tensor]:
    """(T, K) -> codes (T, K) i8, four to a word, and by block of 32 columns the scale and sum (T, K/32, 2) f32."""
    tokens, columns = x.shape
    codes = p.scratch(f"{label} codes", (tokens, columns // 4), "u32")
    scales = p.scratch(f"{label} scales", (tokens, columns // 32, 2))
    p.add(
        label,
        wgsl.load("quantize"),
        (groups(columns // 32), tokens, 1),
        {"x": x, "codes": codes, "scales": scales},
        K=columns,
    )
    return codes, scales


def matmul_int8(
    p: Plan,
    label: str,
    x: tuple[Tensor, Tensor],
    shard: Shard,
    y: Tensor,
    grid: tuple[int, int, int],
    constants: Mapping[str, float],
) -> None:
    """What `quantize` made of (T, K), times (N, K) transposed -> N columns of y, in as many parts as y has."""
    tensors = planes(shard) | {"codes": x[0], "scales_of_x": x[1], "y": y}
    p.add(label, wgsl.load("matmul_int8", shard.format), grid, tensors, **constants)
