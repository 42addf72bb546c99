"""How much work a recorded plan is: the bytes and operations that no implementation can do without."""

from __future__ import annotations

from ..plan import Dispatch, Plan


def weight_bytes(plan: Plan) -> int:
    """Bytes of weights that one run of a single-token plan reads: every matrix once, one row of the table."""
    return sum(map(dispatch_bytes, plan.dispatches))


def dispatch_bytes(dispatch: Dispatch) -> int:
    """Bytes of weights that one dispatch of a single-token plan reads: its matrix once, of the table one row."""
    planes = [b.tensor for b in dispatch.bindings if b.tensor.name in _planes(dispatch)]
    if not planes:
        return 0
    share = planes[0].shape[0] if dispatch.kernel.operation == "embed" else 1
    return sum(plane.nbytes for plane in planes) // share


def prefill_operations(plan: Plan, tokens: int) -> float:
    """Floating-point operations (a multiply-add is two) to prefill so many tokens from the beginning.

    Args:
        plan: any multi-token plan of the model.
        tokens: length of the prompt; what the plan computes for the last token alone counts once.
    """
    total = 0.0
    for dispatch in plan.dispatches:
        size = dict(dispatch.constants)
        # The last tensor a kernel binds for writing has a row, or a part of the sum, for each token.
        times = 1 if dispatch.writes[-1].shape[0] == 1 else tokens
        match dispatch.kernel.operation:
            case (
                "matmul" | "matmul_int8" | "matvec"
                | "decode_qkv" | "decode_output" | "decode_down" | "decode_head"
            ):  # fmt: skip
                total += 2 * size["N"] * size["K"] * times
            case "decode_gate_up":  # N pairs of rows
                total += 4 * size["N"] * size["K"] * times
            case "attention" | "decode_attention":
                window = min(int(size["WINDOW"]), tokens)
                seen = window if times == 1 else window * (window + 1) // 2 + (tokens - window) * window
                total += 4 * size["H"] * size["E"] * seen
    return total


def _planes(dispatch: Dispatch) -> set[str]:
    """Names of the tensors bound as the kernel's weights and scales."""
    numbers = {d.number for d in dispatch.kernel.bindings if d.name in ("weights", "scales")}
    return {b.tensor.name for b in dispatch.bindings if b.number in numbers}
