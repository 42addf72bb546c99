"""Models from a hub, by its own client library, huggingface_hub: its cache, its token, its conventions.

The library is wanted only by who fetches from a hub (`pip install sotto[hub]`). What arrives is checked here against
the sha256 that the hub tells of each file.
"""

from __future__ import annotations

import http
import importlib
import importlib.util
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from .. import formats
from ..assets.cache import OWN_STAMPS_NAME, Stamps, default_cache
from ..driving import drive
from ..errors import AssetError, SottoError
from ..library.address import HUB, HubAddress
from ..library.offers import HubFile, HubModel, Offer, called, choose, survey
from ..library.refusals import refused
from ..source import Folder, Source, in_memory
from . import room

Progress = Callable[[int, int], None]
"""Hears how many of how many bytes are there."""
Runs = Callable[[str], bool]
"""Whether an architecture can be run."""

_PROBES = 8  # requests at once
_SECONDS = 20.0  # that the hub may take to answer
_GIVE = "give it in HF_TOKEN (or run: hf auth login)"


def endpoint() -> str:
    """The hub's address: HF_ENDPOINT, as its own library takes it."""
    return os.environ.get("HF_ENDPOINT", HUB).rstrip("/")


def look(address: HubAddress, runs: Runs, token: str | None = None) -> tuple[HubModel, list[Offer]]:
    """What a repository holds, and what of that runs here. Of files no more is fetched than what tells what they are.

    Args:
        address: of the repository.
        runs: whether an architecture can be run.
        token: of the hub; without one, the one that its library keeps or HF_TOKEN names.

    Raises:
        AssetError: the library is missing, the hub cannot be reached, or refuses.
    """
    hub = library()
    with _told(hub, address, token):
        found = hub.HfApi(endpoint=endpoint()).model_info(
            address.repository, revision=address.revision, files_metadata=True, token=token, timeout=_SECONDS
        )
    card = found.card_data.to_dict() if found.card_data else {}
    licence = card.get("license_name") or card.get("license") or ""
    files = tuple(
        HubFile(file.rfilename, int(file.size or 0), file.lfs.sha256 if file.lfs else "")
        for file in found.siblings
    )
    model = HubModel(
        address.repository, str(found.sha or address.revision), str(licence), bool(found.gated), files
    )
    with _told(hub, address, token), ThreadPoolExecutor(_PROBES) as pool:
        starts = dict(
            pool.map(
                lambda file: (file.path, _range(hub, model, file, token, 0, formats.BEGINNING)),
                model.probed(),
            )
        )
    return model, drive(survey(model, starts, lambda file: RemoteFile(address, model, file, token), runs))


def find(
    address: HubAddress, runs: Runs, token: str | None = None, *, or_adapter: bool = False
) -> tuple[HubModel, Offer]:
    """The model of an address, or an adapter.

    Raises:
        AssetError: as `look`.
        SottoError: the repository has no such file, none that runs here, or an adapter where a model is wanted.
    """
    model, offered = look(address, runs, token)
    offer = choose(model, offered, address.file)
    if offer.adapter and not or_adapter:
        raise SottoError(
            f"{address} is a LoRA adapter: changes to a model, without the model.",
            f"Load the model it was made for; `sotto pull {address}` keeps the adapter, to be given with it (--lora).",
        )
    return model, offer


def fetch(
    address: HubAddress,
    model: HubModel,
    offer: Offer,
    token: str | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Fetch the files of an offer into the hub's cache, as far as they are not there yet, and check them.

    Returns:
        The files' paths.

    Raises:
        AssetError: as `look`; or a file is not what the hub says it is.
    """
    hub = library()
    room.check(Path(hub.constants.HF_HUB_CACHE), _to_come(hub, model, offer), str(address))
    done, total, paths = 0, offer.nbytes, {}
    # Small ones first: where the large ones are, the small ones are, too.
    for file in sorted(offer.files, key=lambda file: file.size):
        bar = _bar(partial(_tell, progress, done, total))
        with _told(hub, address, token):
            path = Path(
                hub.hf_hub_download(
                    model.repository, file.path, revision=model.revision, token=token, tqdm_class=bar,
                    etag_timeout=_SECONDS, endpoint=endpoint(),
                )
            )  # fmt: skip
        _check(path, file)
        paths[file.path] = path
        done += file.size
    return [paths[file.path] for file in offer.files]


def _to_come(hub: ModuleType, model: HubModel, offer: Offer) -> int:
    """Bytes of a model that are not in the hub's cache yet. (Its library keeps no file that has arrived in part.)"""
    folder, revision = hub.constants.HF_HUB_CACHE, model.revision

    def here(file: HubFile) -> bool:
        found = hub.try_to_load_from_cache(model.repository, file.path, cache_dir=folder, revision=revision)
        return isinstance(found, str)

    return sum(file.size for file in offer.files if not here(file))


def _tell(progress: Progress | None, before: int, total: int, have: int) -> None:
    if progress:
        progress(before + have, total)


def library() -> ModuleType:
    """The hub's own library. Raises AssetError where it is not installed."""
    if importlib.util.find_spec("huggingface_hub") is None:
        raise AssetError(
            "Models of a hub are fetched with its library, which is not installed.",
            "Install it: pip install 'sotto[hub]'. Or download the file with a browser, and give its path.",
        )
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # only the model is asked for
    for part in ("constants", "errors", "utils"):  # the library loads its parts lazily, and these not at all
        importlib.import_module(f"huggingface_hub.{part}")
    return importlib.import_module("huggingface_hub")


def remote(address: HubAddress, runs: Runs, token: str | None = None) -> Source | Folder:
    """A model at the hub, of which only what is read is fetched, and nothing is checked or kept.

    Raises AssetError as `look`, and SottoError as `fetch`.
    """
    model, offer = find(address, runs, token)
    files: dict[str, Source] = {}
    for file in offer.files:
        source = RemoteFile(address, model, file, token)
        # Nobody tells what a small one holds.
        files[file.name] = source if file.sha256 else drive(in_memory(source))
    return Folder(called(model, offer.files), files) if len(files) > 1 else next(iter(files.values()))


class RemoteFile:
    """A `Source` of a file at the hub: for the few bytes that mend what is kept of it."""

    def __init__(self, address: HubAddress, model: HubModel, file: HubFile, token: str | None) -> None:
        self._address = address
        self._model = model
        self._file = file
        self._token = token
        self.name = file.name
        self.size = file.size
        self.key = file.sha256

    async def read(self, offset: int, nbytes: int) -> bytes:
        hub = library()
        with _told(hub, self._address, self._token):
            data = _range(hub, self._model, self._file, self._token, offset, nbytes)
        if len(data) != nbytes:
            raise AssetError(f"{self.name} ended too early.", "Check the network and run this again.")
        return data

    def expect(self, offset: int, nbytes: int) -> None:
        """Nothing is read ahead."""

    def close(self) -> None:
        """Nothing is open."""


def _range(
    hub: ModuleType, model: HubModel, file: HubFile, token: str | None, offset: int, nbytes: int
) -> bytes:
    """Some bytes of a file, or as many as there are. Raises what the library raises."""
    url = hub.hf_hub_url(model.repository, file.path, revision=model.revision, endpoint=endpoint())
    headers = hub.utils.build_hf_headers(token=token) | {
        "Range": f"bytes={offset}-{offset + nbytes - 1}",
        "Accept-Encoding": "identity",
    }
    with hub.get_session().stream(
        "GET", url, headers=headers, follow_redirects=True, timeout=_SECONDS
    ) as answer:
        hub.utils.hf_raise_for_status(answer)
        before = 0 if answer.status_code == http.HTTPStatus.PARTIAL_CONTENT else offset
        got = b""
        for block in answer.iter_bytes():
            got += block[before:]
            before = max(before - len(block), 0)
            if len(got) >= nbytes:  # a server without ranges sends all of it
                break
        return got[:nbytes]


def _bar(progress: Callable[[int], None]) -> type:
    """A bar for the library to fill, that draws nothing and tells how full it is."""
    from tqdm.auto import tqdm  # noqa: PLC0415 - comes with the library

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **settings: Any) -> None:
            settings.pop("name", None)
            super().__init__(*args, **(settings | {"disable": False, "file": _Nowhere()}))
            progress(int(self.n))

        def update(self, n: float | None = 1) -> bool | None:
            self.n += n or 0
            progress(int(self.n))
            return None

        def display(self, *args: Any, **settings: Any) -> None:
            """Nothing."""

    return Bar


class _Nowhere:
    """A stream for what nobody is to see."""

    encoding = "utf-8"

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        """There is nothing."""

    def isatty(self) -> bool:
        return False


def _check(path: Path, file: HubFile) -> None:
    """Raises AssetError, and drops the file, when it is not what the hub says it is."""
    size = path.stat().st_size
    sha256 = Stamps(default_cache(), OWN_STAMPS_NAME).sha256(path) if file.sha256 else ""
    if size == file.size and sha256 == file.sha256:
        return
    blob = path.resolve()
    for each in {path, blob}:
        with suppress(OSError):
            each.unlink()
    raise AssetError(
        f"{file.name} is not what the hub says it is: {size:,} bytes with the sha256 {sha256 or 'unknown'} arrived;"
        f" {file.size:,} bytes with {file.sha256 or 'any'} were announced.",
        "What arrived was thrown away. Try again; if it stays so, the file was changed on the way, or at the hub.",
    )


@contextmanager
def _told(hub: ModuleType, address: HubAddress, token: str | None) -> Iterator[None]:
    """Tell what the library raises as people need it."""
    try:
        yield
    except Exception as error:
        told = _error(hub.errors, address, bool(token or hub.get_token()), error)
        if told is None:
            raise
        raise told from error


def _error(errors: ModuleType, address: HubAddress, has_token: bool, error: Exception) -> AssetError | None:
    """What an error of the library means; None of one that is none of the hub's."""
    where, page = str(address), f"{endpoint()}/{address.repository}"
    response = getattr(error, "response", None)
    status = response.status_code if response is not None else 0
    match error:
        case errors.GatedRepoError():
            told = refused(where, page, status or 403, token=has_token, give=_GIVE, gated=True)
        case errors.RevisionNotFoundError():
            told = AssetError(f"{where}: there is no revision {address.revision}.", f"Look at {page}.")
        case errors.RemoteEntryNotFoundError():
            told = AssetError(
                f"{where}: there is no such file.", f"The files are listed at {page}/tree/main."
            )
        case errors.HfHubHTTPError():
            headers: Mapping[str, str] = response.headers if response is not None else {}
            wait = headers.get("Retry-After", "")
            told = refused(where, page, status, token=has_token, give=_GIVE, wait=wait)
        case errors.OfflineModeIsEnabled():
            told = AssetError(
                f"{where} is not in the hub's cache, and HF_HUB_OFFLINE forbids asking for it.",
                "Unset HF_HUB_OFFLINE, or give a file that is here.",
            )
        case OSError() | ValueError():
            told = _unreachable(where, error)
        case _ if type(error).__module__.startswith("httpx"):
            told = _unreachable(where, error)
        case _:
            return None
    return told


def _unreachable(where: str, error: Exception) -> AssetError:
    cause = str(error.__cause__ or error).splitlines()[0].rstrip(".")
    return AssetError(
        f"{where} cannot be fetched: {cause}.",
        "Check the network and run this again: files that have arrived whole are kept. What is here works without it.",
    )
