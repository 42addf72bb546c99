"""The browser as the host of a benchmark."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

from ...bench.report import Machine
from ...bench.request import Request
from ...browser.cpu import open_cpu
from ...browser.gpu import WebDevice
from ...browser.store import WebStore
from ...device import Device
from ...store import Store
from .. import processor
from ..agent import browser_name, system_name
from ..browser import Browser


class BrowserHost:
    """Satisfies `bench.benchmark.Host`.

    Args:
        browser: knows whether the tab was hidden, and the battery.
        bridge, cpu, store: the JavaScript modules.
    """

    def __init__(self, browser: Browser, bridge: Any, cpu: Any, store: Any) -> None:
        self._browser = browser
        self._bridge = bridge
        self._cpu = cpu
        self._store = store

    async def open(self, request: Request) -> Device:
        if request.device == "cpu":
            return await open_cpu(self._cpu, request.threads or None)
        if request.device == "gpu" or request.adapter:
            power = "low-power" if request.adapter == "low-power" else "high-performance"
            return await WebDevice.open(self._bridge, power=power, fallback=request.adapter == "fallback")
        return (await processor.choose("auto", self._bridge, self._cpu, {})).device

    async def store(self, request: Request) -> Store | None:
        return await WebStore.open(self._store)

    async def discard(self, store: Store, key: str) -> None:
        await store.drop(key)

    def machine(self, device: Device) -> Machine:
        agent = self._browser.agent()
        return Machine(system_name(agent), "", sys.version.split()[0], browser_name(agent))

    def disturbances(self) -> frozenset[str]:
        return self._browser.disturbances()

    def alarm(self, seconds: float, ring: Callable[[], None]) -> Callable[[], None]:
        return asyncio.get_running_loop().call_later(seconds, ring).cancel

    async def breathe(self) -> None:
        await asyncio.sleep(0)
