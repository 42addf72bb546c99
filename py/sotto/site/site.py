"""What the page can ask for: files and bytes by address. No folder is listed, no file outside is reached."""

from __future__ import annotations

import hashlib
import io
import json
import mimetypes
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, unquote

from ..assets.cache import OWN_STAMPS_NAME, Stamps, file_sha256
from ..assets.pins import MODELS, RUNTIME
from .appzip import AppZip
from .release import Release, ReleasedFile

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

    def open(self) -> BinaryIO:
        """Its bytes as a file. Raises OSError."""
        return self.content.open("rb") if isinstance(self.content, Path) else io.BytesIO(self.content)


WORKER = "service_worker.js"

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


def model_list(models: list[dict[str, Any]]) -> bytes:
    """models.json, of rows as `Site.models` gives them; the first is the default."""
    default = models[0]["name"] if models else ""
    return json.dumps({"default": default, "models": models}, indent=1).encode()


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
        self._own_stamps = Stamps(cache, OWN_STAMPS_NAME)
        self._models = {model.path.name: model for model in models}
        self._files = {path.name: path for model in models for path in model.files}
        self._app = AppZip(root / "py" / "sotto", root / "kernels")
        self._made: dict[str, Callable[[], Resource | None]] = {
            "/app.zip": self._app_zip,
            "/models.json": self._model_list,
            f"/{WORKER}": self._service_worker,
        }
        self._hashed: dict[Path, tuple[str, str]] = {}  # entity tag and sha256, of files outside the cache

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

    def addresses(self) -> list[str]:
        """All files of the page itself, relative to its own address, which is empty. Models are not among them."""
        apart = {self._web / "index.html", self._web / WORKER}
        web = [
            path.relative_to(self._web).as_posix()
            for path in sorted(self._web.rglob("*"))
            if path.is_file() and not path.name.startswith(".") and path not in apart
        ]
        runtime = [file.path for group in RUNTIME for file in group.files]
        return ["", *web, "app.zip", *(path for path in runtime if (self._cache / path).is_file())]

    def release(self) -> Release:
        """The page as it is now."""
        files = {}
        for address in self.addresses():
            if resource := self.find(f"/{quote(address)}"):
                files[address] = ReleasedFile(self._hash(resource), resource.size, resource.content_type)
        return Release(files)

    def _hash(self, resource: Resource) -> str:
        """The sha256 of a file of the page; each is read once as long as it does not change."""
        if isinstance(resource.content, bytes):
            return hashlib.sha256(resource.content).hexdigest()
        path = resource.content
        if known := self._sha256(path):
            return known
        if self._hashed.get(path, ("", ""))[0] != resource.etag:
            self._hashed[path] = resource.etag, file_sha256(path)
        return self._hashed[path][1]

    def _service_worker(self) -> Resource | None:
        path = self._web / WORKER
        if not path.is_file():
            return None
        data = self.release().service_worker(path.read_text("utf-8"))
        return self._bytes(data, hashlib.sha256(data).hexdigest(), WORKER)

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
        """The hash of a verified file of the cache, or of one elsewhere that was hashed; None for any other file."""
        resolved = path.resolve()
        if not resolved.is_relative_to(self._cache):
            return self._own_stamps.known(str(resolved))
        return self._stamps.known(resolved.relative_to(self._cache).as_posix())

    def _app_zip(self) -> Resource:
        data, sha256 = self._app.get()
        return self._bytes(data, sha256, "app.zip")

    @staticmethod
    def _bytes(data: bytes, sha256: str, name: str) -> Resource:
        return Resource(data, len(data), f'"{sha256}"', content_type(name))

    def _row(self, name: str, url: str, path: Path) -> dict[str, Any] | None:
        """What the page is told of a file, at an address relative to the page's; None where there is none."""
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

    def models(self) -> list[dict[str, Any]]:
        """The rows of models.json: every file at an address relative to the page's."""
        models = []
        for file_name, model in self._models.items():
            row = self._row(model.name, f"models/{file_name}", model.path)
            if not row:
                continue
            if model.others:
                files = [self._row(path.name, f"models/{path.name}", path) for path in model.files]
                row["files"] = [file for file in files if file]
            if folder := model.adapter:
                files = [
                    self._row(file, f"adapters/{file_name}/{file}", folder / file) for file in ADAPTER_FILES
                ]
                row["adapter"] = {"name": folder.name, "files": [file for file in files if file]}
            models.append(row)
        return models

    def notices(self) -> list[str]:
        """Addresses of what has to be passed on with the models: their terms."""
        known = [group.files for group in MODELS.values() if group.files[0].name in self._models]
        return [file.path for _, *notices in known for file in notices if (self._cache / file.path).is_file()]

    def _model_list(self) -> Resource:
        data = model_list(self.models())
        return self._bytes(data, hashlib.sha256(data).hexdigest(), "models.json")
