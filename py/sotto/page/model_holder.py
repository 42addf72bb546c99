"""The one model of the page, which all screens share: loading, the processor, the context, and whose turn it is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

from pyscript.js_modules import bridge, cpu, ranges

from .. import formats
from ..device import Device
from ..devices.threads import best_threads
from ..engine.engine import Engine
from ..errors import Cancelled, DeviceError, LimitError, SottoError
from ..formats.adapter import Adapter
from ..reports import PROCESSORS, LoadProgress, Settings
from . import processor
from .browser import Browser
from .faults import Fault, while_loading
from .last_model import LastModel
from .options import Model, Models, Options, choose
from .processor import Opened
from .progress import Loading
from .sources import open_adapter
from .stock import Stock
from .throttle import Throttle

_UNUSABLE = ("file", "unsupported", "limits", "loading")  # faults that are the model's own


class Observer:
    """Is told of every change of the model; each screen overrides what it wants to know."""

    def loading(self) -> None:
        """A load has begun; `options` and `model` are known."""

    def progress(self, loading: Loading) -> None:
        """How far it is."""

    def loaded(self) -> None:
        """There is an engine."""

    def adapted(self) -> None:
        """Its adapter was switched on or off."""

    def failed(self, fault: Fault) -> None:
        """There is none, and why."""

    def resting(self) -> None:
        """There is none, and none is coming: nobody wants one, or something else has the processor."""

    def freed(self) -> None:
        """The processor can be had again."""


class ModelHolder:
    """Loads the model when a screen wants it, and gives one at a time the turn to write with it.

    Args:
        models: what the server offers.
        runtime: seconds from opening the page until Python ran.

    Attributes:
        runtime: as above.
        stock: where models come from.
        last: with which of them this browser begins.
        missing: the model of the last visit, where nothing can be loaded of it any more; else empty.
        options: what the address asks for, with what was chosen in the details.
        model: what is loaded or was tried last.
        key: of the content of the model that is loaded, as the library knows it; empty while there is none.
        title: what the model that was loaded last is called there.
        can_go_back: another model was wanted and could not be loaded; `load` brings back the one before.
        engine: None while there is none.
        opened: the processor, and why it was taken.
        kept: the browser keeps the converted model for the next visit.
        fault: why the last load failed.
        adapter_fault: why the model's LoRA adapter could not be read; the model is used without it.
    """

    def __init__(self, browser: Browser, models: Models, runtime: float) -> None:
        self._browser = browser
        self._models = models
        self._taken: Model | None = None  # on the screen of models, or given: goes before the address's
        self._worked: Model | None = None  # what was taken when a model was loaded last
        self.stock = Stock(browser, models)
        self.last = LastModel(browser.storage, models["default"])
        self.missing = ""
        self.key = ""
        self.title = ""
        self.can_go_back = False
        self._context = 0  # taken in the details; 0 for the address's
        self._chosen = False  # a choice in the details goes before the address's processor
        self._turn = asyncio.Lock()  # held while something is loaded, written or measured
        self._given_up = 0  # how often the model was: who waited for it then waits no more
        self._writing = False
        self._lent = False
        self._observers: list[Observer] = []
        self.runtime = runtime
        self.options = Options()
        self.model: Model | None = None
        self.engine: Engine | None = None
        self.opened: Opened | None = None
        self.kept = False
        self.fault: Fault | None = None
        self.adapter_fault = ""

    def observe(self, observer: Observer) -> None:
        """Tell an observer from now on, and at once how things stand."""
        self._observers.append(observer)
        if self.fault:
            observer.failed(self.fault)
        elif self.ready:
            observer.loaded()

    @property
    def ready(self) -> bool:
        """Whether a turn would begin at once, but for one who is writing."""
        return self.engine is not None and (self._writing or not self._turn.locked())

    # --- who has the model

    @property
    def writing(self) -> bool:
        """Whether somebody has the turn."""
        return self._writing

    @asynccontextmanager
    async def turn(self, wanted: Callable[[], bool] = lambda: True) -> AsyncIterator[Engine]:
        """The engine for one answer. Screens have it one after the other, in the order in which they asked.

        Args:
            wanted: whether it still is, asked when the turn has come.

        Raises:
            Cancelled: it is not, or the model was given up meanwhile.
        """
        given_up = self._given_up
        async with self._turn:
            if self.engine is None or self._given_up != given_up or not wanted():
                raise Cancelled
            self._writing = True
            try:
                yield self.engine
            finally:
                self._writing = False

    def stop(self) -> None:
        """End what is being written, as far as it is."""
        if self._writing and self.engine is not None:
            self.engine.stop()

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[None]:
        """The processor without a model on it, for a benchmark; what is asked for meanwhile waits."""
        self._lent = True
        self._given_up += 1
        try:
            self.stop()
            async with self._turn:
                self._close()
                for observer in self._observers:
                    observer.resting()
                yield
        finally:
            self._lent = False
        for observer in self._observers:
            observer.freed()

    def rest(self) -> None:
        """A screen is shown that wants no model: tell it, where none is there or coming."""
        if self.engine is None and self.fault is None and not self._turn.locked():
            for observer in self._observers:
                observer.resting()

    # --- loading

    async def want(self) -> None:
        """Load, unless there is a model, one is coming, or a fault has to be answered first."""
        if self.engine is None and self.fault is None and not self._turn.locked():
            await self.load()

    async def load(self) -> None:
        """Load anew, whatever there was; the observers hear how it ends."""
        self._given_up += 1
        self.stop()
        cancelled = False
        async with self._turn:
            self._close()
            try:
                await self._ask()
                for observer in self._observers:
                    observer.loading()
                await self._open()
            except Cancelled:
                self._close()
                self._taken, cancelled = self._worked, True
            except Exception as error:
                self.fault = while_loading(error, self.opened is not None)
                self._close()
                await self.stock.stop()
                self.can_go_back = self._taken is not self._worked
                self._taken = self._worked
                if not self.title and self.fault.kind in _UNUSABLE:
                    self.last.forget()  # or it would come back at every visit
        if cancelled:
            await self.load()
            return
        for observer in self._observers:
            if self.fault:
                observer.failed(self.fault)
            else:
                observer.loaded()

    async def discard(self) -> None:
        """Delete what is kept of the model that could not be loaded, and load the one before, or the default."""
        if self.model is not None and (key := self.model.get("key", "")):
            await self.stock.remove(key)
            self.last.forget(key)
        await self.load()

    async def use_device(self, name: str) -> None:
        """Load on another processor, "auto", "gpu" or "cpu"; it is remembered."""
        self._browser.storage.remember("device", name)
        self._chosen = True
        if not self._lent:
            await self.load()

    async def use_model(self, model: Model) -> None:
        """Load another model; it is remembered once it runs, if it can be loaded again."""
        self._taken = model
        self._context = 0
        await self.load()

    def renamed(self, key: str, title: str) -> None:
        """A model of the library is called otherwise now."""
        if key == self.key:
            self.title = title
        if key == self.last.name:
            self.last.keep(key, title)

    async def cancel(self) -> None:
        """Fetch no more of a model that is loaded from a hub: the one before comes back."""
        await self.stock.stop()

    async def use_context(self, tokens: int) -> None:
        """Load with another context."""
        self._context = tokens
        self._chosen = True
        await self.load()

    async def use_adapter(self, on: bool) -> None:
        """Switch the model's adapter on or off, when whoever writes has been stopped; it is remembered. Who asks for
        the model meanwhile gets it afterwards.

        Raises DeviceError when the processor has no room for it, or gave up.
        """
        self._browser.storage.remember("adapter", "on" if on else "off")
        self.stop()
        async with self._turn:
            if (engine := self.engine) is None:
                return
            self._writing = True  # as if this were an answer: a screen may ask for the next turn already
            try:
                await engine.use_adapters(dict.fromkeys(engine.adapters, 1.0) if on else {})
            finally:
                self._writing = False
        for observer in self._observers:
            observer.adapted()

    def use_threads(self, count: int) -> None:
        """Use another number of the CPU's threads, as far as there are so many; it is remembered."""
        if self.opened is not None and (most := (device := self.opened.device).traits.most_threads):
            device.threads = min(max(count, 1), most)
            self._browser.storage.remember("threads", str(device.threads))

    def remember_rate(self, rate: float) -> None:
        """Keep the tokens per second that were reached here, for the next choice of a processor."""
        if self.opened is not None and self.model is not None:
            self._browser.storage.remember(_rate(self.opened.kind, self.model), f"{rate:.2f}")

    async def _ask(self) -> None:
        """Read the address: the model, and the options with what was chosen here before."""
        self.fault, self.can_go_back, self.missing = None, False, ""
        options = Options.from_query(self._browser.query())
        if self._chosen:
            options = replace(options, device="", context=self._context or options.context)
        storage = self._browser.storage
        remembered = storage.remembered("device")
        device = options.device or (remembered if remembered in PROCESSORS else "auto")
        storage.remember("device", device)
        self.options = replace(options, device=device)
        self.model = self._taken or await self._asked(options.model)

    async def _asked(self, name: str) -> Model:
        """The model of the address, which is the server's or one that is kept; without one, that of the last visit.

        Raises SottoError.
        """
        wanted = name or self.last.name
        if any(wanted in (row["name"], row["url"]) for row in self._models["models"]):
            return choose(self._models, wanted)
        if wanted and (kept := await self.stock.find(wanted)):
            return kept
        if wanted and not name:
            self.missing = self.last.title
        return choose(self._models, name)

    async def _remember(self, model: Model, key: str) -> None:
        """A model was loaded. Those that were taken here are those of the next visit, too."""
        self.key, self.title, self._worked = key, model["name"], self._taken
        if self.kept:
            self.title = await self.stock.used(key, model)
        if self._taken is not None and (self.kept or model["url"]):
            self.last.keep(model["name"] if model["url"] else key, self.title)

    async def _open(self) -> None:
        """Open a processor and load; where "auto" took a GPU that fails, the CPU is taken in its place."""
        assert self.model is not None
        storage, asked = self._browser.storage, self.options.device
        rates = {}
        for kind in ("gpu", "cpu"):
            with suppress(ValueError):  # none was remembered
                rates[kind] = float(storage.remembered(_rate(kind, self.model)))
        self.opened = await processor.choose(asked, bridge, cpu, rates)
        try:
            await self._load(self.model, self.opened)
        except DeviceError as error:
            if asked != "auto" or self.opened.kind == "cpu":
                raise
            self._close()
            self.opened = await processor.instead(cpu, error)
            try:
                await self._load(self.model, self.opened)
            except LimitError as smaller:
                raise (error if isinstance(error, LimitError) else smaller) from None

    async def _load(self, model: Model, opened: Opened) -> None:
        loading = Loading(self.runtime, time.monotonic)
        report = self._reporter(loading)
        cache = await self.stock.store(anew=True)
        source = await self.stock.open(
            model, lambda done, size: report(LoadProgress("header", done, size, False))
        )
        adapters = await self._adapters(self.stock.offered(source.key) or model)
        self.engine = await Engine.load(
            source,
            opened.device,
            store=cache,
            settings=Settings(
                context=self.options.context, variant=self.options.variant, weights=self.options.weights
            ),
            progress=report,
            adapters=adapters,
        )
        await self.stock.arrived(source.key, cached=self.engine.load_stats.cached)
        if opened.device.traits.most_threads:
            opened.device.threads = await self._threads(opened.device, self.engine)
        stats = self.engine.load_stats
        self.kept = not stats.note
        await self._remember(model, source.key)
        loading.report("ready", 1, 1, stats.cached)
        self._progress(loading)

    async def _adapters(self, model: Model) -> list[tuple[str, Adapter, float]]:
        """The model's adapter, if it has one: on, unless it was switched off in this browser."""
        self.adapter_fault = ""
        if "adapter" not in model:
            return []
        on = self._browser.storage.remembered("adapter") != "off"
        try:
            adapter = await formats.open_adapter(open_adapter(ranges, self._browser, model["adapter"]))
        except SottoError as error:
            self.adapter_fault = str(error)
            return []
        return [(adapter.name, adapter, 1.0 if on else 0.0)]

    def _reporter(self, loading: Loading) -> Callable[[LoadProgress], None]:
        throttle = Throttle()

        def heard(report: LoadProgress) -> None:
            loading.report(report.stage, report.done, report.total, report.cached)
            if throttle.due(report.stage):
                self._progress(loading)

        return heard

    def _progress(self, loading: Loading) -> None:
        for observer in self._observers:
            observer.progress(loading)

    async def _threads(self, device: Device, engine: Engine) -> int:
        """Threads to use: the address's, else those measured here before, else measured now."""
        storage = self._browser.storage
        kept = storage.remembered("threads")
        threads = self.options.threads or (int(kept) if kept.isdecimal() else 0)
        if not threads:
            threads = await best_threads(device, engine.time_token)
            storage.remember("threads", str(threads))
        return min(max(threads, 1), device.traits.most_threads)

    def _close(self) -> None:
        """Give the model and the processor back."""
        if self.engine is not None:
            self.engine.close()
        if self.opened is not None:
            self.opened.device.close()
        self.engine = self.opened = None
        self.key = ""


def _rate(kind: str, model: Model) -> str:
    """The name under which the speed of a processor is remembered."""
    return f"rate.{kind}.{model['name']}"
