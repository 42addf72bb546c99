"""The half of bench_cpu.py that runs in the browser, under Pyodide."""

from __future__ import annotations

import time
from typing import Any

import ranges
import store

import cpu as cpu_js
from sotto.browser.cpu import open_cpu
from sotto.browser.ranges import WebSource
from sotto.browser.store import WebStore
from sotto.engine.engine import Engine
from sotto.text.sampler import Sampling

kept: list[Any] = []


async def load(file: dict[str, Any]) -> dict[str, Any]:
    """Load the model; the time is from an open Python to a ready engine."""
    while kept:
        engine, device = kept.pop()
        engine.close()
        device.close()
    started = time.perf_counter()
    cached = await WebStore.open(store)
    source = WebSource(ranges, file["url"], "default.gguf", file["size"], "bench")
    device = await open_cpu(cpu_js, file["threads"])
    engine = await Engine.load(source, device, cached)
    kept.append((engine, device))
    stats = engine.load_stats
    return {
        "seconds": time.perf_counter() - started,
        "cached": stats.cached,
        "stages": stats.seconds,
        "memory": device.nbytes,
        "device_bytes": stats.device_bytes,
        "threads": device.traits.most_threads,
        "adapter": f"{device.adapter.architecture}",
    }


async def measure(job: dict[str, Any]) -> dict[str, float]:
    """Prefill a prompt and decode some tokens."""
    engine, device = kept[0]
    device.threads = job["threads"]
    engine.forget()  # the whole prompt is computed in each round
    async for _ in engine.generate(job["prompt"], job["tokens"], Sampling(temperature=0)):
        pass
    return {"prefill": engine.stats.prefill_rate, "decode": engine.stats.decode_rate}
