"""The half of test_web.py that runs in the browser, under Pyodide. Each coroutine is called by its name."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import asdict
from typing import Any

import bridge
import numpy as np
import ranges
import store
from pyodide.code import run_js

import cpu as cpu_js
from sotto.browser.cpu import open_cpu
from sotto.browser.gpu import WebDevice
from sotto.browser.ranges import WebSource
from sotto.browser.store import WebStore
from sotto.device import Inputs, OutputRange, Pipeline, Program, Shader, Step, Work
from sotto.engine import generation
from sotto.engine.engine import Engine
from sotto.errors import Cancelled, DeviceError, FormatError, SottoError, StoreDamaged, StoreFull
from sotto.formats import blocks, tiles
from sotto.formats.row_types import RowType
from sotto.reports import Settings
from sotto.store import Manifest, Placement
from sotto.text.sampler import Sampling
from sotto.weights import compiled, layout
from sotto.weights.layout import LAYOUT_VERSION

N = 4096
ADD = """
    struct Inputs { amount: f32 }
    @group(0) @binding(0) var<uniform> inputs: Inputs;
    @group(0) @binding(1) var<storage, read_write> x: array<f32>;
    @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
        if (id.x < arrayLength(&x)) { x[id.x] += inputs.amount; }
    }
"""


def adding(step: int, x: int, count: int, code: str = ADD, work: Work | None = None) -> Program:
    """x += amount, so many times, each of which is thought to be so much work."""
    bindings = ((0, step, 0, 4, "uniform"), (1, x, 0, 4 * N, "storage"))
    return Program(
        name="adding",
        shaders=(Shader("add", code),),
        pipelines=(Pipeline(0, {}),),
        steps=tuple(Step(f"add {i}", 0, bindings, (N // 64, 1, 1)) for i in range(count)),
        inputs=Inputs(step, 8),
        outputs=OutputRange(x, 0, 4 * N),
        work=(work,) * count if work else (),
    )


async def failure(work: Any) -> list[str]:
    """The SottoError that awaiting `work` raises, as class, message and hint."""
    try:
        await work
    except SottoError as error:
        return [type(error).__name__, error.message, error.hint]
    raise AssertionError("nothing was raised")


async def device(_: None) -> dict[str, Any]:
    """A program through WebDevice, every method once."""
    gpu = await WebDevice.open(bridge)
    step, x = gpu.buffer(8, "step"), gpu.buffer(4 * N, "x")
    values = np.random.default_rng(1).standard_normal(N).astype(np.float32)
    gpu.write(x, 0, values)
    assert await gpu.read(x, 8, 8) == values[2:4].tobytes()
    gpu.write(x, 0, memoryview(values))
    gpu.write(x, 4, values[1:5].tobytes())
    gpu.write(x, 0, bytearray(values[:3].tobytes()))
    await gpu.finish()

    program = await gpu.load(adding(step, x, 3))
    amount = np.array([0.5, 0], np.float32).tobytes()
    result = np.frombuffer(await gpu.run(program, amount), np.float32)
    np.testing.assert_allclose(result, values + 1.5, rtol=1e-6, atol=1e-6)
    result = np.frombuffer(await gpu.run(program, amount, steps=1), np.float32)
    np.testing.assert_allclose(result, values + 2, rtol=1e-6, atol=1e-6)
    seconds = await gpu.profile(program, amount, [[0], range(1, 3)])
    assert seconds is not None
    assert len(seconds) == 2
    assert all(isinstance(each, float) for each in seconds)

    long = await gpu.load(adding(step, x, 50, work=Work(1e150)))
    run = asyncio.ensure_future(gpu.run(long, amount))
    await asyncio.sleep(0)
    gpu.cancel()
    try:
        await run
        raise AssertionError("not cancelled")
    except Cancelled:
        pass
    gpu.unload(long)
    gpu.free(x)
    limits, adapter = gpu.limits, gpu.adapter
    gpu.close()
    assert limits.max_buffer >= limits.max_binding > 128 << 20
    return {"software": adapter.software, "name": adapter.name, "grid": limits.max_grid}


async def device_errors(_: None) -> dict[str, list[str]]:
    """What a person is told when the GPU refuses."""
    gpu = await WebDevice.open(bridge)
    step, x = gpu.buffer(8, "step"), gpu.buffer(4 * N, "x")

    async def too_large() -> None:
        gpu.buffer(gpu.limits.max_buffer + 4, "weights")

    async def strided() -> None:
        gpu.write(x, 0, np.zeros((8, 8), np.float32)[:, ::2])

    told = {
        "Limit": await failure(too_large()),
        "Compile": await failure(gpu.load(adding(step, x, 1, ADD.replace("+=", "+= wrong *")))),
        "Invalid": await failure(strided()),
    }
    gpu.gpu.stray = bridge.BridgeError.new("OutOfMemory", "no room for x")  # as `uncapturederror` leaves it
    told["OutOfMemory"] = await failure(gpu.finish())
    program = await gpu.load(adding(step, x, 1))
    gpu.close()
    told["DeviceLost"] = await failure(gpu.run(program, bytes(8)))
    return told


async def cache(_: None) -> None:
    """Write, find, fill, drop and damage through WebStore."""
    cached = await WebStore.open(store)
    assert cached
    gpu = await WebDevice.open(bridge)
    assert await cached.find("k") is None
    image = np.random.default_rng(2).integers(0, 256, 9 << 20, np.uint8)
    manifest = Manifest(
        "k", LAYOUT_VERSION, image.nbytes, "モデル.gguf", "2026-11-21T00:00:00Z", "カード".encode()
    )
    writer = await cached.begin(manifest)
    await writer.append(image[:1000].tobytes())
    await writer.append(image[1000 : 5 << 20])
    await writer.append(memoryview(image[5 << 20 :]))
    await writer.commit()

    found = await cached.find("k")
    assert found
    assert (found.key, found.name, found.nbytes, found.card.decode()) == (
        "k",
        "モデル.gguf",
        9 << 20,
        "カード",
    )
    assert [record.nbytes for record in found.records] == [9 << 20]
    first, second = gpu.buffer(4000, "first"), gpu.buffer(5 << 20, "second")
    progress: list[int] = []
    placements = [Placement(2000, 4000, first, 0), Placement(3 << 20, 5 << 20, second, 0)]
    await cached.fill(found, placements, gpu, progress.append)
    assert progress == [9 << 20]  # of one record
    assert await gpu.read(first, 0, 4000) == image[2000:6000].tobytes()
    assert await gpu.read(second, 0, 5 << 20) == image[3 << 20 : 8 << 20].tobytes()
    assert await cached.find_note("n") is None
    await cached.keep_note("n", "注")
    await cached.keep_note("n", "注 2")
    assert await cached.find_note("n") == "注 2"
    release = await cached.hold("name")
    assert release and await cached.hold("name") is None
    release()
    async with asyncio.timeout(10):  # the browser hears of it a little later
        while not (release := await cached.hold("name")):
            await asyncio.sleep(0.01)
    release()

    await cached.drop("k")
    assert await cached.find("k") is None
    assert await cached.find_note("n") == "注 2"
    assert await cached.fill(found, placements, gpu, progress.append) == [0]
    told = await failure(cached.mend(found, 0, image))
    assert told[0] == StoreDamaged.__name__
    writer = await cached.begin(manifest)
    await writer.abort()
    gpu.close()


async def cache_altered(_: None) -> list[list[str]]:
    """What is said of manifests that have what JavaScript needs, but not what Python does."""
    told = []
    for field, value in (("name", 5), ("created", None), ("colour", 1)):
        cached = await WebStore.open(store)
        writer = await cached.begin(
            Manifest("k", LAYOUT_VERSION, 4, "model", "2026-11-21T00:00:00Z", b"card")
        )
        await writer.append(bytes(4))
        await writer.commit()
        assert await cached.find("k")
        await run_js(ALTER)(field, json.dumps(value))
        told.append(await failure(cached.find("k")))
        assert await cached.find("k") is None, "it is told once"
    return told


ALTER = """async (field, value) => {
    const database = await new Promise((resolve) => {
        indexedDB.open("sotto").onsuccess = ({ target }) => resolve(target.result);
    });
    const manifests = database.transaction("manifests", "readwrite").objectStore("manifests");
    const entry = await new Promise((resolve) => {
        manifests.get("k").onsuccess = ({ target }) => resolve(target.result);
    });
    entry[field] = JSON.parse(value);
    await new Promise((resolve) => { manifests.put(entry, "k").transaction.oncomplete = resolve; });
    database.close();
}"""


async def cache_refused(refused: list[str]) -> list[str]:
    """What a person is told where a method of the browser's storage throws, and nothing else is heard of it."""
    run_js("""(kind, method) => {
        self[kind].prototype[method] = () => { throw new DOMException("not here", "SecurityError"); };
    }""")(*refused)
    cached = await WebStore.open(store)
    assert await cached.find("k") is None
    await cached.keep_note("n", "note")
    await cached.find_note("n")
    await cached.drop("k")
    release = await cached.hold("name")
    assert release
    release()
    manifest = Manifest("k", LAYOUT_VERSION, 4, "model", "2026-11-21T00:00:00Z", b"card")
    return await failure(cached.begin(manifest))


async def cache_full(_: None) -> list[str]:
    """What a person is told when the quota (set by the test) is too small."""
    cached = await WebStore.open(store)
    assert cached
    nbytes = 80 << 20
    writer = await cached.begin(Manifest("k", LAYOUT_VERSION, nbytes, "model", "2026-11-21T00:00:00Z"))

    async def write() -> None:
        for _ in range(5):
            await writer.append(np.zeros(16 << 20, np.uint8))
        await writer.commit()

    told = await failure(write())
    await writer.abort()
    assert told[0] == StoreFull.__name__
    return told


async def source(model: dict[str, Any]) -> dict[str, list[str]]:
    """Reads a model by ranges; `model` has its url, size and a wrong address."""
    file = WebSource(ranges, model["url"], "model.gguf", model["size"], "key")
    parts = [await file.read(offset, 1000) for offset in range(0, model["size"], 1000)]
    assert all(isinstance(part, bytes) for part in parts)
    whole = np.frombuffer(b"".join(parts), np.uint32)
    np.testing.assert_array_equal(whole, np.arange(model["size"] // 4, dtype=np.uint32))
    missing = WebSource(ranges, model["missing"], "missing.gguf", model["size"], "key")
    changed = WebSource(ranges, model["url"], "model.gguf", model["size"] - 4, "key")
    told = {
        "end": await failure(file.read(model["size"] - 4, 8)),
        "missing": await failure(missing.read(0, 8)),
        "changed": await failure(changed.read(0, 8)),
    }
    assert told["end"][0] == FormatError.__name__
    file.close()
    return told


async def converted(scales_at: dict[str, list[int]]) -> list[str]:
    """The types that the compiled conversion gives numpy's bytes for, rows and columns to be padded; of random bytes,
    with finite f16 numbers at these places of a block."""
    convert, equal = compiled.converter(), []
    assert convert is not layout.convert
    for name in (*compiled.TYPES, "INT8", "INT4"):
        kind = blocks.find(name)
        assert kind is not None
        nbytes = kind.size((83, 1280)) + (kind.beside(83, 1280) if isinstance(kind, RowType) else 0)
        data = np.random.default_rng(3).integers(0, 256, nbytes, np.uint8)
        for at in scales_at.get(name, ()):
            data.reshape(-1, kind.nbytes)[:, at + 1] &= 0xBF
        planes = zip(convert(name, data, 83, 1280), layout.convert(name, data, 83, 1280), strict=True)
        equal += [name] * all(np.array_equal(got, expected) for got, expected in planes)
    codes = np.random.default_rng(3).integers(0, 256, 1280 * 84, np.uint8)
    both = zip(compiled.untiler()(codes, 84, 1280, 8), tiles.untiled(codes, 84, 1280, 8), strict=True)
    return equal + ["tiles"] * all(np.array_equal(got, expected) for got, expected in both)


async def no_adapter(_: None) -> list[str]:
    """What a person is told by a browser without a GPU."""
    told = await failure(WebDevice.open(bridge))
    assert told[0] == DeviceError.__name__
    return told


async def batches(model: dict[str, Any]) -> dict[str, Any]:
    """Tokens by batches and one at a time, on the processor that `model` names; Stop while batches are in flight."""
    file = WebSource(ranges, model["url"], "tiny.gguf", model["size"], "tiny")
    processor = await WebDevice.open(bridge) if model["device"] == "gpu" else await open_cpu(cpu_js, 2)
    engine = await Engine.load(file, processor, None, Settings(context=160, chunks=(8, 32), tune=False))
    generation.BATCH_SECONDS = 1e6
    while engine.session.checker and not await engine.session.can_check():
        await asyncio.sleep(0.05)
    runs: list[Any] = []
    for sampling in (Sampling(temperature=0), Sampling(temperature=1, repeat_penalty=1.1, seed=3)):
        for logits in (None, lambda logits, text: logits):
            pieces = engine.generate(model["prompt"], 50, sampling, ignore_eos=True, logits=logits)
            tokens = [piece.token async for piece in pieces]
            runs.append([tokens, asdict(engine.stats)])
    shown = 0
    async for _ in engine.generate(model["prompt"], 120, Sampling(temperature=0), ignore_eos=True):
        shown += 1
        if shown == 20:
            engine.stop()
    stopped = [shown, engine.stats.stop_reason, engine.stats.dropped_tokens]
    begun = time.perf_counter()
    batch = await processor.submit(engine.session.programs[1].program, None, 2)
    ended = time.perf_counter()
    assert begun <= batch.done <= ended, "the device's clock is Python's"
    engine.close()
    processor.close()
    return {"runs": runs, "stopped": stopped}


async def cpu(model: dict[str, Any]) -> dict[str, Any]:
    """A model on the CPU with every number of threads there is, twice from the cache."""
    file = WebSource(ranges, model["url"], "tiny.gguf", model["size"], "tiny")
    cached = await WebStore.open(store)
    runs: list[Any] = []
    loads = []
    for _ in range(2):
        device = await open_cpu(cpu_js, 4)
        engine = await Engine.load(file, device, cached, Settings(context=160))
        loads.append(engine.load_stats.cached)
        for threads in (1, 2, 4):
            device.threads = threads
            greedy = engine.generate(model["prompt"], 12, Sampling(temperature=0))
            tokens = [piece.token async for piece in greedy]
            runs.append([tokens, (await engine.score(model["prompt"])).tolist()])
        build, most = "relaxed" if device.machine.relaxed else "simd", device.traits.most_threads
        async for _ in engine.generate(model["prompt"], 100, Sampling(temperature=0)):
            asyncio.get_running_loop().call_soon(engine.stop)
        stopped = engine.stats.stop_reason
        engine.close()
        device.close()
    return {"runs": runs, "build": build, "most": most, "cached": loads, "stopped": stopped}
