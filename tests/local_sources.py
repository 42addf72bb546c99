"""Sources of this computer: an HTTP server that misbehaves on request, and wheels for a real pip to fetch."""

from __future__ import annotations

import hashlib
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from sotto.assets.pins import Package


@dataclass
class Cdn:
    """Files by address, and how to fail.

    Attributes:
        files: content by path.
        ranges: whether Range is understood.
        drops: for each coming request of a path, after how many bytes of the body the connection breaks.
        hold: paths whose answers, when all is said, stay open and silent until the event is set.
        hang_up: break every connection before answering.
        requests: (path, Range header or "") of every request so far.
    """

    base: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    drops: dict[str, list[int]] = field(default_factory=dict)
    hold: dict[str, threading.Event] = field(default_factory=dict)
    hang_up: bool = False
    requests: list[tuple[str, str]] = field(default_factory=list)


@contextmanager
def serve_cdn() -> Iterator[Cdn]:
    """A server on this computer that serves `files` of the yielded object; closed at the end."""
    cdn = Cdn()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            header = self.headers.get("Range", "")
            cdn.requests.append((self.path, header))
            content = cdn.files.get(self.path)
            if cdn.hang_up:
                return
            if content is None:
                self.send_error(404)
                return
            start = int(header.removeprefix("bytes=").removesuffix("-")) if header and cdn.ranges else 0
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            body = content[start:]
            drops = cdn.drops.get(self.path)
            self.wfile.write(body[: drops.pop(0)] if drops else body)
            if self.path in cdn.hold:
                cdn.hold[self.path].wait(60)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            if not isinstance(
                sys.exc_info()[1], ConnectionError
            ):  # a client that went away is part of a test
                super().handle_error(request, client_address)  # type: ignore[arg-type]

    server = Server(("127.0.0.1", 0), Handler)
    cdn.base = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield cdn
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def sha256(data: bytes) -> str:
    """The hash of some bytes, hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def build_wheel(
    folder: Path, name: str, members: dict[str, bytes], requires_python: str = ">=3.9"
) -> Package:
    """Write a wheel of version 1.0.0 that pip accepts into `folder`; returns its pin."""
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-1.0.0.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0.0\nRequires-Python: {requires_python}\n"
    files = members | {
        f"{info}/METADATA": metadata.encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    path = folder / f"{name}-1.0.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for member, content in files.items():
            wheel.writestr(zipfile.ZipInfo(member), content)
    data = path.read_bytes()
    return Package("pip", f"{name}==1.0.0", len(data), sha256(data))
