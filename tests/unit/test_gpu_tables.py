"""docs/benchmarks/gpu.py: which targets a report reaches, its tables, and the model it writes for the peers."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import sample
from sotto import formats
from sotto.api import drive
from sotto.bench.probes import Bandwidth, Probes
from sotto.bench.protocol import KernelTime
from sotto.bench.report import Report
from sotto.bench.request import Request
from sotto.models import synthetic
from sotto.source import FileSource

FOLDER = Path(__file__).parents[2] / "docs" / "benchmarks"


@pytest.fixture(autouse=True)
def beside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scripts import what lies beside them."""
    monkeypatch.setattr(sys, "path", [str(FOLDER), str(FOLDER / "peers"), *sys.path])


@pytest.fixture
def report() -> Report:
    """A 1B on a device that reads 100 GB/s and takes 2 us a dispatch."""
    decode = (
        KernelTime("gate up (decode_gate_up, q4)", 26, 2.6e-3, 0.6, 208_000_000, 0, 7.2e8, 0.8, 0.02),
        KernelTime("qkv (decode_qkv, q4)", 26, 5.2e-4, 0.3, 26_000_000, 0, 9e7, 0.5, 0.02),
        KernelTime("attention (decode_attention)", 26, 2e-4, 0.05, 0, 1_000_000, 5e7, 0.05, 0.01),
        KernelTime("sample (sample)", 1, 1e-4, 0.04),
        KernelTime("embed (embed, q4)", 1, 1e-6, 0.001, 648, 0, 0.0, 0.001, None),
    )
    made = sample.report()
    long = replace(made.prefill[0], tokens=1024, share_of_limit=0.5)
    return replace(
        made,
        request=Request(device="gpu", shape="1b"),
        prefill=(*made.prefill, long),
        decode=made.decode and replace(made.decode, share_of_limit=0.59),
        probes=Probes(Bandwidth(1e11, 1 << 30), 1e13, None, None, 2e-6, 1e-4),
        kernels={"decode": decode},
    )


def test_targets(report: Report) -> None:
    tables = importlib.import_module("gpu_tables")
    assert [(t.what, t.bound, t.reached, t.verdict) for t in tables.targets(report)] == [
        ("decode: gate up (decode_gate_up, q4), of the bandwidth", 0.7, 0.8, "reached"),
        ("decode: qkv (decode_qkv, q4), of the bandwidth", 0.7, 0.5, "missed"),
        ("prefill(1024), of the multiply-adds", 0.5, 0.5, "reached"),
        ("decode, of bytes / bandwidth + dispatches x empty dispatch", 0.6, 0.59, "missed"),
    ]


def test_what_was_not_measured_is_not_reached(report: Report) -> None:
    tables = importlib.import_module("gpu_tables")
    nothing = replace(report, prefill=report.prefill[:2], decode=None, kernels=None)
    assert [t.verdict for t in tables.targets(nothing)] == ["not measured"] * 3
    assert tables.targets(replace(report, request=Request(shape="270m"))) == []


def test_the_tables_say_everything(report: Report) -> None:
    tables = importlib.import_module("gpu_tables")
    text = tables.text(report)
    # 26 sweeps of 1 MB: 0.26 ms of reading and 52 us of dispatches in 0.52 ms
    qkv = "| qkv (decode_qkv, q4) | 26 | 20.0 | 30.0% | 50 | 50% | 60% | 173 | 2% |"
    assert qkv in text.splitlines()
    assert "| sample (sample) | 1 | 100.0 | 4.0% |  |  |  |  |  |" in text
    assert "| 1 others | 1 |  | 0.1% |  |  |  |  |  |" in text
    assert "reads 100.0 GB/s (1024 MiB a pass), f32 10.000 T/s, empty dispatch 2.00 us" in text
    assert "| prefill 1024 |" in text and "software" not in text and "Measure again" not in text
    busy = replace(report, prefill=(replace(report.prefill[0], share_of_limit=1.34),))
    assert "Measure again" in tables.text(busy)
    rows = [line.count("|") for line in text.splitlines() if line.startswith("|")]
    assert set(rows) == {5, 10}, "every row has its table's columns"


def test_the_file_for_the_peers(tmp_path: Path) -> None:
    script = importlib.import_module("synthetic_gguf")
    path = tmp_path / "tiny.gguf"
    script.write("tiny", path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    made, there = synthetic.source("tiny"), FileSource(path)
    assert there.size == made.size
    shapes = {name: info.shape for name, info in drive(formats.open(there)).tensors.items()}
    assert shapes == synthetic.tensors(synthetic.SHAPES["tiny"])
    assert drive(there.read(0, there.size)) == drive(made.read(0, made.size))
    there.close()
