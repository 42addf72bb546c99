"""Sotto's CPU device and wllama in one Chromium, on the same model file, turn by turn.

    npm install --prefix FOLDER @wllama/wllama@3.8.1
    python tools/bench_cpu.py --wllama FOLDER/node_modules/@wllama/wllama [--model FILE.gguf] [--json OUT]

Every round measures each contender once, so that a busy moment of the machine meets all of them; medians of the
rounds are reported. Prefill: 128 tokens; decode: 32 tokens after them. Greedy, one prompt.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "py"), str(ROOT / "tests" / "browser")]

from chromium import QUIET, find_chromium
from playwright.sync_api import Page, sync_playwright

from sotto import assets, formats
from sotto.api import drive
from sotto.assets import default_cache
from sotto.site.server import Server
from sotto.site.site import OfferedModel, Resource, Site
from sotto.source import FileSource
from sotto.text.tokenizer import Tokenizer

PROMPT, DECODED = 128, 32  # tokens
START = """(v) => void (globalThis.python = new Worker(
    URL.createObjectURL(new Blob([v.worker], { type: 'text/javascript' })), { type: 'module' }))"""
CALL = """(v) => new Promise((resolve, reject) => {
    python.onmessage = ({ data }) => data.name ? reject(new Error(data.message)) : resolve(data.value);
    python.onerror = (event) => reject(new Error(event.message));
    python.postMessage(v);
})"""
WLLAMA_LOAD = """async (v) => {
    const { Wllama } = await import("/wllama/esm/index.js");
    globalThis.wllama = new Wllama({ default: "/wllama/esm/wasm/wllama.wasm" }, { suppressNativeLog: true });
    const blob = await (await fetch(v.url)).blob();
    await wllama.loadModel([blob], { n_ctx: 2048, n_threads: v.threads, n_gpu_layers: 0 });
}"""
WLLAMA_RUN = """async (v) => (await wllama.createCompletion(
    { prompt: v.text, max_tokens: v.tokens, temperature: 0, cache_prompt: false, stream: false })).timings"""


class BenchSite(Site):
    """The project's site with wllama's package beside it."""

    wllama: Path | None = None

    def find(self, address: str) -> Resource | None:
        path = address.partition("?")[0]
        if self.wllama and path.startswith("/wllama/"):
            return self._below(self.wllama, path.removeprefix("/wllama/"))
        return super().find(address)


def inside(page: Page, name: str, argument: object) -> Any:
    """Call a coroutine of bench_cpu_inside.py."""
    source = (ROOT / "tools" / "bench_cpu_inside.py").read_text("utf-8")
    return page.evaluate(CALL, {"source": source, "name": name, "argument": argument})


def main() -> None:
    """Run the rounds and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wllama", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    model = given.model or assets.default_model()
    golden = json.loads((ROOT / "tests" / "golden" / "gemma3-270m.json").read_text("utf-8"))["perplexity"]
    text = prompt_text(model, golden["ids"][1:PROMPT])
    results: dict[str, list[dict[str, float]]] = {}
    with Server(0) as server, sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        server.site = BenchSite(ROOT, default_cache(), [OfferedModel("default", model)])
        server.site.wllama = given.wllama
        threading.Thread(target=server.serve_forever, daemon=True).start()
        context = playwright.chromium.launch_persistent_context(
            folder, executable_path=find_chromium(playwright), args=[*QUIET]
        )
        context.set_default_timeout(600_000)
        opened = page_times(context.new_page(), server.address)
        print("page:", opened, flush=True)
        page = context.new_page()
        page.goto(f"{server.address}blank")
        file = {
            "url": f"{server.address}models/{model.name}", "size": model.stat().st_size, "threads": max(given.threads)
        }  # fmt: skip
        page.evaluate(
            START, {"worker": (ROOT / "tests" / "browser" / "pyodide_worker.js").read_text("utf-8")}
        )
        for _ in range(2):
            print(json.dumps(loaded := inside(page, "load", file)), flush=True)
        other = None
        if given.wllama:
            other = context.new_page()
            other.goto(f"{server.address}blank")
            other.evaluate(WLLAMA_LOAD, file)
        for _ in range(given.rounds):
            for threads in given.threads:
                job = {"prompt": golden["ids"][:PROMPT], "tokens": DECODED + 1, "threads": threads}
                results.setdefault(f"sotto, {threads} threads", []).append(inside(page, "measure", job))
            if other:
                job = {"text": text, "tokens": DECODED + 1}
                timings = other.evaluate(WLLAMA_RUN, job)
                results.setdefault(f"wllama, {max(given.threads)} threads", []).append(
                    {
                        "prefill": timings["prompt_per_second"],
                        "decode": timings["predicted_per_second"],
                        "prompt_tokens": timings["prompt_n"],
                    }
                )
            print(
                *(f"{name}: {runs[-1]}" for name, runs in results.items()),
                os.getloadavg(),
                sep="\n",
                flush=True,
            )
        context.close()
        server.shutdown()
    print(f"\n{'contender':24} {'prefill tok/s':>14} {'decode tok/s':>14}")
    for name, runs in results.items():
        medians = [statistics.median(run[kind] for run in runs) for kind in ("prefill", "decode")]
        print(f"{name:24} {medians[0]:14.1f} {medians[1]:14.1f}")
    if given.json:
        given.json.write_text(
            json.dumps({"page": opened, "loaded": loaded, "runs": results}, indent=1), "utf-8"
        )


def page_times(page: Page, address: str) -> dict[str, float]:
    """Seconds from opening Sotto's own page to ready on the CPU, without and with the weights in the cache."""
    seconds = {}
    for visit in ("first", "from the cache"):
        started = time.monotonic()
        page.goto(f"{address}?device=cpu")
        page.wait_for_selector("html[data-state=ready]")
        seconds[visit] = time.monotonic() - started
    page.close()
    return seconds


def prompt_text(model: Path, ids: list[int]) -> str:
    """The text of the prompt, for a contender that makes tokens itself and puts BOS in front."""
    checkpoint = drive(formats.open(FileSource(model)))
    return Tokenizer(checkpoint.check_model()).decode(ids)


if __name__ == "__main__":
    main()
