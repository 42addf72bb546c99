"""A text and the posts that were made of it, as they are kept. Nothing here knows the page."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from ...errors import FormatError, InvalidSetting
from ...tasks.candidates import Candidate, judge
from ...tasks.phrases import LANGUAGES, TONES
from ...tasks.request import Request
from ...tasks.rules import Finding, check, closeness
from ...values import whole
from ..clock import local, now
from ..run_figures import Figures

VERSION = 1  # of the JSON


@dataclass(frozen=True)
class Version:
    """A post.

    Attributes:
        request: what was asked of the text.
        figures: what it took.
        edited: a person has changed it.
        copied: much of it stands in what the model was shown as an example, which is not kept.
    """

    answer: str
    request: Request
    figures: Figures
    edited: bool = False
    copied: bool = False

    def candidate(self, text: str) -> Candidate:
        """It as it is judged; what a person has written is not shortened."""
        if not self.edited:
            judged = judge(self.request, text, self.answer)
            return replace(judged, findings=(*judged.findings, Finding("prompt"))) if self.copied else judged
        found = tuple(check(self.request, text, self.answer))
        return Candidate(self.answer, found, closeness(text, self.answer, self.request.language))


@dataclass(frozen=True)
class Entry:
    """A text and the posts that were made of it. It never changes: every step gives another one.

    Attributes:
        id: under which it is kept.
        versions: in the order in which they are shown.
        shown: so many of them; the others, which are no better, only when somebody asks.
        read: what the model read in place of the text; empty for the text itself.
        created, changed: times in UTC, ISO 8601.
    """

    text: str
    versions: tuple[Version, ...] = ()
    shown: int = 1
    read: str = ""
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    created: str = field(default_factory=now)
    changed: str = field(default_factory=now)

    def inserted(self, at: int, version: Version) -> Entry:
        """With one more post at a place, which is shown."""
        return self._with([*self.versions[:at], version, *self.versions[at:]], self.shown + 1)

    def edited(self, at: int, answer: str) -> Entry:
        """With a post as a person has changed it."""
        changed = replace(self.versions[at], answer=answer, edited=True)
        return self._with([*self.versions[:at], changed, *self.versions[at + 1 :]], self.shown)

    def without(self, at: int) -> Entry:
        """With one post less, of those that are shown."""
        return self._with([*self.versions[:at], *self.versions[at + 1 :]], max(self.shown - 1, 1))

    def opened(self) -> Entry:
        """With all of its posts shown."""
        return self._with(self.versions, max(len(self.versions), 1))

    def _with(self, versions: Sequence[Version], shown: int) -> Entry:
        return replace(self, versions=tuple(versions), shown=shown, changed=now())

    def under(self, name: str) -> Entry:
        """The same under another id."""
        return replace(self, id=name)

    def texts(self) -> Iterator[str]:
        """All that stands in it."""
        yield self.text
        for version in self.versions:
            yield version.answer
            yield version.request.network or ""


def to_json(entries: Sequence[Entry]) -> str:
    """Entries as a file, which `from_json` reads."""
    posts = [asdict(entry) for entry in entries]
    return json.dumps({"sotto": "posts", "version": VERSION, "posts": posts}, ensure_ascii=False, indent=1)


def from_json(text: str) -> list[Entry]:
    """Read what `to_json` wrote. Raises FormatError for anything else."""
    try:
        data = json.loads(text)
        if not isinstance(data, dict) or data.get("sotto") != "posts":
            raise ValueError("it holds something else")
        if data["version"] != VERSION:
            raise ValueError("not of this version")
        return [_entry(row) for row in data["posts"]]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, InvalidSetting) as error:
        raise FormatError(f"These are no posts that Sotto has kept ({error}).") from error


def to_markdown(entries: Sequence[Entry], text: str) -> str:
    """To read, or to go on with elsewhere.

    Args:
        text: the heading of the texts.
    """
    parts = []
    for entry in entries:
        networks = dict.fromkeys(version.request.network for version in entry.versions)
        parts.append("# " + " · ".join([local(entry.created), *filter(None, networks)]))
        parts.append("\n\n---\n\n".join(version.answer.strip() for version in entry.versions))
        quoted = entry.text.strip().replace("\n", "\n> ")
        parts += [f"## {text}", f"> {quoted}"]
    return "\n\n".join(parts) + "\n"


def _entry(data: Mapping[str, Any]) -> Entry:
    for name in ("text", "read", "id", "created", "changed"):
        _text(data[name])
    whole("shown", data["shown"], 1)
    for name in ("created", "changed"):
        local(data[name])
    return Entry(**{**data, "versions": tuple(_version(row) for row in data["versions"])})


def _version(data: Mapping[str, Any]) -> Version:
    return Version(
        _text(data["answer"]),
        _request(data["request"]),
        Figures.from_data(data["figures"]),
        data["edited"] is True,
        data.get("copied") is True,  # which posts of before do not say
    )


def _request(data: Mapping[str, Any]) -> Request:
    """What is known of a request; other versions may have asked for more."""
    known = {each.name for each in fields(Request)}
    request = Request(**{name: value for name, value in data.items() if name in known})
    if request.language not in LANGUAGES or request.tone not in (None, *TONES):
        raise ValueError("asked in another way")
    return request


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value
