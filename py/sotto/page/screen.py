"""The document, seen from the worker: the one module that touches it. The ids are those of web/index.html."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from pyscript import document, window
from pyscript.ffi import create_proxy

from ..device import AdapterInfo
from ..reports import LoadStats
from . import format as numbers
from .faults import EMPTY, Fault
from .options import Options
from .processor import Opened
from .progress import SHARES, Loading
from .words import Words


class Screen:
    """Shows what it is told and asks the person; knows nothing of models."""

    def __init__(self, words: Words) -> None:
        self.words = words
        self._elements: dict[str, Any] = {}
        self._root = document.documentElement
        self._action: Callable[[], object] = str
        self._told = ""
        self._paint = window.paint  # of web/boot.js
        self.on("error-action", "click", self._act)

    # --- what the browser knows

    @staticmethod
    def language() -> str:
        """The language the page's first script chose."""
        return str(document.documentElement.lang)

    @staticmethod
    def query() -> str:
        """The part of the address from `?` on."""
        return str(window.location.search)

    @staticmethod
    def shown() -> tuple[str, str]:
        """The screen that is shown, and what stands behind `?` in the address's part behind #."""
        return str(document.documentElement.dataset.screen), str(window.location.hash).partition("?")[2]

    @staticmethod
    def on_screen(handler: Callable[[], object]) -> None:
        """Call a handler when another screen was asked for."""
        window.addEventListener("hashchange", create_proxy(lambda _event: handler()))

    @staticmethod
    def agent() -> str:
        """What the browser calls itself."""
        return str(window.navigator.userAgent)

    @staticmethod
    def cores() -> int:
        """Threads that can run at once."""
        return int(window.navigator.hardwareConcurrency or 1)

    @staticmethod
    def on_battery() -> bool:
        """Whether the computer runs on its battery; False where the browser does not tell."""
        return bool(document.documentElement.getAttribute("data-battery"))

    def disturbances(self) -> frozenset[str]:
        """What disturbed the computer since this was last asked: "hidden", "battery", "battery-low"."""
        found = set()
        if self._root.hasAttribute("data-was-hidden") or document.hidden:
            self._root.removeAttribute("data-was-hidden")
            found.add("hidden")
        if battery := str(self._root.getAttribute("data-battery") or ""):
            found |= {"battery"} if battery == "on" else {"battery", "battery-low"}
        return frozenset(found)

    @staticmethod
    def address(path: str) -> str:
        """An absolute URL: a worker has no base of its own."""
        return str(window.URL.new(path, window.location.href).href)

    @staticmethod
    def age() -> float:
        """Seconds since the page was opened."""
        return float(window.performance.now()) / 1000

    @staticmethod
    def reload() -> None:
        """Open the page again; the text is kept by web/boot.js."""
        window.location.reload()

    @staticmethod
    def without_query() -> None:
        """Open the page again as if its address had asked for nothing."""
        window.location.search = ""

    @staticmethod
    def first_time(what: str) -> bool:
        """Whether something is to be said for the first time in this browser; from then on it is not."""
        key = f"sotto.said.{what}"
        if window.localStorage.getItem(key):
            return False
        window.localStorage.setItem(key, "1")
        return True

    @staticmethod
    def remember(what: str, value: str) -> None:
        """Keep a choice or a measurement for the next visit."""
        window.localStorage.setItem(f"sotto.{what}", value)

    @staticmethod
    def remembered(what: str) -> str:
        """What was kept under that name; empty when nothing was."""
        return str(window.localStorage.getItem(f"sotto.{what}") or "")

    # --- what the person does

    def on(self, name: str, event: str, handler: Callable[[], object]) -> None:
        """Call a handler at every such event of an element."""
        self.at(name).addEventListener(event, create_proxy(lambda _event: handler()))

    def _act(self) -> None:
        self._action()

    def text(self) -> str:
        """The text to write from."""
        return str(self.at("source").value)

    def post(self) -> str:
        """The post as far as it is written."""
        return str(self.at("post").textContent)

    def use_example(self) -> None:
        """Put the example of the page's language into the text box, as its button does."""
        self.at(f"example-{self.language()}").click()

    def settings(self, options: Options) -> Options:
        """The options, with what the person changed in the details."""
        return options.changed(
            temperature=str(self.at("temperature").value),
            max_tokens=str(self.at("max-tokens").value),
            seed=str(self.at("seed").value),
        )

    def device(self) -> str:
        """The processor chosen in the details: "auto", "gpu" or "cpu"."""
        return str(self.at("device").value)

    def context(self) -> str:
        """What is written into the field for the context."""
        return str(self.at("context").value)

    def offer_context(self, nbytes: int, why: str = "") -> None:
        """Offer to load with the context in the field, which takes so much memory; with 0 no longer.

        Args:
            why: the reason why it cannot be had.
        """
        button = self.at("context-load")
        button.hidden = not nbytes and not why
        button.disabled = bool(why)
        load = self.words("setting.context.load", size=numbers.size(nbytes))
        button.textContent = why or (load if nbytes else "")

    def threads(self) -> str:
        """What is written into the field for the CPU's threads."""
        return str(self.at("threads").value)

    def queued(self) -> bool:
        """Whether Write was pressed while loading; asking settles it."""
        waiting = bool(self._root.hasAttribute("data-queued"))
        self._root.removeAttribute("data-queued")
        return waiting

    def told(self) -> str:
        """The kind of the fault that is shown; empty when none is."""
        return self._told

    # --- loading

    def loading(self, model: str, options: Options) -> None:
        """Loading has begun."""
        self._say("model-name", model)
        for name, value in (
            ("temperature", options.temperature),
            ("max-tokens", options.max_tokens),
            ("seed", options.seed),
        ):
            self.at(name).value = "" if value is None else str(value).removesuffix(".0")
        self.at("device").value = options.device or "auto"
        self._paint(json.dumps([change for stage in SHARES for change in _marked(stage, "", "")]))
        self.at("write").disabled = False
        self.at("progress").hidden = False
        self._state("loading", "stage.header", self.words("when.soon"))

    def progress(self, loading: Loading) -> None:
        """How far loading is; one call into the page, since each makes this worker wait for its turn there."""
        words = self.words
        marks = dict.fromkeys(SHARES, ("", ""))  # also of a load that another processor begins anew
        marks |= {stage: ("done", words.time(seconds)) for stage, seconds in loading.seconds.items()}
        line, when = [], words("when.soon")
        if loading.stage in SHARES:
            marks[loading.stage] = ("now", "")
            line = [words(f"stage.{loading.stage}")]
        if loading.stage == "weights" and loading.total:
            done, total = numbers.size(loading.done), numbers.size(loading.total)
            line = [words("stage.bytes", stage=line[0], done=done, total=total)]
        if (left := loading.seconds_left) is not None:
            line.append(words("stage.left", time=words.about(left)))
            when = words("when.time", time=words.about(left + 1))
        text = words("separator").join(line)
        changes = [("#model-state", "text", text), ("#when", "text", when)]
        for stage, mark in marks.items():
            changes += _marked(stage, *mark)
        changes.append(("#progress", "--done", f"{loading.fraction:.4f}"))
        changes.append(("#progress", "aria-valuenow", f"{100 * loading.fraction:.0f}"))
        changes.append(("#progress", "aria-valuetext", text))
        self._paint(json.dumps(changes))

    def facts(self, file: str, stats: LoadStats, context: int, adapter: AdapterInfo, choice: Opened) -> None:
        """What the curious open the details for; `choice` is the processor that is used, and why."""
        words = self.words
        kept = "cached" if stats.cached else "unstored" if stats.note else "converted"
        weights = numbers.size(stats.device_bytes["weights"])
        memory = numbers.size(sum(stats.device_bytes.values()))
        self._say("fact-file", file)
        self._say("fact-weights", words(f"fact.weights.{kept}", size=weights))
        self._say("fact-memory", words(f"fact.memory.{choice.kind}", size=memory))
        self._say("fact-context", words("fact.context.value", count=context))
        self.at("context").value = context
        self.offer_context(0)
        self._kernels(stats)
        self.at("threads-setting").hidden = choice.kind != "cpu"
        self.at("threads").max = choice.most_threads
        self.at("threads").value = choice.threads
        self.processor(adapter, choice)

    def _kernels(self, stats: LoadStats) -> None:
        """Which variants of the kernels are used, and which were not taken or not tried."""
        place = self.at("fact-kernels")
        names = {f"{role} {name}" for plan in stats.variants.values() for role, name in plan.items()}
        place.textContent = self.words(f"fact.kernels.{stats.chosen}", names=", ".join(sorted(names)))
        for variant, why in stats.rejected.items():
            rejected = self.words("fact.kernels.rejected", name=variant.replace(":", " "), why=why)
            place.append(document.createElement("br"), rejected)
        untried = {name.replace(":", " ") for names in stats.untried.values() for name in names}
        if untried:
            left = self.words("fact.kernels.untried", names=", ".join(sorted(untried)))
            place.append(document.createElement("br"), left)

    def processor(self, adapter: AdapterInfo, choice: Opened) -> None:
        """Which processor is used and why, in one line."""
        words = self.words
        name = words(f"fact.processor.{choice.kind}", name=adapter.name, count=choice.threads)
        self._say("fact-processor", f"{name}: {words(f'why.{choice.why}')}")
        if adapter.software:
            self.at("fact-processor").append(document.createElement("br"), words("fact.software"))

    def record(self, name: str, figures: Mapping[str, object]) -> None:
        """Leave exact figures on an element as JSON (data-figures), for scripts that measure."""
        self.at(name).dataset.figures = json.dumps(figures)

    def ready(self) -> None:
        """Writing can begin."""
        self.at("progress").hidden = True
        mac = "Mac" in str(window.navigator.platform)
        self._state("ready", "state.ready", self.words("hint.write", key="⌘" if mac else "Ctrl"))

    def resting(self) -> None:
        """A benchmark has the processor: what is asked for meanwhile waits."""
        self.at("progress").hidden = True
        self._state("loading", "state.resting", self.words("when.soon"))

    # --- writing

    def writing(self, language: str) -> None:
        """A post begins, in a language ("en" or "ja")."""
        post = self.at("post")
        post.textContent = ""
        post.lang = language
        post.ariaBusy = "true"  # screen readers wait for the whole post
        self.at("copy").disabled = True
        self._say("stats", "")
        self._say("note", "")
        self._state("writing", "state.writing", self.words("hint.stop"))
        post.scrollIntoView(block="nearest")

    def append(self, text: str) -> None:
        """More of the post."""
        self.at("post").append(text)

    def written(self, figures: list[str], note: str) -> None:
        """A post has ended, whole or not."""
        post = self.at("post")
        post.ariaBusy = "false"
        self.at("copy").disabled = not post.textContent
        for figure in figures:
            piece = document.createElement("span")
            piece.textContent = figure
            self.at("stats").append(piece, " ")
        self._say("note", note)

    # --- faults

    def error(self, fault: Fault, action: Callable[[], object], label: str = "") -> None:
        """Tell a fault.

        Args:
            action: what its button does.
            label: the key of the button's word; the fault's own when empty.
        """
        words = self.words
        self._action = action
        self._say("error-title", words(f"error.{fault.kind}", **fault.values))
        self._say("error-text", words(f"error.{fault.kind}.text", **fault.values))
        self._say("error-action", words(label or f"error.{fault.kind}.action"))
        self._say("error-detail", fault.detail)
        self.at("error-kept").hidden = fault == EMPTY
        self.at("error-more").hidden = not fault.detail
        self.at("write").disabled = not fault.sound
        self.at("progress").hidden = True
        self._root.removeAttribute("data-queued")
        self._state("error", "state.ready" if fault.sound else "state.error", "", fault.kind)
        self.at("error").scrollIntoView(block="nearest")

    def _state(self, state: str, word: str, when: str, told: str = "") -> None:
        self._told = told
        self.at("error").hidden = not told
        self._say("model-state", self.words(word))
        self._say("when", when)
        self._root.dataset.state = state

    def _say(self, name: str, text: str) -> None:
        self.at(name).textContent = text

    def at(self, name: str) -> Any:
        """The element with an id."""
        if name not in self._elements:
            self._elements[name] = document.getElementById(name)
        return self._elements[name]


def _marked(stage: str, status: str, time: str) -> list[tuple[str, str, str]]:
    """The changes that give a stage of loading its mark and its time."""
    item = f"#stage-{stage}"
    return [(item, "data-status", status), (f"{item} > :last-child", "text", time)]
