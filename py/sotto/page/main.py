"""The page's story: load the model, write posts, tell what went wrong."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Coroutine
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pyscript.js_modules import bridge, cpu, ranges, store

from ..browser.ranges import WebSource
from ..browser.store import WebStore
from ..device import Device
from ..devices.cpu import best_threads
from ..engine.engine import Engine
from ..errors import ContextFull, DeviceError, SottoError
from ..reports import LoadProgress, Settings
from ..tasks import fit, post
from ..text.prompt import Prompt
from ..text.sampler import Sampling
from . import faults, processor, statistics
from .options import DEVICES, Model, Options, choose
from .processor import Opened
from .progress import Loading
from .screen import Screen
from .screens.benchmark import BenchmarkPage
from .words import Words

HERE = Path(__file__).parent
PAINT = 0.1  # seconds between two paintings of the progress
MEASURED = 8  # new tokens from which on a post says how fast the processor is


class Page:
    """One text, one model, one post at a time.

    Args:
        runtime: seconds from opening the page to here.
    """

    def __init__(self, screen: Screen, runtime: float) -> None:
        self._screen = screen
        self._runtime = runtime
        self._options = Options()
        self._context = 0  # taken in the details; 0 for the address's
        self._engine: Engine | None = None
        self._choice: Opened | None = None
        self._model: Model | None = None
        self._busy = False
        self._lent = False  # a benchmark has the processor
        self._tasks: set[asyncio.Task[None]] = set()
        screen.on("write", "click", lambda: self.do(self.write()))
        screen.on("stop", "click", self._stop)
        screen.on("source", "input", self._edited)
        screen.on("device", "change", lambda: self.do(self._switch()))
        screen.on("threads", "change", self._set_threads)
        screen.on("context", "change", self._weigh_context)
        screen.on("context-load", "click", lambda: self.do(self._take_context()))

    # --- loading

    async def load(self, chosen: bool = False) -> None:
        """Load the model the address asks for; then write, if that was asked for meanwhile.

        Args:
            chosen: a processor or a context was chosen in the details: that goes before the address's.
        """
        self._busy = True
        self._close()
        try:
            self._options = self._asked(Options.from_query(self._screen.query()), chosen)
            model = choose(
                json.loads((HERE / "models.json").read_text(encoding="utf-8")), self._options.model
            )
            self._screen.loading(model["name"], self._options)
            self._model = model
            await self._open(model)
        except Exception as error:
            self._could_not_load(faults.while_loading(error, self._choice is not None))
            self._close()
            return
        finally:
            self._busy = False
        self._screen.ready()
        if self._screen.queued():
            await self.write()

    async def _open(self, model: Model) -> None:
        options, screen = self._options, self._screen
        rates = {
            kind: float(rate)
            for kind in ("gpu", "cpu")
            if (rate := screen.remembered(self._rate(kind, model)))
        }
        self._choice = await processor.choose(options.device, bridge, cpu, rates)
        try:
            await self._load(model)
        except DeviceError as error:
            if options.device != "auto" or self._choice.kind == "cpu":
                raise
            self._close()
            self._choice = await processor.instead(cpu, error)
            await self._load(model)

    async def _load(self, model: Model) -> None:
        assert self._choice is not None
        device = self._choice.device
        url = self._screen.address(model["url"])
        key = model["sha256"] or f"{url}:{model['size']}:{model['etag']}"
        loading = Loading(self._runtime, time.monotonic)
        self._engine = await Engine.load(
            WebSource(ranges, url, model["name"], model["size"], key),
            device,
            store=await WebStore.open(store),
            settings=Settings(context=self._options.context, variant=self._options.variant),
            progress=self._painter(loading),
        )
        if device.traits.most_threads:
            device.threads = await self._threads(device, self._engine)
        stats = self._engine.load_stats
        loading.report("ready", 1, 1, stats.cached)
        self._screen.progress(loading)
        self._screen.record("facts", {"cached": stats.cached, "runtime": self._runtime, **stats.seconds})
        self._screen.facts(
            model["url"].rpartition("/")[2], stats, self._engine.context, device.adapter, self._choice
        )

    def _asked(self, options: Options, chosen: bool) -> Options:
        """The options with a processor: the address's, else the one chosen last. It is remembered."""
        if chosen:
            options = replace(options, device="", context=self._context or options.context)
        remembered = self._screen.remembered("device")
        device = options.device or (remembered if remembered in DEVICES else "auto")
        self._screen.remember("device", device)
        return replace(options, device=device)

    async def _threads(self, device: Device, engine: Engine) -> int:
        """Threads to use: the address's, else those measured here before, else measured now."""
        kept = self._screen.remembered("threads")
        threads = self._options.threads or (int(kept) if kept.isdecimal() else 0)
        if not threads:
            threads = await best_threads(device, engine.time_token)
            self._screen.remember("threads", str(threads))
        return min(max(threads, 1), device.traits.most_threads)

    @staticmethod
    def _rate(kind: str, model: Model) -> str:
        return f"rate.{kind}.{model['name']}"

    async def _switch(self) -> None:
        """Load on the processor that was chosen in the details; the text stays as it is."""
        self._screen.remember("device", self._screen.device())
        if self._lent:
            return
        await self._rest()
        await self.load(chosen=True)

    async def _rest(self) -> None:
        """End what is being written; a load comes to its end by itself."""
        self._stop()
        while self._busy:
            await asyncio.sleep(0.05)

    async def give_way(self) -> None:
        """Let go of model and processor, for a benchmark."""
        self._lent = True
        await self._rest()
        self._close()
        self._screen.resting()

    def take_over(self) -> None:
        """The benchmark is over."""
        self._lent = False
        self.wanted()

    def wanted(self) -> None:
        """Load when a post can be asked for and there is neither a model nor a fault that has to be answered."""
        idle = self._engine is None and not self._busy and not self._lent
        if idle and self._screen.shown()[0] == "post" and not self._screen.told():
            self.do(self.load())

    def _weigh_context(self) -> None:
        """Tell what memory the context in the field would take, before it is taken."""
        wanted, engine = self._screen.context(), self._engine
        if engine is None or not wanted.isdecimal() or int(wanted) == engine.context:
            self._screen.offer_context(0)
            return
        try:
            self._screen.offer_context(sum(engine.needed(int(wanted)).values()))
        except SottoError as error:
            self._screen.offer_context(0, f"{error.message} {error.hint}")

    async def _take_context(self) -> None:
        """Load with the context in the field; the text stays as it is."""
        self._context = int(self._screen.context())
        await self._rest()
        await self.load(chosen=True)

    def _set_threads(self) -> None:
        """Use and remember the number of threads written into the field."""
        wanted = self._screen.threads()
        if (
            self._choice is not None
            and (most := (device := self._choice.device).traits.most_threads)
            and wanted.isdecimal()
        ):
            device.threads = min(max(int(wanted), 1), most)
            self._screen.remember("threads", str(device.threads))
            self._screen.processor(device.adapter, self._choice)

    def _painter(self, loading: Loading) -> Callable[[LoadProgress], None]:
        """A listener that paints a new stage at once and the rest ten times a second."""
        painted = 0.0

        def heard(report: LoadProgress) -> None:
            nonlocal painted
            now = time.monotonic()
            due = now - painted > PAINT or report.stage != loading.stage
            loading.report(report.stage, report.done, report.total, report.cached)
            if due:
                self._screen.progress(loading)
                painted = now

        return heard

    def _close(self) -> None:
        """Give the model and the processor back."""
        if self._engine is not None:
            self._engine.close()
        if self._choice is not None:
            self._choice.device.close()
        self._engine = self._choice = None

    # --- writing

    async def write(self, beginning: str = "") -> None:
        """Write a post from the text, or from a beginning of it that fits."""
        engine = self._engine
        if self._busy or engine is None:
            return
        text = beginning or self._screen.text()
        if not text.strip():
            self._screen.error(faults.EMPTY, self._screen.use_example)
            return
        self._busy = True
        options = self._options = self._screen.settings(self._options)
        try:
            prompt = self._prompt(engine, text)
            limit = fit.room(engine.context, options.max_tokens)
            if (tokens := engine.count(prompt)) > limit:
                raise ContextFull(tokens, limit)
            self._screen.writing(post.language(text))
            await self._stream(engine, prompt, options)
            self._tell(engine, len(beginning))
        except ContextFull as error:
            limit = error.limit
            self._screen.error(
                faults.while_writing(error), lambda: self.do(self._write_what_fits(text, limit))
            )
        except Exception as error:
            self._screen.written([], "")
            self._screen.error(faults.while_writing(error), lambda: self.do(self.load()))
        finally:
            self._busy = False

    async def _stream(self, engine: Engine, prompt: Prompt, options: Options) -> None:
        # No repetition penalty: a post says again what its text says, and with one a small model drifts or copies.
        sampling = Sampling(temperature=options.temperature, top_k=64, top_p=0.95, seed=options.seed)
        begun = False
        async for piece in engine.generate(prompt, max_tokens=options.max_tokens, sampling=sampling):
            text = piece.text if begun else piece.text.lstrip()
            if text:
                self._screen.append(text)
                begun = True

    def _tell(self, engine: Engine, beginning: int) -> None:
        """Close a post: its figures, and one quiet remark at most."""
        words, stats = self._screen.words, engine.stats
        rates = {"prefill_rate": stats.prefill_rate, "decode_rate": stats.decode_rate}
        self._screen.record("stats", asdict(stats) | rates)
        if stats.stop_reason == "cancelled":
            note = words("note.stopped")
        elif not self._screen.post():
            note = words("note.nothing")
        elif beginning:
            note = words("note.cut", count=beginning)
        else:
            note = words("note.stayed") if self._screen.first_time("stayed") else ""
        if self._choice is not None and self._model is not None and stats.new_tokens > MEASURED:
            self._screen.remember(self._rate(self._choice.kind, self._model), f"{stats.decode_rate:.2f}")
        self._screen.written(statistics.line(words, stats, engine.load_stats.cached), note)
        self._screen.ready()

    async def _write_what_fits(self, text: str, limit: int) -> None:
        engine = self._engine
        if engine is not None:
            await self.write(fit.fit(text, lambda part: engine.count(self._prompt(engine, part)), limit))

    @staticmethod
    def _prompt(engine: Engine, text: str) -> Prompt:
        return post.post(text, chat=engine.instruction_tuned)

    # --- events and faults

    def do(self, work: Coroutine[Any, Any, None]) -> None:
        """Let work go on behind an event; the set keeps it from being collected."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _stop(self) -> None:
        if self._busy and self._engine is not None:
            self._engine.stop()

    def _edited(self) -> None:
        """A changed text answers a fault of the text."""
        if not self._busy and self._engine is not None and self._screen.told() in ("empty", "long"):
            self._screen.ready()

    def _could_not_load(self, fault: faults.Fault) -> None:
        """Tell the fault and offer the next step: the same again, or the default model instead."""
        screen = self._screen
        if fault.kind == "lost":
            screen.error(fault, lambda: self.do(self.load()))
        elif fault.kind != "adapter" and screen.query():
            screen.error(fault, screen.without_query, "error.default.action")
        else:
            screen.error(fault, screen.reload)


async def start() -> None:
    """Run the page: load for the screen that is shown, and whenever another one is."""
    screen = Screen(Words.load(HERE / "words.json", Screen.language()))
    page = Page(screen, runtime=Screen.age())
    models = json.loads((HERE / "models.json").read_text(encoding="utf-8"))
    benchmark = BenchmarkPage(screen, page, models, page.do)

    def changed() -> None:
        name, asked = screen.shown()
        if name == "benchmark":
            page.do(benchmark.open(asked))
        else:
            page.wanted()

    screen.on_screen(changed)
    if screen.shown()[0] == "benchmark":
        screen.resting()
    changed()
