"""The local server: the site over HTTP/1.1, cross-origin isolated, with ranges and entity tags.

Isolation (the first two headers) is what gives a page shared memory, which PyScript's worker needs.
"""

from __future__ import annotations

import errno
import io
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO

from ..errors import SottoError
from .site import Resource, Site

HOST = "127.0.0.1"

ISOLATION = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class UnsatisfiableRangeError(ValueError):
    """A range that begins after the end of the resource."""


def parse_range(header: str, size: int) -> tuple[int, int] | None:
    """The offset and length that a Range header asks for of `size` bytes.

    None where the header is to be ignored (RFC 9110, 14.2): another unit, several ranges, or no range at all.

    Raises:
        UnsatisfiableRangeError: a sound range with no byte of the resource in it.
    """
    unit, _, text = header.partition("=")
    first, dash, last = (piece.strip() for piece in text.partition("-"))
    digits = first + last
    if unit.strip().lower() != "bytes" or not dash or not (digits.isascii() and digits.isdigit()):
        return None
    if max(len(first), len(last)) > 18:  # beyond any file: past the end, in digits that int() may refuse
        first, last = first[:18], last[:18]
    if not first:
        length = min(int(last), size)
        start = size - length
    else:
        start = int(first)
        if last and int(last) < start:
            return None
        length = min(int(last) + 1 if last else size, size) - start
    if length <= 0:
        raise UnsatisfiableRangeError(header)
    return start, length


class Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD from the server's site."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def do_HEAD(self) -> None:
        """Answer as to GET; the methods below leave the body out."""
        self.do_GET()

    def do_GET(self) -> None:
        """Send a resource, a range of it, or word that it has not changed."""
        resource = self.server.site.find(self.path)
        if resource is None:
            self._send_bytes(HTTPStatus.NOT_FOUND, b"There is nothing at this address.\n")
        elif self._unchanged(resource):
            self.send_response(HTTPStatus.NOT_MODIFIED)
            self._validators(resource)
            self.end_headers()
        else:
            self._send_resource(resource)

    def version_string(self) -> str:
        """The Server header."""
        return "Sotto"

    def end_headers(self) -> None:
        """Add the headers that every answer carries."""
        for name, value in ISOLATION.items():
            self.send_header(name, value)
        super().end_headers()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Keep quiet about what went well; a person sees the page, not the requests."""
        if isinstance(code, int) and code >= HTTPStatus.BAD_REQUEST:
            super().log_request(code, size)

    def _unchanged(self, resource: Resource) -> bool:
        tags = [tag.strip().removeprefix("W/") for tag in self.headers.get("If-None-Match", "").split(",")]
        return resource.etag in tags or tags == ["*"]

    def _validators(self, resource: Resource) -> None:
        self.send_header("ETag", resource.etag)
        self.send_header("Cache-Control", "no-cache")

    def _send_resource(self, resource: Resource) -> None:
        start, length, status = 0, resource.size, HTTPStatus.OK
        header = self.headers.get("Range")
        if header and self.headers.get("If-Range", resource.etag) == resource.etag:
            try:
                asked = parse_range(header, resource.size)
            except UnsatisfiableRangeError:
                self._send_bytes(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, b"", f"bytes */{resource.size}")
                return
            if asked:
                start, length = asked
                status = HTTPStatus.PARTIAL_CONTENT
        try:
            source = self._open(resource)
        except OSError:
            self._send_bytes(HTTPStatus.NOT_FOUND, b"The file cannot be read.\n")
            return
        with source:
            self.send_response(status)
            self._validators(resource)
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Type", resource.content_type)
            self.send_header("Content-Length", str(length))
            if status == HTTPStatus.PARTIAL_CONTENT:
                self.send_header("Content-Range", f"bytes {start}-{start + length - 1}/{resource.size}")
            self.end_headers()
            if self.command != "HEAD" and length:
                sent = self.connection.sendfile(source, start, length)
                # A file that was cut short meanwhile cannot fill the promised length: end the connection.
                self.close_connection = self.close_connection or sent != length

    @staticmethod
    def _open(resource: Resource) -> BinaryIO:
        if isinstance(resource.content, Path):
            return resource.content.open("rb")
        return io.BytesIO(resource.content)

    def _send_bytes(self, status: HTTPStatus, body: bytes, content_range: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        if content_range:
            self.send_header("Content-Range", content_range)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


class Server(ThreadingHTTPServer):
    """Listens on this computer only. Set `site` before `serve_forever`.

    Args:
        port: the port; 0 takes any free one.

    Raises:
        SottoError: the port is in use or may not be used.
    """

    site: Site
    daemon_threads = True
    # On Windows this would let two servers share a port; elsewhere it only skips the wait after a restart.
    allow_reuse_address = sys.platform != "win32"

    def __init__(self, port: int) -> None:
        try:
            super().__init__((HOST, port), Handler)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise SottoError(
                    f"Port {port} is already in use on this computer.",
                    f"Stop the program that uses it, or take another: --port {port % 65535 + 1}.",
                ) from error
            raise SottoError(
                f"Port {port} cannot be used: {error.strerror}.", "Take another: --port 8765."
            ) from error

    @property
    def address(self) -> str:
        """What to open in a browser."""
        return f"http://{HOST}:{self.server_address[1]}/"

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that goes away in the middle of an answer is no error."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]
