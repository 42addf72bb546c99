"""Compile the C of kernels/cpu/ and kernels/loading/ to the WebAssembly modules beside it, with the pinned compiler.

    pip install ziglang==0.17.1
    python tools/build_cpu.py [folder]

The same sources and compiler give the same bytes; tests/cpu/test_cpu_build.py compares them with the committed
files.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

KERNELS = Path(__file__).resolve().parent.parent / "kernels"
COMMON = (
    "-target wasm32-freestanding -std=c11 -O3 -s -nostdlib -ffp-contract=off -fno-strict-aliasing "
    "-Wall -Wextra -Wno-unused-function -Werror -Wl,--no-entry"
)
PROGRAM = (
    "-Wl,--shared-memory -Wl,--import-memory -Wl,--max-memory=4294901760 "
    "-Wl,--initial-memory=262144 -Wl,-z,stack-size=65536 "
    "-Wl,--export=__stack_pointer -Wl,--export=__heap_base"
)
LIBRARY = "-shared -fPIC"
SIMD = "generic+simd128+bulk_memory"
BUILDS = {  # module below kernels/: how it is linked, and the instructions it may use
    "cpu/sotto-relaxed.wasm": (PROGRAM, f"{SIMD}+atomics+relaxed_simd"),
    "cpu/sotto-simd.wasm": (PROGRAM, f"{SIMD}+atomics"),
    "loading/loading.wasm": (LIBRARY, SIMD),
}


def build(folder: Path, modules: Iterable[str] = BUILDS, kernels: Path = KERNELS) -> list[Path]:
    """Write modules into `folder`; the sources are named relatively, so that no path gets into them.

    Args:
        modules: of BUILDS, by name.
        kernels: the folder that has the sources.

    Raises:
        CalledProcessError: the compiler refuses; it has said why.
    """
    made = []
    for name in modules:
        linked, features = BUILDS[name]
        out = folder.resolve() / name
        out.parent.mkdir(parents=True, exist_ok=True)
        sources = sorted(path.name for path in (kernels / name).parent.glob("*.c"))
        flags = shlex.split(f"{COMMON} {linked} -mcpu={features}")
        command = [sys.executable, "-m", "ziglang", "cc", *flags, "-o", str(out), *sources]
        subprocess.run(command, check=True, cwd=(kernels / name).parent)
        made.append(out)
    return made


def main() -> None:
    """Build the modules and say how large they are."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", default=KERNELS, help="where to (%(default)s)")
    for path in build(parser.parse_args().folder):
        print(f"{path.stat().st_size:,} bytes  {path.parent.name}/{path.name}")


if __name__ == "__main__":
    main()
