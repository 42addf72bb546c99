"""The post: a text, and what the model makes of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from ...engine.engine import Engine
from ...errors import Cancelled, ContextFull
from ...reports import RunStats
from ...tasks import fit
from ...tasks.phrases import TONES
from ...tasks.request import Request
from ...text.prompt import Prompt
from .. import faults, web
from ..document_box import DocumentBox
from ..faults import Fault
from ..network import NetworkChoice
from ..notice import Notice, Step, remedies
from ..observer import Observer
from ..options import Options
from ..parts import Parts
from ..post.archive import PostArchive
from ..post.cards import Cards
from ..post.entry import Entry, Version
from ..post.history import HistoryPanel
from ..post.job import Job, Written, shorter
from ..post.long_text import LongText
from ..post.source_text import SourceText
from ..post.wanted import Wanted
from ..post.wishes import WishRow
from ..post.writing import Writer, frame_of, prompt_of
from ..run_figures import Figures

NOTHING = Figures(RunStats())  # of a post that is not written yet


class PostScreen(Observer):
    """One text at a time, and its posts."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._words = parts.words
        self._at = parts.elements.at
        self._notice = Notice(parts.elements, parts.words, parts.panel)
        self._busy = False
        self._network = NetworkChoice(parts.elements, parts.words, parts.browser.storage)
        self._waiting = False  # for another screen that writes
        self._read = False
        self._before: Entry | None = None  # what an undo brings back
        self._source = SourceText(parts)
        self._wishes = WishRow(parts, self._source)
        self._long = LongText(parts, self._source, self._ask)
        self._wanted = Wanted(parts.elements, parts.browser.storage)
        self._cards = Cards(parts, self._network, self._changed)
        self._writer = Writer(parts, self._cards)
        self._archive = PostArchive(parts.browser)
        self._history = HistoryPanel(parts, self._archive.shelf, lambda: self._cards.entry, self._show)
        self._documents = DocumentBox(parts)
        parts.elements.on("write", "click", lambda: parts.do(self._write()))
        parts.elements.on("stop", "click", self._stop)
        parts.elements.on("source", "input", self._edited)
        parts.elements.on("posts-undo", "click", lambda: parts.do(self._undo()))
        parts.elements.on_choice("posts", lambda does, at: parts.do(self._do(does, int(at))))
        parts.holder.observe(self)

    async def open(self, asked: str) -> None:
        """The first time, show what was shown last."""
        if not self._read:
            self._read = True
            entry = await self._archive.last(self._source.text)
            with self._parts.elements.together():
                if not self._busy:
                    self._cards.show(entry)
                self._history.fill()
        await self._parts.holder.want()

    # --- what the holder tells

    def loading(self) -> None:
        self._notice.hide()
        self._at("write").disabled = False
        self._parts.elements.say("when", self._words("when.soon"))

    def adapted(self) -> None:
        engine = self._parts.holder.engine
        self._at("posts").dataset.asked = frame_of(engine) if engine else ""

    def loaded(self) -> None:
        self.adapted()
        queued = bool(self._parts.elements.root.hasAttribute("data-queued"))
        if not queued:
            self._ready()
        if lost := self._lost():
            self._parts.elements.say("note", lost)
        self._parts.elements.root.removeAttribute("data-queued")
        if queued:
            self._parts.do(self._write_queued())

    def failed(self, fault: Fault) -> None:
        parts = self._parts
        self._tell(fault, *remedies(fault, parts.browser, parts.holder, parts.do))

    def _lost(self) -> str:
        """What is lost in this browser, or at this address; said once."""
        browser, words = self._parts.browser, self._words
        if missing := self._parts.holder.missing:
            return words("note.missing", name=missing)
        if not browser.storage.keeps:
            lost = "storage"
        elif not browser.secure:
            lost = "address"
        elif not browser.isolated:
            lost = "isolation"
        elif not self._parts.holder.kept:
            lost = "model"
        else:
            return ""
        return words(f"note.lost.{lost}") if browser.storage.first_time(f"lost.{lost}") else ""

    # --- writing

    async def _write_queued(self) -> None:
        """Write what was asked for while the model was loading. The page says already that it writes."""
        await self._write()
        writing = self._parts.elements.root.dataset.state == "writing"
        if writing and self._parts.holder.ready and not self._parts.holder.writing:
            self._ready()  # nothing was written: what is to be said of the text stands below it

    async def _write(self) -> None:
        """Write posts from the text, or from what is to be read in its place."""
        text = self._source.text
        if self._waiting:  # pressed again: it is not wanted any more
            self._wait(False)
        if self._busy or not self._parts.holder.ready:
            return
        wanted = self._wanted.count

        def job(engine: Engine, options: Options, read: str) -> Job:
            voice = self._wishes.voice(frame_of(engine))
            return Job(text, read, self._request(engine, read), options, wanted, voice=voice)

        async def done(written: Written, read: str) -> None:
            versions = written.best() if len(written.versions) > wanted else written.versions
            shown = max(min(wanted, len(versions)), 1)
            if versions:
                await self._show_new(Entry(text, tuple(versions), shown, "" if read == text else read))
            else:
                self._cards.show(None)
            self._end(self._remark(written, self._long.remark(text, read)))

        if not text.strip():
            self._tell(faults.EMPTY, Step(self._use_example))
        else:
            await self._run(
                lambda: self._long.prepared(text), job, lambda: self._cards.show(None, writing=True), done
            )

    async def _rework(self, entry: Entry, at: int, does: str) -> None:
        """Write a post like one that is there: "again", "shorter", or in a tone."""
        version, same = entry.versions[at], entry.read or entry.text
        request, below = version.request, 0
        if does == "shorter":
            limit, below = shorter(version)
            request = replace(request, limit=limit)
        elif does in TONES:
            request = replace(request, tone=does)
        unlike = tuple(each.answer for each in entry.versions)

        async def reading() -> str:
            return same

        def job(engine: Engine, options: Options, read: str) -> Job:
            voice = () if does in TONES else self._wishes.voice(frame_of(engine))
            return Job(entry.text, read, request, options, 1, at + 1, unlike, below, voice)

        async def done(written: Written, read: str) -> None:
            keyboard = self._parts.elements.focused() == "stop"  # which goes
            if written.versions:
                await self._show_new(entry.inserted(at + 1, written.best()[0]))
                self._end(self._remark(written))
            else:
                self._cards.show(entry)
                none = "note.not-shorter" if below else "note.same"
                self._end(self._words("note.stopped" if written.ended == "cancelled" else none))
            if keyboard:
                self._cards.focus(at + 1 if written.versions else at)

        blank = entry.inserted(at + 1, Version("", request, NOTHING))
        await self._run(reading, job, lambda: self._cards.show(blank, writing=True), done)

    async def _run(
        self,
        reading: Callable[[], Awaitable[str]],
        make: Callable[[Engine, Options, str], Job],
        begin: Callable[[], None],
        done: Callable[[Written, str], Awaitable[None]],
    ) -> None:
        """Let the model write.

        Args:
            reading: gives what is to be read; empty where nothing can be written now.
            make: says what to write of that, when it is known by which model.
            begin: called at the first word; until then what was there stays.
            done: takes what came of it, of which nothing may be whole.
        """
        parts, options = self._parts, self._parts.preferences.check()
        if parts.preferences.faulty:
            self._tell(faults.SETTING, Step(parts.preferences.show_faulty))
            return
        if not self._wishes.check():
            return
        self._busy, begun = True, False

        def first() -> None:
            nonlocal begun
            if not begun:
                begun = True
                parts.elements.say("note", "")
                begin()

        queued = parts.holder.writing
        self._wait(queued)
        try:
            if not (read := await reading()):
                if parts.holder.ready:
                    self._ready()
                return
            async with parts.holder.turn(lambda: self._waiting == queued) as engine:
                self._wait(False)
                self._begin()
                try:
                    await self._writer.write(engine, make(engine, options, read), first)
                finally:
                    if begun:
                        await done(self._writer.written, read)
                if not begun:
                    self._end(self._remark(self._writer.written))
            self._ready()
        except ContextFull:  # the model was changed meanwhile: what can be done is told below the text
            self._end()
            self._ready()
            parts.do(self._long.look())
        except Cancelled:  # the turn went to another, or the model was given up
            self._end(self._words("note.stopped") if begun else "")
            if parts.holder.ready:
                self._ready()
        except Exception as error:
            self._end()
            self._tell(faults.while_writing(error), Step(lambda: parts.do(parts.holder.load(anyway=True))))
        finally:
            self._busy = self._waiting = (
                False  # where the model was given up, the button goes on saying that it waits
            )

    def _wait(self, waiting: bool) -> None:
        """Another screen has the turn to write, or not any more; the button says so."""
        self._waiting = waiting
        self._parts.elements.root.toggleAttribute("data-queued", waiting)
        if waiting:
            self._parts.elements.say("announced", self._words("queued"))

    def _request(self, engine: Engine, text: str) -> Request:
        return self._wishes.heard(frame_of(engine)).request(text, self._network.chosen or None)

    def _ask(self, engine: Engine, text: str) -> tuple[Prompt, int]:
        """The prompt of a text, and the most tokens of its post."""
        request, options = self._request(engine, text), self._parts.preferences.check()
        voice = self._wishes.voice(frame_of(engine))
        return prompt_of(engine, request, text, voice), options.longest(fit.longest(request))

    def _stop(self) -> None:
        if self._busy:
            self._long.stop()
            self._parts.holder.stop()

    # --- what a person does with posts

    async def _do(self, does: str, at: int) -> None:
        """What the buttons of a post do."""
        entry = self._cards.entry
        if entry is None or self._busy or at >= len(entry.versions):
            return
        if does == "discard":
            self._before = entry
            await self._show_new(entry.without(at))
            self._note(self._words("note.discarded"), undo=True)
            self._at("posts-undo").focus()
        elif self._parts.holder.ready:
            await self._rework(entry, at, does)

    async def _undo(self) -> None:
        """Bring back the post that was taken away."""
        if (entry := self._before) is not None:
            await self._show_new(entry)
            self._note("")
            self._cards.focus(0)

    def _changed(self, entry: Entry) -> None:
        """A person writes in a post."""
        self._parts.do(self._keep_soon(entry))

    async def _keep_soon(self, entry: Entry) -> None:
        kept = await self._archive.keep_soon(entry)
        if kept and self._cards.entry is entry:
            self._cards.entry = kept
            self._archive.shown(kept)
            self._history.fill()

    async def _show_new(self, entry: Entry) -> None:
        """Show an entry as it is now, and keep it."""
        self._cards.show(entry)
        kept = await self._archive.keep(entry)
        if self._cards.entry is entry:
            self._cards.entry = kept
        self._history.fill()

    def _show(self, entry: Entry | None) -> None:
        """Show an entry of the history, with its text; None for none."""
        if self._busy:
            return
        self._notice.hide()
        self._note("")
        self._cards.show(entry)
        self._history.fill()
        if entry is None:
            return
        self._archive.shown(entry)
        if entry.text != self._source.text:
            web.documents.fill(entry.text)
        self._at("posts").scrollIntoView(block="nearest")
        self._cards.focus(0)

    # --- what is shown

    def _use_example(self) -> None:
        """Put the example of the page's language into the text box, as its button does."""
        self._at(f"example-{self._parts.browser.language}").click()

    def _edited(self) -> None:
        """A changed text answers a fault of the text."""
        if self._parts.holder.ready and not self._busy and self._notice.kind in ("empty", "setting"):
            self._ready()

    def _ready(self) -> None:
        """Writing can begin."""
        self._notice.hide()
        self._parts.panel.state("ready", "state.ready")
        self._parts.elements.say("when", self._parts.hint("hint.write"))

    def _begin(self) -> None:
        """Something is being written; what is there stays until its first word."""
        self._parts.panel.state("writing", "state.writing")
        self._cards.wait()
        self._notice.hide()
        self._note(self._words("post.reading") if self._cards.entry else "")
        self._parts.elements.say("when", self._parts.hint("hint.stop"))
        self._at("posts").scrollIntoView(block="nearest")

    def _end(self, note: str = "") -> None:
        """It has ended, whole or not."""
        self._cards.rest()
        self._note(note)

    def _note(self, text: str, undo: bool = False) -> None:
        """Say something in passing, and whether it can be undone."""
        if not undo:
            self._before = None
        self._parts.elements.say("note", text)
        self._at("posts-undo").hidden = not undo

    def _remark(self, written: Written, read: str = "") -> str:
        """One quiet remark at most.

        Args:
            read: what is to be said of what was read.
        """
        words = self._words
        if written.ended == "cancelled":
            return words("note.stopped")
        if written.ended == "loop":
            return words("note.loop")
        if not written.versions:
            return words("note.control", count=written.control) if written.control else words("note.nothing")
        if read:
            return read
        return words("note.stayed") if self._parts.browser.storage.first_time("stayed") else ""

    def _tell(self, fault: Fault, *steps: Step) -> None:
        """Tell a fault where the post would be."""
        self._at("write").disabled = not fault.sound
        self._parts.elements.say("when", "")
        self._parts.elements.root.removeAttribute("data-queued")
        self._notice.tell(fault, *steps)


def make(parts: Parts) -> PostScreen:
    """The screen."""
    return PostScreen(parts)
