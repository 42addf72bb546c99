"""Model files that a person gave to the page: they stay on the disk, and are read from there (web/files.js)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from ..errors import FormatError
from .errors import for_people

_BLOCK = 8 << 20


class FileOfPerson:
    """A `Source` that reads a file of the browser.

    Args:
        module: the JavaScript module files.js.
        file: the JavaScript File.
        key: the sha256 of its content.
    """

    def __init__(self, module: Any, file: Any, key: str) -> None:
        self._module = module
        self._file = file
        self._expected: dict[tuple[int, int], Any] = {}
        self.name = str(file.name)
        self.size = int(file.size)
        self.key = key

    async def start(self, nbytes: int) -> bytes:
        """The first bytes, as many as there are up to `nbytes`. Raises SottoError."""
        return await self.read(0, min(nbytes, self.size))

    async def read(self, offset: int, nbytes: int) -> bytes:
        if offset + nbytes > self.size:
            raise FormatError(
                f"{self.name} ends at byte {self.size:,}, but {offset + nbytes:,} bytes are needed.",
                "The file is incomplete: download it again.",
            )
        with for_people(self.name):
            data = await (self._expected.pop((offset, nbytes), None) or self._begin(offset, nbytes))
        return bytes(data.to_bytes())

    def expect(self, offset: int, nbytes: int) -> None:
        self._expected[offset, nbytes] = self._begin(offset, nbytes)

    def _begin(self, offset: int, nbytes: int) -> Any:
        """The JavaScript promise of some bytes."""
        return self._module.read(self._file, offset, nbytes)

    def close(self) -> None:
        self._expected.clear()


async def sha256(module: Any, file: Any, progress: Callable[[int], None]) -> str:
    """The sha256 of a JavaScript File, a block read while another is hashed. Raises SottoError.

    Args:
        module: the JavaScript module files.js.
        progress: hears how many bytes are done.
    """
    hashing, size = hashlib.sha256(), int(file.size)
    reading = module.read(file, 0, _BLOCK)
    for at in range(0, size, _BLOCK):
        with for_people(str(file.name)):
            data = await reading
        if at + _BLOCK < size:
            reading = module.read(file, at + _BLOCK, _BLOCK)
        hashing.update(data.to_bytes())
        progress(min(at + _BLOCK, size))
    return hashing.hexdigest()
