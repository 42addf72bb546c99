"""Sets of adapters that were on together: their programs and their memory, so that each can be taken again at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..errors import SottoError
from ..reports import Stages
from .adapters import AdapterMemory, Adapters, Names
from .programs import Programs

MOST_KEPT = 4  # beside the model by itself


class AdapterSets:
    """The set that is on, and the latest ones before it.

    Args:
        record: the plans with the adapters of a memory; with None, of the model by itself.

    Attributes:
        on: scales by name.
    """

    def __init__(self, adapters: Adapters, record: Callable[[AdapterMemory | None], Programs]) -> None:
        self.on: dict[str, float] = {}
        self._adapters = adapters
        self._record = record
        self._kept: dict[Names, tuple[Programs, AdapterMemory | None]] = {}  # the latest one last

    @property
    def programs(self) -> Programs:
        """Those of the set that is on."""
        return self._kept[tuple(self.on)][0]

    @property
    def memory(self) -> AdapterMemory | None:
        """That of the set that is on."""
        return self._kept[tuple(self.on)][1]

    def renew(self) -> None:
        """Record what is on anew, of whatever the model's plans have changed; no other set is kept."""
        names = tuple(self.on)
        memory = self.memory if names in self._kept else self._adapters.together(names)
        self._kept = {names: (self._record(memory), memory)}
        if memory:
            memory.write(tuple(self.on.values()))

    async def prepare(self, wanted: Mapping[str, float]) -> None:
        """Have a set ready to be taken, beside the one that is on. Raises DeviceError, InvalidSetting, SottoError."""
        names = tuple(wanted)
        if names not in self._kept:
            await self._compile(names)
        if memory := self._kept[names][1]:
            memory.check(tuple(wanted.values()))

    def take(self, wanted: dict[str, float]) -> None:
        """Let a prepared set be on. Nobody's run may be under way."""
        names = tuple(wanted)
        programs, memory = self._kept[names]
        if memory:
            memory.write(tuple(wanted.values()))  # which may fail: nothing has changed until then
        del self._kept[names]
        self._kept[names] = programs, memory
        self.on = wanted

    def drop_oldest(self) -> None:
        """Keep MOST_KEPT sets."""
        others = [names for names in self._kept if names]
        for names in others[: max(0, len(others) - MOST_KEPT)]:
            self._drop(names)

    def drop_with(self, name: str) -> None:
        """Forget the sets that have an adapter."""
        for names in [names for names in self._kept if name in names]:
            self._drop(names)

    def unload(self) -> None:
        """Forget all programs."""
        for programs, _ in self._kept.values():
            programs.unload()

    async def _compile(self, names: Names) -> None:
        adapters = [self._adapters.known[name] for name in names]
        memory = self._adapters.together(names)
        programs = None
        try:
            programs = self._record(memory)
            await programs.compile(Stages(lambda _: None))
            if any(self._adapters.known.get(n) is not a for n, a in zip(names, adapters, strict=True)):
                raise SottoError(f"An adapter was removed while it was prepared: {', '.join(names)}.")
        except BaseException:
            _release(programs, memory)
            raise
        if names in self._kept:  # somebody else was faster
            _release(programs, memory)
        else:
            self._kept[names] = programs, memory

    def _drop(self, names: Names) -> None:
        _release(*self._kept.pop(names))


def _release(programs: Programs | None, memory: AdapterMemory | None) -> None:
    if programs:
        programs.unload()
    if memory:
        memory.release()
