"""What of a hub's repository runs here, told before anything but the files' first bytes is fetched."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from .. import formats
from ..errors import AssetError, SottoError
from ..formats.gguf import architecture_in
from ..model_files import part_names
from .address import HubAddress

FIRST_BYTES = 4096
"""Of a file, that tell what it is."""
PROBED = (".gguf", ".task", ".litertlm")
"""Endings of the files whose first bytes are looked at."""
MOST_PROBED = 32  # files whose first bytes are looked at
_WEIGHTS = re.compile(
    r".+\.(gguf|task|litertlm|tflite|safetensors|bin|pt|pth|onnx|h5|msgpack)", re.IGNORECASE
)
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
        """The files that may be models, in one file or the first of several: those whose first bytes tell more."""
        found = [file for file in self.files if _WEIGHTS.fullmatch(file.name)]
        found = [file for file in found if part_names(file.name)[:1] in ((), (file.name,))]
        found.sort(key=lambda file: (not file.name.lower().endswith(".gguf"), file.path))
        return found[:MOST_PROBED]


@dataclass(frozen=True)
class Offer:
    """A model of a repository.

    Attributes:
        files: in which it comes; mostly one.
        format: as formats/ names it; "" of one that is not read here.
        why_not: why it does not run here; "" where it does, as far as its first bytes tell.
        recommended: the one to take, where nothing else is wanted.
    """

    files: tuple[HubFile, ...]
    format: str
    why_not: str
    recommended: bool = False

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
        """The tensor type that its name tells of, "" where it tells of none."""
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
        ) from error


def offers(
    model: HubModel, starts: Mapping[str, bytes], runs: Callable[[str], bool], room: int = 0
) -> list[Offer]:
    """The models of a repository, those that run first, one of them recommended.

    Args:
        starts: the first bytes of files, by their paths.
        runs: whether an architecture can be run.
        room: bytes that a model may have here; 0 where nobody knows.
    """
    found = [_offer(model, file, starts.get(file.path, b""), runs) for file in model.candidates()]
    found.sort(key=lambda offer: (bool(offer.why_not), offer.nbytes))
    best = min(
        (offer for offer in found if not offer.why_not and offer.nbytes <= (room or offer.nbytes)),
        key=lambda offer: (_rank(offer), offer.nbytes),
        default=None,
    )
    return [replace(offer, recommended=offer is best) for offer in found]


def choose(model: HubModel, offered: Sequence[Offer], file: str) -> Offer:
    """The offer that was asked for by its file, or the recommended one. Raises SottoError."""
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
        )
    for offer in offered:
        if any(file in (part.path, part.name) for part in offer.files):
            if offer.why_not:
                raise SottoError(f"{file} does not run here: {offer.why_not}.", _others(offered))
            return offer
    raise SottoError(f"{model.repository} has no model file {file}.", _others(offered))


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
            return Offer(files, "", f"{len(names) - len(files)} of its {len(names)} parts are missing")
    kind, looks_like = formats.kind_of(start)
    if not kind:
        ending = file.name.rpartition(".")[2]
        return Offer(
            files,
            "",
            f"it is {looks_like}" if looks_like else f"files of the kind .{ending} are not read here",
        )
    architecture = architecture_in(start)
    if kind == formats.GGUF.decode() and not runs(architecture):
        which = f"the architecture {architecture!r}" if architecture else "an unknown architecture"
        return Offer(files, kind, f"it is of {which}, which Sotto cannot run")
    return Offer(files, kind, "")


def _rank(offer: Offer) -> int:
    return _PREFERRED.index(offer.type) if offer.type in _PREFERRED else len(_PREFERRED)
