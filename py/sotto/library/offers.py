"""What of a hub's repository runs here, told before anything but the files' headers is fetched."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from .. import formats
from ..errors import AssetError, FormatError, SottoError, UnsupportedModel
from ..formats.adapter import Outline
from ..formats.gguf import architecture_in
from ..model_files import CONFIG, part_names, transformers_files, weight_files
from ..source import Folder, Source, StartedSource
from ..weights import imports
from .address import HubAddress

if TYPE_CHECKING:
    from ..formats.hf_folder import Outline as FolderOutline

_PROBED = (".gguf", ".task", ".litertlm")  # endings of what may be a model, or an adapter
_BARE = ".tflite"  # the ending of what is read here where it is an adapter
MOST_PROBED = 32  # files whose first bytes are looked at
MOST_FOLDERS = 12  # of adapters, and of models, whose headers are read
_MATRICES = (formats.MATRICES, "adapter_model.bin")  # of the second it is told why it is not read
_WEIGHTS = re.compile(
    r".+\.(gguf|task|litertlm|tflite|safetensors|bin|pt|pth|onnx|h5|msgpack)", re.IGNORECASE
)
_COPIES = re.compile(r".+\.(safetensors|bin|pt|pth|h5|msgpack)", re.IGNORECASE)
"""Beside a folder's own tensors: the same ones, for other programs."""
_TYPE = re.compile(
    r"(?<![A-Za-z0-9])(I?Q\d(?:_[A-Z0-9]+)*|TQ\d_\d|MXFP4|BF16|F16|F32)(?![A-Za-z0-9])", re.IGNORECASE
)
_PREFERRED = (
    "Q4_0", "Q4_K_M", "Q4_K_S", "Q4_K_L", "Q4_1", "IQ4_NL", "IQ4_XS", "MXFP4", "Q5_K_M", "Q5_K_S", "Q5_0", "Q5_1",
    "Q6_K", "Q8_0", "BF16", "F16", "F32",
)  # fmt: skip
"""Four bits first: most models lose little by them, and all else is larger and slower. Below them, quality ends."""


@dataclass(frozen=True)
class HubFile:
    """A file of a repository.

    Attributes:
        path: in the repository.
        size: bytes.
        sha256: as the hub says; "" where it does not.
    """

    path: str
    size: int
    sha256: str = ""

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def folder(self) -> str:
        """Where it lies; "" for the root."""
        return self.path.rpartition("/")[0]


@dataclass(frozen=True)
class HubModel:
    """A repository of a hub.

    Attributes:
        repository: `owner/name`.
        revision: the commit that was looked at, so that what is fetched is what was listed.
        licence: its short name, such as `gemma`; may be empty.
        gated: the owner wants terms to be accepted, or decides who may have it.
        files: all files.
    """

    repository: str
    revision: str
    licence: str
    gated: bool
    files: tuple[HubFile, ...]

    def candidates(self) -> list[HubFile]:
        """The files that may be models or adapters, in one file or the first of several; see also `folders`, `peft`."""
        taken = {file for files in self.peft() for file in files}
        folders = {files[0].folder for files in self.folders()}
        taken |= {file for file in self.files if file.folder in folders and _COPIES.fullmatch(file.name)}
        found = [file for file in self.files if _WEIGHTS.fullmatch(file.name) and file not in taken]
        found = [file for file in found if part_names(file.name)[:1] in ((), (file.name,))]
        found.sort(key=lambda file: (not file.name.lower().endswith(".gguf"), file.path))
        return found[:MOST_PROBED]

    def peft(self) -> list[tuple[HubFile, ...]]:
        """The two files of each adapter that PEFT wrote, the matrices first; those nearest to the root come first."""
        there = {file.path: file for file in self.files}
        found: list[tuple[HubFile, ...]] = []
        for config in self.files:
            if config.name == formats.CONFIG:
                folder = config.path.removesuffix(config.name)
                matrices = next((there[folder + name] for name in _MATRICES if folder + name in there), None)
                if matrices:
                    found.append((matrices, config))
        found.sort(key=lambda files: (files[0].path.count("/"), files[0].path))
        return found[:MOST_FOLDERS]

    def folders(self) -> list[tuple[HubFile, ...]]:
        """The files of each model that transformers wrote, those of the tensors first; those nearest to the root come
        first."""
        within: dict[str, dict[str, HubFile]] = {}
        for file in self.files:
            within.setdefault(file.folder, {})[file.name] = file
        found: list[tuple[HubFile, ...]] = []
        for files in within.values():
            if names := transformers_files(files):
                tensors = weight_files(names)
                found.append(tuple(files[name] for name in dict.fromkeys((*tensors, *names))))
        found.sort(key=lambda files: (files[0].path.count("/"), files[0].path))
        return found[:MOST_FOLDERS]

    def probed(self) -> list[HubFile]:
        """The files whose first bytes tell what they are."""
        ends = (*_PROBED, _BARE)
        found = [file for file in self.candidates() if file.name.lower().endswith(ends)]
        return [*found, *(file for files in self.peft() for file in files)]


@dataclass(frozen=True)
class Offer:
    """A model of a repository, or a LoRA adapter.

    Attributes:
        files: in which it comes; mostly one.
        format: as formats/ names it; "" of one that is not read here.
        why_not: why it does not run here; "" where it does, as far as its first bytes tell.
        kind: of that reason: "parts", "kind", "architecture", "adapter", "quantized" or "files".
        recommended: the one to take, where nothing else is wanted.
        adapter: it is an adapter.
        outline: of an adapter that can be used, what it changes.
        folder: of a model as transformers writes it, what its headers tell.
        rounded: to what the weights of such a one are rounded when it is loaded, as in Settings, if there is room.
    """

    files: tuple[HubFile, ...]
    format: str
    why_not: str
    recommended: bool = False
    adapter: bool = False
    outline: Outline | None = None
    kind: str = ""
    folder: FolderOutline | None = None
    rounded: str = ""

    @property
    def path(self) -> str:
        """Of its first file."""
        return self.files[0].path

    @property
    def nbytes(self) -> int:
        """Of all its files."""
        return sum(file.size for file in self.files)

    @property
    def type(self) -> str:
        """The tensor type that its headers or its name tell of, "" where they tell of none."""
        if self.folder:
            return self.folder.type
        found = _TYPE.findall(self.files[0].name)
        return found[-1].upper() if found else ""


def described(address: HubAddress, text: str) -> HubModel:
    """The repository that a hub's answer describes, that to `/api/models/OWNER/NAME?blobs=true`.

    Raises AssetError when the text says something else.
    """
    try:
        found = json.loads(text)
        card = found.get("cardData") or {}
        files = tuple(
            HubFile(
                str(file["rfilename"]),
                int(file.get("size") or 0),
                str((file.get("lfs") or {}).get("sha256", "")),
            )
            for file in found["siblings"]
        )
        licence = str(card.get("license_name") or card.get("license") or "")
        revision = str(found.get("sha") or address.revision)
        return HubModel(address.repository, revision, licence, bool(found.get("gated")), files)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise AssetError(
            f"{address}: what answered is no hub.",
            "Check the network: a sign-in page may have answered in its place.",
            "page",
        ) from error


def called(model: HubModel, files: Sequence[HubFile]) -> str:
    """What a person calls a model or an adapter: a file, or the first part of one, by its name, a folder's by where it
    is."""
    if len(files) == 1 or part_names(files[0].name):
        return files[0].name
    return f"{model.repository}/{files[0].folder}".rstrip("/")


async def survey(
    model: HubModel,
    starts: Mapping[str, bytes],
    opened: Callable[[HubFile], Source],
    runs: Callable[[str], bool],
) -> list[Offer]:
    """What a repository offers, as `offers`, with the headers read that this takes.

    Args:
        starts: the first bytes of files, by their paths.
        opened: reads ranges of a file.
        runs: whether an architecture can be run.

    Raises AssetError as `opened` does.
    """
    found = await adapters(model, starts, opened)
    return offers(model, starts, runs, adapters=found, folders=await folders(model, opened, runs))


async def folders(
    model: HubModel, opened: Callable[[HubFile], Source], runs: Callable[[str], bool]
) -> dict[str, FolderOutline | FormatError]:
    """The models of a repository that transformers wrote, by the path of the first file of each: what they are, or why
    their files are of no use. Else as `survey`."""
    found: dict[str, FolderOutline | FormatError] = {}
    for files in model.folders():
        folder = Folder(called(model, files), {file.name: opened(file) for file in files})
        try:
            found[files[0].path] = await formats.outline_folder(folder, runs)
        except FormatError as error:
            found[files[0].path] = error
    return found


async def adapters(
    model: HubModel, starts: Mapping[str, bytes], opened: Callable[[HubFile], Source]
) -> dict[str, Outline | SottoError]:
    """The adapters of a repository, by the path of the first file of each: what it changes, or why it cannot be used.

    Args:
        starts: the first bytes of files, by their paths.
        opened: reads ranges of a file.

    Raises AssetError as `opened` does.
    """
    found: dict[str, Outline | SottoError] = {}
    alone = [(file,) for file in model.candidates() if file.name.lower().endswith((".gguf", _BARE))]
    for files in (*model.peft(), *alone):
        sources = {file.name: StartedSource(opened(file), starts.get(file.path, b"")) for file in files}
        (first, *others) = sources.values()
        if not others and not await _holds_adapter(first):
            continue
        source = Folder(called(model, files), sources) if others else first
        try:
            found[files[0].path] = await formats.outline_adapter(source)
        except (FormatError, UnsupportedModel) as error:
            found[files[0].path] = error
    return found


async def _holds_adapter(file: Source) -> bool:
    try:
        return await formats.holds_adapter(file)
    except FormatError:  # damaged
        return False


def offers(
    model: HubModel,
    starts: Mapping[str, bytes],
    runs: Callable[[str], bool],
    room: int = 0,
    adapters: Mapping[str, Outline | SottoError] = MappingProxyType({}),
    folders: Mapping[str, FolderOutline | FormatError] = MappingProxyType({}),
) -> list[Offer]:
    """The models and the adapters of a repository, those that run first, one of them recommended.

    Args:
        starts: the first bytes of files, by their paths.
        runs: whether an architecture can be run.
        room: bytes that a model may have here; 0 where nobody knows.
        adapters: what `adapters` gives.
        folders: what `folders` gives.
    """
    given = [(file,) for file in model.candidates() if file.path not in adapters]
    found = [_offer(model, file, starts.get(file.path, b""), runs) for (file,) in given]
    alone = [(file,) for file in model.candidates() if file.path in adapters]
    found += [_adapter(files, adapters[files[0].path]) for files in (*model.peft(), *alone)]
    found += [
        _folder(model, files, folders[files[0].path]) for files in model.folders() if files[0].path in folders
    ]
    found.sort(key=lambda offer: (bool(offer.why_not), offer.adapter, offer.nbytes))
    able = [offer for offer in found if not offer.why_not and offer.nbytes <= (room or offer.nbytes)]
    best = min(
        able,
        key=lambda offer: (
            offer.adapter,
            offer.folder is not None,  # what was made smaller by its maker goes before what is rounded here
            offer.path.count("/"),
            _rank(offer),
            offer.nbytes,
        ),
        default=None,
    )
    return [replace(offer, recommended=offer is best) for offer in found]


def choose(model: HubModel, offered: Sequence[Offer], file: str) -> Offer:
    """The offer that was asked for by one of its files or its folder, or the recommended one. Raises SottoError."""
    if not file:
        for offer in offered:
            if offer.recommended:
                return offer
        refused = [
            f"{offer.files[0].name} is no model that runs here: {offer.why_not}" for offer in offered[:3]
        ]
        raise SottoError(
            f"{model.repository} has no file that runs here. {'; '.join(refused) or 'It holds no model file'}.",
            "Look for a repository of the same model with GGUF files; their names often end in -GGUF.",
            "nothing",
        )
    for offer in offered:
        of_folder = len(offer.files) > 1 and file == offer.files[0].folder
        if of_folder or any(file in (part.path, part.name) for part in offer.files):
            if offer.why_not:
                raise SottoError(f"{file} does not run here: {offer.why_not}.", _others(offered), "nothing")
            return offer
    raise SottoError(f"{model.repository} has no model file {file}.", _others(offered), "absent")


def _others(offered: Sequence[Offer]) -> str:
    good = [offer.path for offer in offered if not offer.why_not]
    return f"It has: {', '.join(good[:8])}." if good else "None of its files runs here."


def _offer(model: HubModel, file: HubFile, start: bytes, runs: Callable[[str], bool]) -> Offer:
    files: tuple[HubFile, ...] = (file,)
    if names := part_names(file.name):
        folder = file.path.removesuffix(file.name)
        there = {other.path: other for other in model.files}
        files = tuple(there[folder + name] for name in names if folder + name in there)
        if len(files) < len(names):
            missing = f"{len(names) - len(files)} of its {len(names)} parts are missing"
            return Offer(files, "", missing, kind="parts")
    kind, looks_like = formats.kind_of(start)
    if not kind or file.name.lower().endswith(_BARE):
        ending = file.name.rpartition(".")[2]
        why_not = f"it is {looks_like}" if looks_like else f"files of the kind .{ending} are not read here"
        if ending.lower() == "safetensors":
            why_not += f" without a {CONFIG} beside them"
        return Offer(files, "", why_not, kind="kind")
    architecture = architecture_in(start)
    if kind == formats.GGUF.decode() and not runs(architecture):
        which = f"the architecture {architecture!r}" if architecture else "an unknown architecture"
        return Offer(files, kind, f"it is of {which}, which Sotto cannot run", kind="architecture")
    return Offer(files, kind, "")


def _adapter(files: tuple[HubFile, ...], found: Outline | SottoError) -> Offer:
    if isinstance(found, SottoError):
        return Offer(files, "", found.message.rstrip("."), adapter=True, kind="adapter")
    return Offer(files, found.format, "", adapter=True, outline=found)


def _folder(model: HubModel, files: tuple[HubFile, ...], found: FolderOutline | FormatError) -> Offer:
    if isinstance(found, FormatError):
        return Offer(files, "", found.message.rstrip("."), kind="files")
    there = {file.name: file for file in files}
    files = tuple(there[name] for name in found.files)
    if found.quantizer:
        return Offer(files, "", found.refusal, kind="quantized", folder=found)
    if found.refusal:
        return Offer(files, "", found.refusal, kind="architecture", folder=found)
    rounded = imports.by_name(called(model, files)).name
    return Offer(files, imports.IMPORTED, "", folder=found, rounded=rounded)


def _rank(offer: Offer) -> int:
    return _PREFERRED.index(offer.type) if offer.type in _PREFERRED else len(_PREFERRED)
