"""A model hub on this computer: it behaves as the public one, which tests cannot reach, and as badly as networks do.

Two servers: the hub, with its API and the addresses of files, and the storage behind it at another origin, to which
those addresses redirect by links that expire. Both answer pages of other sites (CORS), as the hub does.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import huggingface_hub.constants
import pytest

from local_oauth import SignIn

COMMIT = "0123456789abcdef0123456789abcdef01234567"
EXPOSED = "ETag, Accept-Ranges, Content-Range, X-Repo-Commit, X-Linked-Size, X-Linked-Etag, X-Error-Code, Retry-After"
IN_GIT = re.compile(
    r"(?!(.*/)?tokenizer\.json$).+\.(json|jinja|md|txt)"
)  # paths, of which the hub tells no sha256
PORTAL = b"<!doctype html><title>Welcome</title><p>Sign in to use this network.</p>"


@dataclass
class Repository:
    """A model of the hub.

    Attributes:
        files: content by path.
        licence: as its card names it.
        gated: its terms have to be accepted: by the account of a token in `Hub.accepted`.
        announced: sha256 that the hub tells of a path in place of the true one.
        claimed: bytes that it says a path has, likewise.
    """

    files: dict[str, bytes]
    licence: str = "gemma"
    gated: bool = False
    announced: dict[str, str] = field(default_factory=dict)
    claimed: dict[str, int] = field(default_factory=dict)

    def sha256(self, path: str) -> str:
        """Of a file, as the hub tells it."""
        return self.announced.get(path) or hashlib.sha256(self.files[path]).hexdigest()


@dataclass(frozen=True)
class Fault:
    """How one answer of the storage goes wrong.

    Attributes:
        cut: the connection breaks after so many bytes.
        status: it refuses.
        retry_after: seconds that it says to wait, with its refusal.
        whole: it sends all of the file, with 200, whatever was asked.
        gzip: it packs the body, though nobody asked.
        lies: so many bytes more are announced than come.
        portal: the page of a captive portal comes in place of the file.
        replaced: another version of the file comes, with another ETag.
    """

    cut: int | None = None
    status: int = 0
    retry_after: str = ""
    whole: bool = False
    gzip: bool = False
    lies: int = 0
    portal: bool = False
    replaced: bytes | None = None


@dataclass
class Hub:
    """What the hub has, what it is to do, and what it was asked.

    Attributes:
        url, storage_url: where the two servers are.
        repositories: by `owner/name`.
        tokens: that it knows.
        accepted: those whose accounts accepted the terms of gated models.
        sign_in: its pages for signing in.
        link_seconds: how long a link to the storage lives.
        api_faults, faults: for coming answers of the API, and of the storage to GET, in order; None for a good one.
        requests: (method, path, Range header) of every request to either.
        sent: bytes of files that left the storage.
    """

    url: str = ""
    storage_url: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)
    accepted: set[str] = field(default_factory=set)
    sign_in: SignIn = field(default_factory=SignIn)
    link_seconds: float = 60.0
    api_faults: deque[Fault | None] = field(default_factory=deque)
    faults: deque[Fault | None] = field(default_factory=deque)
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    sent: int = 0

    def asked(self, part: str, method: str = "GET") -> int:
        """How many requests had this in their path."""
        return sum(part in path and how == method for how, path, _ in self.requests)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_OPTIONS(self) -> None:
        self.answer(204, b"", {})

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self.hub.requests.append((self.command, self.path, ""))
        form = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        if self.path == "/oauth/token" and self.headers["Content-Type"].startswith(
            "application/x-www-form-urlencoded"
        ):
            status, text = self.hub.sign_in.exchange(form)
            self.answer(status, text.encode(), {"Content-Type": "application/json"})
        else:
            self.answer(404, b"", {})

    def do_GET(self) -> None:
        self.hub.requests.append((self.command, self.path, self.headers.get("Range", "")))
        self.handle_path(unquote(urlsplit(self.path).path))

    def handle_path(self, path: str) -> None:
        raise NotImplementedError

    def answer(self, status: int, body: bytes, headers: dict[str, str], length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Access-Control-Allow-Headers", "Authorization, Range")
        self.send_header("Access-Control-Expose-Headers", EXPOSED)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            try:
                self.wfile.write(body)
            except ConnectionError:  # nobody wants the rest
                self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class _Api(_Handler):
    def handle_path(self, path: str) -> None:
        fault = self.hub.api_faults.popleft() if self.hub.api_faults else None
        if fault and fault.portal:
            self.answer(200, PORTAL, {"Content-Type": "text/html"})
            return
        if fault and fault.status:
            wait = {"Retry-After": fault.retry_after} if fault.retry_after else {}
            self.answer(fault.status, b"{}", wait)
            return
        if path == "/oauth/authorize":
            status, text = self.hub.sign_in.authorize(urlsplit(self.path).query)
            self.answer(status, text.encode(), {"Content-Type": "text/html"})
        elif found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            self.model(found[1], found[2] or "main")
        elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self.file(found[1], found[3])
        else:
            self.answer(404, b"", {})

    def refused(self, repository: Repository | None, reading: bool) -> bool:
        """Answer as the hub does to whom it gives nothing. Of a gated model everybody may see what it holds."""
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token and token not in self.hub.tokens:
            self.answer(401, b'{"error": "Invalid credentials"}', {"X-Error-Message": "Invalid credentials"})
        elif repository is None:
            code, status = ("RepoNotFound", 404 if token else 401)
            self.answer(status, b'{"error": "Repository not found"}', {"X-Error-Code": code})
        elif repository.gated and reading and token not in self.hub.accepted:
            self.answer(403 if token else 401, b'{"error": "gated"}', {"X-Error-Code": "GatedRepo"})
        else:
            return False
        return True

    def model(self, name: str, revision: str) -> None:
        repository = self.hub.repositories.get(name)
        if self.refused(repository, reading=False):
            return
        assert repository is not None
        if revision not in ("main", COMMIT):
            self.answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            return
        files: list[dict[str, object]] = []
        for path, content in repository.files.items():
            size, sha256 = repository.claimed.get(path, len(content)), repository.sha256(path)
            files.append({"rfilename": path, "size": size, "blobId": sha256[:40]})
            if not IN_GIT.fullmatch(path):
                files[-1]["lfs"] = {"sha256": sha256, "size": len(content), "pointerSize": 134}
        facts = {
            "id": name,
            "sha": COMMIT,
            "private": False,
            "gated": "manual" if repository.gated else False,
            "tags": [],
            "cardData": {"license": repository.licence},
            "siblings": files,
        }
        self.answer(200, json.dumps(facts).encode(), {"Content-Type": "application/json"})

    def file(self, name: str, path: str) -> None:
        repository = self.hub.repositories.get(name)
        if self.refused(repository, reading=True):
            return
        assert repository is not None
        if path not in repository.files:
            self.answer(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
            return
        expires = time.time() + self.hub.link_seconds
        headers = {
            "Location": f"{self.hub.storage_url}/{name}/{path}?expires={expires}",
            "X-Repo-Commit": COMMIT,
            "X-Linked-Etag": f'"{repository.sha256(path)}"',
            "X-Linked-Size": str(len(repository.files[path])),
        }
        self.answer(302, b"", headers)


class _Storage(_Handler):
    def handle_path(self, path: str) -> None:
        fault = (self.hub.faults.popleft() if self.hub.faults and self.command == "GET" else None) or Fault()
        expires = float(parse_qs(urlsplit(self.path).query).get("expires", ["0"])[0])
        owner, name, file = path[1:].split("/", 2)
        content = self.hub.repositories[f"{owner}/{name}"].files.get(file, b"")
        if expires < time.time():
            self.answer(403, b"Request has expired", {})
        elif "Authorization" in self.headers:
            self.answer(400, b"Only one auth mechanism allowed", {})
        elif fault.status:
            self.answer(fault.status, b"", {"Retry-After": fault.retry_after} if fault.retry_after else {})
        elif fault.portal:
            self.answer(200, PORTAL, {"Content-Type": "text/html"})
        else:
            self.send_file(content if fault.replaced is None else fault.replaced, fault)

    def send_file(self, content: bytes, fault: Fault) -> None:
        headers = {
            "ETag": f'"{hashlib.sha256(content).hexdigest()[:32]}"',
            "Accept-Ranges": "bytes",
            "Content-Type": "application/octet-stream",
        }
        status, first, last = 200, 0, len(content) - 1
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked and not fault.whole and self.headers.get("If-Range", headers["ETag"]) == headers["ETag"]:
            status, first, last = 206, int(asked[1]), min(int(asked[2] or last), last)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
        body = content[first : last + 1]
        if fault.gzip:
            body = gzip.compress(body)
            headers["Content-Encoding"] = "gzip"
        length = len(body) + fault.lies
        if fault.cut is not None:
            body = body[: fault.cut]
            self.close_connection = True
        self.close_connection = self.close_connection or bool(fault.lies)
        if self.command == "GET":
            self.hub.sent += len(body)
        self.answer(status, body, headers, length)


def own_caches(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have Sotto's cache and that of the hub's library in a folder, without a token, and nobody wait; the first."""
    monkeypatch.setenv("SOTTO_CACHE", str(folder / "cache"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(folder / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(folder / "token"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    return folder / "cache"


@contextmanager
def serve_hub() -> Iterator[Hub]:
    """A hub without any model yet; closed at the end."""
    hub = Hub()
    servers = [
        ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (kind,), {"hub": hub}))
        for kind in (_Api, _Storage)
    ]
    hub.url = f"http://127.0.0.1:{servers[0].server_port}"
    hub.storage_url = f"http://localhost:{servers[1].server_port}"  # another host, to which no token may go
    threads = [threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield hub
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()
