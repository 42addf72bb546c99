"""What kernels read and compute."""

from __future__ import annotations

from ..device import Work
from .plan import Dispatch, Use

STEP_OPERATIONS = 1e6  # what every step costs at least, however small
ATTENTIONS = ("attention", "decode_attention")


def alone(dispatch: Dispatch) -> bool:
    """Whether a dispatch computes for one token, a run's last: the last tensor that it writes has a row, or a part of a
    sum, for each token."""
    return dispatch.writes[-1].shape[0] == 1


def products(dispatch: Dispatch) -> float:
    """Floating-point operations of a dispatch's matrix products for a token; 0 for one that has none."""
    size = dict(dispatch.constants)
    match dispatch.kernel.operation:
        case (
            "matmul"
            | "matmul_int8"
            | "matvec"
            | "decode_qkv"
            | "decode_output"
            | "decode_down"
            | "decode_head"
        ):
            return 2 * size["N"] * size["K"]
        case "decode_gate_up":  # N pairs of rows
            return 4 * size["N"] * size["K"]
    return 0.0


def attention(dispatch: Dispatch) -> float:
    """Floating-point operations of attention for a token and one position; 0 for a dispatch that is none."""
    size = dict(dispatch.constants)
    return 4 * size["H"] * size["E"] if dispatch.kernel.operation in ATTENTIONS else 0.0


def work(dispatch: Dispatch, tokens: int) -> Work:
    """An estimate of a dispatch's work, in a plan of so many tokens. Where no operations are counted, bytes are."""
    written = max((t.nbytes for t in dispatch.writes if t.role is not Use.CACHE), default=0)
    if each := attention(dispatch):
        size = dict(dispatch.constants)
        if alone(dispatch):
            return Work(STEP_OPERATIONS + each * min(size["WINDOW"], size["SLOTS"]))
        return Work(STEP_OPERATIONS, key=each, window=int(size["WINDOW"]))
    if alone(dispatch):
        return Work(STEP_OPERATIONS + (products(dispatch) or written))
    return Work(STEP_OPERATIONS, token=products(dispatch) or written / tokens)
