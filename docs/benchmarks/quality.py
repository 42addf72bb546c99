"""How far each kernel variant is from Hugging Face transformers, on the golden text.

    python docs/benchmarks/quality.py [--tokens 513] [--decode 129] [VARIANT ...]

A variant is "job:name" (several with commas between them). Matmul and attention variants score the text in chunks,
decode variants are given it token by token. Mean difference of the negative log-likelihood (positive: worse than the
reference) and mean absolute difference of the log-probabilities. The adapter is Vulkan's first one.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "py"))

from sotto import assets
from sotto.api import drive
from sotto.engine.engine import Engine
from sotto.native.dawn import NativeDevice
from sotto.plan.variants import Job
from sotto.reports import Settings
from sotto.source import FileSource
from sotto.text.sampler import SampleOutputs
from sotto.tuning import candidates


async def decoded(engine: Engine, ids: list[int]) -> np.ndarray:
    """Log-probability of each token but the first, from the candidates of decode's own runs; nan for others.

    The candidates' logits are normalised by the sum over the candidates alone, so this is for comparing variants.
    """
    found = []
    with engine.session.turn() as turn:
        for position, token in enumerate(ids[:-1]):
            out = SampleOutputs.of(await turn.run(engine.session.programs[1], position, [token]))
            logits = out.logits.astype(np.float64)
            known = np.flatnonzero(out.ids == ids[position + 1])
            total = np.log(np.exp(logits - logits.max()).sum()) + logits.max()
            found.append(logits[known[0]] - total if known.size else np.nan)
    return np.array(found)


def main() -> None:
    """Load the default model with one variant after the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("variants", nargs="*")
    parser.add_argument("--tokens", type=int, default=513)
    parser.add_argument("--decode", type=int, default=129)
    given = parser.parse_args()
    golden = json.loads((ROOT / "tests/golden/gemma3-270m.json").read_text("utf-8"))["perplexity"]
    device = NativeDevice()
    print(device.adapter.name, device.adapter.driver)
    every = [str(v) for job in Job for v in candidates.candidates(job, device)]
    plain: np.ndarray | None = None
    for variant in given.variants or every:
        source = FileSource(assets.default_model())
        pins = {"decode": "simple", "matmul": "simple", "attention": "simple"}
        pins |= dict(part.split(":") for part in variant.split(","))
        text = ",".join(f"{job}:{name}" for job, name in pins.items())
        engine = drive(Engine.load(source, device, None, Settings(variant=text, tune=False)))
        if pins["decode"] == "simple":
            ids = golden["ids"][: given.tokens]
            off = drive(engine.score(ids)) + np.array(golden["nll"][: given.tokens - 1])
        else:
            ids = golden["ids"][: given.decode]
            if plain is None:
                simple = drive(
                    Engine.load(source, device, None, Settings(variant="decode:simple", tune=False))
                )
                plain = drive(decoded(simple, ids))
                simple.close()
            off = drive(decoded(engine, ids)) - plain
        off = off[~np.isnan(off)]
        print(f"{variant:36} nll {-off.mean():+.5f}  |delta logprob| {np.abs(off).mean():.5f}", flush=True)
        engine.close()
        source.close()


if __name__ == "__main__":
    main()
