"""Measure how fast weights come to a device under plain Python: the first load, and the load from the cache.

    .venv/bin/python docs/benchmarks/loading_native.py --device cpu --rounds 5

From the cache: seconds of the load, and of what it cannot do without, before and after it: a bare read of the same
image, through one buffer of 1 MiB and into as much memory as the image is long; and the device's own writes of as many
bytes, which are not checked. Medians.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "py"))

from sotto import formats, models
from sotto.api import drive, open_device
from sotto.assets import default_model
from sotto.native.disk import CHUNK_BYTES, DiskStore
from sotto.plan.memory import Memory
from sotto.plan.weights import bind
from sotto.source import FileSource
from sotto.weights.image import Image
from sotto.weights.loader import Loader


def seconds(work: Coroutine[Any, Any, object]) -> float:
    """How long a coroutine takes."""
    started = time.perf_counter()
    drive(work)
    return time.perf_counter() - started


def main() -> None:
    """Run the rounds and print JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("gpu", "cpu"), default="cpu")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    source = FileSource(given.model or default_model())
    device = open_device(given.device)
    checkpoint = drive(formats.open(source))
    model = models.find(checkpoint.architecture).read(checkpoint.settings)
    image = Image.of(checkpoint.tensors, model.wanted())
    memory, weights = Memory(device), bind(image, device.limits.max_binding)
    memory.allocate_weights(weights)
    loader = Loader(device, image, memory.placements, checkpoint, lambda _: None)
    rounds: dict[str, list[float]] = {"first": [], "cached": []}
    small, whole = np.empty(1 << 20, np.uint8), np.ones(image.nbytes, np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        store = DiskStore(Path(folder))

        async def read() -> None:
            with next(store.folder.glob("*/image")).open("rb", buffering=0) as file:
                while file.readinto(small.data):
                    pass

        async def read_whole() -> None:
            with next(store.folder.glob("*/image")).open("rb", buffering=0) as file:
                for at in range(0, whole.size, CHUNK_BYTES):
                    file.readinto(whole[at : at + CHUNK_BYTES].data)

        async def write() -> None:
            for place in loader.placements:
                for at in range(0, place.nbytes, CHUNK_BYTES):
                    part = whole[place.image_offset :][: place.nbytes][at : at + CHUNK_BYTES]
                    device.write(place.buffer, at, part)
            await device.finish()

        bare = {"bare read": read, "bare read into memory": read_whole, "bare write": write}
        for _ in range(given.rounds):
            drive(store.drop(source.key))
            rounds["first"].append(seconds(loader.fill(source, store, None)))
            manifest = drive(store.find(source.key))
            before = {name: seconds(work()) for name, work in bare.items()}
            rounds["cached"].append(seconds(loader.fill(source, store, manifest)))
            for name, work in bare.items():
                rounds.setdefault(name, []).append((before[name] + seconds(work())) / 2)
    result = {name: statistics.median(runs) for name, runs in rounds.items()}
    result["first MB/s"] = image.source_nbytes / 1e6 / result["first"]
    for name in bare:
        ratios = [load / least for load, least in zip(rounds["cached"], rounds[name], strict=True)]
        result[f"cached over {name}"] = statistics.median(ratios)
    print(json.dumps({"adapter": device.adapter.name, **result, "load average": os.getloadavg()}, indent=2))
    device.close()


if __name__ == "__main__":
    main()
