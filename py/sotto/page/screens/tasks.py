"""The tasks' story: choose, change, run, keep."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any

from ... import values
from ...engine.engine import Engine
from ...errors import Cancelled, ContextFull, InvalidSetting
from ...tasks import fit
from ...tasks.candidates import judge, sampling_of
from ...tasks.language import language
from ...tasks.request import Frame, Request, frame, put
from ...tasks.rules import flat
from ...tasks.templates import READY, TEXT, Template, from_json
from ...text.chat import GEMMA
from ...text.prompt import Prompt
from .. import faults, web
from ..archive import Archive
from ..chosen_file import NotTaken, chosen
from ..faults import Fault
from ..notice import Notice, Step, remedies
from ..observer import Observer
from ..options import Options
from ..parts import Parts
from ..tasks.own import Templates
from ..tasks.view import FIELDS, Answer, TasksView
from ..throttle import Throttle

OPENED = "tasks.open"  # under which the browser remembers the template that is shown
TRIES = 2  # for each answer that is wanted: a small model may say the same again
KEPT_TO = frozenset({"caption", "summary", "headline", "rewrite", "bullets", "paragraph"})
"""Tasks whose answers have the numbers and names of their text, and no others."""


@dataclass(frozen=True)
class Job:
    """A template, and all that it is run with."""

    template: Template
    text: str
    chosen: str
    options: Options

    @property
    def request(self) -> Request | None:
        """What is asked of the text, unless the prompt says it."""
        return self.template.request(language(self.text), self.chosen)

    def prompt(self, engine: Engine) -> Prompt:
        """What the model gets."""
        how = frame(engine.instruction_tuned, engine.cards)
        return put(self.template.wording(self.request, self.text, how), how, engine.chat_format or GEMMA)


class TasksScreen(Observer):
    """One template is shown; one is run at a time."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._words = parts.words
        self._view = view = TasksView(parts)
        self._notice = Notice(parts.elements, parts.words, parts.panel, "tasks-error")
        self._shelf = Templates(Archive("task", web.archive.open))
        self._template = READY[0]
        self._prompt = ""  # as it was shown last: what is in the field and is not this, the person wrote
        self._dropped: Template | None = None  # what an undo brings back
        self._read = False
        self._asked: Job | None = None  # what is to be run
        self._writing = False  # that is on its way
        view.on("tasks-run", "click", self._later(self._run))
        view.on("tasks-stop", "click", self._stop)
        for name, work in (("save", self._save), ("delete", self._delete), ("undo", self._undo)):
            view.on(f"tasks-{name}", "click", self._later(work))
        view.on("tasks-new", "click", self._new)
        view.on("tasks-original", "click", lambda: self._show(self._template))
        view.on("tasks-example", "click", self._use_example)
        view.on("tasks-import", "click", lambda: parts.elements.at("tasks-file").click())
        view.on("tasks-file", "change", self._later(self._import))
        view.on("tasks-choice", "change", self._show_prompt)
        view.on("tasks-source", "change", self._show_prompt)
        view.on_template(self._choose)
        parts.holder.observe(self)

    def _later(self, work: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], object]:
        """What lets some work go on behind an event."""
        return lambda: self._parts.do(work())

    async def open(self, asked: str) -> None:
        """Show what was shown last, or what the address asks for; the first time, read what the browser has kept."""
        if not self._read:
            self._read = True
            await self._shelf.read()
            self._view.templates(self._shelf.own)
            last = self._shelf.find(asked or self._parts.browser.storage.remembered(OPENED))
            self._show(last or READY[0])
            if not self._view.written("source").strip():
                self._use_example()
            if not self._shelf.keeps:
                self._view.note(self._words("tasks.note.unkept"))
            self._view.filled = True
            if not self._parts.holder.fault:
                self._ready()
        elif asked and (wanted := self._shelf.find(asked)):
            self._show(wanted)
        await self._parts.holder.want()

    # --- what the holder tells

    def loading(self) -> None:
        self._notice.hide()
        self._wait()

    def loaded(self) -> None:
        self._notice.hide()
        self._show_prompt()
        self._ready()
        if self._asked and not self._writing:
            self._parts.do(self._answer())

    def failed(self, fault: Fault) -> None:
        parts = self._parts
        self._view.state("failed")
        self._notice.tell(fault, *remedies(fault, parts.browser, parts.holder, parts.do))

    def resting(self) -> None:
        self._wait()

    def _wait(self) -> None:
        """There is no model yet; a task may wait for it."""
        if self._asked:
            self._view.state("waiting", self._words("tasks.waiting.model"))
        else:
            self._view.state("loading", self._words("when.soon"))

    def _ready(self) -> None:
        if self._parts.holder.engine is None:
            self._wait()
        else:
            self._view.state("ready", self._parts.hint("hint.write"))

    # --- templates

    def _choose(self, name: str) -> None:
        """Another template. A text of the person's own goes along; an example gives way to another."""
        if (template := self._shelf.find(name)) is None:
            return
        text = self._view.written("source").strip()
        example = not text or text == self._view.example_of(self._template).strip()
        self._view.note("")
        self._show(template)
        if example and self._view.example_of(template):
            self._use_example()

    def _show(self, template: Template) -> None:
        self._template = template
        self._parts.browser.storage.remember(OPENED, template.id)
        self._view.show(template, self._shelf.is_own(template))
        self._prompt = self._view.written("prompt")
        self._show_prompt()
        self._view.shown(template)

    def _show_prompt(self) -> None:
        """The words that will be used, unless the person has written others."""
        view = self._view
        if view.written("prompt") != self._prompt:
            return
        engine = self._parts.holder.engine
        how: Frame = frame(engine.instruction_tuned, engine.cards) if engine else "chat"
        request = self._template.request(language(view.written("source")), view.written("choice"))
        self._prompt = self._template.prompt or self._template.wording(request, TEXT, how)
        view.write("prompt", self._prompt)

    def _use_example(self) -> None:
        self._view.write_source(self._view.example_of(self._template))
        self._show_prompt()
        self._quiet()

    def _quiet(self) -> None:
        """A fault of what was written is answered."""
        if self._notice.kind:
            self._notice.hide()
            if self._parts.holder.ready:
                self._parts.panel.state("ready", "state.ready")

    def _edited(self) -> Template | None:
        """The template with what is written into its fields; None when that cannot be, which is told beside them."""
        view, template = self._view, self._template
        found: dict[str, InvalidSetting] = {}
        for name in FIELDS:
            text = view.written(name)
            change: dict[str, Any] = {name: text}
            if name == "prompt":
                if text in (self._prompt, template.prompt):
                    continue
                change = {"prompt": text, "task": None, "choice": "", "options": ()}
            elif name in ("answers", "longest"):
                change = {name: values.parsed(int, text.strip())}
            try:
                template = replace(template, **change)
            except InvalidSetting as error:
                found[name] = error
        view.complain(found)
        return None if found else template

    async def _save(self) -> None:
        """Keep what is written as the person's own."""
        if (template := self._edited()) is None:
            return
        view, text = self._view, self._view.written("source").strip()
        name = " ".join(view.written("name").split()) or self._words("tasks.untitled")
        if self._shelf.is_own(template):
            kept = await self._shelf.keep(replace(template, name=name, text=text))
        else:
            kept = await self._shelf.keep(template.copied(name=name, text=text))
        view.templates(self._shelf.own)
        self._show(kept)
        view.note(self._words("tasks.note.saved" if self._shelf.keeps else "tasks.note.unkept"))

    def _new(self) -> None:
        """Begin a task of the person's own."""
        self._show(READY[0])
        self._view.write("prompt", f"\n\n{TEXT}")
        self._view.show_new()
        self._parts.elements.at("tasks-prompt").setSelectionRange(0, 0)

    async def _delete(self) -> None:
        gone = self._template
        await self._shelf.drop(gone)
        self._view.templates(self._shelf.own)
        self._show(READY[0])
        self._dropped = gone
        self._view.note(self._words("tasks.note.deleted", name=self._view.name_of(gone)), undo=True)
        self._view.focus("undo")

    async def _undo(self) -> None:
        if (gone := self._dropped) is None:
            return
        self._dropped = None
        kept = await self._shelf.keep(gone)
        self._view.note("")
        self._view.templates(self._shelf.own)
        self._show(kept)
        self._view.focus("source")

    async def _import(self) -> None:
        """Take the templates of a file, all of them or none."""
        words, note = self._words, self._view.note
        try:
            taken, _ = await self._shelf.take(await chosen(words, "tasks-file", "tasks", from_json))
        except NotTaken as error:
            note(error.told)
            return
        self._view.templates(self._shelf.own)
        self._show(taken[0] if taken else self._template)
        if not self._shelf.keeps:
            note(words("tasks.note.unkept"))
        else:
            note(words("tasks.note.imported", count=len(taken)) if taken else words("tasks.note.known"))

    # --- running

    async def _run(self, beginning: str = "") -> None:
        """Run what is shown, with the text that is written or a beginning of it that fits."""
        parts, view = self._parts, self._view
        if self._asked:
            return
        text = beginning or view.written("source").strip()
        if not text:
            self._notice.tell(faults.EMPTY, Step(self._use_example))
            return
        options = parts.preferences.check()
        if parts.preferences.faulty:
            self._notice.tell(faults.SETTING, Step(parts.preferences.show_faulty))
            return
        if (template := self._edited()) is None:
            return
        self._quiet()
        view.note("")
        self._asked = Job(template, text, view.written("choice"), options)
        await self._answer()

    async def _answer(self) -> None:
        """Run what is asked for: when there is a model, and when whoever writes with it now is done."""
        holder, view, panel, job = self._parts.holder, self._view, self._parts.panel, self._asked
        if holder.engine is None or job is None:
            self._wait()
            return
        hint = self._parts.hint("hint.stop")
        view.state("waiting", self._words("tasks.waiting.turn") if holder.writing else hint)
        try:
            async with holder.turn(lambda: self._asked is job) as engine:
                self._writing = True
                view.state("writing", hint)
                panel.state("ready", "state.writing")
                try:
                    await self._write(engine, job)
                finally:
                    self._writing = False
                    self._asked = None
                    panel.state("ready", "state.ready")
        except ContextFull as error:
            limit = error.limit
            what_fits = Step(lambda: self._parts.do(self._run_what_fits(job, limit)))
            self._notice.tell(faults.while_writing(error), what_fits)
        except Cancelled:
            if self._asked:  # the model was given up: the next one runs it
                return
        except Exception as error:
            self._asked = None
            fault = faults.while_running(error)
            self._notice.tell(
                fault, Step(lambda: self._parts.do(self._run() if fault.sound else holder.load(anyway=True)))
            )
        self._ready()

    async def _write(self, engine: Engine, job: Job) -> None:
        """Write as many different answers as are wanted. They share one prefill."""
        template, prompt = job.template, job.prompt(engine)
        longest = job.options.longest(template.longest)
        if (tokens := engine.count(prompt)) > (limit := fit.room(engine.context, longest)):
            raise ContextFull(tokens, limit)
        view, cached, reason = self._view, engine.load_stats.cached, ""
        written: list[Answer] = []
        view.remark("")
        for number in range(TRIES * template.answers):
            await view.answers([*written, Answer("")], cached)
            text = await self._stream(engine, job, prompt, number, len(written))
            reason = engine.stats.stop_reason
            if text and flat(text) not in {flat(each.text) for each in written}:
                written.append(self._judged(job, text, engine))
            if reason == "cancelled" or len(written) == template.answers:
                break
            if template.answers == 1:
                break
        await view.answers(written, cached)
        view.remark(self._remark(engine, job, bool(written)))

    async def _stream(self, engine: Engine, job: Job, prompt: Prompt, number: int, place: int) -> str:
        """Write an answer, which is shown as it comes."""
        template, options = job.template, job.options
        how = frame(engine.instruction_tuned, engine.cards)
        sampling = sampling_of(options.sampling(template.temperature), job.request, how, number)
        longest, schema = options.longest(template.longest), template.read_schema()
        if schema is None:
            pieces = engine.generate(
                prompt, longest, sampling, stop=options.stop, loop_guard=options.loop_guard
            )
        else:
            pieces = engine.generate(prompt, longest, sampling, schema=schema)
        throttle, answer = Throttle(), ""
        async for piece in pieces:
            answer += piece.text if answer else piece.text.lstrip()
            if throttle.due("answer"):
                await self._view.grow(place, answer)
        return answer.strip()

    def _judged(self, job: Job, text: str, engine: Engine) -> Answer:
        """An answer with what it took, and with what is in it that its text has not."""
        stats = replace(engine.stats)
        if job.template.read_schema() is not None:
            try:
                return Answer(json.dumps(json.loads(text), ensure_ascii=False, indent=2), True, "", stats)
            except ValueError:  # it was stopped
                return Answer(text, True, "", stats)
        request = job.request
        if request is None or job.template.prompt or request.task not in KEPT_TO:
            return Answer(text, False, "", stats)
        parts = judge(request, job.text, text).parts()
        foreign = dict.fromkeys(part for part, is_foreign in parts if is_foreign)
        what = self._words("comma").join(foreign)
        return Answer(text, False, self._words("note.foreign", what=what) if foreign else "", stats)

    def _remark(self, engine: Engine, job: Job, any_text: bool) -> str:
        """One quiet remark at most."""
        words, reason = self._words, engine.stats.stop_reason
        if reason == "cancelled":
            return words("note.stopped")
        if reason == "loop":
            return words("note.loop")
        if not any_text:
            return words("tasks.remark.nothing")
        if reason in ("length", "context") and not job.template.schema:
            return words("tasks.remark.length")
        if not engine.instruction_tuned and not job.template.learned(job.request):
            return words("tasks.remark.unlearned")
        return ""

    async def _run_what_fits(self, job: Job, limit: int) -> None:
        engine = self._parts.holder.engine
        if engine is not None:
            await self._run(
                fit.fit(job.text, lambda part: engine.count(replace(job, text=part).prompt(engine)), limit)
            )

    def _stop(self) -> None:
        if self._writing:
            self._parts.holder.stop()
        else:
            self._asked = None
            self._ready()


def make(parts: Parts) -> TasksScreen:
    """The screen."""
    return TasksScreen(parts)
