"""The scripts of docs/benchmarks, tools and finetune start: a module or a name that has moved is seen here.

They run rarely, most of them for minutes and some only with packages that the tests do not install.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted(path for folder in ("docs", "tools", "finetune") for path in (ROOT / folder).rglob("*.py"))

# Runs argv[1] as `argv[2]`. What is not installed here (the browser's modules, other engines) is a module that has
# everything; the project's own modules and Python's are the real ones.
RUN = """
import importlib.machinery, runpy, sys
from unittest.mock import MagicMock

class Anything(MagicMock):
    __path__ = []

class Absent:
    NAMES = {"bridge", "ranges", "store", "cpu", "js", "pyodide", "onnx", "onnxruntime", "peft", "safetensors",
             "tokenizers", "torch", "tqdm", "transformers"}
    def find_spec(self, name, path=None, target=None):
        return importlib.machinery.ModuleSpec(name, self) if name.partition(".")[0] in self.NAMES else None
    def create_module(self, spec):
        return Anything(name=spec.name)
    def exec_module(self, module):
        pass

sys.meta_path.append(Absent())
script, name, *sys.argv[1:] = sys.argv[1:]
sys.argv[0] = script
sys.path.insert(0, script.rpartition("/")[0])
runpy.run_path(script, run_name=name)
"""


def run(script: Path, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", RUN, script.as_posix(), name, *arguments]
    # The package alone, as after `pip install`: what else a script imports it has to find by itself.
    environment = os.environ | {"PYTHONPATH": str(ROOT / "py")}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_there_are_scripts() -> None:
    assert len(SCRIPTS) >= 18


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_it_starts(script: Path) -> None:
    if 'if __name__ == "__main__":' in script.read_text("utf-8"):
        done = run(script, "__main__", "--help")
        assert done.stdout.startswith("usage: "), done.stdout + done.stderr
    else:
        done = run(script, "part")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
