"""A chunk of tokens: the variants of matmul and attention, and the choice between them."""

from __future__ import annotations

from .. import wgsl
from ..plan import Plan, Tensor
from ..variants import Role, Variant
from ..weights import Matrix
from . import simple
from .simple import groups, matvec, planes, require

MATMULS: tuple[Variant, ...] = (
    Variant(Role.MATMUL, "quad", frozenset({"subgroups"}), workgroup_bytes=0, suits="software"),
)


def matmul(p: Plan, label: str, x: Tensor, matrix: Matrix) -> Tensor:
    """(T, K) times (N, K) transposed -> (T, N); a single token takes the decode form, `matvec`."""
    tokens, columns = x.shape
    if tokens == 1:
        return matvec(p, label, x, matrix)
    variant = p.choice[Role.MATMUL]
    if variant.name == "simple":
        return simple.matmul(p, label, x, matrix)
    require(columns == matrix.columns, f"{matrix.name} has {matrix.columns} columns, its input {columns}")
    y = p.scratch(label, (tokens, matrix.rows))
    for piece in matrix.pieces:
        p.add(
            label,
            wgsl.load("matmul_quad", piece.format),
            (groups(-(-piece.rows // 8)), -(-tokens // 8), 1),
            planes(piece) | {"x": x, "y": y},
            K=columns,
            N=piece.rows,
            OFFSET=piece.row,
            STRIDE=matrix.rows,
        )
    return y
