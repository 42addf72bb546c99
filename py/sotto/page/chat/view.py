"""The conversation's part of the document. The ids are those of web/index.html."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from urllib.parse import quote

from ...tasks.language import language
from .. import web
from ..clock import local
from ..parts import Parts
from ..run_figures import folded
from .conversation import Conversation, Turn

# What is said below an answer that did not end by itself, by RunStats.stop_reason.
ENDED = {
    "cancelled": "chat.ended.cancelled",
    "length": "chat.ended.length",
    "context": "chat.ended.context",
    "loop": "chat.ended.loop",
    "failed": "chat.ended.failed",
}
GOES_ON = ("cancelled", "length", "failed")  # answers that can be written further


class ChatView:
    """Shows what it is told and asks the person."""

    def __init__(self, parts: Parts) -> None:
        self._words = parts.words
        self._at = parts.elements.at
        self._say = parts.elements.say
        self._items = parts.elements.items
        self._passing = parts.elements.passing
        self.on = parts.elements.on
        self.on_choice = parts.elements.on_choice
        self._at("chat-kept").open = parts.browser.wide()

    # --- the fields

    def written(self, name: str) -> str:
        """What is in a field."""
        return str(self._at(f"chat-{name}").value)

    def write(self, name: str, text: str) -> None:
        """Put a text into a field, as if it had been typed: web/kept.js keeps that of the next question."""
        self._at(f"chat-{name}").value = text
        self._at(f"chat-{name}").dispatchEvent(web.window.Event.new("input"))

    def focus(self, name: str) -> None:
        """The keyboard is at an element."""
        self._at(f"chat-{name}").focus()

    def draft(self) -> str:
        """What is in the field of the question that is edited."""
        return str(self._passing("chat-edit").value)

    # --- the state

    def state(self, state: str, hint: str = "") -> None:
        """Whether there is a model that talks ("loading", "failed", "cannot"), or what it does ("ready", "waiting",
        "writing")."""
        self._at("chat").dataset.state = state
        self._say("chat-when", hint)
        self._at("chat-send").disabled = state == "failed"
        busy = state in ("waiting", "writing")
        for name in ("fields", "title"):
            self._at(f"chat-{name}").disabled = busy
        self._at("chat-log").ariaBusy = "true" if state == "writing" else "false"

    def note(self, text: str, undo: bool = False) -> None:
        """Say something in passing, and whether it can be undone."""
        self._say("chat-note-text", text)
        self._at("chat-undo").hidden = not undo

    def fill(self, tokens: int, context: int) -> None:
        """How full the context is."""
        bar = self._at("chat-fill")
        text = self._words("chat.fill", count=tokens, limit=context)
        bar.hidden = not tokens
        bar.style.setProperty("--done", f"{min(tokens / context, 1):.4f}")
        bar.ariaValueMax = str(context)
        bar.ariaValueNow = str(min(tokens, context))
        bar.ariaValueText = text
        self._say("chat-fill-text", text)

    def full(self, text: str) -> None:
        """Ask what to do about a full context; an empty text ends the question."""
        self._say("chat-full-text", text)
        self._at("chat-full").hidden = not text
        if text:
            self.focus("forget")

    def cannot(self, name: str, others: Sequence[str]) -> None:
        """The model can't talk; others on this server may."""
        self._say("chat-cannot-text", self._words("chat.cannot.text", name=name))
        items = (f'<li><a href="?model={quote(other)}#chat">{escape(other)}</a></li>' for other in others)
        self._items("chat-others", "".join(items))
        self._at("chat-others-of").hidden = not others

    # --- the conversations

    def conversations(self, shown: Sequence[Conversation], current: str, there: bool) -> None:
        """List some of those that `there` are."""
        words = self._words
        items = []
        for one in shown:
            here = ' aria-current="true"' if one.id == current else ""
            line = escape(words("chat.line", date=local(one.changed), count=len(one.turns)))
            name, on = escape(one.name or words("chat.untitled")), escape(one.id)
            items.append(
                f'<li><button type="button" data-do="open" data-on="{on}"{here}>'
                f'<b dir="auto">{name}</b><small>{line}</small></button></li>'
            )
        self._items("chat-list", "".join(items))
        self._say("chat-none", "" if items else words("chat.none.found" if there else "chat.none"))
        self._at("chat-search").hidden = not there

    async def show(self, conversation: Conversation, editing: int | None, draft: str) -> None:
        """Show a conversation; the question number `editing` as a field with a `draft`."""
        words = self._words
        last = len(conversation.turns) - 1
        parts = []
        if conversation.summary:
            said = f'<h3>{escape(words("chat.summary"))}</h3><p dir="auto">{escape(conversation.summary)}</p>'
            parts.append(f'<li class="summary">{said}</li>')
        for at, turn in enumerate(conversation.turns):
            if at and at == conversation.forgotten:
                parts.append(f'<li class="forgotten">{escape(words("chat.forgotten"))}</li>')
            question = self._edited(at, draft) if at == editing else self._question(at, turn)
            away = " data-forgotten" if at < conversation.forgotten else ""
            parts.append(f"<li{away}>{question}{self._answer(at, turn, at == last)}</li>")
        answers = {f"answer{at}": turn.answer for at, turn in enumerate(conversation.turns)}
        await web.markdown.fill("chat-turns", "".join(parts), json.dumps(answers))
        self._at("chat").dataset.blank = "" if conversation.turns or conversation.summary else "yes"

    async def edit(self, conversation: Conversation, at: int) -> None:
        """Show a conversation, and its question number `at` as a field that has the keyboard."""
        await self.show(conversation, at, conversation.turns[at].question)
        self._passing("chat-edit").focus()

    async def grow(self, at: int, answer: str) -> None:
        """Show more of an answer."""
        await web.markdown.grow("chat-turns", f"answer{at}", answer)

    def head(self, conversation: Conversation) -> None:
        """The title and the files of a conversation."""
        words = self._words
        self.write("title", conversation.name)
        name = f"sotto-{conversation.created[:16].replace(':', '')}"
        for kind, mime, text in (
            ("md", "text/markdown", conversation.to_markdown(words("chat.you"), words("chat.model"))),
            ("json", "application/json", conversation.to_json()),
        ):
            link = self._at(f"chat-{kind}")
            link.href = f"data:{mime};charset=utf-8,{quote(text)}"
            link.download = f"{name}.{kind}"
        self._at("chat-files").hidden = not conversation.turns

    def settings(self, conversation: Conversation) -> None:
        """Fill in how the model is to answer."""
        self.write("instructions", conversation.instructions)
        temperature, longest = conversation.temperature, conversation.longest
        self.write("temperature", "" if temperature is None else f"{temperature:g}")
        self.write("longest", "" if longest is None else str(longest))

    # --- a turn

    def _question(self, at: int, turn: Turn) -> str:
        words = self._words
        return (
            f"<h3>{escape(words('chat.you'))}</h3>"
            f'<div class="question" dir="auto" lang="{language(turn.question)}">{escape(turn.question)}</div>'
            f'<p class="does asked">{self._button("edit", at, "chat.edit")}</p>'
        )

    def _edited(self, at: int, draft: str) -> str:
        words = self._words
        later = escape(words("chat.edit.later"))
        return (
            f'<form class="edited"><label for="chat-edit">{escape(words("chat.edit.label"))}</label>'
            f'<textarea id="chat-edit" dir="auto" data-enter="chat-reask">{escape(draft)}</textarea>'
            f'<p><button id="chat-reask" class="primary" type="button" data-do="reask" data-on="{at}" '
            f'data-key="command+Enter">{escape(words("chat.reask"))}</button>'
            f'<button type="button" class="primary quiet" data-do="leave" data-on="{at}" data-key="Escape">'
            f"{escape(words('chat.edit.leave'))}</button><small>{later}</small></p></form>"
        )

    def _answer(self, at: int, turn: Turn, last: bool) -> str:
        words = self._words
        remark = words(ENDED[turn.ended]) if turn.ended in ENDED else ""
        if turn.ended and not turn.answer and not remark:
            remark = words("chat.ended.nothing")
        buttons = ""
        if turn.answer:
            copied = f'data-copy data-text="{escape(turn.answer)}" data-words="copy"'
            buttons += f'<button type="button" {copied}>{escape(words("copy"))}</button>'
        if last:
            buttons += self._button("again", at, "chat.again")
        if last and turn.answer and turn.ended in GOES_ON:
            buttons += self._button("further", at, "chat.further")
        figures = folded(words, turn.figures) if turn.figures else ""
        remark = f'<p class="ended">{escape(remark)}</p>' if remark else ""
        return (
            f"<h3>{escape(words('chat.model'))}</h3>"
            f'<div class="answer" dir="auto" lang="{language(turn.answer)}" data-markdown="answer{at}"></div>'
            f'{remark}<div class="below"><p class="does">{buttons}</p>{figures}</div>'
        )

    def _button(self, does: str, at: int, word: str) -> str:
        text = escape(self._words(word))
        return f'<button type="button" data-do="{does}" data-on="{at}">{text}</button>'
