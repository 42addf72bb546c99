"""Measure how long `sotto generate` takes from a warm cache to its first token: the whole process, and its stages.

    .venv/bin/python docs/benchmarks/start_native.py --device cpu --rounds 9 [--model PATH]

"to the first token" is from the start of a new process to the first byte that it prints. The stages are of other
processes, taken in turns with those, each of which does the same step by step. The first process of each kind is not
counted: it converts the model, compiles and writes what Python keeps of its modules. Medians, in milliseconds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROMPT = "The history of the printing press begins in"
# As `sotto.load` and then `sotto generate` do it. `began` is when the other process started this one.
STAGES = """
import gc, json, sys, time
gc.disable()  # as the command does
began, model, kind = float(sys.argv[1]), sys.argv[2], sys.argv[3]
stages, last = {}, began
def lap(name):
    global last
    now = time.time()
    stages[name], last = now - last, now
lap("Python")
import sotto.cli.generate
from sotto import api
lap("imports")
found = {}
def told(progress):
    global last
    if progress.stage not in found:
        lap("opening the processor" if not found else f"loading: until {progress.stage}")
        found[progress.stage] = True
ready = api.load(model, device=kind, progress=told)
lap("choosing the threads")
next(ready.generate(sys.argv[4], 8))
lap("reading the prompt, and the first token")
print(json.dumps(stages))
ready.close()
"""


def environment() -> dict[str, str]:
    """Python keeps compiled modules, as after an installation, whatever is set here."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPATH": str(ROOT / "py")}


def first_token(model: str, device: str) -> float:
    """Seconds until `sotto generate` prints."""
    command = [sys.executable, "-m", "sotto", "generate", "-m", model, "-d", device, "-n", "8", PROMPT]
    started = time.perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment()
    ) as process:
        assert process.stdout is not None
        if not process.stdout.read(1):
            raise SystemExit("sotto generate printed nothing")
        seconds = time.perf_counter() - started
        process.stdout.read()
    return seconds


def stages(model: str, device: str) -> dict[str, float]:
    """Seconds of each stage."""
    command = [sys.executable, "-c", STAGES, repr(time.time()), model, device, PROMPT]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment())
    return dict(json.loads(done.stdout))


def main() -> None:
    """Run the rounds and print JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("gpu", "cpu"), default="cpu")
    parser.add_argument("--model", default="gemma-3-270m")
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args()
    whole: list[float] = []
    parts: list[dict[str, float]] = []
    for _ in range(given.rounds + 1):
        whole.append(first_token(given.model, given.device))
        parts.append(stages(given.model, given.device))

    def milliseconds(values: list[float]) -> int:
        return round(1000 * statistics.median(values[1:]))

    result = {
        "to the first token": milliseconds(whole),
        "best": round(1000 * min(whole)),
        "stages": {name: milliseconds([part[name] for part in parts]) for name in parts[-1]},
        "load average": os.getloadavg(),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
