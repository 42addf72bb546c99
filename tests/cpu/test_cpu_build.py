"""The committed WebAssembly files are what the sources make with the pinned compiler, byte for byte."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sotto.paths import kernels_folder

ROOT = Path(__file__).resolve().parents[2]


def test_the_committed_modules_are_the_sources(tmp_path: Path) -> None:
    subprocess.run([sys.executable, ROOT / "tools" / "build_cpu.py", tmp_path], check=True, timeout=600)
    for name in ("cpu/sotto-relaxed.wasm", "cpu/sotto-simd.wasm", "loading/loading.wasm"):
        built, committed = (tmp_path / name).read_bytes(), (kernels_folder() / name).read_bytes()
        assert built == committed, f"{name} is not what the C beside it gives: run tools/build_cpu.py"
