"""The local server: the site over HTTP/1.1, cross-origin isolated, with ranges and entity tags.

What every answer carries is in `policy`. Requests for any other server's name are refused (`authority` says why), and
connections that ask for nothing are closed.
"""

from __future__ import annotations

import errno
import io
import socket
import sys
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from ..errors import SottoError
from .authority import BadTargetError, is_own, split_target
from .policy import ISOLATION, policy_of
from .site import Resource, Site

HOST = "127.0.0.1"
NAMES = (HOST, "localhost", "[::1]")

IDLE_SECONDS = 30.0  # that a connection may be silent before a request
REQUEST_SECONDS = 30.0  # from a request's first byte to the end of its header fields
SEND_SECONDS = 300.0  # that a client may take nothing of an answer: a browser that is busy reads no further


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


class SilentError(ConnectionError):
    """A client that did not send a whole request in time; its connection ends."""


class _Input(io.RawIOBase):
    """What a client sends. `expect` begins to wait for a request, which has to arrive in time as a whole."""

    def __init__(self, connection: socket.socket, idle_seconds: float, request_seconds: float) -> None:
        self._connection = connection
        self._idle_seconds = idle_seconds
        self._request_seconds = request_seconds
        self.expect()

    def expect(self) -> None:
        self._deadline = time.monotonic() + self._idle_seconds
        self._begun = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise SilentError
        self._connection.settimeout(left)
        try:
            count = self._connection.recv_into(buffer)
        except TimeoutError:
            raise SilentError from None
        if not count and self._begun:
            raise SilentError  # it went away in the middle
        if not self._begun:
            self._begun = True
            self._deadline = time.monotonic() + self._request_seconds
        return count


class Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD from the server's site."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def setup(self) -> None:
        """Read with limits of time."""
        super().setup()
        self.rfile.close()
        self._input = _Input(self.connection, self.server.idle_seconds, self.server.request_seconds)
        self.rfile = io.BufferedReader(self._input)

    def handle_one_request(self) -> None:
        """Wait for a request and answer it.

        Raises:
            SilentError: none came in time.
        """
        self._input.expect()
        super().handle_one_request()

    def parse_request(self) -> bool:
        """Read a request's head; refuse one that is not meant for this server. True if it is to be answered."""
        return super().parse_request() and self._is_sound() and self._is_own()

    def do_HEAD(self) -> None:
        """Answer as to GET; the methods below leave the body out."""
        self.do_GET()

    def do_GET(self) -> None:
        """Send a resource, a range of it, or word that it has not changed."""
        if self._is_elsewhere():
            return
        resource = self.server.site.find(self.path)
        if resource is None:
            self._send_bytes(HTTPStatus.NOT_FOUND, b"There is nothing at this address.\n")
        elif not self._matches(resource):
            self._send_bytes(HTTPStatus.PRECONDITION_FAILED, b"What is at this address has changed.\n")
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
        """Add the headers that every answer carries; from here on the client has to take what it asked for."""
        self.connection.settimeout(SEND_SECONDS)
        for name, value in ISOLATION.items():
            self.send_header(name, value)
        super().end_headers()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Keep quiet about what went well; a person sees the page, not the requests."""
        if isinstance(code, int) and code >= HTTPStatus.BAD_REQUEST:
            super().log_request(code, size)

    def log_error(self, format: str, *args: object) -> None:
        """Keep quiet: a refused request is told by log_request, a client that takes nothing is no fault of ours."""

    def _is_sound(self) -> bool:
        """Whether a request says clearly what it wants: 400 where a part of it could be read in two ways."""
        hosts = self.headers.get_all("Host", [])
        if self.request_version == "HTTP/0.9" or self.headers.defects or len(hosts) != 1:
            return self._refuse(HTTPStatus.BAD_REQUEST, "The request is not sound: it needs one Host.")
        if "Content-Length" in self.headers or "Transfer-Encoding" in self.headers:
            self.close_connection = True  # nobody reads a body, which must not be taken for the next request
        return True

    def _is_own(self) -> bool:
        """Whether a request is for this server by all the names in it; leaves a plain path in `self.path`."""
        try:
            authority, self.path = split_target(self.path)
        except BadTargetError:
            return self._refuse(HTTPStatus.BAD_REQUEST, "The request's address is not sound.")
        for host in (self.headers["Host"].strip(" \t"), authority):
            if host is not None and not is_own(host, self.server.names, self.server.server_port):
                return self._refuse(
                    HTTPStatus.MISDIRECTED_REQUEST,
                    f"This is Sotto, which runs on this computer and answers at its own address only."
                    f" Open {self.server.address}",
                )
        return True

    def _is_elsewhere(self) -> bool:
        """Send people who opened the page by another name to the one address: to a browser, each is a site of its own,
        and a model that was kept for one is not there for the other."""
        name = self.headers["Host"].strip(" \t").rpartition(":")[0].lower()
        page, _, query = self.path.partition("?")
        if page != "/" or name == HOST or name not in NAMES:
            return False
        self.send_response(HTTPStatus.TEMPORARY_REDIRECT)
        self.send_header("Location", self.server.address + (f"?{query}" if query else ""))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Length", "0")
        self.end_headers()
        return True

    def _refuse(self, status: HTTPStatus, text: str) -> bool:
        self.close_connection = True
        self._send_bytes(status, f"{text}\n".encode())
        return False

    def _tags(self, field: str) -> list[str]:
        """The entity tags of a header field, or ["*"]; ours have no comma in them."""
        return [tag.strip() for tag in ",".join(self.headers.get_all(field, [])).split(",")]

    def _matches(self, resource: Resource) -> bool:
        """Whether If-Match, if there is one, lets the request pass (RFC 9110, 13.1.1): weak tags never do.

        If-Unmodified-Since is not looked at: nothing here has a date.
        """
        tags = self._tags("If-Match")
        return "If-Match" not in self.headers or resource.etag in tags or tags == ["*"]

    def _unchanged(self, resource: Resource) -> bool:
        tags = self._tags("If-None-Match")
        return resource.etag in (tag.removeprefix("W/") for tag in tags) or tags == ["*"]

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
            source = resource.open()
        except OSError:
            self._send_bytes(HTTPStatus.NOT_FOUND, b"The file cannot be read.\n")
            return
        with source:
            self.send_response(status)
            self._validators(resource)
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Security-Policy", policy_of(self.path))
            self.send_header("Content-Type", resource.content_type)
            self.send_header("Content-Length", str(length))
            if status == HTTPStatus.PARTIAL_CONTENT:
                self.send_header("Content-Range", f"bytes {start}-{start + length - 1}/{resource.size}")
            self.end_headers()
            if self.command != "HEAD" and length:
                sent = self.connection.sendfile(source, start, length)
                # A file that was cut short meanwhile cannot fill the promised length: end the connection.
                self.close_connection = self.close_connection or sent != length

    def _send_bytes(self, status: HTTPStatus, body: bytes, content_range: str = "") -> None:
        self.send_response(status)
        if self.close_connection:
            self.send_header("Connection", "close")
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
        idle_seconds: how long a connection may be silent before a request.
        request_seconds: how long a request's header fields may take to arrive.

    Attributes:
        names: the host names that it answers to, with its port, in lower case.

    Raises:
        SottoError: the port is in use or may not be used.
    """

    site: Site
    daemon_threads = True
    request_queue_size = 64  # connections that wait for their thread
    # On Windows this would let two servers share a port; elsewhere it only skips the wait after a restart.
    allow_reuse_address = sys.platform != "win32"

    def __init__(
        self, port: int, idle_seconds: float = IDLE_SECONDS, request_seconds: float = REQUEST_SECONDS
    ) -> None:
        self.names = set(NAMES)
        self.idle_seconds = idle_seconds
        self.request_seconds = request_seconds
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
