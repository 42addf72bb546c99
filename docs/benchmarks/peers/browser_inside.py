"""The half of browser.py that runs in the browser, under Pyodide. Each coroutine is called by its name."""

from __future__ import annotations

from typing import Any

import bridge
import ranges
import store

from sotto.browser.gpu import WebDevice
from sotto.browser.ranges import WebSource
from sotto.browser.store import WebStore
from sotto.engine.engine import Engine
from sotto.reports import Settings
from sotto.text.sampler import Sampling

kept: list[Engine] = []


async def load(file: dict[str, Any]) -> dict[str, Any]:
    """Load the model onto the GPU."""
    device = await WebDevice.open(bridge)
    source = WebSource(ranges, file["url"], "default.gguf", file["size"], "bench")
    engine = await Engine.load(source, device, await WebStore.open(store), Settings())
    kept.append(engine)
    return {"adapter": device.adapter.name, "seconds": engine.load_stats.seconds}


async def measure(job: dict[str, Any]) -> dict[str, float]:
    """Prefill a prompt and decode some tokens after its first."""
    engine = kept[0]
    engine.forget()  # the whole prompt is computed in each round
    async for _ in engine.generate(job["prompt"], job["tokens"] + 1, Sampling(temperature=0)):
        pass
    return {"prefill": engine.stats.prefill_rate, "decode": engine.stats.decode_rate}
