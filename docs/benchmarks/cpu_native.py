"""The CPU device under plain Python: growth with threads and with model size, share of the memory's bandwidth.

    .venv/bin/python docs/benchmarks/cpu_native.py --threads 1 2 [--shapes 270m 1b] [--llama FOLDER] [--rounds 3]

Each line is one `sotto bench` of the default model or of a synthetic int4 model of that shape: prefill of 128, decode
of 32 after them. The share is of what the probes of the same run allow: reading each weight once at the measured rate.
With FOLDER, where peers/llama.mjs is installed with its package, native llama.cpp runs the default model in turn.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "py"))

from sotto.assets import default_model

PROTOCOL = (
    "--device",
    "cpu",
    "--prefill",
    "128",
    "--decode",
    "32",
    "--after",
    "128",
    "--runs",
    "3",
    "--json",
)
Row = dict[str, float]


def ran(*command: str) -> dict[str, Any]:
    """The JSON that a command prints."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "py")}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return dict(json.loads(done.stdout.strip().splitlines()[-1] if "{\n" not in done.stdout else done.stdout))


def sotto(threads: int, shape: str) -> Row:
    """One bench of the default model, or of a shape."""
    size = ("--shape", shape) if shape else ()
    report = ran(sys.executable, "-m", "sotto", "bench", *PROTOCOL, "--threads", str(threads), *size)
    decode = report["decode"]
    return {
        "prefill": report["prefill"][0]["rate"]["median"],
        "decode": decode["rate"]["median"],
        "share": decode["share_of_limit"],
        "weights read, GB/s": decode["rate"]["median"] * decode["weight_bytes_per_token"] / 1e9,
        "bandwidth, GB/s": report["probes"]["read"]["rate"] / 1e9,
    }


def llama(folder: Path, threads: int) -> Row:
    """One run of llama.mjs."""
    golden = ROOT / "tests" / "golden" / "gemma3-270m.json"
    options = ("--threads", str(threads), "--rounds", "3", "--prefill", "128")
    report = ran("node", str(folder / "llama.mjs"), str(default_model()), str(golden), *options)
    return {"prefill": float(report["prefill"]["128"]), "decode": float(report["decode"])}


def main() -> None:
    """Run the rounds and print a table of medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--shapes", nargs="*", default=["270m", "1b"])
    parser.add_argument("--llama", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    rows: dict[str, list[Row]] = {}
    for _ in range(given.rounds):
        for threads in given.threads:
            for shape in ("", *given.shapes):
                name = f"{f'shape {shape}' if shape else 'default model'}, {threads} threads"
                rows.setdefault(name, []).append(sotto(threads, shape))
                print(name, rows[name][-1], os.getloadavg(), file=sys.stderr, flush=True)
            if given.llama:
                name = f"llama.cpp, {threads} threads"
                rows.setdefault(name, []).append(llama(given.llama, threads))
                print(name, rows[name][-1], os.getloadavg(), file=sys.stderr, flush=True)
    columns = ("prefill", "decode", "share", "weights read, GB/s", "bandwidth, GB/s")
    print("| medians | " + " | ".join(columns) + " |\n|" + "---|" * (len(columns) + 1))
    for name, runs in rows.items():
        cells = [f"{statistics.median(run[c] for run in runs):.3g}" if c in runs[0] else "" for c in columns]
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
