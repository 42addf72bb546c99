"""Which processor the page runs on, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..browser.cpu import open_cpu
from ..browser.gpu import WebDevice
from ..device import Device
from ..errors import DeviceError, WrongResults


@dataclass(frozen=True)
class Opened:
    """An open processor.

    Attributes:
        device: what the engine is given.
        why: the words are `why.<why>`.
    """

    device: Device
    why: str

    @property
    def kind(self) -> str:
        """ "gpu" or "cpu"."""
        return "cpu" if self.device.traits.most_threads else "gpu"

    @property
    def threads(self) -> int:
        """Threads in use; 1 for a GPU."""
        return max(self.device.threads, 1)

    @property
    def most_threads(self) -> int:
        """The most threads that could be used."""
        return max(self.device.traits.most_threads, 1)


async def choose(asked: str, bridge: Any, cpu: Any, rates: Mapping[str, float]) -> Opened:
    """Open the processor that was asked for; "auto" is the GPU unless the CPU will do better.

    Args:
        asked: "auto", "gpu" or "cpu".
        bridge, cpu: the JavaScript modules bridge.js and cpu.js.
        rates: tokens per second that "gpu" and "cpu" reached with this model in this browser, where known.

    Raises:
        DeviceError: it cannot be had; for "auto", neither can.
    """
    if asked == "cpu":
        return Opened(await open_cpu(cpu), "asked")
    if asked == "gpu":
        return Opened(await WebDevice.open(bridge), "asked")
    try:
        gpu = await WebDevice.open(bridge)
    except DeviceError:
        return Opened(await open_cpu(cpu), "none")
    if gpu.traits.few_cores:
        why = "software"
    elif "gpu" in rates and rates.get("cpu", 0.0) > rates["gpu"]:
        why = "slower"
    else:
        return Opened(gpu, "best")
    try:
        made = Opened(await open_cpu(cpu), why)
    except DeviceError:
        return Opened(gpu, "only")
    gpu.close()
    return made


async def instead(cpu: Any, error: DeviceError) -> Opened:
    """The CPU, after the GPU failed with an error. Raises DeviceError."""
    why = "failed"
    if isinstance(error, WrongResults):
        why = "wrong"
    return Opened(await open_cpu(cpu), why)
