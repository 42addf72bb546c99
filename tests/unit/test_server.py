"""The local server over real connections: headers, ranges, entity tags, and what it refuses to give."""

from __future__ import annotations

import http.client
import io
import itertools
import json
import os
import shutil
import socket
import threading
import time
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
from sotto.site.site import ADAPTER_FILES, OfferedModel, Site, content_type

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


def request(target: str, *fields: str, method: str = "GET", version: str = " HTTP/1.1") -> bytes:
    """A request's head, spelt as the test wants it."""
    return "".join(f"{line}\r\n" for line in (f"{method} {target}{version}", *fields, "")).encode("latin-1")


def answer_to(connection: HTTPConnection, head: bytes) -> tuple[int, bytes, bool]:
    """Status and body of the answer to bytes sent on a connection of their own, and whether it is closed then."""
    with socket.create_connection((connection.host, connection.port), timeout=20) as client:
        client.sendall(head)
        response = HTTPResponse(client)
        response.begin()
        body = response.read()
        client.settimeout(0.05)
        try:
            return response.status, body, client.recv(1) == b""
        except TimeoutError:
            return response.status, body, False


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


def test_a_condition_on_the_version_is_kept(connection: HTTPConnection) -> None:
    path = "/runtime/pyodide/a.wasm"
    tag = f'"{sha256(WASM)}"'
    for header in (tag, f'"else", {tag}', "*"):
        assert ask(connection, path, If_Match=header)[1] == WASM
    for header in ('"else"', f"W/{tag}", sha256(WASM), f'"else", W/{tag}', "", f'*, "{tag}'):
        for method in ("GET", "HEAD"):
            response, body = ask(connection, path, method, If_Match=header)
            assert (response.status, WASM in body) == (412, False), header
        response, body = ask(connection, path, If_Match=header, If_None_Match=tag, Range="bytes=0-3")
        assert response.status == 412  # before any other condition
    assert ask(connection, path, If_Match=tag, If_None_Match=tag)[0].status == 304
    assert ask(connection, path, If_Match=tag, Range="bytes=0-3")[1] == WASM[:4]
    assert ask(connection, "/nothing", If_Match="*")[0].status == 404

    own = f"Host: localhost:{connection.port}"
    assert answer_to(connection, request(path, own, 'If-Match: "a"', f"If-Match: {tag}"))[1] == WASM
    assert answer_to(connection, request(path, own, 'If-None-Match: "a"', f"If-None-Match: {tag}"))[0] == 304


def test_a_condition_on_a_date_is_not_looked_at_where_nothing_has_one(connection: HTTPConnection) -> None:
    response, body = ask(connection, "/bridge.js", If_Unmodified_Since="Sat, 21 Nov 2020 20:00:00 GMT")
    assert (response.status, body) == (200, b"export {};")
    assert response.getheader("Last-Modified") is None


OWN = ["localhost:{port}", "127.0.0.1:{port}", "[::1]:{port}", "LocalHost:{port}"]
FOREIGN = [
    "evil.example",
    "evil.example:{port}",
    "localhost.evil.example:{port}",
    "evil-localhost:{port}",
    "127.0.0.1.evil.example:{port}",
    "localhost",  # that is port 80
    "localhost:",
    "localhost:1",
    "localhost:{port}0",
    "localhost:0{port}",
    "localhost:+{port}",
    "localhost.:{port}",
    "127.0.0.1.:{port}",
    "127.1:{port}",
    "2130706433:{port}",
    "0.0.0.0:{port}",
    "192.168.0.7:{port}",
    "::1:{port}",
    "[::]:{port}",
    "[::ffff:127.0.0.1]:{port}",
    "[0:0:0:0:0:0:0:1]:{port}",
    "user@localhost:{port}",
    "localhost:{port}@evil.example",
    "localhost:{port}, evil.example",
    "evil.example localhost:{port}",
    "localhost:{port}/",
    "local%68ost:{port}",
    "l\u00f6calhost:{port}",
    "",
]


@pytest.mark.parametrize("host", OWN)
def test_it_answers_to_its_own_names(connection: HTTPConnection, host: str) -> None:
    host = host.format(port=connection.port)
    page = "/index.html"
    assert answer_to(connection, request(page, f"Host: {host}")) == (200, PAGE, False)
    assert answer_to(connection, request(page, f"host:{host}  ")) == (200, PAGE, False)
    assert answer_to(connection, request(page, f"Host: {host}", version=" HTTP/1.0")) == (200, PAGE, True)
    whole = request(f"http://{host}{page}?a=1", f"Host: {host}")
    assert answer_to(connection, whole) == (200, PAGE, False)
    assert answer_to(connection, request(f"HTTP://{host}{page}?a=/1", f"Host: {host}")) == (200, PAGE, False)


@pytest.mark.parametrize("host", OWN)
def test_people_are_sent_to_one_of_its_names(connection: HTTPConnection, host: str) -> None:
    """A browser keeps what it keeps by name: what was kept at one is not there at the other."""
    there = f"127.0.0.1:{connection.port}"
    host = host.format(port=connection.port)
    for path, given in (("/", ""), ("/?a=b&c=/", "?a=b&c=/")):
        connection.request("GET", path, headers={"Host": host})
        response = connection.getresponse()
        response.read()
        if host == there:
            assert response.status == 200
        else:
            assert (response.status, response.getheader("Location")) == (307, f"http://{there}/{given}")


@pytest.mark.parametrize("host", FOREIGN)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_it_answers_to_no_other_name(connection: HTTPConnection, host: str, method: str) -> None:
    host, own = host.format(port=connection.port), f"localhost:{connection.port}"
    heads = [
        request("/models/my%20model.gguf", f"Host: {host}", method=method),
        request(f"http://{own}/models/my%20model.gguf", f"Host: {host}", method=method),
        request("/nothing", f"Host: {host}", method=method),
    ]
    if not {" ", "/"} & {*host}:  # with these it is another target
        heads.append(request(f"http://{host}/models/my%20model.gguf", f"Host: {own}", method=method))
    for head in heads:
        status, body, closed = answer_to(connection, head)
        assert (status, closed) == (421, True)
        assert f"http://127.0.0.1:{connection.port}/" in body.decode()
        assert not host or host == "localhost" or host not in body.decode()


def test_a_head_of_another_name_has_no_body(connection: HTTPConnection) -> None:
    head = request("/", "Host: evil.example", method="HEAD")
    with socket.create_connection((connection.host, connection.port), timeout=20) as client:
        client.sendall(head)
        everything = client.makefile("rb").read()
    assert everything.startswith(b"HTTP/1.1 421 ")
    assert everything.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("version", [" HTTP/1.1", " HTTP/1.0"])
@pytest.mark.parametrize(
    ("target", "fields"),
    [
        ("/", []),
        ("/", ["Host: {own}", "Host: {own}"]),
        ("/", ["Host: {own}", "Host: evil.example"]),
        ("/", ["Host: evil.example", "Host: {own}"]),
        ("/", ["Host : {own}"]),
        ("/", ["Host: {own}", "no field", "Host: evil.example"]),
        ("http://{own}/", []),
        ("index.html", ["Host: {own}"]),
        ("*", ["Host: {own}"]),
        ("{own}", ["Host: {own}"]),
        ("https://{own}/", ["Host: {own}"]),
        ("file:///etc/passwd", ["Host: {own}"]),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(
    connection: HTTPConnection, target: str, fields: list[str], version: str
) -> None:
    own = f"localhost:{connection.port}"
    head = request(target.format(own=own), *(field.format(own=own) for field in fields), version=version)
    status, body, closed = answer_to(connection, head)
    assert (status, closed) == (400, True)
    assert PAGE not in body


def test_a_request_of_before_http_1_0_is_refused(connection: HTTPConnection) -> None:
    with socket.create_connection((connection.host, connection.port), timeout=20) as client:
        client.sendall(request("/", f"Host: localhost:{connection.port}", version=""))
        assert PAGE not in client.makefile("rb").read()


def test_a_body_is_not_taken_for_a_request(connection: HTTPConnection) -> None:
    own = f"Host: 127.0.0.1:{connection.port}"
    inner = request("/bridge.js", own)
    head = request("/index.html", own, f"Content-Length: {len(inner)}")
    assert answer_to(connection, head + inner) == (200, PAGE, True)
    chunked = request("/", own, "Transfer-Encoding: chunked")
    assert answer_to(connection, chunked + inner) == (200, PAGE, True)


def test_connections_that_ask_for_nothing_are_closed(
    checkout: Path, cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """As many as were once held open: the silent, the half and the slow ones end, and who asks is answered."""
    idle_seconds, request_seconds = 0.5, 1.0
    with Server(0, idle_seconds, request_seconds) as server:
        server.site = Site(checkout, cache, [OfferedModel("mine", cache / "models/my model.gguf")])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        own = f"Host: localhost:{server.server_port}"
        busy = HTTPConnection("127.0.0.1", server.server_port, timeout=20)
        clients = [
            socket.create_connection(("127.0.0.1", server.server_port), timeout=20) for _ in range(100)
        ]
        slow = socket.create_connection(("127.0.0.1", server.server_port), timeout=20)
        try:
            began = time.monotonic()
            for client, start in zip(
                clients, itertools.cycle((b"", b"G", request("/", own)[:-2])), strict=False
            ):
                client.sendall(start)
            with pytest.raises(ConnectionError):  # a byte now and then is no request either
                while time.monotonic() - began < 10:
                    slow.sendall(b"G")
                    time.sleep(0.1)
                    assert ask(busy, "/")[1] == PAGE  # longer than any single limit, but never silent
            assert time.monotonic() - began >= request_seconds
            for client in clients:
                assert client.recv(1) == b""
            assert time.monotonic() - began < 10
            time.sleep(idle_seconds * 2)
            busy.sock.settimeout(10)
            assert busy.sock.recv(1) == b""  # kept alive, but not for ever
        finally:
            for client in (*clients, slow, busy):
                client.close()
            server.shutdown()
            thread.join()
    assert capfd.readouterr().err == ""


def test_a_slow_reader_is_waited_for(checkout: Path, cache: Path) -> None:
    """The limits are for requests: a browser that takes its time with a large answer gets all of it."""
    os.truncate(cache / "models/my model.gguf", 64_000_000)
    with Server(0, 0.2, 0.2) as server:
        server.site = Site(checkout, cache, [OfferedModel("mine", cache / "models/my model.gguf")])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            slow = HTTPConnection("127.0.0.1", server.server_port, timeout=20)
            slow.request("GET", "/models/my%20model.gguf")
            response = slow.getresponse()
            assert len(response.read(1000)) == 1000
            time.sleep(1)
            assert len(response.read()) == 64_000_000 - 1000
            slow.close()
        finally:
            server.shutdown()
            thread.join()


def test_it_is_patient_for_half_a_minute() -> None:
    with Server(0) as server:
        assert (server.idle_seconds, server.request_seconds) == (30, 30)


def test_the_list_of_models(connection: HTTPConnection) -> None:
    response, body = ask(connection, "/models.json")
    assert response.getheader("Content-Type") == "application/json; charset=utf-8"
    listed = json.loads(body)
    (model,) = listed["models"]
    assert listed["default"] == model["name"] == "mine"
    assert model["sha256"] is None
    assert model["size"] == len(MODEL)
    got, content = ask(connection, "/" + model["url"])
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


def test_an_adapter_is_listed_with_its_model(checkout: Path, cache: Path, tmp_path: Path) -> None:
    """Its two files and nothing else of its folder can be had."""
    folder = tmp_path / "my adapter"
    folder.mkdir()
    for name in (*ADAPTER_FILES, "README.md"):
        (folder / name).write_text(name)
    model = cache / "models/my model.gguf"
    site = Site(checkout, cache, [OfferedModel("mine", model, folder)])
    listed = site.find("/models.json")
    assert listed is not None and isinstance(listed.content, bytes)
    (row,) = json.loads(listed.content)["models"]
    assert row["adapter"]["name"] == "my adapter"
    for file in row["adapter"]["files"]:
        found = site.find("/" + file["url"])
        assert found is not None and found.content == folder / file["name"]
        assert (found.size, found.etag) == (file["size"], file["etag"])
    assert [file["name"] for file in row["adapter"]["files"]] == list(ADAPTER_FILES)
    for other in ("README.md", "", "../my%20adapter/README.md", "%2e%2e/secret"):
        assert site.find(f"/adapters/my%20model.gguf/{other}") is None
    assert site.find(f"/adapters/other.gguf/{ADAPTER_FILES[0]}") is None
    bare = Site(checkout, cache, [OfferedModel("mine", model)])
    assert bare.find(f"/adapters/my%20model.gguf/{ADAPTER_FILES[0]}") is None


def test_a_model_in_several_files_is_listed_with_all_of_them(checkout: Path, cache: Path) -> None:
    first, second = cache / "models/my model.gguf", cache / "models/second.gguf"
    second.write_bytes(b"GGUF 2")
    site = Site(checkout, cache, [OfferedModel("mine", first, others=(second,))])
    listed = site.find("/models.json")
    assert listed is not None and isinstance(listed.content, bytes)
    (row,) = json.loads(listed.content)["models"]
    assert row["name"] == "mine" and row["url"] == "models/my%20model.gguf"
    assert [file["name"] for file in row["files"]] == [first.name, second.name]
    for file, path in zip(row["files"], (first, second), strict=True):
        found = site.find("/" + file["url"])
        assert found is not None and found.content == path
        assert (found.size, found.etag) == (file["size"], file["etag"])
    bare = Site(checkout, cache, [OfferedModel("mine", first)]).find("/models.json")
    assert bare is not None and isinstance(bare.content, bytes)
    assert "files" not in json.loads(bare.content)["models"][0]


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
        impatient.sendall(request("/models/my%20model.gguf", f"Host: localhost:{connection.port}"))
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
