"""What the weights of a folder of safetensors are rounded to: size, error, quality and speed of each scheme, in turns.

    .venv/bin/python docs/benchmarks/rounding.py FOLDER --device cpu --threads 1

FOLDER is the default model as transformers has it. The negative log-likelihood is of the first 256 tokens of the
golden text; speeds are medians of rounds, each of which measures every scheme once, and their ratios to q4_0's. On a
machine that has other work to do, the processors' time of this process tells more than the clock, where the device is a
CPU.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "py"), str(Path(__file__).parent)]

from adapters import measure

from sotto import api
from sotto.reports import WEIGHTS

GOLDEN = json.loads((ROOT / "tests" / "golden" / "gemma3-270m.json").read_text("utf-8"))["perplexity"]["ids"]
SCORED = 256  # tokens
BASE = "q4_0"


def main() -> None:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--schemes", nargs="+", choices=WEIGHTS[1:], default=["int8", BASE, "int4"])
    parser.add_argument("--device", choices=("gpu", "cpu"), default="cpu")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--tokens", type=int, default=32, help="to write")
    parser.add_argument("--prompt", type=int, default=128, help="tokens to read")
    parser.add_argument("--rounds", type=int, default=5, help="0: no speeds")
    parser.add_argument("--variant", default="")
    given = parser.parse_args()
    nbytes = sum(file.stat().st_size for file in given.folder.glob("*.safetensors"))
    with ExitStack() as stack:
        models = {}
        print("| scheme | MB on the device | error | nll | MB of source a second |\n|---|---|---|---|---|")
        for scheme in given.schemes:
            loaded = api.load(
                given.folder,
                device=given.device,
                threads=given.threads,
                variant=given.variant,
                context=512,
                weights=scheme,
                cache=False,
            )
            model = stack.enter_context(loaded)
            models[scheme] = model
            stats = model.load_stats
            nll = -float(model.score(GOLDEN[: SCORED + 1]).mean())
            rate = nbytes / 1e6 / stats.seconds["weights"]
            size = stats.device_bytes["weights"] / 1e6
            print(f"| {scheme} | {size:.1f} | {stats.rounding:.2%} | {nll:.4f} | {rate:.0f} |", flush=True)
        print(f"{model.adapter.name}, {model.engine.device.threads} threads; {stats.variants}")
        speeds(models, given.rounds, given.tokens, given.prompt)


def speeds(models: dict[str, api.Model], rounds: int, tokens: int, prompt: int) -> None:
    """Prefill and decode of all models, in turns."""
    results: dict[str, list[dict[str, tuple[float, float]]]] = {scheme: [] for scheme in models}
    for number in range(rounds + 1 if rounds else 0):
        for scheme, model in models.items():
            seconds = api.drive(measure(model.engine, tokens, prompt))
            if number:  # the first round warms up
                results[scheme].append(seconds)
    for what in ("prefill", "decode") if rounds else ():
        for clock, name in enumerate(("on the clock", "of processors' time")):
            medians = {s: statistics.median(run[what][clock] for run in runs) for s, runs in results.items()}
            base = medians.get(BASE)
            told = ", ".join(
                f"{scheme} {seconds:.3f} s" + (f" ({seconds / base:.2f})" if base else "")
                for scheme, seconds in medians.items()
            )
            print(f"{what}, {name}: {told}", flush=True)


if __name__ == "__main__":
    main()
