"""A person's own templates of tasks, as this browser keeps them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ...errors import FormatError
from ...tasks.templates import READY, Template, from_json, to_json
from ..archive import Archive


class Shelf:
    """Templates by their ids: those that are ready, and a person's own behind them.

    Args:
        archive: where a person's own are kept.
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._own: dict[str, Template] = {}

    @property
    def keeps(self) -> bool:
        """Whether the browser keeps what it is given."""
        return self._archive.keeps

    @property
    def own(self) -> list[Template]:
        """A person's own, by their names."""
        return sorted(self._own.values(), key=lambda one: (one.name.casefold(), one.id))

    async def read(self) -> None:
        """Read what was kept before. What another version kept stays where it is."""
        for name, text in (await self._archive.read()).items():
            try:
                (template,) = from_json(text)
            except (FormatError, ValueError):
                continue
            self._own[name] = replace(template, id=name)

    def find(self, name: str) -> Template | None:
        """The one with an id."""
        return self._own.get(name) or next((one for one in READY if one.id == name), None)

    def is_own(self, template: Template) -> bool:
        """Whether it is a person's own."""
        return template.id in self._own

    async def keep(self, template: Template) -> Template:
        """Keep a person's own.

        Returns:
            It; or the copy that was kept, where another page has changed what was kept: both stay.
        """
        if not await self._archive.keep(template.id, to_json([template])):
            template = template.copied()
            await self._archive.keep(template.id, to_json([template]))
        self._own[template.id] = template
        return template

    async def drop(self, template: Template) -> None:
        """Forget one."""
        self._own.pop(template.id, None)
        await self._archive.drop(template.id)

    async def take(self, templates: Iterable[Template]) -> list[Template]:
        """Keep those of a file that are not here yet, beside all that are; what was taken."""
        there = {replace(one, id="") for one in self._own.values()}
        new = [one for one in dict.fromkeys(replace(one, id="") for one in templates) if one not in there]
        return [await self.keep(one.copied()) for one in new]
