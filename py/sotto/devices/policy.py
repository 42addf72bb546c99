"""Which processor is taken where that is left open: one policy for plain Python and the browser."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from .. import values
from ..device import Device
from ..errors import DeviceError
from ..reports import PROCESSORS

G = TypeVar("G", bound=Device)
C = TypeVar("C", bound=Device)


async def choose(
    asked: str,
    gpu: Callable[[], Awaitable[G]],
    cpu: Callable[[], Awaitable[C]],
    rates: Mapping[str, float] | None = None,
) -> tuple[G | C, str]:
    """Open the processor that was asked for; "auto" is the GPU unless the CPU will do better.

    Args:
        asked: one of PROCESSORS.
        gpu, cpu: open one.
        rates: tokens per second that "gpu" and "cpu" reached with the model before, where known.

    Returns:
        The processor, and why it was taken: "asked"; "best", the GPU, as usual; "none", there is no GPU; "software",
        there is but one that runs on the CPU; "slower", the GPU was; "only", the GPU, since there is no CPU.

    Raises:
        InvalidSetting: there is no such kind.
        DeviceError: it cannot be had; for "auto", neither can.
    """
    if asked not in PROCESSORS:
        raise values.invalid("device", asked, f"one of: {', '.join(PROCESSORS)}")
    if asked != "auto":
        return (await cpu() if asked == "cpu" else await gpu()), "asked"
    try:
        best = await gpu()
    except DeviceError:
        return await cpu(), "none"
    known = rates or {}
    if best.traits.few_cores:
        why = "software"
    elif "gpu" in known and known.get("cpu", 0.0) > known["gpu"]:
        why = "slower"
    else:
        return best, "best"
    try:
        other = await cpu()
    except DeviceError:
        return best, "only"
    best.close()
    return other, why
