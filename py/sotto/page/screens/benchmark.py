"""The benchmark's story: choose, measure, show, keep, compare."""

from __future__ import annotations

import asyncio
import traceback
from dataclasses import replace

from ...bench.benchmark import SCRATCH, Benchmark
from ...bench.control import BenchProgress
from ...bench.published import published
from ...bench.report import Report
from ...bench.request import PRESETS, Request, preset_of
from ...browser import gpu
from ...browser.store import WebStore
from ...errors import Cancelled, SottoError
from ...models import synthetic
from ...source import Folder, Source
from .. import web
from ..benchmark.baselines import Baselines
from ..benchmark.figures import Figures
from ..benchmark.host import BrowserHost
from ..benchmark.view import BenchmarkView
from ..options import choose
from ..parts import Parts
from ..reasons import reason
from ..sources import open_source
from ..throttle import Throttle

SHAPE = "shape:"  # begins the value of a synthetic model among the choices
LARGEST_FILE = 4_000_000  # bytes of a saved run
OFFERED = ("270m", "1b", "4b")  # shapes; others are there for who asks for them in the address


class BenchmarkScreen:
    """The screen "benchmark"."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._browser = parts.browser
        self._storage = storage = parts.browser.storage
        self._shown = BenchmarkView(parts)
        self._host = BrowserHost(parts.browser, web.bridge, web.cpu, web.store)
        self._baselines = Baselines(
            lambda: storage.remembered("benchmarks"), lambda text: storage.remember("benchmarks", text)
        )
        self._compared = {report.date for report in self._baselines.all()[:1]}
        self._published = published()
        self._running: Benchmark | None = None
        self._busy = False
        self._report: Report | None = None
        self._asked: str | None = None
        self._do = parts.do
        self._drawing: asyncio.Task[None] | None = None
        self._shown.on("bench-form", "submit", lambda: parts.do(self.run()))
        self._shown.on("bench-stop", "click", self._stop)
        self._shown.on("bench-preset", "change", self._preset)
        for name in ("prefill", "decode", "after", "context", "runs", "warmup", "budget"):
            self._shown.on(f"bench-{name}", "change", self._edited)
        self._shown.on("bench-keep", "click", self._keep)
        self._shown.on("bench-open", "click", lambda: parts.elements.at("bench-file").click())
        self._shown.on("bench-file", "change", lambda: parts.do(self._open_file()))
        self._shown.on_kept(self._with_kept)

    async def open(self, asked: str) -> None:
        """Offer what there is, and fill in what the address asks for, when that is something new."""
        self._parts.holder.rest()
        if asked == self._asked:
            return
        self._asked = asked
        words = self._shown.words
        fault: SottoError | None = None
        try:
            request = Request.from_query(asked)
        except SottoError as error:
            request, fault = Request(), error
        shapes = [*OFFERED, *([request.shape] if request.shape not in ("", *OFFERED) else [])]
        models = [(model["name"], model["name"]) for model in self._parts.models["models"]]
        models += [
            (f"{SHAPE}{name}", words("bench.model.shape", name=name.upper() if name[0].isdigit() else name))
            for name in shapes if name in synthetic.SHAPES
        ]  # fmt: skip
        devices = [("auto", words("device.auto"))]
        for way, name in (await gpu.adapters(web.bridge)).items():
            devices.append((f"gpu:{way}", words(f"bench.device.{way or 'gpu'}", name=name)))
        devices.append(("cpu", words("bench.device.cpu", count=self._browser.cores())))
        self._shown.choices(models, devices)
        model = f"{SHAPE}{request.shape}" if request.shape else request.model or self._parts.models["default"]
        device = f"gpu:{request.adapter}" if request.device == "gpu" or request.adapter else request.device
        self._shown.fill(model, device, preset_of(request), request)
        self._shown.list_kept(self._baselines.all(), self._compared)
        if fault:
            self._shown.failed(*reason(words, fault))
        if not self._busy:
            self._shown.ready()
        await self._forget_scratch()
        if self._report is None and self._running is None:
            await self._shown.before(self._published)

    # --- measuring

    async def run(self) -> None:
        """Measure what the form says."""
        if self._busy:
            return
        self._busy = True
        shown = self._shown
        try:
            shown.running()
            request = self._request()
            async with self._parts.holder.lent():
                await self._measure(request)
        except Cancelled:
            pass
        except SottoError as error:
            shown.failed(*reason(shown.words, error))
        except Exception as error:
            shown.failed(shown.words("error.unknown.text"), "".join(traceback.format_exception(error)))
        finally:
            self._running = None
            self._busy = False
            shown.ready()

    async def _measure(self, request: Request) -> None:
        source = self._source(request)
        self._storage.remember("benchmark.scratch", SCRATCH + source.key)
        throttle = Throttle()

        def told(progress: BenchProgress) -> None:
            if throttle.due(progress.kind):
                self._shown.progress(progress)

        self._running = Benchmark(self._host, request, source, told, self._changed)
        try:
            report = await self._running.run()
        finally:
            source.close()
            self._storage.remember("benchmark.scratch", "")
        await self._show(report)

    def _source(self, request: Request) -> Source | Folder:
        if request.shape:
            return synthetic.source(request.shape)
        return open_source(web.ranges, self._browser, choose(self._parts.models, request.model))

    def _request(self) -> Request:
        """What the form says. Raises SottoError."""
        model, device, _ = self._shown.chosen()
        kind, _, adapter = device.partition(":")
        request = Request.from_texts(self._shown.texts())
        shape = model.removeprefix(SHAPE) if model.startswith(SHAPE) else ""
        return replace(request, model="" if shape else model, shape=shape, device=kind, adapter=adapter)

    async def _forget_scratch(self) -> None:
        """Drop what a benchmark left in the cache when its tab was closed."""
        key = self._storage.remembered("benchmark.scratch")
        if key and not self._busy and (cached := await WebStore.open(web.store)):
            await cached.drop(key)
            self._storage.remember("benchmark.scratch", "")

    def _stop(self) -> None:
        if self._running is not None:
            self._shown.stopping()
            self._running.cancel()

    def _changed(self) -> None:
        """Show what is there so far, unless the last drawing is still going on."""
        if self._running is not None and (self._drawing is None or self._drawing.done()):
            report = self._running.report()
            self._drawing = asyncio.ensure_future(self._draw(report, ended=False))

    # --- results

    async def _show(self, report: Report) -> None:
        if self._drawing is not None:
            await self._drawing
        self._report = report
        await self._draw(report, ended=True)

    async def _draw(self, report: Report, ended: bool) -> None:
        kept = [r for r in self._baselines.all() if r.date in self._compared and r.date != report.date]
        figures = Figures(self._shown.words, report, kept, self._published)
        await self._shown.results(report, figures, self._baselines.find(report.date) is not None, ended)

    async def _open_file(self) -> None:
        """Keep a run that was saved, here or on another computer, and hold it beside this one."""
        text = await web.given.text("bench-file", LARGEST_FILE)
        try:
            report = Report.from_json(text or "")
        except SottoError as error:
            self._shown.failed(self._shown.words("bench.open.wrong"), str(error), "bench.open.failed")
            return
        if self._kept(report):
            self._compared.add(report.date)
            self._shown.list_kept(self._baselines.all(), self._compared)
            if not self._busy:
                await self._show(self._report or report)

    def _kept(self, report: Report) -> bool:
        """Keep a report; whether there was room, which is told otherwise."""
        kept = self._baselines.keep(report)
        if not kept:
            self._shown.failed(self._shown.words("bench.full"), "", "bench.full.title")
        return kept

    def _keep(self) -> None:
        if self._report is None or not self._kept(self._report):
            return
        self._compared = {self._report.date}  # what comes next is held beside it
        self._shown.kept(True)
        self._shown.list_kept(self._baselines.all(), self._compared)

    def _with_kept(self, do: str, date: str) -> None:
        """Compare with a kept run or no longer, show it, or delete it."""
        report = self._baselines.find(date)
        if report is None:
            return
        if do == "show":
            if not self._busy:
                self._do(self._show(report))
            return
        if do == "drop":
            self._baselines.drop(date)
            self._compared.discard(date)
            self._shown.list_kept(self._baselines.all(), self._compared)
        else:
            self._compared ^= {date}
        if self._report is not None and not self._busy:
            self._do(self._show(self._report))

    # --- the form

    def _preset(self) -> None:
        _, _, preset = self._shown.chosen()
        if preset:
            self._shown.lengths(preset, PRESETS[preset])

    def _edited(self) -> None:
        """Lengths that are no preset's are a person's own."""
        try:
            self._shown.lengths(preset_of(request := self._request()), request)
        except SottoError:
            return  # said when the benchmark is to begin


def make(parts: Parts) -> BenchmarkScreen:
    """The screen."""
    return BenchmarkScreen(parts)
