"""The fused kernels of decoding: one to four tokens, five dispatches a layer.

    qkv        the norm before it, and the residual sum and norm that the layer before left pending
    attention  QK-norm, RoPE, the cache write, and the softmax over each split of the cache
    output     the splits' merge before it
    gate_up    the residual sum and norms before it, GELU and product after it
    down

A sublayer's output waits as `Pending` for the kernel that reads it next: that kernel needs the sum anyway, and every
workgroup computing it again is cheaper than a dispatch of its own. The residual stream so moves from tensor to tensor
instead of being changed in place.

With embedding, head and sampling that is 5 L + 3 dispatches for L layers, where every matrix is one shard. Each further
shard takes a dispatch more: of a matrix that a binding cannot hold (the 1B's table with 128 MiB: one in the embedding,
one in the head), or whose parts differ in format. Gate and up in pieces take another one for GELU and product.

Adapters take a dispatch more for each matrix that has one, 9 L + 3 in all: A's few rows are swept with the matrix's own
kernel, which makes the residual sum where that waits; then the matrix's kernel adds B's part to its rows before it
writes them.

A token's arithmetic is the same whatever the number of tokens: what is decoded one by one and what is verified four at
a time are the same bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..plan import wgsl
from ..plan.plan import Plan, Tensor
from ..plan.variants import Job, Variant
from ..plan.weights import Matrix, Shard
from ..weights import layout
from .simple import Cache, adapters, geglu, planes, require

MOST_TOKENS = 4
LANES = 32  # threads that sweep a tile of 8 rows together, in the variants named so
MOST_SPLITS = 32  # each workgroup of the output projection merges them all for itself
OTHER_BYTES = 2560  # of workgroup memory, for what is neither activations nor a number for each thread

# Besides the kernels' overrides: WORKGROUPS, fewer than which a matrix's sweep is never given for the sake of TURNS,
# and GROUPS of 32 lanes, fewer than which a small matrix's columns are split for. SPLITS of the cache there are in any
# case, and more where each has DEEP keys or more.
# A GPU is given a split for each tile that a window of 512 can touch: a tile's loads take it much longer to wait for
# than to compute with. In software every split costs a norm of the queries, and a share of the merge.
_LANES = {
    "THREADS": 128, "TURNS": 4, "SPLITS": 17, "DEEP": 64, "TILE": 32, "WORKGROUPS": 512, "GROUPS": 512,
}  # fmt: skip


def _lanes(
    name: str, element: str = "f32", rows: int = 2, memory: int = 16_384, **constants: float
) -> Variant:
    """A lane sweep; `element` is what activations are multiplied as, `rows` how many a lane has."""
    subgroups = name.endswith("subgroups")
    features = {"subgroups"} if subgroups else set()
    return Variant(
        Job.DECODE,
        name,
        features=frozenset(features | ({"shader-f16"} if element == "f16" else set())),
        workgroup=int(constants.get("THREADS", _LANES["THREADS"])),
        workgroup_bytes=memory,
        options={
            "sweep": "lanes_subgroups" if subgroups else "lanes_memory",
            "element": element,
            "rows": str(rows),
        },
        constants=_LANES | constants,
        precision=element,
    )


DECODES: tuple[Variant, ...] = (
    _lanes("lanes-subgroups"),
    _lanes("lanes"),
    _lanes("lanes-f16-subgroups", "f16"),
    _lanes("lanes-f16", "f16"),
    _lanes("lanes-int8-subgroups", "int8"),
    _lanes("lanes-rows4-subgroups", rows=4),
    _lanes("lanes-rows1-subgroups", rows=1),
    _lanes("lanes-256-subgroups", memory=32_768, THREADS=256, GROUPS=2048),
    _lanes("lanes-int8", "int8"),
    Variant(
        Job.DECODE,
        "rows",
        suits="software",
        options={"sweep": "rows", "element": "f32"},
        constants={"THREADS": 64, "TURNS": 4, "SPLITS": 8, "DEEP": 512, "TILE": 64, "WORKGROUPS": 4},
    ),
)


@dataclass(frozen=True)
class Pending:
    """A sublayer's output (T, D), not yet normed by `norm` (D,) and added to the residual stream."""

    y: Tensor
    norm: Tensor


@dataclass(frozen=True)
class Partials:
    """Attention by splits of the cache.

    sums: (T, SPLITS, H, E) f32, weighted sums of values, not normalised.
    stats: (T, SPLITS, H, 2) f32, the maximum score and the sum of the weights.
    """

    sums: Tensor
    stats: Tensor


@dataclass(frozen=True)
class Logits:
    """Logits (T, V), and where the head has found them the maxima (T, slices) of its slices and their length."""

    logits: Tensor
    slices: tuple[Tensor, int] | None


def decode_qkv(
    p: Plan, label: str, x: Tensor, pending: Pending | None, norm: Tensor, matrix: Matrix, *, eps: float
) -> tuple[Tensor, Tensor]:
    """The residual stream x (T, D) -> (T, N) = norm(x + norm(pending)) W^T, and the new residual stream (T, D)."""
    tokens, columns = x.shape
    require(columns == matrix.columns, f"{matrix.name} has {matrix.columns} columns, its input {columns}")
    low = None
    if matrix.low_rank:
        low, x = decode_qkv(p, f"{label} low rank", x, pending, norm, matrix.low_rank.a, eps=eps)
        pending = None
    y = p.scratch(label, (tokens, matrix.rows))
    for shard in matrix.shards:
        tensors = {"norm": norm, "y": y}
        source = {"residual": x}
        if pending is not None:
            source |= {"pending": pending.y, "pending_norm": pending.norm}
            x = source["sum"] = p.scratch(f"residual before {label}", (tokens, columns))
        kernel = _kernel(p, "decode_qkv", shard, tokens, low, input="sum" if pending else "norm")
        pending = None  # the other pieces find the sum made
        tensors |= source
        _add(p, label, kernel, matrix, shard, tensors, low, EPS=eps, OFFSET=shard.row, STRIDE=matrix.rows)
    return y, x


def decode_attention(
    p: Plan,
    qkv: Tensor,
    cache: Cache,
    q_norm: Tensor,
    k_norm: Tensor,
    angles: Tensor,
    *,
    window: int,
    eps: float,
    scale: float,
) -> Partials:
    """(T, (H+2G)*E) -> attention over at most `window` positions; keys and values go to the cache in place."""
    slots, kv_heads, head_dim = cache.keys.shape
    tokens, width = qkv.shape
    heads = width // head_dim - 2 * kv_heads
    require(head_dim % 8 == 0 and head_dim <= 256, f"heads of {head_dim} dimensions")
    require(heads % kv_heads == 0, f"{heads} heads on {kv_heads} KV heads")
    require(
        slots >= min(angles.shape[0], window + tokens - 1),
        f"{slots} cache slots for {tokens} tokens and a window of {window}",
    )
    splits = _splits(p, window)
    partials = Partials(
        p.scratch("attention", (tokens, splits, heads, head_dim)),
        p.scratch("attention stats", (tokens, splits, heads, 2)),
    )
    p.add(
        "attention",
        wgsl.load("decode_attention"),
        (splits, kv_heads * -(-(heads // kv_heads) // 4), tokens),
        {
            "qkv": qkv,
            "q_norm": q_norm,
            "k_norm": k_norm,
            "angles": angles,
            "keys": cache.keys,
            "values": cache.values,
            "partials": partials.sums,
            "stats": partials.stats,
        },
        H=heads,
        G=kv_heads,
        E=head_dim,
        SLOTS=slots,
        WINDOW=window,
        EPS=eps,
        SCALE=scale,
        SPLITS=splits,
        TILE=_constants(p)["TILE"],
    )
    return partials


def decode_output(p: Plan, label: str, partials: Partials, matrix: Matrix) -> Tensor:
    """Attention's partials, merged to (T, H*E), times W^T -> (T, N)."""
    tokens, splits, heads, head_dim = partials.sums.shape
    require(heads * head_dim == matrix.columns, f"{matrix.name} has {matrix.columns} columns")
    a = matrix.low_rank and matrix.low_rank.a
    low = decode_output(p, f"{label} low rank", partials, a) if a else None
    y = p.scratch(label, (tokens, matrix.rows))
    for shard in matrix.shards:
        _add(
            p,
            label,
            _kernel(p, "decode_output", shard, tokens, low),
            matrix,
            shard,
            {"partials": partials.sums, "stats": partials.stats, "y": y},
            low,
            H=heads,
            SPLITS=splits,
            TILE=_constants(p)["TILE"],
            OFFSET=shard.row,
            STRIDE=matrix.rows,
        )
    return y


def decode_gate_up(
    p: Plan, label: str, x: Tensor, pending: Pending | None, norm: Tensor, matrix: Matrix, *, eps: float
) -> tuple[Tensor, Tensor]:
    """The residual stream x (T, D) -> gelu(gate) * up (T, F) of norm(x + norm(pending)), and the new stream (T, D).

    A matrix (2F, D) in several pieces takes a dispatch for each, and one for the product.
    """
    tokens, columns = x.shape
    width = matrix.rows // 2
    if len(matrix.shards) > 1:
        both, x = decode_qkv(p, label, x, pending, norm, matrix, eps=eps)
        return geglu(p, both), x
    require(columns == matrix.columns, f"{matrix.name} has {matrix.columns} columns, its input {columns}")
    require(width % 8 == 0, f"an MLP of {width} hidden values")
    low = None
    if matrix.low_rank:
        low, x = decode_qkv(p, f"{label} low rank", x, pending, norm, matrix.low_rank.a, eps=eps)
        pending = None
    shard = matrix.shards[0]
    y = p.scratch(label, (tokens, width))
    tensors = {"residual": x, "norm": norm, "y": y}
    if pending is not None:
        tensors |= {"pending": pending.y, "pending_norm": pending.norm}
        x = tensors["sum"] = p.scratch(f"residual before {label}", (tokens, columns))
    kernel = _kernel(p, "decode_gate_up", shard, tokens, low, pairs=True, input="sum" if pending else "norm")
    _add(p, label, kernel, matrix, shard, tensors, low, pairs=True, EPS=eps)
    return y, x


def decode_down(p: Plan, label: str, x: Tensor, matrix: Matrix) -> Tensor:
    """(T, K) times W^T -> (T, N)."""
    tokens, columns = x.shape
    require(columns == matrix.columns, f"{matrix.name} has {matrix.columns} columns, its input {columns}")
    a = matrix.low_rank and matrix.low_rank.a
    low = decode_down(p, f"{label} low rank", x, a) if a else None
    y = p.scratch(label, (tokens, matrix.rows))
    for shard in matrix.shards:
        # In f32, x is what the sweep reads; in another form it is made once and not by every row.
        source = "plain" if _element(p, shard) == "f32" else "copy"
        kernel = _kernel(p, "decode_down", shard, tokens, low, input=source)
        tensors = {"x": x, "y": y}
        _add(p, label, kernel, matrix, shard, tensors, low, OFFSET=shard.row, STRIDE=matrix.rows)
    return y


def decode_head(
    p: Plan, label: str, x: Tensor, pending: Pending, norm: Tensor, table: Matrix, *, eps: float
) -> Logits:
    """The residual stream x (T, D) -> logits (T, V) of norm(x + norm(pending)), and the maxima of their slices.

    The maxima are missing where a shard of the table begins inside a slice.
    """
    tokens, columns = x.shape
    require(columns == table.columns, f"{table.name} has {table.columns} columns, its input {columns}")
    logits = p.scratch(label, (tokens, table.rows))
    kernels = [_kernel(p, "decode_head", shard, tokens) for shard in table.shards]
    length = _sweep(p, kernels[0], table, table.shards[0], tokens).rows
    aligned = all(shard.row % length == 0 for shard in table.shards)
    maxima = p.scratch("slice maxima", (tokens, -(-table.rows // length)))
    for kernel, shard in zip(kernels, table.shards, strict=True):
        tensors = {
            "residual": x,
            "pending": pending.y,
            "pending_norm": pending.norm,
            "norm": norm,
            "maxima": maxima,
            "y": logits,
        }
        _add(
            p,
            label,
            kernel,
            table,
            shard,
            tensors,
            EPS=eps,
            OFFSET=shard.row,
            STRIDE=table.rows,
            SLICE=length,
        )
    return Logits(logits, (maxima, length) if aligned else None)


def _constants(p: Plan) -> Mapping[str, float]:
    return p.choice[Job.DECODE].constants


def _splits(p: Plan, window: int) -> int:
    """Splits of the cache: more for a long context, no more than tiles that a window can touch."""
    tile, splits, deep = (int(_constants(p)[name]) for name in ("TILE", "SPLITS", "DEEP"))
    return min(max(splits, min(window // deep, MOST_SPLITS)), -(-(window - 1) // tile) + 1)


def _element(p: Plan, shard: Shard) -> str:
    """What activations are multiplied as: not int8 where weights are floats, which have no codes for that."""
    element = p.choice[Job.DECODE].options["element"]
    return "f32" if element == "int8" and not layout.FORMATS[shard.format].packed else element


def _kernel(
    p: Plan,
    name: str,
    shard: Shard,
    tokens: int,
    low: Tensor | None = None,
    pairs: bool = False,
    **options: str,
) -> wgsl.Kernel:
    require(tokens <= MOST_TOKENS, f"{tokens} tokens in one run")
    given = {**p.choice[Job.DECODE].options, **options, "element": _element(p, shard)}
    if name != "decode_head":
        given["low_rank"] = "none" if low is None else "add"
    if pairs and given.get("rows") == "1":
        given["rows"] = "2"  # a pair is two
    return wgsl.load(name, shard.format, tokens=str(tokens), **given)


@dataclass(frozen=True)
class _Sweep:
    """How the workgroups of a kernel share the rows of a matrix: constants, and rows (or pairs) of a workgroup."""

    constants: Mapping[str, float]
    rows: int


def _sweep(
    p: Plan, kernel: wgsl.Kernel, matrix: Matrix, shard: Shard, tokens: int, pairs: bool = False
) -> _Sweep:
    """Nothing here that decides the order of a sum may depend on the number of tokens."""
    c = _constants(p)
    halves = 2 if pairs else 1
    whole = matrix.rows // halves
    rows = int(kernel.options.get("rows", 4))  # of a lane, or of a thread
    if "LAST_TILE" in kernel.overrides:
        step, second = layout.ROWS * rows // halves, layout.ROWS * rows // 2
        split = _split(p, -(-whole // step), shard)
        of_workgroup = int(step * c["THREADS"]) // (LANES * split)
        own = {"SPLIT": split, "LAST_TILE": -(-shard.rows // layout.ROWS) - 1}
    else:
        step, second = rows // halves, rows // 2
        of_workgroup = int(step * c["THREADS"])
        own = {}
    part = _part(p, kernel, shard.columns, tokens)
    # A workgroup takes several turns, so that fewer compute the same norms, where that leaves enough of them.
    turns = max(1, min(int(c["TURNS"]), whole // int(of_workgroup * c["WORKGROUPS"])))
    if part < shard.columns:
        turns = 1
    constants = {
        "K": shard.columns,
        "N": shard.rows // halves,
        "THREADS": c["THREADS"],
        "PART": part,
        "STEP": step,
        "TURNS": turns,
        **own,
    }
    if "SECOND" in kernel.overrides:
        constants["SECOND"] = shard.rows // 2 if pairs else second
    return _Sweep(constants, of_workgroup * turns)


def _split(p: Plan, units: int, shard: Shard) -> int:
    """Groups of lanes that share a matrix's columns: a power of two, with two tiles or more for each group."""
    c = _constants(p)
    tiles = -(-shard.columns // (layout.PIECES * layout.FORMATS[shard.format].piece_columns))
    split = 1
    while 2 * split * LANES <= c["THREADS"] and units * split < c["GROUPS"] and tiles >= 4 * split:
        split *= 2
    return split


def _part(p: Plan, kernel: wgsl.Kernel, columns: int, tokens: int) -> int:
    """Columns of all tokens that workgroup memory holds at a time, a multiple of 128, or all."""
    if "STAGED" not in kernel.overrides:
        return columns
    variant = p.choice[Job.DECODE]
    per_thread = 4 * (4 if tokens == 3 else tokens)  # bytes; three floats take the place of four
    numbers = 1.0  # for each thread: the norms', and the lanes' sums
    if variant.options["sweep"] == "lanes_memory":
        numbers += int(kernel.options["rows"])
    elif variant.options["sweep"] == "lanes_subgroups":
        numbers += int(kernel.options["rows"]) / 4
    item = 2 if kernel.options["element"] == "f16" else 4  # int8 is made where f32 values were
    left = variant.workgroup_bytes - OTHER_BYTES - int(variant.constants["THREADS"] * numbers * per_thread)
    return min(columns, left * 8 // 9 // (item * tokens) // layout.COLUMNS * layout.COLUMNS)


def _add(
    p: Plan,
    label: str,
    kernel: wgsl.Kernel,
    matrix: Matrix,
    shard: Shard,
    tensors: Mapping[str, Tensor],
    low: Tensor | None = None,
    *,
    pairs: bool = False,
    **constants: float,
) -> None:
    """Record a sweep; `low` is A x where the matrix has adapters."""
    sweep = _sweep(p, kernel, matrix, shard, tensors["y"].shape[0], pairs)
    rows = int(sweep.constants["N"])
    grid = (-(-rows // sweep.rows), 1, 1)
    if low is not None and matrix.low_rank:
        more, numbers = adapters(low, matrix.low_rank)
        tensors, constants = {**tensors, **more}, constants | numbers
    p.add(label, kernel, grid, {**planes(shard), **tensors}, **sweep.constants, **constants)
