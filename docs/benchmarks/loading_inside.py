"""The half of loading.py that runs in the browser, under Pyodide. Each coroutine is called by its name."""

from __future__ import annotations

import time
from collections.abc import Awaitable
from typing import Any

import bridge
import numpy as np
import ranges
import store
from pyodide.code import run_js

import cpu as cpu_js
from sotto import formats, models
from sotto.browser.cpu import open_cpu
from sotto.browser.gpu import WebDevice
from sotto.browser.ranges import WebSource
from sotto.browser.store import WebStore
from sotto.plan.memory import Memory
from sotto.plan.weights import bind
from sotto.store import Manifest
from sotto.weights.image import Image
from sotto.weights.layout import LAYOUT_VERSION
from sotto.weights.loader import Loader

PIECE = 8 << 20  # of the model file
CHUNK = 4 << 20  # of the image, as web/store.js writes it

# Reads every byte of the records of one model and does nothing with them.
BARE = """async (key, count) => {
    const told = (request) => new Promise((resolve, reject) => {
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
    });
    const database = await told(indexedDB.open("sotto"));
    const { writer } = await told(database.transaction("manifests").objectStore("manifests").get(key));
    let nbytes = 0;
    for (let index = 0; index < count; index += 1) {
        const records = database.transaction("records").objectStore("records");
        const reader = (await told(records.get([writer, index]))).blob.stream().getReader();
        for (let part = await reader.read(); !part.done; part = await reader.read()) nbytes += part.value.length;
    }
    database.close();
    return nbytes;
}"""

kept: dict[str, Any] = {}


async def timed(work: Awaitable[Any]) -> float:
    """Seconds of awaiting something."""
    started = time.perf_counter()
    await work
    return time.perf_counter() - started


async def prepare(file: dict[str, Any]) -> dict[str, Any]:
    """Open the device and its buffers for the model's weights."""
    source = WebSource(ranges, file["url"], "model", file["size"], "bench")
    device = await (WebDevice.open(bridge) if file["device"] == "gpu" else open_cpu(cpu_js))
    checkpoint = await formats.open(source)
    model = models.find(checkpoint.architecture).read(checkpoint.settings)
    image = Image.of(checkpoint.tensors, model.wanted())
    memory, weights = Memory(device), bind(image, device.limits.max_binding)
    memory.allocate_weights(weights)
    loader = Loader(device, image, memory.placements, checkpoint, lambda _: None)
    kept.update(source=source, image=image, loader=loader, store=await WebStore.open(store))
    return {"adapter": device.adapter.name, "source_bytes": image.source_nbytes, "image_bytes": image.nbytes}


async def first(_: None) -> dict[str, float]:
    """Seconds of a first load, and of its parts alone."""
    source, image, cached = kept["source"], kept["image"], kept["store"]
    end = source.size

    async def read() -> None:
        for at in range(0, end, PIECE):
            for ahead in (1, 2):
                if ahead == 2 or at == 0:
                    start = at + ahead * PIECE
                    if start < end:
                        source.expect(start, min(PIECE, end - start))
            await source.read(at, min(PIECE, end - at))

    async def convert(writer: Any = None) -> None:
        async for _, data in image.convert(source):
            if writer:
                await writer.append(data)
        if writer:
            await writer.commit()

    async def keep() -> None:
        manifest = Manifest(
            "alone", LAYOUT_VERSION, image.nbytes, "model", "", kept["loader"].checkpoint.to_card()
        )
        await convert(await cached.begin(manifest))

    seconds = {
        "read": await timed(read()),
        "read and convert": await timed(convert()),
        "read, convert and store": await timed(keep()),
    }
    await cached.drop("alone")
    await cached.drop(source.key)
    seconds["all"] = await timed(kept["loader"].fill(source, cached, None))
    return seconds


async def warm(_: None) -> dict[str, float]:
    """Seconds of a load from the cache, of a bare read of the same records before and after it, and of writing as many
    bytes to the device."""
    source, cached = kept["source"], kept["store"]
    manifest = await cached.find(source.key)
    bare = run_js(BARE)

    async def read() -> None:
        assert await bare(source.key, len(manifest.records)) == manifest.nbytes

    async def write() -> None:
        loader, piece = kept["loader"], np.zeros(CHUNK, np.uint8)
        for place in loader.placements:
            for at in range(0, place.nbytes, CHUNK):
                part = piece[: min(CHUNK, place.nbytes - at)]
                loader.device.write(place.buffer, place.buffer_offset + at, part)
        await loader.device.finish()

    before = await timed(read())
    load = await timed(kept["loader"].fill(source, cached, manifest))
    after = await timed(read())
    return {"load": load, "bare read": (before + after) / 2, "bare writes": await timed(write())}
