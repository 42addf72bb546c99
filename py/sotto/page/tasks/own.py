"""A person's own templates of tasks, as this browser keeps them, beside those that are ready."""

from __future__ import annotations

from dataclasses import replace

from ...errors import FormatError
from ...tasks.templates import READY, Template, from_json, to_json
from ..archive import Archive
from ..shelf import Shelf


class Templates(Shelf[Template]):
    """Templates by their ids; a person's own are kept.

    Args:
        archive: where these are kept.
    """

    def __init__(self, archive: Archive) -> None:
        super().__init__(archive, _read, lambda template: to_json([template]))

    @property
    def own(self) -> list[Template]:
        """A person's own, by their names."""
        return sorted(self.all, key=lambda one: (one.name.casefold(), one.id))

    def find(self, name: str) -> Template | None:
        """The one with an id, a ready one too."""
        return super().find(name) or next((one for one in READY if one.id == name), None)

    def is_own(self, template: Template) -> bool:
        """Whether it is a person's own."""
        return super().find(template.id) is not None


def _read(name: str, text: str) -> Template:
    """A template as it is kept: a file of one. Raises FormatError."""
    templates = from_json(text)
    if len(templates) != 1:
        raise FormatError("This is not one task.")
    return replace(templates[0], id=name)
