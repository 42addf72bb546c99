"""The whole site as a folder for a static host, large files in parts."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, unquote

from ..errors import SottoError
from .policy import HEADERS
from .site import WORKER, Resource, Site, model_list

PART_SIZE = 24_000_000  # bytes; the usual hosts take files of 25 MB at least
LIST = "exported.txt"  # names everything that an export wrote, so that the next one can replace it
BLOCK = 1 << 20


def export(site: Site, folder: Path, part_size: int = PART_SIZE, *, with_model: bool) -> list[Path]:
    """Write the site, ready to be put at any address; returns the files, relative to the folder.

    What an earlier export left there is replaced, other files stay as they are.

    Args:
        part_size: the most bytes of a file.
        with_model: the models too, with their adapters and terms. Without them the page has none of its own.

    Raises:
        SottoError: the folder holds something else, cannot be written to, or a file of the page is larger than a part
            may be.
    """
    try:
        _clear(folder)
        run = _Export(site, folder, part_size)
        try:
            run.write(with_model)
        finally:  # also of half an export, so that the next one can replace it
            run.list()
        return run.written
    except OSError as error:
        raise SottoError(
            f"The site cannot be written to {folder}: {error.strerror}.", "Choose another folder."
        ) from error


def _clear(folder: Path) -> None:
    """Remove what the last export wrote. Raises SottoError where there is something, but no export."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / LIST).is_file():
        if any(path for path in folder.iterdir() if path.name != ".git"):
            raise SottoError(
                f"The folder {folder} is not empty, and holds no site that was exported before.",
                "Choose an empty folder, or one that does not exist yet.",
            )
        return
    inside = folder.resolve()
    for line in (folder / LIST).read_text("utf-8").splitlines():
        path = (folder / line).resolve()
        if path.is_relative_to(inside) and path.is_file():
            path.unlink()
            for parent in path.parents:
                if parent == inside or any(parent.iterdir()):
                    break
                parent.rmdir()


class _Export:
    """One export under way."""

    def __init__(self, site: Site, folder: Path, part_size: int) -> None:
        self._site = site
        self._folder = folder
        self._part_size = part_size
        self.written: list[Path] = []

    def write(self, with_model: bool) -> None:
        """Write everything."""
        for address in (*self._site.addresses(), WORKER):
            resource = self._found(address)
            if resource.size > self._part_size:
                raise SottoError(
                    f"The page's file {address} has {resource.size:,} bytes, more than a part may have.",
                    f"Give parts of at least {resource.size / 1e6:.0f} MB.",
                )
            self._whole(address or "index.html", resource)
        models = self._site.models() if with_model else []
        for row in models:
            for file in (*row.get("files", [row]), *row.get("adapter", {"files": ()})["files"]):
                self._parts(file)
        if with_model:
            for address in self._site.notices():
                self._whole(address, self._found(address))
        self._text("models.json", model_list(models))
        self._text(".nojekyll", b"")  # GitHub Pages: every file as it is
        lines = [f"  {name}: {value}" for name, value in HEADERS.items()]
        self._text("_headers", "\n".join(["/*", *lines, ""]).encode())  # Netlify, Cloudflare Pages

    def list(self) -> None:
        """Say what was written."""
        self._text(LIST, "".join(f"{path.as_posix()}\n" for path in self.written).encode())

    def _found(self, address: str) -> Resource:
        resource = self._site.find(f"/{quote(address)}")
        if resource is None:
            raise SottoError(f"The page's file {address} is gone.", "Fetch everything again: --fetch-only.")
        return resource

    def _whole(self, name: str, resource: Resource) -> None:
        with self._new(name) as out, resource.open() as source:
            shutil.copyfileobj(source, out, BLOCK)

    def _parts(self, row: dict[str, Any]) -> None:
        """Write a file of models.json in parts, which its row names from then on.

        Their names have the version's in them, so that no mixture of two versions can come together.
        """
        resource = self._found(unquote(row["url"]))
        tag = hashlib.sha256(resource.etag.encode()).hexdigest()[:16]
        row["parts"] = []
        with resource.open() as source:
            for number in range(max(1, -(-resource.size // self._part_size))):
                name = f"{unquote(row['url'])}/{tag}.{number:03}"
                size = 0
                with self._new(name) as out:
                    for block in self._blocks(source):
                        size += out.write(block)
                row["parts"].append({"url": quote(name), "size": size})

    def _blocks(self, source: BinaryIO) -> Iterator[bytes]:
        left = self._part_size
        while left and (block := source.read(min(BLOCK, left))):
            left -= len(block)
            yield block

    def _text(self, name: str, data: bytes) -> None:
        with self._new(name) as out:
            out.write(data)

    def _new(self, name: str) -> BinaryIO:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        self.written.append(Path(name))
        return path.open("wb")
