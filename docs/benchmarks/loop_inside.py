"""The half of loop.py that runs in the browser, under Pyodide. Each coroutine is called by its name."""

from __future__ import annotations

from typing import Any

import bridge
import ranges

import cpu as cpu_js
from sotto.browser.cpu import open_cpu
from sotto.browser.gpu import WebDevice
from sotto.browser.ranges import WebSource
from sotto.devices.threads import best_threads
from sotto.engine.engine import Engine
from sotto.text.sampler import Sampling
from sotto.text.tokenizer import Segment

TEXT = "The history of the printing press begins in"

kept: dict[str, Any] = {}


async def prepare(file: dict[str, Any]) -> dict[str, Any]:
    """Load the model, and run once to warm up."""
    source = WebSource(ranges, file["url"], "model", file["size"], "bench")
    device = await (WebDevice.open(bridge) if file["device"] == "gpu" else open_cpu(cpu_js))
    kept["engine"] = engine = await Engine.load(source, device)
    if device.traits.most_threads:
        await best_threads(device, engine.time_token)
    await generate({"way": "batches", "tokens": 8})
    return {"adapter": device.adapter.name, "threads": device.threads}


async def generate(what: dict[str, Any]) -> dict[str, float]:
    """One run; the text is gathered, as the page does."""
    engine, tokens = kept["engine"], what["tokens"]
    ids = engine.tokenizer.encode_segments([Segment(TEXT)])
    change = (lambda logits, text: logits) if what["way"] == "single" else None
    text = ""
    sampling = Sampling(seed=1)
    async for piece in engine.generate(ids, tokens, sampling, ignore_eos=True, logits=change):
        text += piece.text
    stats = engine.stats
    parts = {"python": stats.python_seconds, "javascript": stats.host_seconds, "idle": stats.idle_seconds}
    return {
        "tokens/s": stats.decode_rate,
        **{f"{name} ms/token": 1e3 * seconds / (tokens - 1) for name, seconds in parts.items()},
        "done to text ms/batch": 1e3 * stats.lag_seconds / stats.batches,
        "largest batch": stats.largest_batch,
        "first token s": stats.time_to_first_token,
    }
