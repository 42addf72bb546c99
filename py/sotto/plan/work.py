"""How much work a recorded plan is: the bytes and operations that no implementation can do without.

A device learns from it how much to take at a time (devices/pace.py), a benchmark how well it does. What a kernel
computes is in costs.py.
"""

from __future__ import annotations

from ..device import Work
from .costs import COSTS
from .plan import Dispatch, Plan, Tensor, Use

STEP_OPERATIONS = 1e6  # what every step costs at least, however small


def alone(dispatch: Dispatch) -> bool:
    """Whether a dispatch computes for one token, a run's last."""
    return _bound(dispatch, COSTS[dispatch.kernel.operation].rows).shape[0] == 1


def products(dispatch: Dispatch) -> float:
    """Floating-point operations of a dispatch's matrix products for a token; 0 for one that has none."""
    count = COSTS[dispatch.kernel.operation].products
    return count(dict(dispatch.constants)) if count else 0.0


def attention(dispatch: Dispatch) -> float:
    """Floating-point operations of attention for a token and one position; 0 for a dispatch that is none."""
    count = COSTS[dispatch.kernel.operation].attention
    return count(dict(dispatch.constants)) if count else 0.0


def work(dispatch: Dispatch, tokens: int) -> Work:
    """An estimate of a dispatch's work, in a plan of so many tokens. Where no operations are counted, bytes are."""
    if each := attention(dispatch):
        size = dict(dispatch.constants)
        if alone(dispatch):
            return Work(STEP_OPERATIONS + each * min(size["WINDOW"], size["SLOTS"]))
        return Work(STEP_OPERATIONS, key=each, window=int(size["WINDOW"]))
    written = max((t.nbytes for t in dispatch.writes if t.use is not Use.CACHE), default=0)
    if alone(dispatch):
        return Work(STEP_OPERATIONS + (products(dispatch) or written))
    return Work(STEP_OPERATIONS, token=products(dispatch) or written / tokens)


def weight_bytes(plan: Plan) -> int:
    """Bytes of weights that one run of a single-token plan reads: every matrix once, one row of the table."""
    return sum(map(dispatch_bytes, plan.dispatches))


def dispatch_bytes(dispatch: Dispatch, tokens: int = 1) -> int:
    """Bytes of weights that one dispatch reads for so many tokens: its matrix once, of the table a row for each."""
    planes = _planes(dispatch)
    if not planes:
        return 0
    nbytes = sum(plane.nbytes for plane in planes.values())
    if COSTS[dispatch.kernel.operation].looks_up:
        return nbytes // planes["weights"].shape[0] * tokens
    if "weights" in planes and "b" in planes:  # of which a shard reads its own rows
        b = planes["b"]
        nbytes -= b.nbytes - b.nbytes // b.shape[0] * planes["weights"].shape[0]
    return nbytes


def cache_bytes(dispatch: Dispatch, tokens: int, position: int) -> int:
    """Bytes of keys and values that one dispatch attends to, each once; 0 for one that is no attention.

    Args:
        tokens: of the run.
        position: of the first of them.
    """
    if not attention(dispatch):
        return 0
    first = position + (tokens - 1 if alone(dispatch) else 0)
    oldest = max(0, first + 1 - int(dict(dispatch.constants)["WINDOW"]))
    keys = _bound(dispatch, "keys")
    return 2 * keys.nbytes // keys.shape[0] * (position + tokens - oldest)


def prefill_operations(plan: Plan, tokens: int) -> float:
    """Floating-point operations (a multiply-add is two) to prefill so many tokens from the beginning.

    Args:
        plan: any multi-token plan of the model.
        tokens: length of the prompt; what the plan computes for the last token alone counts once.
    """
    return sum(dispatch_operations(dispatch, tokens) for dispatch in plan.dispatches)


def dispatch_operations(dispatch: Dispatch, tokens: int, position: int = 0) -> float:
    """Floating-point operations of one dispatch's matrix products or attention; 0 for the others.

    Args:
        tokens: of the run.
        position: of the first of them.
    """
    times = 1 if alone(dispatch) else tokens
    if each := attention(dispatch):
        window = int(dict(dispatch.constants)["WINDOW"])
        queries = range(position + tokens - times, position + tokens)
        return each * sum(min(window, query + 1) for query in queries)
    return products(dispatch) * times


def kinds(plan: Plan) -> dict[str, list[int]]:
    """The numbers of a plan's dispatches that do the same job in different layers, by a name for people."""
    found: dict[str, list[int]] = {}
    for number, dispatch in enumerate(plan.dispatches):
        kernel = dispatch.kernel
        how = ", ".join(filter(None, (kernel.name.partition(":")[0], kernel.format)))
        found.setdefault(f"{dispatch.label.rpartition(' / ')[2]} ({how})", []).append(number)
    return found


def _bound(dispatch: Dispatch, name: str) -> Tensor:
    """The tensor bound under a kernel's name for it."""
    number = dispatch.kernel.numbers[name]
    return next(b.tensor for b in dispatch.bindings if b.number == number)


def _planes(dispatch: Dispatch) -> dict[str, Tensor]:
    """The tensors bound as the kernel's weights and scales, and as adapters' B, by these names."""
    names = dispatch.kernel.names
    planes = ("weights", "scales", "b")
    return {names[b.number]: b.tensor for b in dispatch.bindings if names[b.number] in planes}
