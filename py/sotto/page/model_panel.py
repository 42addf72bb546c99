"""The one small place of the model: its state in a line, and behind it the stages of loading and the details."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

from .. import values
from ..browser.gpu import adapters
from ..engine.engine import Engine
from ..errors import InvalidSetting, SottoError
from ..reports import PROCESSORS, LoadStats
from ..tuning.candidates import PRECISIONS
from . import fields, statistics, web
from . import format as numbers
from .background import Background
from .choices import USUAL
from .elements import Change, Elements
from .faults import Fault
from .model_holder import ModelHolder
from .observer import Observer
from .processor import Opened
from .progress import SHARES, Loading
from .reasons import cause, reason
from .run_figures import Figures
from .words import Words

GPUS = ("gpu", "low-power")  # as the list of processors has them, in the order in which `adapters` tells them


class ModelPanel(Observer):
    """Shows the state of the page, which is the model's unless a screen says more, and asks for changes."""

    def __init__(self, elements: Elements, words: Words, holder: ModelHolder, do: Background) -> None:
        self._elements = elements
        self._words = words
        self._holder = holder
        self._at = elements.at
        self._do = do
        self._named = False  # the GPUs are, in the list of processors
        elements.on("device", "change", lambda: do(holder.use_device(self._written("device"))))
        elements.on("threads", "change", self._use_threads)
        elements.on("adapter", "change", lambda: do(self._use_adapter()))
        elements.on("weights", "change", lambda: do(holder.use_weights(self._written("weights"))))
        elements.on("precision", "change", lambda: do(holder.use_precision(self._written("precision"))))
        elements.on("context", "change", self._weigh_context)
        elements.on("context-load", "click", self._use_context)
        holder.observe(self)

    def state(self, state: str, word: str) -> None:
        """Set the state of the page, for its look and its first script, and the model's state in words.

        One of the buttons `write` and `stop` goes with it, and the keyboard to the other; to `stop` also from what is
        to be done with a post, which goes too.
        """
        pressed = self._elements.focused() in ("write", "stop") or (
            state == "writing" and self._elements.holds_focus("posts")
        )
        with self._elements.together():
            self._elements.say("model-state", self._words(word))
            if not word.startswith("stage."):  # these are too many to be read aloud
                self._elements.say("announced", self._words(word))
            self._at("progress").hidden = state != "loading" or word == "state.resting"
            self._elements.root.dataset.state = state
        if pressed:
            self._at("stop" if state == "writing" else "write").focus()

    def _written(self, name: str) -> str:
        return str(self._at(name).value)

    # --- what the holder tells

    def loading(self) -> None:
        model = self._holder.model
        assert model is not None
        self.state(
            "loading", "stage.header"
        )  # first: no other model than the one that is named is ever ready
        self._elements.say("model-name", model["name"])
        self._chosen()
        changes = [change for stage in SHARES for change in _marked(stage, "", "")]
        self._elements.paint([*changes, ("#progress", "--done", "0")])

    def waiting(self) -> None:
        self.state("loading", "state.waiting")

    def progress(self, loading: Loading) -> None:
        words = self._words
        marks = dict.fromkeys(SHARES, ("", ""))  # also of a load that another processor begins anew
        marks |= {stage: ("done", words.time(seconds)) for stage, seconds in loading.seconds.items()}
        line, when = [], words("when.soon")
        if loading.stage in SHARES:
            marks[loading.stage] = ("now", "")
            line = [words(f"stage.{loading.stage}")]
        elif loading.stage == "ready":  # what is left has no name
            line = [words("stage.last")]
        if loading.stage in ("header", "weights") and loading.total:
            done, total = numbers.size(loading.done), numbers.size(loading.total)
            line = [words("stage.bytes", stage=line[0], done=done, total=total)]
        if (left := loading.seconds_left) is not None:
            line.append(words("stage.left", time=words.about(left)))
            when = words("when.time", time=words.about(left + 1))
        text = words("separator").join(line)
        changes = [("#model-state", "text", text), (".when", "text", when)]
        for stage, mark in marks.items():
            changes += _marked(stage, *mark)
        changes.append(("#progress", "--done", f"{loading.fraction:.4f}"))
        changes.append(("#progress", "aria-valuenow", f"{100 * loading.fraction:.0f}"))
        changes.append(("#progress", "aria-valuetext", text))
        self._elements.paint(changes)

    def loaded(self) -> None:
        self._facts()
        self._processor()
        self._adapter()
        self._chosen()
        # A post that waits for this is written at once (screens/post.py): no word in between.
        state = "writing" if self._elements.root.hasAttribute("data-queued") else "ready"
        self.state(state, f"state.{state}")
        if not self._named:
            self._do(self._name_gpus())

    def adapted(self) -> None:
        if self._holder.engine is not None:
            self._facts()
            self._adapter()

    def failed(self, fault: Fault) -> None:
        self._chosen()
        self.state("error", "state.error")

    def resting(self) -> None:
        self._elements.paint([(".when", "text", self._words("when.soon"))])
        self.state("loading", "state.resting")

    # --- the details

    def _chosen(self) -> None:
        """How the model is to be loaded, as far as that is chosen by now."""
        wanted = self._holder.wanted
        self._at("device").value = wanted.device or PROCESSORS[0]
        self._at("precision").value = wanted.precision or PRECISIONS[0]
        self._at("weights").value = wanted.weights or USUAL
        if wanted.context:
            self._at("context").value = wanted.context
        self._offer_context("")

    async def _name_gpus(self) -> None:
        """Where this browser has two GPUs, either can be chosen by its name."""
        self._named = True
        names = await adapters(web.bridge)
        names.pop("fallback", None)
        if len(names) < len(GPUS):
            return
        for value, name in zip(GPUS, names.values(), strict=True):
            option = self._at("device").querySelector(f"[value={value}]")
            option.textContent = name
            option.hidden = option.disabled = False

    def _facts(self) -> None:
        """What the curious open the details for."""
        words, say, holder = self._words, self._elements.say, self._holder
        engine, opened, model = holder.engine, holder.opened, holder.model
        assert engine is not None and opened is not None and model is not None
        stats = engine.load_stats
        kept = "cached" if stats.cached else "converted" if holder.kept else "unstored"
        weights = numbers.size(stats.device_bytes["weights"])
        memory = numbers.size(sum(stats.device_bytes.values()))
        say("model-name", holder.title)
        say("fact-file", model["url"].rpartition("/")[2] or engine.name)
        facts = [words(f"fact.weights.{kept}", size=weights), *statistics.weights(words, stats)]
        if stats.mended:
            facts.append(words("fact.weights.mended", size=numbers.size(stats.mended)))
        say("fact-weights", words("separator").join(facts))
        say("fact-memory", words(f"fact.memory.{opened.kind}", size=memory))
        say("fact-context", words("fact.context.value", count=engine.context))
        self._elements.lines("fact-kernels", self._kernels(stats))
        self._at("context").value = engine.context
        self._offer_context("")
        self._at("precision-setting").hidden = opened.kind != "gpu"
        self._at("weights-setting").hidden = not engine.roundable
        self._at("threads-setting").hidden = opened.kind != "cpu"
        self._at("threads").value = opened.threads
        figures = {"cached": stats.cached, "runtime": holder.runtime, "ready": holder.age, **stats.seconds}
        self._at("facts").dataset.figures = json.dumps(figures)  # for scripts that measure

    def _kernels(self, stats: LoadStats) -> Iterator[str]:
        """Which variants of the kernels are used, and which were not taken or not tried."""
        words = self._words
        names = {f"{job} {name}" for plan in stats.variants.values() for job, name in plan.items()}
        yield words(f"fact.kernels.{stats.chosen}", names=", ".join(sorted(names)))
        for variant, why in stats.rejected.items():
            yield words(
                "fact.kernels.rejected", name=variant.replace(":", " "), why=cause(words, why.kind, why.text)
            )
        untried = {name.replace(":", " ") for others in stats.untried.values() for name in others}
        if left := sorted(untried - names):  # one that is used in one plan may be untried in another
            yield words("fact.kernels.untried", names=", ".join(left))

    def _processor(self) -> None:
        """Which processor is used and why, in one line."""
        words, opened = self._words, self._holder.opened
        if opened is None:
            return
        software = [words("fact.software")] if opened.device.adapter.software else []
        chosen = words("fact.processor.why", name=self._name(opened), why=words(f"why.{opened.why}"))
        self._elements.lines("fact-processor", [chosen, *software])

    def _name(self, opened: Opened) -> str:
        name = opened.device.adapter.name
        return self._words(f"fact.processor.{opened.kind}", name=name, count=opened.threads)

    def figures(self, engine: Engine) -> Figures:
        """What the run that has just ended took, and on what."""
        opened, model, stats = self._holder.opened, self._holder.model, engine.load_stats
        kernels = {f"{job} {name}" for plan in stats.variants.values() for job, name in plan.items()}
        return Figures(
            replace(engine.stats),
            model["name"] if model else "",
            self._name(opened) if opened else "",
            ", ".join(sorted(kernels)),
            stats.cached,
        )

    def _adapter(self) -> None:
        """The switch of the model's adapter, or why that is not there."""
        words, holder = self._words, self._holder
        engine = holder.engine
        name = holder.adapters.served(engine) if engine else ""
        self._at("adapter-setting").hidden = not name
        self._at("adapter").checked = bool(engine and name in engine.adapters_on)
        own = [one for one in engine.adapters_on if one != name] if engine else []
        self._at("adapters-fact").hidden = not own
        self._elements.say("fact-adapters", words("comma").join(own))
        self._elements.say("adapter-name", words("setting.adapter", name=name))
        fault = holder.adapters.fault
        self._at("adapter-fault").hidden = fault is None
        why, _ = reason(words, fault, "adapter") if fault else ("", "")
        self._elements.say("adapter-fault", words("setting.adapter.fault", why=why) if why else "")

    async def _use_adapter(self) -> None:
        """Do as the switch says; when that fails, it goes back."""
        switch = self._at("adapter")
        switch.disabled = True
        try:
            if engine := self._holder.engine:
                name = self._holder.adapters.served(engine)
                await self._holder.use_adapter(name, bool(switch.checked))
        finally:
            switch.disabled = False
            self.adapted()

    def _use_threads(self) -> None:
        """Take the number of threads that is written into the field."""
        opened = self._holder.opened
        if opened is not None and (threads := self._whole("threads", 1, opened.most_threads)):
            self._holder.use_threads(threads)
            self._processor()

    def _weigh_context(self) -> int:
        """Tell what memory the context in the field would take, before it is taken; 0 when it cannot be had."""
        engine = self._holder.engine
        tokens = self._whole("context", 2, engine.config.context_limit if engine else None)
        if engine is None and tokens:  # there is none yet that could be asked
            self._offer_context(self._words("setting.context.load.unweighed", count=tokens))
            return tokens
        if engine is None or tokens in (0, engine.context):
            self._offer_context("")
            return 0
        try:
            size = numbers.size(sum(engine.needed(tokens).values()))
        except SottoError as error:
            self._offer_context(reason(self._words, error)[0], refused=True)
            return 0
        self._offer_context(self._words("setting.context.load", size=size))
        return tokens

    def _whole(self, name: str, least: int, most: int | None) -> int:
        """The whole number in a field; 0 for what is none in the range, which is told beside it."""
        try:
            value = values.whole(name, values.parsed(int, self._written(name).strip()), least, most)
        except InvalidSetting as error:
            self._elements.complain(name, fields.complaint(self._words, error))
            return 0
        self._elements.complain(name, "")
        return value

    def _offer_context(self, text: str, refused: bool = False) -> None:
        """Write on the button what it would do, or why it can do nothing; "" takes it away."""
        button = self._at("context-load")
        button.hidden = not text
        button.disabled = refused
        button.textContent = text

    def _use_context(self) -> None:
        if tokens := self._weigh_context():
            self._do(self._holder.use_context(tokens))


def _marked(stage: str, status: str, time: str) -> list[Change]:
    """The changes that give a stage of loading its mark and its time."""
    item = f"#stage-{stage}"
    return [(item, "data-status", status), (f"{item} > :last-child", "text", time)]
