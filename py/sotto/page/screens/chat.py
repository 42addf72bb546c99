"""The conversation's story: ask, answer, ask again, keep, forget."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import Any

from ...engine.engine import Engine
from ...errors import Cancelled, ContextFull, InvalidSetting
from ...text.prompt import Prompt
from ...text.sampler import Sampling
from ...text.tokenizer import Segment
from .. import faults, web
from ..archive import Archive
from ..chat import context
from ..chat.conversation import Conversation
from ..chat.view import ChatView
from ..chosen_file import NotTaken, chosen
from ..faults import Fault
from ..fields import complaint
from ..notice import Notice, Step, remedies
from ..observer import Observer
from ..options import Options
from ..parts import Parts
from ..shelf import History
from ..throttle import Throttle

Work = Callable[[Engine, Conversation], Awaitable[Conversation]]
LONGEST = 1024  # tokens of an answer, where neither the conversation nor the settings say it
OPENED = "chat.open"  # under which the browser remembers the conversation that is shown


class ChatScreen(Observer):
    """Many conversations, one of them shown, one answer at a time."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._words = parts.words
        self._view = view = ChatView(parts)
        self._notice = Notice(parts.elements, parts.words, parts.panel, "chat-error")
        self._shelf = History(
            Archive("conversation", web.archive.open, parts.browser.private),
            lambda _, text: Conversation.from_json(text),
            Conversation.to_json,
        )
        self._shown = Conversation()
        self._before: Conversation | None = None  # what an undo brings back
        self._filled = ""  # the one whose settings are in the fields
        self._editing: int | None = None  # the question that is shown as a field
        self._read = False
        self._asked: Conversation | None = None  # the one whose last answer is wanted
        self._writing = False  # that is on its way
        for name, work in (
            ("send", self._send), ("new", self._new), ("forget", self._forget), ("anew", self._begin_anew),
            ("undo", self._undo), ("delete", self._delete),
        ):  # fmt: skip
            view.on(f"chat-{name}", "click", self._later(work))
        view.on("chat-stop", "click", self._stop)
        view.on("chat-open", "click", lambda: parts.elements.at("chat-file").click())
        view.on("chat-file", "change", self._later(self._import))
        view.on("chat-search", "input", self._list)
        view.on("chat-title", "change", lambda: parts.do(self._rename()))
        for name in ("instructions", "temperature", "longest"):
            view.on(f"chat-{name}", "change", lambda: parts.do(self._set()))
        view.on_choice("chat-list", lambda _, name: parts.do(self._open(name)))
        view.on_choice("chat-try", lambda _, number: self._suggest(number))
        view.on_choice("chat-turns", lambda does, at: parts.do(self._do(does, int(at))))
        parts.holder.observe(self)

    def _later(self, work: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], object]:
        """What lets some work go on behind an event."""
        return lambda: self._parts.do(work())

    async def open(self, asked: str) -> None:
        """Show what was shown last; the first time, read what the browser has kept."""
        if not self._read:
            self._read = True
            await self._shelf.read()
            await self._show(self._shelf.find(self._parts.browser.storage.remembered(OPENED)) or self._shown)
            if not self._shelf.keeps:
                self._view.note(self._words("chat.unkept"))
        await self._parts.holder.want()

    # --- what the holder tells

    def loading(self) -> None:
        self._notice.hide()
        self._wait()

    def loaded(self) -> None:
        self._notice.hide()
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
        """There is no model yet; a question may wait for it."""
        if self._asked:
            self._view.state("waiting", self._words("chat.waiting.model"))
        else:
            self._view.state("loading", self._words("when.soon"))

    def _ready(self) -> None:
        """A question can be answered, if the model can talk."""
        engine = self._parts.holder.engine
        if engine is None:
            self._wait()
            return
        if engine.chat_format is None:
            model = self._parts.holder.model
            names = [
                each["name"]
                for each in self._parts.models["models"]
                if each["url"] != (model and model["url"])
            ]
            self._view.cannot(model["name"] if model else engine.name, names)
            self._view.state("cannot")
            return
        self._view.state("ready", self._parts.hint("chat.hint.send"))
        self._fill()

    # --- asking

    async def _send(self) -> None:
        """Ask what is written."""
        question = self._view.written("input").strip()
        self._view.focus("input")
        if question and not self._asked:
            self._view.write("input", "")
            await self._ask(self._shown.asked(question))

    async def _ask(self, conversation: Conversation, note: str = "") -> None:
        """Let the last answer of the conversation that is shown be written, or written further.

        Args:
            note: what is said of what this takes away, and can be brought back.
        """
        before = self._shown
        self._view.full("")
        self._notice.hide()
        await self._change(conversation)
        if note:
            self._before = before
            self._view.note(self._words(note), undo=True)
        self._asked = conversation
        await self._answer()

    async def _do(self, does: str, at: int) -> None:
        """What the buttons of a turn do."""
        if self._asked:
            return
        shown, view = self._shown, self._view
        if does == "edit":
            await view.edit(shown, at)
            self._editing = at
            return
        question = view.draft().strip() if does == "reask" else ""
        self._editing = None
        view.focus("input")
        if does == "further":
            await self._ask(shown)
        elif does == "again":
            await self._ask(shown.unanswered(), "chat.note.again" if shown.turns[at].answer else "")
        elif question:
            await self._ask(shown.reworded(at, question), "chat.note.edited")
        else:
            await self._show(shown)

    async def _undo(self) -> None:
        """Bring back what the last step took away."""
        if (before := self._before) is not None and not self._asked:
            self._view.focus("input")
            self._filled = ""
            await self._change(before)

    def _stop(self) -> None:
        self._asked = None
        if self._writing:
            self._parts.holder.stop()
        else:
            self._ready()
        self._view.focus("input")

    def _suggest(self, number: str) -> None:
        """Write a question into the field, as an example."""
        self._view.write("input", self._words(f"chat.try.{number}"))
        self._view.focus("input")

    # --- answering

    async def _answer(self) -> None:
        """Write the answer that is wanted."""

        async def work(engine: Engine, asked: Conversation) -> Conversation:
            prompt = self._prompt(engine, asked)
            if (count := engine.count(prompt)) > (most := context.room(engine.context)):
                raise ContextFull(count, most)
            return await self._write(engine, asked, prompt)

        await self._in_turn(work)

    async def _in_turn(self, work: Work) -> None:
        """Let `work` have the model and the conversation that was asked: when there is a model, and when whoever writes
        with it now is done. It gives the conversation as that is afterwards."""
        holder, view, panel = self._parts.holder, self._view, self._parts.panel
        if holder.engine is None or self._asked is None:
            self._wait()
            return
        asked = self._asked
        hint = self._parts.hint("hint.stop")
        view.state("waiting", self._words("chat.waiting.turn") if holder.writing else hint)
        try:
            async with holder.turn(lambda: self._asked is asked) as engine:
                self._writing = True
                view.state("writing", hint)
                panel.state("ready", "state.writing")
                try:
                    await self._written(await work(engine, asked))
                finally:
                    self._writing = False
                    self._asked = None
                    panel.state("ready", "state.ready")
        except ContextFull as error:
            if self._shown.id == asked.id:
                view.full(self._words("chat.full.text", count=error.tokens, limit=error.limit))
        except Cancelled:
            if self._asked:  # the model was given up: the next one answers
                return
        except Exception as error:
            again = Step(lambda: self._parts.do(holder.load(anyway=True)))
            self._notice.tell(faults.while_answering(error), again)
        self._ready()

    async def _write(self, engine: Engine, asked: Conversation, prompt: Prompt) -> Conversation:
        """Write at the last answer; the conversation with as much of it as came."""
        at = len(asked.turns) - 1
        throttle, answer = Throttle(), asked.turns[-1].answer
        try:
            options = self._options(asked)
            async for piece in engine.generate(
                prompt, options.longest(LONGEST), options.sampling(Sampling.temperature),
                stop=options.stop, loop_guard=options.loop_guard,
            ):  # fmt: skip
                answer += piece.text if answer else piece.text.lstrip()
                if throttle.due("answer"):
                    so_far = asked.answered(answer, "", None)
                    self._shelf.hold(so_far)
                    if self._shown.id == asked.id:
                        self._shown = so_far
                        await self._view.grow(at, answer)
        except Exception:
            await self._written(
                asked.answered(answer, engine.stats.stop_reason, self._parts.panel.figures(engine))
            )
            raise
        ended = engine.stats.stop_reason
        if ended == "context" and self._shown.id == asked.id:
            self._view.full(self._words("chat.full.cut", limit=engine.context))
        return asked.answered(answer, ended, self._parts.panel.figures(engine))

    async def _written(self, conversation: Conversation) -> None:
        """Keep what came of an answer."""
        if self._shown.id == conversation.id:
            self._shown = conversation
        await self._keep(conversation)

    def _prompt(self, engine: Engine, conversation: Conversation) -> Prompt:
        """A conversation as the model is shown it, up to where its last answer goes on."""
        prompt = engine.conversation(conversation.messages(self._words("chat.summary.about")))
        if answer := conversation.turns[-1].answer:
            prompt = replace(prompt, segments=(*prompt.segments, Segment(answer)))
        return prompt

    def _options(self, conversation: Conversation) -> Options:
        """The settings, and before them what a conversation has of its own."""
        options = self._parts.preferences.check()
        own: dict[str, Any] = {"temperature": conversation.temperature, "max_tokens": conversation.longest}
        return replace(options, **{name: value for name, value in own.items() if value is not None})

    # --- the context

    def _fill(self) -> None:
        """Show how full the context is."""
        engine = self._parts.holder.engine
        if engine is not None and engine.chat_format is not None:
            tokens = engine.count(self._prompt(engine, self._shown)) if self._shown.turns else 0
            self._view.fill(tokens, engine.context)

    async def _forget(self) -> None:
        """Forget the oldest turns, and go on."""
        if (engine := self._parts.holder.engine) is None:
            return
        self._view.focus("input")
        less = context.make_room(
            self._shown, lambda one: engine.count(self._prompt(engine, one)), engine.context
        )
        if less is not None:
            await self._ask(less)
        else:
            self._view.full("")
            self._view.note(self._words("chat.note.long"))

    async def _begin_anew(self) -> None:
        """Begin another conversation with a summary of this one, and with its question where that has no answer."""
        view, old, summary = self._view, self._shown, ""
        question = old.turns[-1].question if not old.turns[-1].answer else ""
        summed = old.without_last() if question else old
        view.full("")
        view.focus("input")
        if not summed.turns:
            view.note(self._words("chat.note.long"))
            return
        view.note(self._words("chat.note.summary"))

        async def work(engine: Engine, asked: Conversation) -> Conversation:
            nonlocal summary
            ask, most = summed.asked(self._words("chat.summary.ask")), context.room(engine.context)
            fits = context.forget_oldest(ask, lambda one: engine.count(self._prompt(engine, one)), most)
            if fits is None:
                raise ContextFull(engine.count(self._prompt(engine, ask)), most)
            prompt, free = self._prompt(engine, fits), engine.context - most
            sampling = self._options(asked).sampling(Sampling.temperature)
            async for piece in engine.generate(prompt, free, sampling):
                summary += piece.text
            return summed

        self._asked = old
        await self._in_turn(work)
        view.note("")
        if not summary.strip():
            return
        new = summed.anew(summary.strip())
        if question:
            await self._ask(new.asked(question))
        else:
            await self._change(new)

    # --- the conversations

    async def _show(self, conversation: Conversation) -> None:
        """Show a conversation."""
        self._shown = conversation
        self._parts.browser.storage.remember(OPENED, conversation.id)
        self._view.head(conversation)
        if conversation.id != self._filled:  # or what is being written into a field would be overwritten
            self._filled, self._editing = conversation.id, None
            self._view.settings(conversation)
        self._list()
        draft = "" if self._editing is None else self._view.draft()
        await self._view.show(conversation, self._editing, draft)
        self._fill()

    async def _change(self, conversation: Conversation) -> None:
        """Show a conversation as it is now, and keep it; what was there before can no longer be brought back."""
        self._before = None
        self._view.note("")
        self._shown = conversation
        await self._keep(conversation)

    async def _keep(self, conversation: Conversation) -> None:
        """Keep a conversation, unless there is nothing in it, and show it where it is the one that is shown."""
        kept = conversation if conversation.empty else await self._shelf.keep(conversation)
        if self._shown is conversation:
            await self._show(kept)
        else:
            self._list()

    def _list(self) -> None:
        found = self._shelf.found(self._view.written("search"))
        self._view.conversations(found, self._shown.id, bool(self._shelf.all))

    async def _leave(self, conversation: Conversation) -> None:
        """Another conversation is shown."""
        self._before = None
        self._view.note("")
        self._view.full("")
        await self._show(conversation)

    async def _open(self, name: str) -> None:
        if (conversation := self._shelf.find(name)) is not None:
            await self._leave(conversation)

    async def _new(self) -> None:
        await self._leave(self._shown.anew())
        self._view.focus("input")

    async def _delete(self) -> None:
        """Delete the conversation that is shown; it can be brought back until something else is done."""
        if self._asked:
            return
        gone = self._shown
        await self._shelf.drop(gone)
        await self._leave(Conversation())
        self._before = gone
        self._view.note(self._words("chat.note.deleted"), undo=True)
        self._view.focus("undo")

    async def _import(self) -> None:
        """Take the conversation of a file, and show it; or the one that is here and is the same."""
        words, view = self._words, self._view
        try:
            given = await chosen(words, "chat-file", "chat", Conversation.from_json)
        except NotTaken as error:
            view.note(error.told)
            return
        new, known = await self._shelf.take([given])
        view.write("search", "")
        await self._leave((new or known)[0])
        if not self._shelf.keeps:
            view.note(words("chat.unkept"))
        else:
            view.note(words("chat.note.taken" if new else "chat.note.known"))

    async def _rename(self) -> None:
        if not self._asked:
            await self._change(self._shown.called(self._view.written("title")))

    async def _set(self) -> None:
        """Take what is written into the fields, or say why it cannot be taken."""
        view = self._view
        try:
            told = self._shown.told(
                view.written("instructions"), view.written("temperature"), view.written("longest")
            )
        except InvalidSetting as error:
            view.note(complaint(self._parts.words, error))
            view.settings(self._shown)
            return
        if not self._asked:
            await self._change(told)


def make(parts: Parts) -> ChatScreen:
    """The screen."""
    return ChatScreen(parts)
