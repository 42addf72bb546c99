"""Models from a hub, in the browser (web/download.js)."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from pyodide.ffi import JsException, create_proxy

from ..errors import AssetError, FormatError, StoreFull
from ..formats import BEGINNING
from ..library.address import HubAddress
from ..library.offers import HubFile, HubModel, Offer, described, survey
from ..library.refusals import refused
from ..library.sign_in import SigningIn, token_in
from .errors import for_people

_GIVE = "paste it into the field for it"
_HASHED = 8 << 20  # bytes at a time
AHEAD = 2  # blocks of a file that is wanted whole


async def look(
    module: Any, hub: str, address: HubAddress, runs: Callable[[str], bool], token: str = ""
) -> tuple[HubModel, list[Offer]]:
    """What a repository holds, and what of that runs here. Of files no more is fetched than what tells what they are.

    Args:
        module: the JavaScript module download.js.
        hub: its address.
        address: of the repository.
        runs: whether an architecture can be run.
        token: of the hub; may be empty.

    Raises:
        AssetError: the hub cannot be reached, or refuses.
    """
    where = f"{hub}/api/models/{address.repository}/revision/{quote(address.revision, '')}?blobs=true"
    page = f"{hub}/{address.repository}"
    with _told(page, str(address), token):
        text = str(await module.describe(where, token))
    model = described(address, text)

    def ranges(file: HubFile) -> HubRanges:
        return HubRanges(module, resolved(hub, model, file), page, file, token)

    async def first(file: HubFile) -> tuple[str, bytes]:
        return file.path, await ranges(file).read(0, min(BEGINNING, file.size))

    starts = dict(await asyncio.gather(*(first(file) for file in model.probed())))
    return model, await survey(model, starts, ranges, runs)


async def token_for(module: Any, begun: SigningIn, query: str) -> str:
    """The access token for what a person came back with from the hub's page.

    Args:
        module: the JavaScript module download.js.
        begun: what was begun here.
        query: of the address that was come back to.

    Raises:
        AssetError: it is no answer to that, the hub refuses, or cannot be reached.
    """
    form = begun.form(query)
    with for_people(begun.hub):
        return token_in(str(await module.send(begun.exchange, form)))


def resolved(hub: str, model: HubModel, file: HubFile) -> str:
    """The address of a file, of the version that was looked at."""
    return f"{hub}/{model.repository}/resolve/{quote(model.revision, '')}/{quote(file.path)}"


@contextmanager
def _told(page: str, what: str, token: str) -> Iterator[None]:
    """Tell what download.js throws as people need it.

    Args:
        page: where a person can look.
        what: was asked for.
        token: that was sent; may be empty.
    """
    try:
        with for_people(what):
            yield
    except JsException as error:
        if error.name != "HubStatus":
            raise
        status, code, wait = str(error.message).split(" ")
        gated = code == "GatedRepo"
        raise refused(
            what, page, int(status), token=bool(token), give=_GIVE, gated=gated, wait=wait
        ) from error


@dataclass(frozen=True)
class Unfinished:
    """A model or an adapter that was not fetched to its end.

    Attributes:
        name: what people call it: `owner/name:file`.
        ids: of the content of those of its files of which something is here.
        size: bytes in all its files.
        done: bytes that are here.
    """

    name: str
    ids: tuple[str, ...]
    size: int
    done: int


async def unfinished(module: Any) -> list[Unfinished]:
    """What there is of files that no page fetches now; none where the browser keeps nothing.

    Args:
        module: the JavaScript module download.js.
    """
    files: list[dict[str, Any]] = []
    with suppress(StoreFull), for_people():
        files = json.loads(str(await module.unfinished()))
    found: dict[str, list[dict[str, Any]]] = {}
    for file in files:
        found.setdefault(file["name"], []).append(file)
    return [
        Unfinished(name, tuple(f["id"] for f in group), group[0]["whole"], sum(f["done"] for f in group))
        for name, group in found.items()
    ]


async def forget(module: Any, what: Unfinished) -> None:
    """Drop what there is of a download."""
    with suppress(StoreFull), for_people():
        for name in what.ids:
            await module.forget(name)


class HubRanges:
    """A `Source` of a file of a hub of which little is read.

    Args:
        module: the JavaScript module download.js.
        url: of the file.
        page: where a person can look.
        token: of the hub; may be empty.
    """

    def __init__(self, module: Any, url: str, page: str, file: HubFile, token: str) -> None:
        self._module = module
        self._url = url
        self._page = page
        self._token = token
        self.name = file.name
        self.size = file.size
        self.key = file.sha256

    async def read(self, offset: int, nbytes: int) -> bytes:
        with _told(self._page, self.name, self._token):
            data = bytes((await self._module.part(self._url, self._token, offset, nbytes)).to_bytes())
        if len(data) != nbytes:
            raise AssetError(f"{self.name} ended too early.", "Check the network, then try again.")
        return data

    def expect(self, offset: int, nbytes: int) -> None:
        """Nothing is read ahead."""

    def close(self) -> None:
        """Nothing is open."""


class HubSource:
    """A `Source` that reads a file of a hub while it is fetched, which `begin` begins.

    Args:
        module: the JavaScript module download.js.
        url: of the file.
        origin: what people call it: `owner/name:file`.
        token: of the hub; may be empty.
        ahead: blocks that are fetched before they are read.
        whole: bytes of all files that it belongs to; 0 where it is by itself.

    Attributes:
        key: the sha256 that the hub tells of it, which what arrives is held against.
    """

    def __init__(
        self,
        module: Any,
        url: str,
        file: HubFile,
        origin: str,
        token: str,
        ahead: int = AHEAD,
        whole: int = 0,
    ) -> None:
        self._url = url
        self._origin = origin
        self._token = token
        self._hashing = hashlib.sha256()
        self._hashed = 0
        self._told = file.sha256
        self.name = file.name
        self.size = file.size
        self.key = file.sha256 or f"{url}:{file.size}"
        whole = whole or file.size
        self._download = module.download(self.key, origin, url, file.size, token, ahead, whole)

    async def begin(self, waiting: Callable[[], None]) -> None:
        """Go on with the download, or begin it; another tab that has begun it is waited for.

        Args:
            waiting: is called when there is one.

        Raises:
            Cancelled: `stop` was called meanwhile.
        """
        told = create_proxy(waiting)
        try:
            with for_people(self.name):
                await self._download.begin(told)
        finally:
            told.destroy()

    async def read(self, offset: int, nbytes: int) -> bytes:
        if offset + nbytes > self.size:
            raise FormatError(
                f"{self.name} ends at byte {self.size:,}, but {offset + nbytes:,} bytes are needed.",
                "The file at the hub is incomplete: choose another one.",
            )
        data = await self._bytes(offset, nbytes)
        await self._hash(int(self._download.prefix))
        return data

    async def _bytes(self, offset: int, nbytes: int) -> bytes:
        page = self._url.partition("/resolve/")[0]
        with _told(page, self._origin, self._token):
            return bytes((await self._download.read(offset, nbytes)).to_bytes())

    async def _hash(self, end: int) -> None:
        """Hash on, up to a byte before which all are here. Raises AssetError when the file ends there, and is wrong."""
        while self._hashed < end:
            data = await self._bytes(self._hashed, min(_HASHED, end - self._hashed))
            self._hashing.update(data)
            self._hashed += len(data)
        if self._hashed == self.size and self._told and self._hashing.hexdigest() != self._told:
            await self._download.close(True)
            raise AssetError(
                f"{self.name} is not what the hub says it is: its sha256 is {self._hashing.hexdigest()}, and "
                f"{self._told} was announced.",
                "What arrived was thrown away. Try again; if it stays so, it was changed on the way, or at the hub.",
                "wrong",
            )

    def expect(self, offset: int, nbytes: int) -> None:
        """The download reads ahead by itself."""

    async def finish(self) -> None:
        """The model is loaded: fetch what was not needed of the file, check all of it, and drop it.

        Raises SottoError.
        """
        await self._hash(self.size)
        await self._download.close(True)

    async def drop(self) -> None:
        """The model was there already: nothing is to be fetched."""
        await self._download.close(True)

    async def stop(self) -> None:
        """Ask for no more; what is here is kept for the next time."""
        await self._download.close(False)

    def close(self) -> None:
        """See `finish`, `drop` and `stop`."""
