"""What each kernel computes, by its operation: the one table that submits, the estimates and the benchmark read.

`Plan.add` refuses a kernel that has no entry, and a test asks for one of every file in kernels/. The probes in
kernels/probes/ are in no plan; bench/probes.py counts what they do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

Constants = Mapping[str, float]


@dataclass(frozen=True)
class Cost:
    """What a kernel computes, from its constants.

    Where it has neither products nor attention, what it does is counted as the bytes that it writes.

    Attributes:
        rows: the binding whose tensor's first axis counts the tokens that it computes for.
        products: floating-point operations of its matrix products for a token.
        attention: floating-point operations for a token and a position that it attends to; the positions are the
            constant WINDOW's.
        looks_up: of its weights it reads one row for each token, and no more.
    """

    rows: str
    products: Callable[[Constants], float] | None = None
    attention: Callable[[Constants], float] | None = None
    looks_up: bool = False


def _matrix(size: Constants) -> float:
    """A multiplication and an addition for each weight of N rows and K columns, and RANK more where adapters are on."""
    return 2 * size["N"] * (size["K"] + size.get("RANK", 0))


def _two_matrices(size: Constants) -> float:
    """N rows of each of two matrices."""
    return 2 * _matrix(size)


def _low_rank(size: Constants) -> float:
    """A multiplication and an addition for each of N rows and RANK columns."""
    return 2 * size["N"] * size["RANK"]


def _heads(size: Constants) -> float:
    """A product with the key, and one with the value, for each of H heads of E dimensions."""
    return 4 * size["H"] * size["E"]


COSTS: Mapping[str, Cost] = MappingProxyType(
    {
        "attention": Cost("q", attention=_heads),
        "attention_merge": Cost("y"),
        "best": Cost("y"),
        "decode_attention": Cost("qkv", attention=_heads),
        "decode_down": Cost("y", products=_matrix),
        "decode_gate_up": Cost("y", products=_two_matrices),
        "decode_head": Cost("y", products=_matrix),
        "decode_output": Cost("y", products=_matrix),
        "decode_qkv": Cost("y", products=_matrix),
        "embed": Cost("y", looks_up=True),
        "geglu": Cost("y"),
        "last_row": Cost("y"),
        "log_prob": Cost("y"),
        "low_rank_add": Cost("y", products=_low_rank),
        "matmul": Cost("y", products=_matrix),
        "matmul_int8": Cost("y", products=_matrix),
        "matvec": Cost("y", products=_matrix),
        "norm_add": Cost("x"),
        "quantize": Cost("codes"),
        "rms_norm": Cost("y"),
        "rope_kv": Cost("q"),
        "sample": Cost("x"),
        "slice_maxima": Cost("x"),
        "sum_parts": Cost("y"),
    }
)
