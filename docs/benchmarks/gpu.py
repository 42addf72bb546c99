"""The numbers of a real GPU: speeds, every kernel's share of what the device can do, targets, peers on the same card.

    .venv/bin/python docs/benchmarks/gpu.py [--shapes 270m 1b] [--every-variant | --variant decode:rows]
        [--adapter NAME] [--llama FOLDER] [--llama-gpu vulkan|cuda] [--onnx 1b=FOLDER] [--json FILE]

Each shape is a synthetic int4 model; nothing is fetched. First with the kernels that tuning chooses, then with
--every-variant once more for each one that runs here. A kernel's time is the device's own, all layers' dispatches in
one compute pass; the protocol is that of `sotto bench`. The JSON is written again after every benchmark, so that a run
that is cut off leaves what it had.

Peers, in the same run, where they are there: llama.cpp from FOLDER, prepared as peers/llama.mjs says, with a GGUF of
the same sizes (written beside the JSON unless it is there); ONNX Runtime's WebGPU provider (pip install
onnxruntime-webgpu==1.27.0) with an int4 ONNX that peers/checkpoint.py's commands make of that GGUF.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(ROOT / "py"), str(HERE), str(HERE / "peers")]

import gpu_tables
import synthetic_gguf

from sotto.api import drive
from sotto.bench.benchmark import Benchmark
from sotto.bench.control import BenchProgress
from sotto.bench.desk import Desk
from sotto.bench.report import Report
from sotto.bench.request import Request
from sotto.errors import SottoError
from sotto.models import synthetic
from sotto.native.dawn import NativeDevice
from sotto.native.disk import DiskStore
from sotto.plan.variants import Job
from sotto.store import Store
from sotto.tuning import candidates

GOLDEN = ROOT / "tests" / "golden" / "gemma3-270m.json"
PEER_LIMIT = 900  # seconds


class OneCache(Desk):
    """A desk whose benchmarks share a cache: a model is converted once, and tuned once."""

    async def store(self, request: Request) -> Store | None:
        if self._folder is None:
            return await super().store(request)
        return DiskStore(self._folder)


def told(progress: BenchProgress) -> None:
    """Say what goes on, once for each step."""
    if progress.run:
        print(f"  {progress.kind} {progress.tokens} {progress.run}/{progress.runs}", file=sys.stderr)


def bench(desk: Desk, request: Request) -> Report:
    """One benchmark. Raises SottoError where the variant does not work here."""
    source = synthetic.source(request.shape)
    print(f"{request.shape} {request.variant or 'as tuned'}", file=sys.stderr)
    return drive(Benchmark(desk, request, source, told, lambda: None).run())


def choices(given: argparse.Namespace) -> Iterator[str]:
    """What to pin, one benchmark each; nothing for what tuning finds."""
    yield given.variant
    if given.every_variant:
        device = NativeDevice(given.adapter or None)
        for job in Job:
            yield from map(str, candidates.candidates(job, device))
        device.close()


def output_of(*command: str) -> str:
    """What a command prints. Raises SottoError with the end of what it complains of."""
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=PEER_LIMIT)
    except FileNotFoundError as error:
        raise SottoError(f"there is no {command[0]}") from error
    except subprocess.TimeoutExpired as error:
        raise SottoError(f"not done after {PEER_LIMIT} s") from error
    except subprocess.CalledProcessError as error:
        raise SottoError(error.stderr.strip()[-600:]) from error
    return done.stdout


def llama(given: argparse.Namespace, model: Path) -> dict[str, Any]:
    """llama.cpp's report, as llama.mjs prints it."""
    script = given.llama / "llama.mjs"
    if not script.exists():
        raise SottoError(f"{script} is not there")
    lengths = ",".join(map(str, given.prefill))
    options = ("--gpu", given.llama_gpu, "--threads", str(os.cpu_count()), "--rounds", str(given.runs))
    prompts = ("--prefill", lengths, "--decode", str(given.decode), "--after", str(given.after))
    printed = output_of("node", str(script), str(model), str(GOLDEN), *options, *prompts)
    return dict(json.loads(printed.strip().splitlines()[-1]))


def onnx(given: argparse.Namespace, model: Path, folder: Path) -> dict[str, Any]:
    """Medians of ONNX Runtime and of Sotto beside it, by prompt length."""
    if importlib.util.find_spec("onnxruntime") is None:
        raise SottoError("onnxruntime-webgpu is not installed")
    found: dict[str, Any] = {"prefill": {}, "decode": {}, "sotto": {"prefill": {}, "decode": {}}}
    for length in given.prefill:
        file = given.json.with_suffix(".onnx.json")
        options = ("--prompt", str(length), "--tokens", str(given.decode), "--rounds", str(given.runs))
        native = (sys.executable, str(HERE / "peers" / "native.py"), "--onnx", str(folder))
        output_of(*native, "--model", str(model), *options, "--json", str(file))
        for name, runs in json.loads(file.read_text("utf-8")).items():
            into = found["sotto"] if name == "sotto" else found
            for kind in ("prefill", "decode"):
                into[kind][str(length)] = statistics.median(run[kind] for run in runs)
        file.unlink()
    return found


def peers(given: argparse.Namespace, shape: str) -> dict[str, Any]:
    """What the peers reach with the same sizes; for one that does not run, why."""
    model = given.json.with_name(f"synthetic-{shape}.gguf")
    folders = dict(text.split("=", 1) for text in given.onnx)
    found: dict[str, Any] = {}
    if (given.llama or shape in folders) and not model.exists():
        synthetic_gguf.write(shape, model)
    try:
        if given.llama:
            found["llama.cpp"] = llama(given, model)
    except SottoError as error:
        found["llama.cpp"] = {"skipped": error.message}
    try:
        if shape in folders:
            found["onnxruntime-webgpu"] = onnx(given, model, Path(folders[shape]))
    except SottoError as error:
        found["onnxruntime-webgpu"] = {"skipped": error.message}
    return found


def peers_text(report: Report, found: dict[str, Any]) -> str:
    """The peers beside Sotto."""
    rates = {str(p.tokens): p.rate.median for p in report.prefill if p.rate}
    decode = report.decode.rate.median if report.decode and report.decode.rate else None
    rows = []
    for name, peer in found.items():
        if "skipped" in peer:
            rows.append((name, "skipped: " + " ".join(peer["skipped"].split()), "", "", ""))
            continue
        where = peer.get("device", "")
        for length, rate in peer["prefill"].items():
            ours = peer.get("sotto", {}).get("prefill", {}).get(length) or rates.get(length)
            rows.append(
                (name, where, f"prefill {length}", f"{rate:,.1f}", f"{ours / rate:.2f}" if ours else "")
            )
        several = peer["decode"] if isinstance(peer["decode"], dict) else {str(peer["after"]): peer["decode"]}
        for after, rate in several.items():
            ours = peer.get("sotto", {}).get("decode", {}).get(after) or decode
            rows.append(
                (name, where, f"decode after {after}", f"{rate:,.2f}", f"{ours / rate:.2f}" if ours else "")
            )
    return "\n".join(gpu_tables.table(("peer", "device", "", "tok/s", "Sotto / peer"), rows))


def main() -> None:
    """Run everything, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shapes", nargs="+", default=["270m", "1b"], choices=synthetic.SHAPES)
    parser.add_argument("--adapter", default="")
    parser.add_argument("--variant", default="", help="kernel variants to pin, job:name with commas")
    parser.add_argument("--every-variant", action="store_true")
    parser.add_argument("--prefill", type=int, nargs="+", default=[32, 128, 512, 1024])
    parser.add_argument("--decode", type=int, default=256)
    parser.add_argument("--after", type=int, default=1, help="tokens before those that are decoded")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--budget", type=int, default=300, help="seconds for each benchmark")
    parser.add_argument("--llama", type=Path)
    parser.add_argument("--llama-gpu", default="vulkan", choices=("vulkan", "cuda", "false"))
    parser.add_argument("--onnx", nargs="*", default=[], metavar="SHAPE=FOLDER")
    parser.add_argument("--json", type=Path, default=Path("gpu.json"))
    given = parser.parse_args()
    request = Request(
        device="gpu", adapter=given.adapter, prefill=tuple(given.prefill), decode=given.decode,
        after=given.after, runs=given.runs, budget=given.budget, loads=False, profile=True,
    )  # fmt: skip
    kept: dict[str, Any] = {"reports": [], "failed": {}, "targets": [], "peers": {}}

    def keep() -> None:
        given.json.write_text(json.dumps(kept, indent=1), "utf-8")

    if given.adapter:
        os.environ["SOTTO_ADAPTER"] = given.adapter  # for Sotto beside ONNX Runtime
    pins = list(choices(given))
    for shape in given.shapes:
        tuned = None
        with OneCache() as desk:
            for variant in pins:
                try:
                    report = bench(desk, replace(request, shape=shape, variant=variant).checked())
                except SottoError as error:
                    kept["failed"][f"{shape} {variant}"] = error.message
                    print(f"### {shape}, {variant}: {error.message}\n", flush=True)
                else:
                    tuned = tuned or report
                    kept["reports"].append(asdict(report))
                    found = [asdict(t) | {"verdict": t.verdict} for t in gpu_tables.targets(report)]
                    kept["targets"].append({"shape": shape, "variants": report.variants, "targets": found})
                    print(gpu_tables.text(report), flush=True)
                keep()
        if (others := peers(given, shape)) and tuned:
            kept["peers"][shape] = others
            print(peers_text(tuned, others), flush=True)
            keep()


if __name__ == "__main__":
    main()
