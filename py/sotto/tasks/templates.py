"""Templates of tasks: those that are ready, and those that a person makes of them, saves and passes on as JSON."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args

from .. import values
from ..errors import FormatError, InvalidSetting
from ..text.json_schema import Schema, grammar
from .candidates import USUAL
from .phrases import LANGUAGES, TASKS, TONES, TRAINED, Language, Task
from .request import Frame, Request, wording

TEXT = "{text}"  # in a prompt: where the text goes
MOST_ANSWERS = 9
VERSION = 1  # of the JSON

Choice = Literal["", "task", "tone", "into"]  # what is chosen when a template is used, as named in Request
_CHOICES: Mapping[Choice, Sequence[str]] = {"": (), "task": TASKS, "tone": TONES, "into": LANGUAGES}


@dataclass(frozen=True)
class Template:
    """A task to use again and again.

    Attributes:
        id: of a ready one the name of its words; of a person's own any.
        name: of a person's own.
        task: what is asked; None where `prompt` says all.
        choice, options: what is left to be chosen, and from what; the first is the usual one.
        prompt: in a person's own words, with {text} where the text goes; empty for the words of the task.
        answers: how many different ones are written.
        longest: the most tokens of an answer.
        temperature: as in Sampling, where the settings say nothing.
        schema: the JSON schema that an answer is held to, as a text; empty for none.
        text: an example, of a person's own.

    Raises InvalidSetting, naming the value, for one of the wrong kind or out of range.
    """

    id: str
    name: str = ""
    task: Task | None = None
    choice: Choice = ""
    options: tuple[str, ...] = ()
    prompt: str = ""
    answers: int = 1
    longest: int = 192
    temperature: float = USUAL
    schema: str = ""
    text: str = ""

    def __post_init__(self) -> None:
        for name in ("id", "name", "prompt", "schema", "text"):
            if not isinstance(value := getattr(self, name), str):
                raise values.invalid(name, value, "a text")
        if self.task is not None and self.task not in TASKS:
            raise values.invalid("task", self.task, f"one of: {', '.join(TASKS)}")
        if self.choice not in get_args(Choice):
            raise values.invalid("choice", self.choice, f"one of: {', '.join(get_args(Choice)[1:])}")
        if not set(self.options) <= set(known := _CHOICES[self.choice]) or bool(self.choice) > bool(
            self.options
        ):
            raise values.invalid("options", self.options, f"some of: {', '.join(known)}")
        if self.task is None and (self.choice or not self.prompt.strip()):
            raise values.invalid("prompt", self.prompt, "what the model is told, where there is no task")
        values.whole("answers", self.answers, 1, MOST_ANSWERS)
        values.whole("longest", self.longest, 1)
        values.number("temperature", self.temperature, 0, 10)
        self.read_schema()

    def read_schema(self) -> Schema | None:
        """The schema; None where there is none. Raises InvalidSetting for what is no JSON, or can't be kept."""
        if not self.schema.strip():
            return None
        try:
            schema: Schema = json.loads(self.schema)
        except (ValueError, RecursionError) as error:
            raise InvalidSetting(
                f"The schema is no JSON ({error}).", "Correct it, or leave it empty."
            ) from error
        grammar(schema)
        return schema

    def request(self, language: Language, chosen: str = "") -> Request | None:
        """What is asked of a text in a language; None where the prompt says it.

        Args:
            chosen: one of the options; another is taken for the first.
        """
        if self.task is None:
            return None
        request = Request(self.task, language)
        if not self.choice:
            return request
        change: dict[str, Any] = {self.choice: chosen if chosen in self.options else self.options[0]}
        return replace(request, **change)

    def wording(self, request: Request | None, text: str, how: Frame) -> str:
        """All that the model gets to read: the request, or the prompt in its place, with the text."""
        if self.prompt or request is None:
            prompt = self.prompt if TEXT in self.prompt else f"{self.prompt.rstrip()}\n\n{TEXT}"
            return prompt.replace(TEXT, text)
        return wording(request, text, "chat" if how == "chat" else "plain")

    def learned(self, request: Request | None) -> bool:
        """Whether the default model's adapter was trained for it."""
        return not self.prompt and request is not None and request.task in TRAINED

    def under(self, name: str) -> Template:
        """The same under another id."""
        return replace(self, id=name)

    def copied(self, **changes: Any) -> Template:
        """A person's own, made of this one. Raises InvalidSetting."""
        return replace(self, id=secrets.token_hex(8), **changes)


_EVENT = json.dumps(
    {
        "type": "object",
        "properties": {
            "title": {"type": "string", "maxLength": 80},
            "place": {"type": "string", "maxLength": 80},
            "day": {"type": "string", "maxLength": 40},
            "time": {"type": "string", "maxLength": 20},
        },
        "required": ["title", "place", "day", "time"],
    },
    indent=2,
)

READY = (
    Template("caption", task="caption", longest=96),
    Template("dialogue", task="dialogue", longest=96, temperature=0.7),
    Template("reply", task="reply", answers=3, longest=64),
    Template(
        "summary", task="summary", choice="task", options=("bullets", "paragraph", "summary", "headline")
    ),
    Template("rewrite", task="rewrite", choice="tone", options=TONES),
    Template("translation", task="translation", choice="into", options=LANGUAGES, longest=256),
    Template("record", task="record", schema=_EVENT),
)


def to_json(templates: Sequence[Template]) -> str:
    """Templates as a file that `from_json` reads."""
    return json.dumps(
        {"sotto": "tasks", "version": VERSION, "tasks": [asdict(template) for template in templates]},
        ensure_ascii=False,
        indent=1,
    )


def from_json(text: str) -> list[Template]:
    """Read what `to_json` wrote. Raises FormatError, which says what is wrong, for anything else."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(
            f"This is no JSON file ({error}).", "Choose a file of tasks that Sotto saved."
        ) from error
    if not isinstance(data, dict) or data.get("sotto") != "tasks" or not isinstance(data.get("tasks"), list):
        raise FormatError("There are no tasks in this file.", "Choose one that Sotto saved.")
    if data.get("version") != VERSION:
        raise FormatError(
            f"These tasks are of version {data.get('version')}, and this Sotto knows {VERSION}.",
            "Open the newer one's page, or save them again.",
        )
    return [_template(row, number) for number, row in enumerate(data["tasks"], 1)]


def _template(row: object, number: int) -> Template:
    known = {each.name for each in fields(Template)}
    try:
        if not isinstance(row, dict) or row.keys() - known:
            raise InvalidSetting("It is no task of this version.")
        options = row.get("options", ())
        if not isinstance(options, (list, tuple)) or not all(isinstance(each, str) for each in options):
            raise values.invalid("options", options, "a list of texts")
        return Template(**{"id": "", **row, "options": tuple(options)})
    except InvalidSetting as error:
        raise FormatError(
            f"Task {number} of the file cannot be used. {error}", "Nothing was taken from it."
        ) from error
