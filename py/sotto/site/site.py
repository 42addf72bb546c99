"""What the page can ask for: files and bytes by address. No folder is listed, no file outside is reached."""

from __future__ import annotations

import hashlib
import json
import mimetypes
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from ..assets.cache import Stamps
from .appzip import AppZip

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".gguf": "application/octet-stream",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json; charset=utf-8",
    ".md": "text/markdown; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".py": "text/x-python; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json; charset=utf-8",
    ".wgsl": "text/wgsl; charset=utf-8",
    ".whl": "application/zip",
    ".zip": "application/zip",
}


def content_type(name: str) -> str:
    """The MIME type of a file name: those browsers insist on are fixed, the rest is the platform's guess."""
    fixed = _TYPES.get(Path(name).suffix.lower())
    return fixed or mimetypes.guess_type(name)[0] or "application/octet-stream"


@dataclass(frozen=True)
class Resource:
    """Something to send.

    Attributes:
        content: a file, or bytes that are already here.
        size: bytes.
        etag: a strong entity tag, quotes included.
        content_type: MIME type.
    """

    content: Path | bytes
    size: int
    etag: str
    content_type: str


ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
"""Of a LoRA adapter's folder, as PEFT writes it; here too, as the server runs without numpy and formats/ does not."""


@dataclass(frozen=True)
class OfferedModel:
    """A model on offer.

    Attributes:
        name: for people.
        path: its file on this disk, or the first of several.
        adapter: the folder of a LoRA adapter that belongs to it.
        others: the other files of a model that comes in several.
    """

    name: str
    path: Path
    adapter: Path | None = None
    others: tuple[Path, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """All of the model's files."""
        return self.path, *self.others


class Site:
    """The addresses of one running server.

    Args:
        root: the checkout, with `web/`, `py/sotto/` and `kernels/`.
        cache: the cache folder; its `runtime/` is served, and `models/` for the notices beside a model.
        models: the models on offer, the default one first.
    """

    def __init__(self, root: Path, cache: Path, models: list[OfferedModel]) -> None:
        self._web = root / "web"
        self._runtime = cache / "runtime"
        self._notices = cache / "models"
        self._cache = cache.resolve()
        self._stamps = Stamps(cache)
        self._models = {model.path.name: model for model in models}
        self._files = {path.name: path for model in models for path in model.files}
        self._app = AppZip(root / "py" / "sotto", root / "kernels")
        self._made: dict[str, Callable[[], Resource]] = {
            "/app.zip": self._app_zip,
            "/models.json": self._model_list,
        }

    def find(self, address: str) -> Resource | None:
        """The resource at an address (a request's path, still quoted, perhaps with a query), if any."""
        path = unquote(address.partition("?")[0])
        if path in self._made:
            return self._made[path]()
        if path.startswith("/models/"):
            name = path.removeprefix("/models/")
            offered = self._files.get(name)
            return self._file(offered) if offered else self._below(self._notices, name)
        if path.startswith("/adapters/"):
            name, _, file = path.removeprefix("/adapters/").partition("/")
            model = self._models.get(name)
            return (
                self._file(model.adapter / file)
                if model and model.adapter and file in ADAPTER_FILES
                else None
            )
        if path.startswith("/runtime/"):
            return self._below(self._runtime, path.removeprefix("/runtime/"))
        return self._below(self._web, "index.html" if path == "/" else path.removeprefix("/"))

    def _below(self, folder: Path, relative: str) -> Resource | None:
        """A file below a folder. Symbolic links are followed, but not out of the folder."""
        if "\\" in relative or "\0" in relative:
            return None
        path = (folder / relative).resolve()
        return self._file(path) if path.is_relative_to(folder.resolve()) else None

    def _file(self, path: Path) -> Resource | None:
        try:
            status = path.stat()
        except OSError:
            return None
        if not path.is_file():
            return None
        etag = self._sha256(path) or f"{status.st_size:x}-{status.st_mtime_ns:x}"
        return Resource(path, status.st_size, f'"{etag}"', content_type(path.name))

    def _sha256(self, path: Path) -> str | None:
        """The hash of a verified file of the cache; None for any other file."""
        resolved = path.resolve()
        if not resolved.is_relative_to(self._cache):
            return None
        return self._stamps.known(resolved.relative_to(self._cache).as_posix())

    def _app_zip(self) -> Resource:
        data, sha256 = self._app.get()
        return self._bytes(data, sha256, "app.zip")

    @staticmethod
    def _bytes(data: bytes, sha256: str, name: str) -> Resource:
        return Resource(data, len(data), f'"{sha256}"', content_type(name))

    def _row(self, name: str, url: str, path: Path) -> dict[str, object] | None:
        """What the page is told of a file; None where there is none."""
        resource = self._file(path)
        if not resource:
            return None
        return {
            "name": name,
            "url": quote(url),
            "size": resource.size,
            "sha256": self._sha256(path),
            "etag": resource.etag,
        }

    def _model_list(self) -> Resource:
        models = []
        for file_name, model in self._models.items():
            row = self._row(model.name, f"/models/{file_name}", model.path)
            if not row:
                continue
            if model.others:
                files = [self._row(path.name, f"/models/{path.name}", path) for path in model.files]
                row["files"] = [file for file in files if file]
            if folder := model.adapter:
                files = [
                    self._row(file, f"/adapters/{file_name}/{file}", folder / file) for file in ADAPTER_FILES
                ]
                row["adapter"] = {"name": folder.name, "files": [file for file in files if file]}
            models.append(row)
        default = next(iter(self._models.values())).name
        data = json.dumps({"default": default, "models": models}, indent=1).encode()
        return self._bytes(data, hashlib.sha256(data).hexdigest(), "models.json")
