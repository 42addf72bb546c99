"""A report as a benchmark makes it, with every part filled in."""

from __future__ import annotations

from sotto import __version__
from sotto.bench.agreement import Agreement
from sotto.bench.notes import note
from sotto.bench.probes import Bandwidth, Probes
from sotto.bench.protocol import Decode, KernelTime, Point, Prefill, Spread
from sotto.bench.report import FORMAT, Load, Loads, Machine, Report
from sotto.bench.request import Request
from sotto.device import AdapterInfo


def _points(rates: list[float], marks: tuple[str, ...] = ()) -> tuple[Point, ...]:
    return tuple(
        Point(10.0 + i, rate, i > 0, marks if i == len(rates) - 1 else ()) for i, rate in enumerate(rates)
    )


def report(scale: float = 1.0, date: str = "2026-11-21T12:00:00+00:00") -> Report:
    """A measured CPU; `scale` makes it faster, `date` later."""
    prefill = tuple(
        Prefill(
            tokens,
            Spread(rate * scale, rate * scale * 0.9, rate * scale * 1.1, 2),
            rate * scale * 0.8,
            Spread(tokens / rate / scale, tokens / rate / scale * 0.9, tokens / rate / scale * 1.1, 2),
            tokens / rate / scale * 1.3,
            1e9 * tokens,
            0.1,
            0.25,
            _points([rate * scale * 0.8, rate * scale * 0.9, rate * scale * 1.1]),
        )
        for tokens, rate in ((32, 98.0), (128, 124.0))
    )
    left_out = Prefill(4096, notes=(note("out.context", tokens=4096, context=2048),))
    decode = Decode(
        256, 1, Spread(15.7 * scale, 14.0 * scale, 16.2 * scale, 2), 13.1 * scale,
        Spread(0.064, 0.06, 0.07, 2), 280_000_000, 0.03, 0.47, "batches",
        _points([13.1 * scale, 16.2 * scale, 14.0 * scale], ("hidden",)),
        (note("runs", done=2, wanted=5, budget=600),),
    )  # fmt: skip
    return Report(
        format=FORMAT,
        sotto=__version__,
        date=date,
        machine=Machine("Linux", "", "3.14.0", "Chromium 148"),
        adapter=AdapterInfo("CPU", "", "WebAssembly, relaxed SIMD", "wasm", "browser", False, (), wgsl=False),
        threads=2,
        request=Request(device="cpu"),
        model="gemma-3-270m-q4_k_m.gguf",
        variants={"decode": "simple", "matmul": "simple", "attention": "simple"},
        load=Loads(
            Load(12.1, {"header": 0.5, "weights": 9.5, "tokenizer": 1.6, "pipelines": 0.5}),
            Load(2.0, {"header": 0.2, "weights": 0.9, "tokenizer": 0.5, "pipelines": 0.4}),
        ),
        prefill=(*prefill, left_out),
        decode=decode,
        dispatches_per_token=203,
        read_back_bytes_per_token=512,
        memory_bytes=325_000_000,
        memory_bytes_by_kind={"weights": 280_000_000, "cache": 30_000_000, "scratch": 15_000_000},
        probes=Probes(Bandwidth(9.1e9, 1 << 28), None, None, 8.6e10, 4e-6, 1.1e-4),
        kernels={
            "decode": (KernelTime("matvec:format=q8", 72, 0.04, 0.8), KernelTime("embed", 1, 0.01, 0.2))
        },
        agreement=Agreement(128, 126, 126 / 128, 0.0123, 0.04, "CPU"),
        marks=("hidden",),
        notes=(note("cached.budget"),),
        seconds=95.0,
    )
