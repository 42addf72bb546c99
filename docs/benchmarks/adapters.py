"""What an adapter costs: decode and prefill of the model by itself and with a LoRA adapter on, in turns.

    .venv/bin/python docs/benchmarks/adapters.py --device cpu --rank 16

Without --lora a random adapter of the given rank on all seven projections is measured; speed does not depend on its
values. Medians of the rounds; a round measures first the one, then the other. On a machine that has other work to do,
the processors' time of this process tells more than the clock, where the device is a CPU.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "py"))

from sotto import api
from sotto.assets import DEFAULT_MODEL
from sotto.engine.engine import Engine
from sotto.formats.adapter import Adapter, Factors
from sotto.text.sampler import Sampling


def random_adapter(engine: Engine, rank: int) -> Adapter:
    """An adapter for all matrices of a model's layers."""
    random = np.random.default_rng(0)
    shapes = engine.matrix_shapes
    factors = {
        name: Factors(
            random.standard_normal((rank, columns), np.float32) / np.float32(columns**0.5),
            random.standard_normal((rows, rank), np.float32) * np.float32(0.01),
            2.0,
        )
        for name, (rows, columns) in shapes.items()
    }
    return Adapter("random", f"random, rank {rank}", "", factors)


async def measure(engine: Engine, tokens: int, prompt: int) -> dict[str, tuple[float, float]]:
    """Seconds of reading a prompt and of writing tokens after it: on the clock, and of all processors together."""
    ids = [engine.tokenizer.bos, *(1000 + i for i in range(prompt - 1))]
    engine.forget()
    found = {}
    for what, count in (("prefill", 1), ("decode", tokens + 1)):
        began, spent = time.perf_counter(), time.process_time()
        async for _ in engine.generate(ids, count, Sampling(temperature=0), ignore_eos=True):
            pass
        found[what] = time.perf_counter() - began, time.process_time() - spent
    return found


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--device", choices=("gpu", "cpu"), default="cpu")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--lora", type=Path, help="an adapter; without it a random one")
    parser.add_argument("--rank", type=int, default=16, help="of the random adapter")
    parser.add_argument("--tokens", type=int, default=48, help="to write")
    parser.add_argument("--prompt", type=int, default=256, help="tokens to read")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--variant", default="")
    given = parser.parse_args()
    with api.load(
        given.model,
        device=given.device,
        threads=given.threads,
        variant=given.variant,
        context=2048,
    ) as model:
        engine = model.engine
        adapter = api.read_adapter(given.lora) if given.lora else random_adapter(engine, given.rank)
        engine.add_adapter("one", adapter)
        print(f"{model.name} on {model.adapter.name}, {engine.device.threads} threads; {adapter.name}")
        print(engine.load_stats.variants)
        results: dict[bool, list[dict[str, tuple[float, float]]]] = {False: [], True: []}
        for number in range(given.rounds + 1):
            for on in (False, True):
                began = time.perf_counter()
                api.drive(engine.use_adapters({"one": 1.0} if on else {}))
                switched = time.perf_counter() - began
                seconds = api.drive(measure(engine, given.tokens, given.prompt))
                if number:  # the first round warms up
                    results[on].append(seconds)
                elif on:
                    print(f"switched on for the first time in {switched:.2f} s")
        for what in ("prefill", "decode"):
            for clock, name in enumerate(("on the clock", "of processors' time")):
                off, on_ = (
                    statistics.median(run[what][clock] for run in results[on]) for on in (False, True)
                )
                print(f"{what}: {off:.3f} s without, {on_:.3f} s with: {on_ / off - 1:+.1%} {name}")


if __name__ == "__main__":
    main()
