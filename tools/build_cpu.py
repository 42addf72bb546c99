"""Compile kernels/cpu/*.c to the two WebAssembly modules beside them, with the pinned compiler.

    pip install ziglang==0.17.1
    python tools/build_cpu.py [folder]

The same sources and compiler give the same bytes; tests/cpu/test_cpu_build.py compares them with the committed
files.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "kernels" / "cpu"
FEATURES = "generic+simd128+bulk_memory+atomics"
BUILDS = {"sotto-relaxed.wasm": f"{FEATURES}+relaxed_simd", "sotto-simd.wasm": FEATURES}
FLAGS = shlex.split(
    "-target wasm32-freestanding -std=c11 -O3 -s -nostdlib -ffp-contract=off -fno-strict-aliasing "
    "-Wall -Wextra -Wno-unused-function -Werror "
    "-Wl,--no-entry -Wl,--shared-memory -Wl,--import-memory -Wl,--max-memory=4294901760 "
    "-Wl,--initial-memory=262144 -Wl,-z,stack-size=65536 "
    "-Wl,--export=__stack_pointer -Wl,--export=__heap_base"
)


def build(folder: Path) -> list[Path]:
    """Write both modules into `folder`; the sources are named relatively, so that no path gets into them."""
    sources = sorted(path.name for path in FOLDER.glob("*.c"))
    made = []
    for name, features in BUILDS.items():
        out = folder.resolve() / name
        command = [
            sys.executable,
            "-m",
            "ziglang",
            "cc",
            *FLAGS,
            f"-mcpu={features}",
            "-o",
            str(out),
            *sources,
        ]
        subprocess.run(command, check=True, cwd=FOLDER)
        made.append(out)
    return made


if __name__ == "__main__":
    for path in build(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER):
        print(f"{path.stat().st_size:,} bytes  {path.name}")
