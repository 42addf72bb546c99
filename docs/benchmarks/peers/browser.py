"""Sotto and ONNX Runtime Web, both on WebGPU, in one Chromium on one adapter, turn by turn.

    npm install --prefix FOLDER onnxruntime-web@1.30
    python docs/benchmarks/peers/browser.py --ort FOLDER/node_modules/onnxruntime-web --onnx ONNX \\
        [--model FILE.gguf] [--prompt 128] [--tokens 4] [--rounds 1] [--json OUT]

ONNX is the folder that checkpoint.py's commands make of the same model. Both are given the same token ids and decode
greedily; both run a short prompt first, which compiles their kernels. Medians of the rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "py"), str(ROOT / "tests" / "browser")]

from chromium import launch_profile

from sotto.assets import default_cache, default_model
from sotto.site.server import Server
from sotto.site.site import OfferedModel, Resource, Site

START = """(v) => void (globalThis.python = new Worker(
    URL.createObjectURL(new Blob([v], { type: 'text/javascript' })), { type: 'module' }))"""
CALL = """(v) => new Promise((resolve, reject) => {
    python.onmessage = ({ data }) => data.name ? reject(new Error(data.message)) : resolve(data.value);
    python.onerror = (event) => reject(new Error(event.message));
    python.postMessage(v);
})"""
ORT_LOAD = """async ({ layers, width }) => {
    const ort = await import("/ort/dist/ort.webgpu.min.mjs");
    ort.env.wasm.wasmPaths = "/ort/dist/";
    ort.env.wasm.numThreads = 1;
    const outputs = { logits: "cpu" };
    for (let i = 0; i < layers; i += 1) {
        for (const kind of ["key", "value"]) outputs[`present.${i}.${kind}`] = "gpu-buffer";
    }
    const session = await ort.InferenceSession.create("/onnx/model.onnx", {
        executionProviders: ["webgpu"],
        externalData: [{ path: "model.onnx.data", data: "/onnx/model.onnx.data" }],
        preferredOutputLocation: outputs,
    });
    const ids = (list) => new ort.Tensor("int64", BigInt64Array.from(list, BigInt), [1, list.length]);
    const step = async (list, past, total) => {
        const feeds = { input_ids: ids(list), attention_mask: ids(Array(total).fill(1)) };
        for (let i = 0; i < layers; i += 1) {
            for (const kind of ["key", "value"]) {
                feeds[`past_key_values.${i}.${kind}`] =
                    past?.[`present.${i}.${kind}`] ?? new ort.Tensor("float32", new Float32Array(0), [1, 1, 0, width]);
            }
        }
        const result = await session.run(feeds);
        const logits = result.logits.data.subarray(-result.logits.dims[2]);
        let best = 0;
        for (let i = 1; i < logits.length; i += 1) if (logits[i] > logits[best]) best = i;
        for (const [name, tensor] of Object.entries(past ?? {})) if (name !== "logits") tensor.dispose();
        return { best, result };
    };
    globalThis.ortMeasure = async (prompt, tokens) => {
        const began = performance.now();
        let { best, result } = await step(prompt, null, prompt.length);
        const prefilled = performance.now();
        for (let i = 0; i < tokens; i += 1) ({ best, result } = await step([best], result, prompt.length + i + 1));
        const ended = performance.now();
        for (const [name, tensor] of Object.entries(result)) if (name !== "logits") tensor.dispose();
        return { prefill: 1e3 * prompt.length / (prefilled - began), decode: 1e3 * tokens / (ended - prefilled) };
    };
    return ort.env.versions;
}"""


class PeerSite(Site):
    """The project's site with ONNX Runtime Web's package and the ONNX model beside it."""

    beside: dict[str, Path]

    def find(self, address: str) -> Resource | None:
        path = address.partition("?")[0]
        for prefix, folder in self.beside.items():
            if path.startswith(prefix):
                return self._below(folder, path.removeprefix(prefix))
        return super().find(address)


def main() -> None:
    """Run the rounds and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ort", type=Path, required=True)
    parser.add_argument("--onnx", type=Path, required=True)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--prompt", type=int, default=128)
    parser.add_argument("--tokens", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    model = given.model or default_model()
    config = json.loads((given.onnx / "genai_config.json").read_text("utf-8"))["model"]["decoder"]
    golden = json.loads((ROOT / "tests" / "golden" / "gemma3-270m.json").read_text("utf-8"))["perplexity"]
    prompt = golden["ids"][: given.prompt]
    results: dict[str, list[dict[str, float]]] = {"sotto": [], "onnxruntime-web": []}
    with Server(0) as server, sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        server.site = site = PeerSite(ROOT, default_cache(), [OfferedModel("default", model)])
        site.beside = {"/ort/": given.ort, "/onnx/": given.onnx}
        threading.Thread(target=server.serve_forever, daemon=True).start()
        context = launch_profile(playwright, Path(folder))
        context.set_default_timeout(1_800_000)
        ours, theirs = context.pages[0], context.new_page()
        for page in (ours, theirs):
            page.goto(f"{server.address}blank")
            page.set_default_timeout(1_800_000)
        ours.evaluate(START, (ROOT / "tests" / "browser" / "pyodide_worker.js").read_text("utf-8"))
        source = Path(__file__).with_name("browser_inside.py").read_text("utf-8")

        def sotto(name: str, argument: object) -> Any:
            return ours.evaluate(CALL, {"source": source, "name": name, "argument": argument})

        def measure(name: str, ids: list[int], tokens: int) -> dict[str, float]:
            if name == "sotto":
                return dict(sotto("measure", {"prompt": ids, "tokens": tokens}))
            return dict(theirs.evaluate("(v) => ortMeasure(...v)", [ids, tokens]))

        file = {"url": f"{server.address}models/{model.name}", "size": model.stat().st_size}
        print(json.dumps(sotto("load", file)), flush=True)
        shape = {"layers": config["num_hidden_layers"], "width": config["head_size"]}
        print(json.dumps(theirs.evaluate(ORT_LOAD, shape)), flush=True)
        for name in results:
            print("first run of", name, measure(name, prompt[:8], 1), os.getloadavg(), flush=True)
        for _ in range(given.rounds):
            for name, runs in results.items():
                runs.append(measure(name, prompt, given.tokens))
                print(name, runs[-1], os.getloadavg(), flush=True)
        version = context.browser.version if context.browser else ""
        context.close()
        server.shutdown()
    print(f"\nChromium {version}\n{'contender':18} {'prefill tok/s':>14} {'decode tok/s':>14}")
    medians = {
        n: [statistics.median(r[k] for r in runs) for k in ("prefill", "decode")]
        for n, runs in results.items()
    }
    for name, (prefill, decode) in medians.items():
        print(f"{name:18} {prefill:14.2f} {decode:14.3f}")
    print(f"{'ratio':18} " + " ".join(f"{a / b:14.1f}" for a, b in zip(*medians.values(), strict=True)))
    if given.json:
        given.json.write_text(json.dumps(results, indent=1), "utf-8")


if __name__ == "__main__":
    main()
