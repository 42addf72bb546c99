"""Which processor the page runs on, and why."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ..browser.cpu import open_cpu
from ..browser.gpu import WebDevice
from ..device import Device
from ..devices import policy
from ..errors import DeviceError, WrongResults
from .storage import Storage


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


class Rates:
    """The tokens per second that processors reached, by model."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def of(self, key: str) -> dict[str, float]:
        """Those of a model, by "gpu" and "cpu", where known."""
        rates = {}
        for kind in ("gpu", "cpu"):
            with suppress(ValueError):  # none was kept
                rates[kind] = float(self._storage.remembered(f"rate.{kind}.{key}"))
        return rates

    def keep(self, key: str, kind: str, rate: float) -> None:
        """What was reached last."""
        self._storage.remember(f"rate.{kind}.{key}", f"{rate:.2f}")


async def choose(asked: str, bridge: Any, cpu: Any, rates: Mapping[str, float]) -> Opened:
    """Open the processor that was asked for, or the one that devices/policy.py takes.

    Args:
        asked: one of options.DEVICES.
        bridge, cpu: the JavaScript modules bridge.js and cpu.js.
        rates: tokens per second that "gpu" and "cpu" reached with this model in this browser, where known.

    Raises:
        DeviceError: it cannot be had; for "auto", neither can.
    """
    if asked == "low-power":
        return Opened(await WebDevice.open(bridge, power=asked), "asked")
    return Opened(*await policy.choose(asked, lambda: WebDevice.open(bridge), lambda: open_cpu(cpu), rates))


async def instead(cpu: Any, error: DeviceError) -> Opened:
    """The CPU, after the GPU failed with an error. Raises DeviceError."""
    why = "failed"
    if isinstance(error, WrongResults):
        why = "wrong"
    return Opened(await open_cpu(cpu), why)
