"""Plain Python as the host of a benchmark."""

from __future__ import annotations

import platform
import shutil
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from .. import api
from ..assets import default_cache
from ..device import Device
from ..native.disk import DiskStore
from ..store import Store
from .report import Machine
from .request import Request

LOW = 20  # per cent of a battery


class Desk:
    """Satisfies `session.Host`. Use it as a context manager: the measured cache is removed at its end.

    Args:
        cache: False for a host that keeps no weights.
    """

    def __init__(self, cache: bool = True) -> None:
        self._cache = cache
        self._folder: Path | None = None

    def __enter__(self) -> Desk:
        return self

    def __exit__(self, *_: object) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    async def open(self, request: Request) -> Device:
        return api.open_device(request.device, request.adapter or None, request.threads or None)

    async def store(self, request: Request) -> Store | None:
        """An empty one on the disk of the real one."""
        if not self._cache:
            return None
        self._folder = default_cache() / f"bench-{datetime.now(UTC):%Y%m%d%H%M%S%f}"
        return DiskStore(self._folder)

    async def discard(self, store: Store, key: str) -> None:
        await store.drop(key)

    def machine(self, device: Device) -> Machine:
        return Machine(platform.platform(), _processor(), sys.version.split()[0], device.adapter.runtime)

    def disturbances(self) -> frozenset[str]:
        return _battery(Path("/sys/class/power_supply"))

    def alarm(self, seconds: float, ring: Callable[[], None]) -> Callable[[], None]:
        timer = threading.Timer(seconds, ring)
        timer.daemon = True
        timer.start()
        return timer.cancel

    async def breathe(self) -> None:
        """Ctrl-C needs no breath."""


def _processor() -> str:
    """The CPU's name where the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text("utf-8", "replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _battery(supplies: Path) -> frozenset[str]:
    """ "battery" where the machine runs on one, "battery-low" where that is nearly empty. Linux tells."""
    found = set()
    for supply in supplies.glob("*"):
        try:
            status = (supply / "status").read_text("utf-8").strip()
            capacity = int((supply / "capacity").read_text("utf-8"))
        except (OSError, ValueError):
            continue
        if status == "Discharging":
            found |= {"battery", "battery-low"} if capacity < LOW else {"battery"}
    return frozenset(found)
