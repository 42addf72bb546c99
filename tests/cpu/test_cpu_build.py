"""The committed WebAssembly files are what the sources make with the pinned compiler, byte for byte; and a kernel that
is added to the sources gets its own opcode, or does not compile."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from kernels.harness import F32, compare, given
from sotto import ops
from sotto.api import drive
from sotto.devices import cpu
from sotto.devices.reference.device import NumpyDevice
from sotto.native import wasm
from sotto.paths import kernels_folder
from sotto.plan.plan import Plan

ROOT = Path(__file__).resolve().parents[2]
MODULE = "cpu/sotto-relaxed.wasm"


def test_the_committed_modules_are_the_sources(tmp_path: Path) -> None:
    subprocess.run([sys.executable, ROOT / "tools" / "build_cpu.py", tmp_path], check=True, timeout=600)
    for name in ("cpu/sotto-relaxed.wasm", "cpu/sotto-simd.wasm", "loading/loading.wasm"):
        built, committed = (tmp_path / name).read_bytes(), (kernels_folder() / name).read_bytes()
        assert built == committed, f"{name} is not what the C beside it gives: run tools/build_cpu.py"


@pytest.fixture(scope="module")
def build_cpu() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_cpu", ROOT / "tools" / "build_cpu.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the C that can be changed, which the devices opened here take in place of the committed one."""
    shutil.copytree(kernels_folder() / "cpu", tmp_path / "cpu")
    (tmp_path / MODULE).unlink()
    monkeypatch.setattr(cpu, "kernels_folder", lambda: tmp_path)
    monkeypatch.setattr(wasm, "kernels_folder", lambda: tmp_path)
    cpu.signatures.cache_clear()
    yield tmp_path
    cpu.signatures.cache_clear()


def insert(path: Path, before: str, text: str) -> None:
    old = path.read_text("utf-8")
    assert old.count(before) == 1
    path.write_text(old.replace(before, text + before), "utf-8")


HALVE = """
#include "kernels.h"
void halve(const struct halve *s, const struct run *run) {
    FOR_CLAIMED(r, run, s->N, 4) {
        for (u32 i = r.begin; i < r.end; i++) s->y[i] = s->x[i] / 2;
    }
}
"""


def test_a_kernel_in_the_middle_moves_no_other(sources: Path, build_cpu: ModuleType) -> None:
    """Its struct and its name, in places that do not belong together: every record reaches its own kernel."""
    before = cpu.signatures().records
    insert(
        sources / "cpu" / "steps.h", "struct norm_add {", "struct halve { const f32 *x; f32 *y; u32 N; };\n"
    )
    insert(sources / "cpu" / "steps.h", "PLAIN(geglu)", "PLAIN(halve) ")
    (sources / "cpu" / "halve.c").write_text(HALVE, "utf-8")
    build_cpu.build(sources, [MODULE], sources)
    cpu.signatures.cache_clear()
    now = cpu.signatures().records
    assert now["halve"].opcode == before["geglu"].opcode == now["geglu"].opcode - 1
    assert {name: layout.fields for name, layout in now.items() if name != "halve"} == {
        name: layout.fields for name, layout in before.items()
    }
    rng = np.random.default_rng(2)
    p = Plan("test", 3)
    x, y = given("x", (3, 64)), given("y", (3, 64))
    ops.norm_add(p, "sum", x, y, given("weight", (64,)), eps=1e-6)
    ops.geglu(p, x)
    ops.last_row(p, x)
    ops.slice_maxima(p, given("logits", (1, 300)))
    arrays = {
        "x": rng.standard_normal((3, 64)).astype(np.float32),
        "y": rng.standard_normal((3, 64)).astype(np.float32),
        "weight": rng.standard_normal(64).astype(np.float32),
        "logits": rng.standard_normal(300).astype(np.float32),
    }
    dtypes = dict.fromkeys(("x", "geglu", "last row", "slice maxima"), "f4")
    device, reference = drive(wasm.open_cpu(2)), NumpyDevice()
    compare(device, reference, p, arrays, p.inputs(0, [0] * 3), dtypes=dtypes, tolerance=F32)
    device.close()
    reference.close()


@pytest.mark.parametrize(
    ("struct", "function"),
    [
        ("", HALVE),  # a name without a record
        (
            f"struct halve {{ const f32 *x; f32 *y; u32 N; u32 more[{(64 - 8) // 4 - 2}]; }};\n",
            HALVE,
        ),  # too long
        (
            "struct halve { const f32 *x; f32 *y; u32 N; };\n",
            '#include "kernels.h"\n',
        ),  # a record without a kernel
    ],
)
def test_half_a_kernel_does_not_compile(
    sources: Path, build_cpu: ModuleType, struct: str, function: str
) -> None:
    insert(sources / "cpu" / "steps.h", "struct norm_add {", struct)
    insert(sources / "cpu" / "steps.h", "PLAIN(geglu)", "PLAIN(halve) ")
    (sources / "cpu" / "halve.c").write_text(function, "utf-8")
    with pytest.raises(subprocess.CalledProcessError):
        build_cpu.build(sources, [MODULE], sources)


def test_every_record_has_a_kernel() -> None:
    """steps.h has no struct that KERNELS does not list."""
    structs = cpu._STRUCT.findall((kernels_folder() / "cpu" / "steps.h").read_text("utf-8"))
    assert {name for name, _ in structs} == set(cpu.signatures().records)
    assert "#define STEP_BYTES 64\n" in (kernels_folder() / "cpu" / "steps.h").read_text("utf-8")
    assert cpu.RECORD_BYTES == 64
