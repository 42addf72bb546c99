"""Sotto and ONNX Runtime's WebGPU provider under plain Python, on one adapter, turn by turn.

    pip install onnxruntime-webgpu==1.27.0 wgpudawn==0.32.0.4 wasmtime numpy click rich platformdirs
    VK_ICD_FILENAMES=... python docs/benchmarks/peers/native.py --onnx ONNX [--model FILE.gguf]

ONNX is the folder that checkpoint.py's commands make of the same model. Each carries its own Dawn; the adapter is the
one that the Vulkan loader is told of. Both are given the same token ids and decode greedily; both run a short prompt
first, which compiles their kernels. Medians of the rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "py"))

import sotto

Rates = dict[str, float]


class Onnx:
    """The ONNX model; keys and values stay on the device between tokens."""

    def __init__(self, folder: Path) -> None:
        config = json.loads((folder / "genai_config.json").read_text("utf-8"))["model"]["decoder"]
        self.width = config["head_size"]
        self.names = [
            f"{layer}.{kind}" for layer in range(config["num_hidden_layers"]) for kind in ("key", "value")
        ]
        self.session = ort.InferenceSession(folder / "model.onnx", providers=["WebGpuExecutionProvider"])

    def measure(self, prompt: list[int], tokens: int) -> Rates:
        """Prefill a prompt and decode some tokens after its first."""
        began = time.perf_counter()
        best, past = self._step(prompt, None, len(prompt))
        prefilled = time.perf_counter()
        for done in range(tokens):
            best, past = self._step([best], past, len(prompt) + done + 1)
        ended = time.perf_counter()
        return {"prefill": len(prompt) / (prefilled - began), "decode": tokens / (ended - prefilled)}

    def _step(
        self, ids: list[int], past: dict[str, ort.OrtValue] | None, total: int
    ) -> tuple[int, dict[str, ort.OrtValue]]:
        binding = self.session.io_binding()
        binding.bind_cpu_input("input_ids", np.array([ids], np.int64))
        binding.bind_cpu_input("attention_mask", np.ones((1, total), np.int64))
        for name in self.names:
            if past is None:
                binding.bind_cpu_input(f"past_key_values.{name}", np.zeros((1, 1, 0, self.width), np.float32))
            else:
                binding.bind_ortvalue_input(f"past_key_values.{name}", past[name])
        binding.bind_output("logits", "cpu")
        for name in self.names:
            binding.bind_output(f"present.{name}", "gpu")
        self.session.run_with_iobinding(binding)
        logits, *present = binding.get_outputs()
        return int(logits.numpy()[0, -1].argmax()), dict(zip(self.names, present, strict=True))


def measured(model: sotto.Model, prompt: list[int], tokens: int) -> Rates:
    """As Onnx.measure, by Sotto."""
    model.engine.forget()  # the whole prompt is computed in each round
    for _ in model.generate(prompt, tokens + 1, temperature=0):
        pass
    return {"prefill": model.stats.prefill_rate, "decode": model.stats.decode_rate}


def main() -> None:
    """Run the rounds and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--onnx", type=Path, required=True)
    parser.add_argument("--model", default="gemma-3-270m")
    parser.add_argument("--prompt", type=int, default=128)
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    golden = json.loads((ROOT / "tests" / "golden" / "gemma3-270m.json").read_text("utf-8"))["perplexity"]
    prompt = golden["ids"][: given.prompt]
    model, onnx = sotto.load(given.model, device="gpu"), Onnx(given.onnx)
    adapter = model.adapter
    print(
        adapter.name, adapter.driver, "onnxruntime", ort.__version__, onnx.session.get_providers(), sep=" | "
    )
    contenders = {
        "sotto": lambda ids, tokens: measured(model, ids, tokens),
        "onnxruntime-webgpu": onnx.measure,
    }
    results: dict[str, list[Rates]] = {name: [] for name in contenders}
    for name, measure in contenders.items():
        print("first run of", name, measure(prompt[:8], 1), os.getloadavg(), flush=True)
    for _ in range(given.rounds):
        for name, measure in contenders.items():
            results[name].append(measure(prompt, given.tokens))
            print(name, results[name][-1], os.getloadavg(), flush=True)
    print(f"\n{'contender':18} {'prefill tok/s':>14} {'decode tok/s':>14}")
    medians = {
        n: [statistics.median(r[k] for r in runs) for k in ("prefill", "decode")]
        for n, runs in results.items()
    }
    for name, (prefill, decode) in medians.items():
        print(f"{name:18} {prefill:14.1f} {decode:14.2f}")
    print(f"{'ratio':18} " + " ".join(f"{a / b:14.1f}" for a, b in zip(*medians.values(), strict=True)))
    if given.json:
        given.json.write_text(json.dumps(results, indent=1), "utf-8")


if __name__ == "__main__":
    main()
