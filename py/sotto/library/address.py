"""What a person gives for a model: a hub's repository, perhaps with a file, or a URL."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from ..errors import SottoError

HUB = "https://huggingface.co"
_HUB_NAMES = ("huggingface.co", "www.huggingface.co", "hf.co")
_NAME = r"[A-Za-z0-9][\w.-]*"
_REPOSITORY = re.compile(rf"({_NAME}/{_NAME})(?:@([\w./-]+))?(?::(.+))?", re.ASCII)
_PAGE_PARTS = ("blob", "resolve", "raw", "tree")


@dataclass(frozen=True)
class HubAddress:
    """A repository of a hub, or a file in it.

    Attributes:
        repository: `owner/name`.
        file: its path in the repository; empty for the one that fits best.
        revision: a branch, a tag or a commit.
    """

    repository: str
    file: str = ""
    revision: str = "main"

    def __str__(self) -> str:
        """As `parse` takes it."""
        revision = "" if self.revision == "main" else f"@{self.revision}"
        return f"{self.repository}{revision}" + (f":{self.file}" if self.file else "")


@dataclass(frozen=True)
class UrlAddress:
    """A file anywhere."""

    url: str

    def __str__(self) -> str:
        """The URL without what may be secret in it: a signature behind `?`, a password before `@`."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    @property
    def name(self) -> str:
        """The file's name."""
        return unquote(urlsplit(self.url).path).rstrip("/").rpartition("/")[2] or "model"


def parse(text: str, hub: str = HUB) -> HubAddress | UrlAddress | None:
    """`owner/name`, `owner/name:file`, `owner/name@revision:file`, the address of a hub's page, or a URL.

    Args:
        hub: the hub's own address: pages below it are the hub's, too.

    Returns:
        None for what is neither, as a path is. `models/my.gguf` may be both: who has files looks there first.

    Raises:
        SottoError: a page of the hub that is no model's.
    """
    text = text.strip().removeprefix("hf://")
    if text.startswith(tuple(f"{name}/" for name in _HUB_NAMES)):
        text = f"https://{text}"
    if re.match(r"https?://", text, re.IGNORECASE):
        parts = urlsplit(text)
        names = {*_HUB_NAMES, urlsplit(hub).netloc}
        return _page(text, parts.path) if parts.netloc.lower() in names else UrlAddress(text)
    found = _REPOSITORY.fullmatch(text)
    return HubAddress(found[1], (found[3] or "").strip(), found[2] or "main") if found else None


def _page(text: str, path: str) -> HubAddress:
    """What a page of the hub is about: `/owner/name`, `/owner/name/blob/main/folder/file`."""
    parts = [unquote(part) for part in path.split("/") if part]
    sound = len(parts) >= 2 and re.fullmatch(_NAME, parts[0]) and re.fullmatch(_NAME, parts[1])
    if not sound or parts[0] in ("datasets", "spaces", "docs", "models", "collections"):
        raise SottoError(f"{text} is not the page of a model.", "Give one like owner/name, or a file of it.")
    repository, rest = "/".join(parts[:2]), parts[2:]
    if len(rest) >= 2 and rest[0] in _PAGE_PARTS:
        file = "" if rest[0] == "tree" else "/".join(rest[2:])
        return HubAddress(repository, file, rest[1])
    return HubAddress(repository)
