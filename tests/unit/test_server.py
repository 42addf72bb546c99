"""The local server over real connections: headers, ranges, entity tags, and what it refuses to give."""

from __future__ import annotations

import http.client
import io
import json
import os
import shutil
import socket
import threading
import zipfile
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

from local_sources import serve_cdn, sha256
from sotto.assets import fetch
from sotto.assets.pins import File, Group
from sotto.errors import SottoError
from sotto.site.server import Server, UnsatisfiableRangeError, parse_range
from sotto.site.site import OfferedModel, Site, content_type

WASM = bytes(range(256)) * 40
MODEL = b"GGUF" + bytes(3_000_000)
PAGE = b"<!doctype html><title>Sotto</title>"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    for name, content in {
        "web/index.html": PAGE,
        "web/bridge.js": b"export {};",
        "web/parts/deep.css": b"p {}",
        "web/empty.txt": b"",
        "secret.txt": b"not for the page",
        "py/sotto/__init__.py": b"",
        "py/sotto/models/gemma3.py": b"x = 1\n",
        "py/sotto/__pycache__/gemma3.pyc": b"no",
        "kernels/rope.wgsl": b"fn main() {}",
        "kernels/lib/reduce.wgsl": b"fn sum() {}",
        "kernels/cpu/dot.c": b"int main;",
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache folder with one verified file, a model's notice and a file of unknown origin."""
    folder = tmp_path / "cache"
    with serve_cdn() as cdn:
        cdn.files["/a.wasm"] = WASM
        file = File("runtime/pyodide/a.wasm", len(WASM), sha256(WASM), (f"{cdn.base}/a.wasm",))
        fetch([Group("Tool", (file,))], folder)
    (folder / "runtime/other.mjs").write_bytes(b"export {};")
    (folder / "models").mkdir()
    (folder / "models/NOTICE.md").write_bytes(b"terms")
    (folder / "models/my model.gguf").write_bytes(MODEL)
    return folder


@pytest.fixture
def connection(checkout: Path, cache: Path) -> Iterator[HTTPConnection]:
    """A connection, kept alive over the requests of a test, to a running server."""
    with Server(0) as server:
        server.site = Site(checkout, cache, [OfferedModel("mine", cache / "models/my model.gguf")])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        connection = HTTPConnection("127.0.0.1", server.server_address[1], timeout=20)
        try:
            yield connection
        finally:
            connection.close()
            server.shutdown()
            thread.join()


def ask(
    connection: HTTPConnection, path: str, method: str = "GET", **headers: str
) -> tuple[HTTPResponse, bytes]:
    connection.request(
        method, path, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )
    response = connection.getresponse()
    return response, response.read()


@pytest.mark.parametrize(
    ("path", "content", "mime"),
    [
        ("/", PAGE, "text/html; charset=utf-8"),
        ("/index.html?theme=dark", PAGE, "text/html; charset=utf-8"),
        ("/bridge.js", b"export {};", "text/javascript; charset=utf-8"),
        ("/parts/deep.css", b"p {}", "text/css; charset=utf-8"),
        ("/empty.txt", b"", "text/plain; charset=utf-8"),
        ("/runtime/pyodide/a.wasm", WASM, "application/wasm"),
        ("/runtime/other.mjs", b"export {};", "text/javascript; charset=utf-8"),
        ("/models/my%20model.gguf", MODEL, "application/octet-stream"),
        ("/models/NOTICE.md", b"terms", "text/markdown; charset=utf-8"),
    ],
)
def test_every_address_gives_its_file_isolated(
    connection: HTTPConnection, path: str, content: bytes, mime: str
) -> None:
    response, body = ask(connection, path)
    assert (response.status, body) == (200, content)
    assert response.getheader("Content-Type") == mime
    assert response.getheader("Content-Length") == str(len(content))
    assert response.getheader("Cross-Origin-Opener-Policy") == "same-origin"
    assert response.getheader("Cross-Origin-Embedder-Policy") == "require-corp"
    assert response.getheader("Cross-Origin-Resource-Policy") == "same-origin"
    assert response.getheader("Cache-Control") == "no-cache"

    head, nothing = ask(connection, path, "HEAD")
    assert (head.status, nothing) == (200, b"")
    without_date = [pair for pair in response.getheaders() if pair[0] != "Date"]
    assert [pair for pair in head.getheaders() if pair[0] != "Date"] == without_date


@pytest.mark.parametrize(
    "path",
    [
        "/nothing.html",
        "/parts",
        "/parts/",
        "/runtime/",
        "/models/",
        "/runtime/pyodide",
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/parts/../../secret.txt",
        "/parts/..%2f..%2fsecret.txt",
        "/..%5csecret.txt",
        "//etc/passwd",
        "/%2fetc/passwd",
        "/runtime/../verified.json",
        "/runtime//etc/passwd",
        "/models/../verified.json",
        "/a%00.html",
        "/" + "x" * 3000,
    ],
)
def test_nothing_else_is_given(connection: HTTPConnection, path: str) -> None:
    response, body = ask(connection, path)
    assert response.status == 404
    assert body == b"There is nothing at this address.\n"
    assert response.getheader("Cross-Origin-Embedder-Policy") == "require-corp"
    assert ask(connection, "/")[1] == PAGE  # the connection is still good


@pytest.mark.skipif(os.name == "nt", reason="making links needs rights there")
def test_a_link_out_of_the_folder_is_not_followed(connection: HTTPConnection, checkout: Path) -> None:
    (checkout / "web/inside.html").symlink_to(checkout / "web/index.html")
    (checkout / "web/outside.txt").symlink_to(checkout / "secret.txt")
    assert ask(connection, "/inside.html")[1] == PAGE
    assert ask(connection, "/outside.txt")[0].status == 404


def test_other_methods_are_refused(connection: HTTPConnection) -> None:
    assert ask(connection, "/", "POST")[0].status == 501


@pytest.mark.parametrize(
    ("header", "start", "end"),
    [
        ("bytes=0-3", 0, 4),
        ("bytes=100-", 100, len(WASM)),
        ("bytes=-16", len(WASM) - 16, len(WASM)),
        ("bytes=-999999", 0, len(WASM)),
        ("bytes=10-999999", 10, len(WASM)),
        ("bytes=7-7", 7, 8),
    ],
)
def test_ranges(connection: HTTPConnection, header: str, start: int, end: int) -> None:
    response, body = ask(connection, "/runtime/pyodide/a.wasm", Range=header)
    assert (response.status, body) == (206, WASM[start:end])
    assert response.getheader("Content-Range") == f"bytes {start}-{end - 1}/{len(WASM)}"
    assert response.getheader("Content-Length") == str(end - start)
    head, nothing = ask(connection, "/runtime/pyodide/a.wasm", "HEAD", Range=header)
    assert (head.status, head.getheader("Content-Length"), nothing) == (206, str(end - start), b"")


@pytest.mark.parametrize("header", [f"bytes={len(WASM)}-", "bytes=-0", "bytes=" + "9" * 5000 + "-"])
def test_a_range_beyond_the_end(connection: HTTPConnection, header: str) -> None:
    response, body = ask(connection, "/runtime/pyodide/a.wasm", Range=header)
    assert (response.status, body) == (416, b"")
    assert response.getheader("Content-Range") == f"bytes */{len(WASM)}"
    assert ask(connection, "/")[1] == PAGE


@pytest.mark.parametrize(
    "header", ["bytes=5-4", "bytes=0-1,4-5", "rows=0-1", "bytes=a-b", "bytes=-", "bytes", ""]
)
def test_a_range_that_is_none_gives_everything(connection: HTTPConnection, header: str) -> None:
    response, body = ask(connection, "/runtime/pyodide/a.wasm", Range=header)
    assert (response.status, body) == (200, WASM)


def test_parse_range_of_nothing() -> None:
    with pytest.raises(UnsatisfiableRangeError):
        parse_range("bytes=0-", 0)


def test_a_verified_file_is_tagged_with_its_hash(connection: HTTPConnection, cache: Path) -> None:
    response, _ = ask(connection, "/runtime/pyodide/a.wasm")
    tag = response.getheader("ETag")
    assert tag == f'"{sha256(WASM)}"'
    for header in (tag, f'W/{tag}, "else"', '"else", ' + tag, "*"):
        response, body = ask(connection, "/runtime/pyodide/a.wasm", If_None_Match=header)
        assert (response.status, body, response.getheader("ETag")) == (304, b"", tag)
    assert ask(connection, "/runtime/pyodide/a.wasm", If_None_Match='"else"')[0].status == 200

    path = cache / "runtime/pyodide/a.wasm"
    path.write_bytes(b"changed")  # while the server runs: the hash is no longer its own
    assert ask(connection, "/runtime/pyodide/a.wasm")[0].getheader("ETag") not in (tag, None)


def test_a_range_of_another_version_gives_the_whole_file(connection: HTTPConnection) -> None:
    tag = ask(connection, "/bridge.js")[0].getheader("ETag") or ""
    assert ask(connection, "/bridge.js", Range="bytes=0-1", If_Range=tag)[0].status == 206
    assert ask(connection, "/bridge.js", Range="bytes=0-1", If_Range='"old"')[0].status == 200
    date = "Sat, 21 Nov 2026 20:00:00 GMT"
    assert ask(connection, "/bridge.js", Range="bytes=0-1", If_Range=date)[0].status == 200


def test_an_edited_file_has_another_tag(connection: HTTPConnection, checkout: Path) -> None:
    before = ask(connection, "/bridge.js")[0].getheader("ETag")
    (checkout / "web/bridge.js").write_bytes(b"export { };")
    after, body = ask(connection, "/bridge.js", If_None_Match=before or "")
    assert (after.status, body) == (200, b"export { };")


def test_the_list_of_models(connection: HTTPConnection) -> None:
    response, body = ask(connection, "/models.json")
    assert response.getheader("Content-Type") == "application/json; charset=utf-8"
    listed = json.loads(body)
    (model,) = listed["models"]
    assert listed["default"] == model["name"] == "mine"
    assert model["sha256"] is None
    assert model["size"] == len(MODEL)
    got, content = ask(connection, model["url"])
    assert content == MODEL
    assert got.getheader("ETag") == model["etag"]


def test_a_model_in_the_cache_is_listed_with_its_hash(checkout: Path, cache: Path) -> None:
    site = Site(checkout, cache, [OfferedModel("pinned", cache / "runtime/pyodide/a.wasm")])
    resource = site.find("/models.json")
    assert resource is not None
    assert isinstance(resource.content, bytes)
    (model,) = json.loads(resource.content)["models"]
    assert model["sha256"] == sha256(WASM)
    assert model["etag"] == f'"{sha256(WASM)}"'


def app_zip(connection: HTTPConnection) -> tuple[str | None, bytes]:
    response, body = ask(connection, "/app.zip")
    assert response.getheader("Content-Type") == "application/zip"
    return response.getheader("ETag"), body


def test_the_app_is_one_zip_of_package_and_kernels(connection: HTTPConnection) -> None:
    tag, body = app_zip(connection)
    assert tag == f'"{sha256(body)}"'
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert archive.namelist() == [
            "sotto/__init__.py",
            "sotto/models/gemma3.py",
            "sotto/kernels/lib/reduce.wgsl",
            "sotto/kernels/rope.wgsl",
        ]
        assert archive.read("sotto/models/gemma3.py") == b"x = 1\n"


def test_the_app_follows_its_sources_and_nothing_else(
    connection: HTTPConnection, checkout: Path, cache: Path, tmp_path: Path
) -> None:
    before = app_zip(connection)
    for path in checkout.rglob("*.py"):
        os.utime(path, (1, 1))
    assert app_zip(connection) == before  # a fresh clone gives the same bytes

    copy = tmp_path / "copy"
    shutil.copytree(checkout, copy)
    resource = Site(copy, cache, []).find("/app.zip")
    assert resource is not None
    assert resource.content == before[1]

    (checkout / "kernels/rope.wgsl").write_bytes(b"fn main() { }")
    (checkout / "py/sotto/new.py").write_bytes(b"")
    tag, body = app_zip(connection)
    assert tag != before[0]
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert archive.read("sotto/kernels/rope.wgsl") == b"fn main() { }"
        assert "sotto/new.py" in archive.namelist()


def test_many_at_once(connection: HTTPConnection) -> None:
    bodies: list[bytes] = []

    def get() -> None:
        other = HTTPConnection(connection.host, connection.port, timeout=20)
        bodies.append(ask(other, "/models/my%20model.gguf")[1])
        other.close()

    threads = [threading.Thread(target=get) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bodies == [MODEL] * 6


def test_a_browser_that_goes_away_is_not_reported(
    connection: HTTPConnection, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_connection((connection.host, connection.port)) as impatient:
        impatient.sendall(b"GET /models/my%20model.gguf HTTP/1.1\r\nHost: x\r\n\r\n")
        impatient.recv(10)
        impatient.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # break off at once
    assert ask(connection, "/")[1] == PAGE
    assert capfd.readouterr().err == ""


def test_a_file_that_shrinks_does_not_confuse_the_connection(connection: HTTPConnection, cache: Path) -> None:
    path = cache / "models/my model.gguf"
    os.truncate(path, 64_000_000)  # more than the connection holds, so that most of it is still to be sent
    connection.request("GET", "/models/my%20model.gguf")
    response = connection.getresponse()
    response.read(1000)
    os.truncate(path, 4)
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        response.read()
    connection.close()
    assert ask(connection, "/models/my%20model.gguf")[1] == b"GGUF"


def test_it_listens_on_this_computer_only_and_says_when_the_port_is_taken() -> None:
    with Server(0) as server:
        host, port = server.server_address[:2]
        assert host == "127.0.0.1"
        assert server.address == f"http://127.0.0.1:{port}/"
        with pytest.raises(SottoError, match=f"Port {port} is already in use") as caught:
            Server(port)
        assert f"--port {port + 1}" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "mime"),
    [
        ("numpy-2.4.3.whl", "application/zip"),
        ("stdlib.ZIP", "application/zip"),
        ("kernel.wgsl", "text/wgsl; charset=utf-8"),
        ("manifest.webmanifest", "application/manifest+json; charset=utf-8"),
        ("icon.png", "image/png"),
        ("unknown.thing", "application/octet-stream"),
    ],
)
def test_mime_types(name: str, mime: str) -> None:
    assert content_type(name) == mime
