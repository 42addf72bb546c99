"""The tasks' part of the document. The ids are those of web/index.html."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any
from urllib.parse import quote

from pyodide.ffi import create_proxy

from ...errors import InvalidSetting
from ...reports import RunStats
from ...tasks.language import language
from ...tasks.phrases import LANGUAGES, PHRASES
from ...tasks.templates import READY, Template, to_json
from .. import fields, web
from ..parts import Parts
from ..run_figures import Figures, folded

FIELDS = ("prompt", "answers", "longest", "schema")  # of a template, which can be written into


@dataclass(frozen=True)
class Answer:
    """What came of a task.

    Attributes:
        is_json: it is shown as it stands.
        doubt: what to check in it; empty for nothing.
        stats: None while it is written.
    """

    text: str
    is_json: bool = False
    doubt: str = ""
    stats: RunStats | None = None


class TasksView:
    """Shows what it is told and asks the person."""

    def __init__(self, parts: Parts) -> None:
        self._words = parts.words
        self._at = parts.elements.at
        self._say = parts.elements.say
        self._elements = parts.elements
        self._language = parts.browser.language
        self.on = parts.elements.on
        self.filled = False  # there is a template, and a text: it can be run

    def on_template(self, handler: Callable[[str], object]) -> None:
        """Call a handler with the id of a template that was chosen."""

        def heard(event: Any) -> None:
            if target := event.target.closest("[data-on]"):
                handler(str(target.dataset.on))

        self._at("tasks-list").addEventListener("click", create_proxy(heard))

    # --- the fields

    def written(self, name: str) -> str:
        """What is in a field."""
        return str(self._at(f"tasks-{name}").value)

    def write(self, name: str, text: str) -> None:
        """Put a text into a field."""
        self._at(f"tasks-{name}").value = text

    def write_source(self, text: str) -> None:
        """Put a text into the box, as if it had been typed: web/kept.js keeps it."""
        self.write("source", text)
        self._at("tasks-source").dispatchEvent(web.window.Event.new("input"))

    def focus(self, name: str) -> None:
        """The keyboard is at an element."""
        self._at(f"tasks-{name}").focus()

    def complain(self, faults: Mapping[str, InvalidSetting]) -> None:
        """Say beside each field of a template why it cannot be as it is; go to the first."""
        for name in FIELDS:
            error = faults.get(name)
            self._elements.complain(f"tasks-{name}", fields.complaint(self._words, error) if error else "")
        if faults:
            self._at("tasks-how").open = True
            self.focus(next(iter(faults)))

    # --- the templates

    def name_of(self, template: Template) -> str:
        """What a template is called."""
        if template in READY:
            return self._words(f"tasks.{template.id}")
        return template.name or self._words("tasks.untitled")

    def example_of(self, template: Template) -> str:
        """A text to try a template with."""
        return self._words(f"tasks.{template.id}.example") if template in READY else template.text

    def templates(self, own: Sequence[Template]) -> None:
        """List the templates, and offer the person's own as a file."""
        items = (
            f'<li><button type="button" data-on="{escape(each.id)}" dir="auto">'
            f"{escape(self.name_of(each))}</button></li>"
            for each in (*READY, *own)
        )
        self._elements.items("tasks-list", "".join(items))
        link = self._at("tasks-export")
        link.hidden = not own
        link.href = f"data:application/json;charset=utf-8,{quote(to_json(own))}"
        link.download = "sotto-tasks.json"

    def show(self, template: Template, is_own: bool) -> None:
        """Fill in what a template says."""
        words = self._words
        self._say("tasks-about", words("tasks.own.about" if is_own else f"tasks.{template.id}.about"))
        self.write("answers", str(template.answers))
        self.write("longest", str(template.longest))
        self.write("schema", template.schema)
        self.write("name", template.name if is_own else words("tasks.copy", name=self.name_of(template)))
        self._say("tasks-save", words("tasks.save" if is_own else "tasks.save.own"))
        self._at("tasks-delete").hidden = not is_own
        self._at("tasks-example").hidden = not self.example_of(template)
        self._choices(template)

    def shown(self, template: Template) -> None:
        """All of a template is filled in."""
        self.complain({})
        self._elements.paint(
            [
                ("#tasks-list [data-on]", "aria-current", "false"),
                (f'#tasks-list [data-on="{template.id}"]', "aria-current", "true"),
            ]
        )

    def show_new(self) -> None:
        """A template is begun that is not there yet."""
        self._elements.paint([("#tasks-list [data-on]", "aria-current", "false")])
        self._say("tasks-about", self._words("tasks.own.about"))
        self.write("name", "")
        self._at("tasks-how").open = True
        self.focus("prompt")

    def _choices(self, template: Template) -> None:
        """What is left to be chosen."""
        words, place = self._words, self._at("tasks-choice")
        place.textContent = ""
        kind = template.choice
        self._at("tasks-choosing").hidden = not kind
        if kind == "into":
            names = PHRASES["ja" if self._language == "ja" else "en"].languages
            self._elements.options("tasks-choice", [(each, names[each]) for each in LANGUAGES])
            place.value = "en" if self._language == "ja" else "de"
        elif kind:
            self._elements.options(
                "tasks-choice", [(each, words(f"tasks.{kind}.{each}")) for each in template.options]
            )
        if kind:
            self._say("tasks-choice-label", words(f"tasks.choice.{kind}"))

    # --- the state

    def state(self, state: str, hint: str = "") -> None:
        """Whether there is a model ("loading", "failed"), or what it does ("ready", "waiting", "writing")."""
        pressed = self._elements.focused() in ("tasks-run", "tasks-stop")
        self._at("tasks").dataset.state = state
        self._say("tasks-when", hint)
        self._at("tasks-run").disabled = state == "failed" or not self.filled
        if pressed:  # one of the two goes, and the keyboard with it to the other
            self.focus("stop" if state in ("waiting", "writing") else "run")
        self._at("tasks-log").ariaBusy = "true" if state == "writing" else "false"

    def note(self, text: str, undo: bool = False) -> None:
        """Say something of the templates in passing, and whether it can be undone."""
        self._say("tasks-note-text", text)
        self._at("tasks-undo").hidden = not undo

    def remark(self, text: str) -> None:
        """Say something of the answers."""
        self._say("tasks-remark", text)

    # --- the answers

    async def answers(self, answers: Sequence[Answer], cached: bool = False) -> None:
        """Show answers, the last of which may go on."""
        parts = "".join(self._answer(number, each, cached) for number, each in enumerate(answers))
        texts = {f"task{number}": _markdown(each) for number, each in enumerate(answers)}
        await web.markdown.fill("tasks-out", parts, json.dumps(texts))
        self._at("tasks-empty").hidden = bool(answers)

    async def grow(self, number: int, text: str) -> None:
        """Show more of an answer."""
        await web.markdown.grow("tasks-out", f"task{number}", text)

    def _answer(self, number: int, answer: Answer, cached: bool) -> str:
        words = self._words
        below = ""
        if answer.text:
            copied = f'data-copy data-text="{escape(answer.text)}" data-words="copy"'
            below = f'<p class="does"><button type="button" {copied}>{escape(words("copy"))}</button></p>'
        if answer.stats:
            below += folded(words, Figures(answer.stats, cached=cached))
        doubt = f'<p class="doubt">{escape(answer.doubt)}</p>' if answer.doubt else ""
        return (
            f'<li><div class="answer" dir="auto" lang="{language(answer.text)}" data-markdown="task{number}"></div>'
            f'{doubt}<div class="below">{below}</div></li>'
        )


def _markdown(answer: Answer) -> str:
    return f"```json\n{answer.text}\n```" if answer.is_json else answer.text
