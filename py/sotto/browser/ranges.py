"""A model file by HTTP Range requests."""

from __future__ import annotations

from typing import Any

from ..errors import FormatError, SottoError
from .errors import for_people


class WebSource:
    """A `Source` that reads a model file over HTTP by ranges. Of what it read last nothing is asked for again: a header
    is read with some of what follows it, and a small file is read with it.

    Args:
        module: the JavaScript module ranges.js.
        url: address of the file.
        name: what a person calls the file.
        size: bytes in the file.
        key: identity of its content, for the cache: its sha256, or size and ETag where that is not known.
        whole: it is small enough to be fetched whole, which asks less of a server.
    """

    def __init__(self, module: Any, url: str, name: str, size: int, key: str, *, whole: bool = False) -> None:
        self._fetch = module.fetchPart if whole else module.fetchRange
        self._url = url
        self._tag: str | None = None
        self._expected: dict[tuple[int, int], tuple[bytes, Any]] = {}
        self._last = 0, b""  # what was read last, and where it begins
        self.name = name
        self.size = size
        self.key = key

    async def read(self, offset: int, nbytes: int) -> bytes:
        if offset + nbytes > self.size:
            raise FormatError(
                f"{self.name} ends at byte {self.size:,}, but {offset + nbytes:,} bytes are needed.",
                "The file is incomplete: download it again.",
            )
        expected = self._expected.pop((offset, nbytes), None)
        here, rest = expected or self._begin(offset, nbytes)
        if rest:
            with for_people(self.name):
                reply = await rest
            if int(reply.size) != self.size or (self._tag or reply.tag) != reply.tag:
                raise SottoError(
                    f"{self.name} changed on the server while it was read.", "Load the model again."
                )
            self._tag = reply.tag
            here += bytes(reply.bytes.to_bytes())
        self._last = offset, here
        return here

    def expect(self, offset: int, nbytes: int) -> None:
        self._expected[offset, nbytes] = self._begin(offset, nbytes)

    def _begin(self, offset: int, nbytes: int) -> tuple[bytes, Any]:
        """What is here of a range, and the JavaScript promise of the rest, if there is one."""
        at, data = self._last
        here = data[offset - at : offset - at + nbytes] if at <= offset else b""
        if len(here) == nbytes:
            return here, None
        return here, self._fetch(self._url, offset + len(here), nbytes - len(here))

    def close(self) -> None:
        self._expected.clear()
        self._last = 0, b""
