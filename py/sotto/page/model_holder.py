"""The one model of the page, which all screens share: loading, the processor, the context, and whose turn it is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import replace

from ..device import Device
from ..devices.threads import best_threads
from ..engine.engine import Engine
from ..errors import Cancelled, DeviceError, LimitError
from ..reports import LoadProgress
from ..source import Folder, Source
from . import processor, web
from .adapters import Adapters
from .browser import Browser
from .choices import Choices, ChosenByModel
from .crashes import Crashes
from .faults import Fault, while_loading
from .hub_access import HubAccess
from .last_model import LastModel
from .observer import Observer
from .options import Model, Models, Options, choose
from .processor import Opened, Rates
from .progress import Loading, reporter
from .stock import Stock

_UNUSABLE = ("file", "unsupported", "limits", "loading")  # faults that are the model's own


class ModelHolder:
    """Loads the model when a screen wants it, and gives one at a time the turn to write with it.

    Args:
        models: what the server offers.
        hub: how the hub of models is asked.
        runtime: seconds from opening the page until Python ran.
        together: within it all observers are told of something.

    Attributes:
        runtime: as above.
        stock: where models come from.
        adapters: LoRA adapters, those of the model among them.
        last: with which of them this browser begins.
        missing: the model of the last visit, where nothing can be loaded of it any more; else empty.
        options: what the address asks for.
        chosen: how models are loaded, by model.
        wanted: how this one is: what was chosen in the details, or the address asks for, or was chosen before.
        model: what is loaded or was tried last.
        key: of the content of the model that is loaded, as the library knows it; empty while there is none.
        title: what the model that was loaded last is called there.
        can_go_back: another model was wanted and could not be loaded; `load` brings back the one before.
        engine: None while there is none.
        opened: the processor, and why it was taken.
        kept: the browser keeps the converted model for the next visit.
        fault: why the last load failed.
    """

    def __init__(
        self,
        browser: Browser,
        models: Models,
        hub: HubAccess,
        runtime: float,
        together: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._browser = browser
        self._together = together
        self._models = models
        self._taken: Model | None = None  # on the screen of models, or given: goes before the address's
        self._worked: Model | None = None  # what was taken when a model was loaded last
        self.stock = Stock(browser, models, hub)
        self.stock.waiting = self._waiting
        self.adapters = Adapters(browser, self.stock)
        self._crashes = Crashes(browser.storage, web.at_work)
        self._rates = Rates(browser.storage)
        self._anyway = False  # the model is loaded whatever it took down before
        self._refused: tuple[Model | None, Choices] | None = None  # what could not be loaded, and how
        self.last = LastModel(browser.storage, models["default"])
        self.missing = ""
        self.key = ""
        self.title = ""
        self.can_go_back = False
        self.chosen = ChosenByModel(browser.storage)
        self._now = Choices()  # in the details, which goes before the address
        self.wanted = Choices()
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

    def observe(self, observer: Observer) -> None:
        """Tell an observer from now on, and at once how things stand."""
        self._observers.append(observer)
        if self.fault:
            observer.failed(self.fault)
        elif self.ready:
            observer.loaded()

    def _tell(self, tell: Callable[[Observer], None]) -> None:
        with self._together():
            for observer in self._observers:
                tell(observer)

    @property
    def age(self) -> float:
        """Seconds since the page was opened."""
        return self._browser.age()

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
                async with self._crashes.watching(self.key, self.opened.kind if self.opened else ""):
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
                self._tell(lambda observer: observer.resting())
                yield
        finally:
            self._lent = False
        self._tell(lambda observer: observer.freed())

    def rest(self) -> None:
        """A screen is shown that wants no model: tell it, where none is there or coming."""
        if self.engine is None and self.fault is None and not self._turn.locked():
            self._tell(lambda observer: observer.resting())

    # --- loading

    async def want(self) -> None:
        """Load, unless there is a model, one is coming, or a fault has to be answered first."""
        if self.engine is None and self.fault is None and not self._turn.locked():
            await self.load()

    async def load(self, *, anyway: bool = False) -> None:
        """Load anew, whatever there was; the observers hear how it ends.

        Args:
            anyway: the model that failed is wanted again, also if it was that which took the tab or the processor down.
        """
        if anyway:
            self._insist()
        self._anyway = anyway
        self._given_up += 1
        self.stop()
        cancelled = False
        async with self._turn:
            self._close()
            try:
                await self._ask()
                self._tell(lambda observer: observer.loading())
                await self._open()
            except Cancelled:
                self._close()
                self._taken, self._now, cancelled = self._worked, Choices(), True
            except Exception as error:
                self.fault = while_loading(error, self.opened is not None)
                self._close()
                await self.stock.stop()
                self.can_go_back = self._taken is not self._worked
                self._refused = self._taken, self._now
                self._taken, self._now = self._worked, Choices()
                if not self.title and self.fault.kind in _UNUSABLE:
                    self.last.forget()  # or it would come back at every visit
        if cancelled:
            await self.load()
            return
        if fault := self.fault:
            self._tell(lambda observer: observer.failed(fault))
        else:
            self._tell(lambda observer: observer.loaded())

    async def discard(self) -> None:
        """Delete what is kept of the model that could not be loaded, and load the one before, or the default."""
        if self.model is not None and (key := self.model.get("key", "")):
            await self.stock.remove(key)
            self.last.forget(key)
        await self.load()

    async def use_device(self, name: str) -> None:
        """Load on another processor, one of options.DEVICES."""
        await self._use(Choices(device=name))

    async def use_model(self, model: Model) -> None:
        """Load another model; it is remembered once it runs, if it can be loaded again."""
        self._taken, self._now = model, Choices()
        await self.load()

    def renamed(self, key: str, title: str) -> None:
        """A model of the library is called otherwise now."""
        if key == self.key:
            self.title = title
        if key == self.last.name:
            self.last.keep(key, title, self.last.origin)

    async def cancel(self) -> None:
        """Fetch no more from a hub; where a model was to be loaded from there, the one before comes back."""
        await self.stock.cancel()

    async def use_context(self, tokens: int) -> None:
        """Load with another context."""
        await self._use(Choices(context=tokens))

    async def use_precision(self, least: str) -> None:
        """Load with kernels that compute with no less than this, one of candidates.PRECISIONS."""
        await self._use(Choices(precision=least))

    async def use_weights(self, scheme: str) -> None:
        """Load with the weights of the files rounded in another way, one of reports.WEIGHTS, or choices.USUAL."""
        await self._use(Choices(weights=scheme))

    async def _use(self, choices: Choices) -> None:
        """Load the model that is there, or could not be loaded, in another way. It is remembered once it runs so."""
        self._insist()
        self._now = choices.over(self._now)
        if not self._lent:
            await self.load()

    async def use_adapter(self, name: str, on: bool) -> None:
        """Switch an adapter on or off, when whoever writes has been stopped; it is remembered for this model. Who asks
        for the model meanwhile gets it afterwards. Raises what `Adapters.switch` does.
        """
        self.stop()
        try:
            async with self._turn:
                if (engine := self.engine) is None:
                    return
                self._writing = True  # as if this were an answer: a screen may ask for the next turn already
                try:
                    await self.adapters.switch(engine, name, on)
                    self.chosen.keep(self.key, Choices(adapters={name: 1.0 if on else 0.0}))
                finally:
                    self._writing = False
        finally:
            self._tell(lambda observer: observer.adapted())

    def use_threads(self, count: int) -> None:
        """Use another number of the CPU's threads, as far as there are so many; it is remembered."""
        if self.opened is not None and (most := (device := self.opened.device).traits.most_threads):
            device.threads = min(max(count, 1), most)
            self._now = Choices(threads=device.threads).over(self._now)
            self.chosen.keep(self.key, self._now)

    def remember_rate(self, rate: float) -> None:
        """Keep the tokens per second that were reached here, for the next choice of a processor."""
        if self.opened is not None:
            self._rates.keep(self.key, self.opened.kind, rate)

    def _insist(self) -> None:
        """What was chosen is for the model that could not be loaded, where there is one."""
        if self._refused:
            (self._taken, self._now), self._refused = self._refused, None

    async def _ask(self) -> None:
        """Read the address; what there was to tell is answered."""
        self.fault, self.can_go_back, self.missing = None, False, ""
        self.options = Options.from_query(self._browser.query())
        self.wanted = self._now.over(Choices.asked(self.options))
        self.model = self._taken or await self._asked(self.options.model)

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
        """A model was loaded. What was taken here is that of the next visit, too."""
        # Where there was no room for weights that were rounded in another way, those before are still there.
        self.chosen.keep(key, self._now if self.kept else replace(self._now, weights=""))
        self.key, self.title, self._worked, self._refused = key, model["name"], self._taken, None
        origin = ""
        if self.kept:
            self.title, origin = await self.stock.used(key, model)
        if self._taken is not None and (self.kept or model["url"]):
            self.last.keep(model["name"] if model["url"] else key, self.title, origin)

    async def _open(self) -> None:
        """Open a processor and load; where "auto" took a GPU that fails, the CPU is taken in its place."""
        assert self.model is not None
        loading = Loading(self.runtime, time.monotonic)
        source = await self._source(self.model, loading)
        before = self.chosen.of(source.key)
        asked, self.wanted = self.wanted.device, self.wanted.over(before)
        self.opened = await self._processor(asked, before.device, source.key)
        try:
            await self._load(self.model, source, self.opened, loading)
        except DeviceError as error:
            if self.wanted.device not in ("", "auto") or self.opened.kind == "cpu":
                raise
            self._close()
            self.opened = await processor.instead(web.cpu, error)
            loading = Loading(self.runtime, time.monotonic)
            source = await self._source(self.model, loading)
            try:
                await self._load(self.model, source, self.opened, loading)
            except LimitError as smaller:
                raise (error if isinstance(error, LimitError) else smaller) from None

    async def _source(self, model: Model, loading: Loading) -> Source | Folder:
        """Where the model comes from."""
        await self.stock.store(anew=True)
        report = reporter(loading, self._progress)
        return await self.stock.open(
            model, lambda done, size: report(LoadProgress("header", done, size, False))
        )

    async def _processor(self, asked: str, before: str, key: str) -> Opened:
        """The processor that is asked for now, or was chosen before and is still there, or is the best one."""
        rates = self._rates.of(key)
        try:
            return await processor.choose(asked or before or "auto", web.bridge, web.cpu, rates)
        except DeviceError:
            if asked or before in ("", "auto"):
                raise
            return await processor.choose("auto", web.bridge, web.cpu, rates)

    async def _load(self, model: Model, source: Source | Folder, opened: Opened, loading: Loading) -> None:
        if not self._anyway:
            await self._crashes.check(source.key, model["name"], opened.kind)
        adapters = await self.adapters.of(self.stock.offered(source.key) or model, self.wanted)
        async with (
            self.stock.alone(source.key),
            self._crashes.watching(source.key, opened.kind),
        ):
            self.engine = await Engine.load(
                source,
                opened.device,
                store=await self.stock.store(),
                settings=self.wanted.settings(self.options),
                progress=reporter(loading, self._progress),
                adapters=adapters,
            )
            await self.stock.arrived(source.key, cached=self.engine.load_stats.cached)
            if opened.device.traits.most_threads:
                opened.device.threads = await self._threads(source.key, opened.device, self.engine)
        self._crashes.forgive(source.key, opened.kind)
        stats = self.engine.load_stats
        self.kept = not stats.note
        await self._remember(model, source.key)
        loading.report("ready", 1, 1, stats.cached)
        self._progress(loading)

    def _waiting(self) -> None:
        self._tell(lambda observer: observer.waiting())

    def _progress(self, loading: Loading) -> None:
        self._tell(lambda observer: observer.progress(loading))

    async def _threads(self, key: str, device: Device, engine: Engine) -> int:
        """Threads to use: those wanted, else measured now."""
        threads = self.wanted.threads
        if not threads:
            threads = await best_threads(device, engine.time_token)
            self.chosen.keep(key, Choices(threads=threads))
        return min(threads, device.traits.most_threads)

    def _close(self) -> None:
        """Give the model and the processor back."""
        if self.engine is not None:
            self.engine.close()
        if self.opened is not None:
            self.opened.device.close()
        self.engine = self.opened = None
        self.key = ""
