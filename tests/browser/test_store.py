"""store.js on the IndexedDB of a real Chromium, and ranges.js on its network."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pages import PageError, in_page, open_blank
from playwright.sync_api import BrowserContext, Page
from stores import BIG, LIBRARY, LONG, MIB, PRELUDE, RECORD, SMALL, Store, image, manifest, sha256

from checksums import checksum
from sotto.site.server import parse_range
from sotto.site.site import OfferedModel


@pytest.fixture
def store(page: Page, site: str) -> Store:
    return Store(page, site)


def open_gpu(store: Store) -> None:
    store.call("bridge.open().then((opened) => { globalThis.gpu = opened; })")


def test_a_large_image_comes_back_whole(profile: Callable[[], BrowserContext], site: str) -> None:
    context = profile()
    store = Store(context.pages[0], site)
    store.write("big", BIG)
    context.close()

    store = Store(profile().pages[0], site)  # the browser was closed in between
    open_gpu(store)
    found = store.find("big")
    assert found
    assert found["name"] == "test"
    assert [record["nbytes"] for record in found["records"]] == [*BIG // RECORD * [RECORD], BIG % RECORD]
    # A buffer across a border of records, one across two of chunks, one of the last bytes, and a part of the
    # second one again; the first 64 bytes of each buffer belong to somebody else.
    parts = [(64 * MIB - 400, 1000), (130 * MIB + 8, 5 * MIB), (BIG - 60, 60), (130 * MIB + 8, 16)]
    placements = []
    for offset, nbytes in parts:
        buffer = store.call("gpu.createBuffer(v.nbytes + 64, 'part')", nbytes=nbytes)
        placements.append([offset, nbytes, buffer, 64])
    progress = store.fill("big", placements)
    assert progress == sorted(progress)
    assert progress[-1] == BIG
    for offset, nbytes, buffer, _ in placements:
        digest = "crypto.subtle.digest('SHA-256', await gpu.read(v.buffer, 0, v.nbytes))"
        filled = store.sha256(digest, buffer=buffer, nbytes=nbytes + 64)
        assert filled == sha256(bytes(64) + image(offset, nbytes))


def test_checksums_are_those_of_the_documented_form(store: Store) -> None:
    store.write("k", SMALL)
    found = store.find("k")
    assert found
    data = image(0, SMALL)
    hashes = b"".join(checksum(data[at : at + 4 * MIB]) for at in range(0, SMALL, 4 * MIB))
    assert found["records"] == [{"nbytes": SMALL, "checksum": checksum(hashes).hex()}]


@pytest.mark.parametrize("piece", [4, 4 * MIB, SMALL])
def test_pieces_of_any_size(store: Store, piece: int) -> None:
    nbytes = 4000 if piece == 4 else SMALL
    store.write("k", nbytes, piece=piece)
    assert store.content("k") == sha256(image(0, nbytes))


def test_nothing_is_found_before_the_commit(store: Store) -> None:
    store.call("writeImage(v.json, 1 << 20, v.n)", json=manifest("k", RECORD + 4), n=RECORD + 4)
    assert store.find("k") is None
    assert store.find("other") is None


def test_an_image_cut_short_is_not_committed(store: Store) -> None:
    with pytest.raises(PageError, match=f"StoreUnavailable: 1000 of {SMALL} bytes"):
        store.call("writeImage(v.json, 1000, 1000).then((w) => w.commit())", json=manifest("k", SMALL))
    assert store.find("k") is None


def test_abort_leaves_nothing(store: Store) -> None:
    store.call("writeImage(v.json, 1 << 20, v.n).then((w) => w.abort())", json=manifest("k", LONG), n=LONG)
    assert store.find("k") is None
    assert store.records() == []


def test_another_layout_version_is_dropped(store: Store) -> None:
    store.write("k", SMALL, version=1)
    store.write("other", 1000, version=1)
    assert store.find("k", version=2) is None
    assert store.find("k", version=1) is None
    assert store.records() == [["other", 0]]


def test_the_old_entry_stays_until_the_commit(store: Store) -> None:
    store.write("k", SMALL)
    store.start("k", 8)
    assert store.find("k")
    store.call("writer.commit()")
    found = store.find("k")
    assert found and found["nbytes"] == 8
    assert store.records() == [["k", 0]]


def test_drop_forgets_one_entry(store: Store) -> None:
    store.write("k", 1000)
    store.write("k2", 1000)
    store.call("store.drop('k')")
    assert store.find("k") is None
    assert store.records() == [["k2", 0]]


def test_an_entry_that_goes_missing_later(store: Store) -> None:
    store.write("k", SMALL)
    open_gpu(store)
    found = json.dumps(store.find("k"))
    store.call("store.drop('k')")
    assert store.call("store.fill(v.json, '[]', gpu, () => {})", json=found) == [0]
    with pytest.raises(PageError, match="StoreDamaged: another entry came"):
        store.call("store.mend(v.json, 0, image(0, v.nbytes))", json=found, nbytes=SMALL)


ALTER = """(async () => {
    const id = await idOf('k', 1);
    const record = await inside('records', (records) => records.get(id));
    const bytes = new Uint8Array(await record.blob.arrayBuffer());
    bytes[5000000] ^= 1;
    record.blob = new Blob([bytes]);
    await inside('records', (records) => records.put(record, id));
})()"""
SHORTEN = """(async () => {
    const id = await idOf('k', 1);
    const record = await inside('records', (records) => records.get(id));
    record.blob = new Blob([new Uint8Array(1000)]);
    await inside('records', (records) => records.put(record, id));
})()"""
REHASH = """(async () => {
    const id = await idOf('k', 1);
    const record = await inside('records', (records) => records.get(id));
    record.hashes = new Uint8Array(record.hashes.length);
    await inside('records', (records) => records.put(record, id));
})()"""


DELETE = "idOf('k', 1).then((id) => inside('records', (records) => records.delete(id)))"


@pytest.mark.parametrize("damage", [ALTER, SHORTEN, REHASH, DELETE], ids=["bit", "size", "hash", "gone"])
def test_a_damaged_record_is_told_and_mended(store: Store, damage: str) -> None:
    nbytes = 2 * RECORD + 2 * MIB
    store.write("k", nbytes)
    whole = store.content("k")
    open_gpu(store)
    store.call(damage)
    found = json.dumps(store.find("k"))
    # A placement in the damaged record, behind its altered byte: nothing of that chunk reaches the GPU; and one in the
    # record that follows, which is sound.
    buffer = store.call("gpu.createBuffer(32, 'part')")
    places = json.dumps([[RECORD + 6_000_000, 16, buffer, 0], [2 * RECORD + 4, 16, buffer, 16]])
    fill = "store.fill(v.json, v.places, gpu, () => {})"
    assert store.call(fill, json=found, places=places) == [1]
    got = bytes(store.call("Array.from(await gpu.read(v.buffer, 0, 32))", buffer=buffer))
    assert got == bytes(16) + image(2 * RECORD + 4, 16)
    with pytest.raises(PageError, match="StoreDamaged: record 1 came out otherwise"):
        store.call("store.mend(v.json, 1, image(0, v.nbytes))", json=found, nbytes=RECORD)
    assert store.call(fill, json=found, places=places) == [1]
    store.call("store.mend(v.json, 1, image(v.nbytes, v.nbytes))", json=found, nbytes=RECORD)
    assert store.call(fill, json=found, places=places) == []
    assert store.content("k") == whole
    assert store.records() == [["k", 0], ["k", 1], ["k", 2]]


def test_a_full_disk_is_told_and_nothing_stays(profile: Callable[[], BrowserContext], site: str) -> None:
    store = Store(profile().pages[0], site)  # on disk: a private window does not count blobs
    session = store.page.context.new_cdp_session(store.page)
    origin = store.page.url.removesuffix("/blank")
    session.send("Storage.overrideQuotaForOrigin", {"origin": origin, "quotaSize": 100 * MIB})
    with pytest.raises(PageError, match="StoreFull"):
        store.write("k", 250 * MIB)
    assert store.find("k") is None
    assert store.records() == []
    session.send("Storage.overrideQuotaForOrigin", {"origin": origin})
    store.write("k", 1000)
    assert store.content("k") == sha256(image(0, 1000))


def test_no_storage_at_all(page: Page, site: str) -> None:
    # An opaque origin has no storage: the same as a person who blocks the site's data.
    sandbox = {"Content-Security-Policy": "sandbox allow-scripts"}
    page.route(f"{site}blank", lambda route: route.fulfill(content_type="text/html", headers=sandbox))
    readable = {"Access-Control-Allow-Origin": "*", "Content-Type": "text/javascript"}
    page.route(f"{site}*.js", lambda route: route.fulfill(response=route.fetch(), headers=readable))
    open_blank(page, site)
    with pytest.raises(PageError, match="StoreUnavailable: "):
        in_page(
            page,
            f"import('{site}store.js').then((files) => files.open(Uint8Array.from(v.library)))",
            library=LIBRARY,
        )


# --- several writers


@pytest.fixture
def other(store: Store, site: str) -> Store:
    """The cache of the same browser in a second page."""
    return Store(store.page.context.new_page(), site)


@pytest.fixture(params=["one page", "two pages"])
def pair(store: Store, request: pytest.FixtureRequest) -> tuple[Store, Store]:
    """The cache where a first and a second writer are."""
    second = store if request.param == "one page" else request.getfixturevalue("other")
    return store, second


WHOLE = sha256(image(0, LONG))


def test_two_writers_of_one_model(pair: tuple[Store, Store]) -> None:
    first, second = pair
    first.start("k", LONG, name="first")
    second.start("k", LONG, name="second")
    assert first.records() == [["k", 0], ["k", 0]]
    first.call("first.commit()")
    assert second.content("k") == WHOLE
    second.call("second.commit()")
    assert first.content("k") == WHOLE
    assert first.records() == [["k", 0], ["k", 1]]


def test_two_writers_of_two_models(pair: tuple[Store, Store]) -> None:
    first, second = pair
    first.start("k", LONG, name="first")
    second.start("k2", LONG, name="second")
    second.call("second.commit()")
    first.call("first.commit()")
    assert first.content("k") == first.content("k2") == WHOLE
    assert first.records() == [["k", 0], ["k", 1], ["k2", 0], ["k2", 1]]


def test_abort_leaves_what_others_wrote(pair: tuple[Store, Store]) -> None:
    first, second = pair
    first.start("k", LONG, name="first")
    second.start("k", LONG, name="second")
    first.call("first.abort()")
    second.call("second.commit()")
    assert second.content("k") == WHOLE
    first.start("k", LONG, name="first")
    first.call("first.commit()")
    second.call("second.abort()")  # too late, but what it wrote is replaced already
    assert second.content("k") == WHOLE
    first.call("first.abort()")  # takes back what it wrote
    assert second.find("k") is None
    assert second.records() == []


@pytest.mark.parametrize("what", ["begins", "commits"])
def test_a_writer_moves_on_while_another_sweeps(store: Store, other: Store, what: str) -> None:
    """The worst moment: after the answer about who holds a lock for one that begins, before it for one that ends."""
    if what == "commits":
        other.start("k", LONG)
    store.call(
        """(() => {
            const query = navigator.locks.query.bind(navigator.locks);
            const going = new Promise((resolve) => { globalThis.go = resolve; });
            globalThis.asked = new Promise((resolve) => {
                navigator.locks.query = async () => {
                    const early = await query();
                    resolve();
                    await going;
                    return v.what === 'begins' ? early : query();
                };
            });
            globalThis.sweeping = store.sweep();
        })()""",
        what=what,
    )
    store.call("asked")
    if what == "begins":
        other.start("k", LONG)
        store.call("(go(), sweeping)")
    other.call("writer.commit()")
    store.call("(go(), sweeping)")
    assert other.content("k") == WHOLE


WORKER = f"""onmessage = async ({{ data: v }}) => {{
    await {PRELUDE};
    globalThis.writer = await writeImage(v.json, 1 << 20, v.nbytes);
    await writer.saving;
    postMessage("written");
}}"""


@pytest.mark.parametrize("how", ["its page is closed", "its worker is ended"])
def test_what_a_dead_writer_left_is_swept(store: Store, other: Store, how: str) -> None:
    store.write("kept", 1000)
    store.start("living", LONG)
    if how == "its page is closed":
        other.start("dead", LONG)
        end = other.page.close
    else:
        start = """(async () => {
            const text = new Blob([v.text], { type: 'text/javascript' });
            globalThis.worker = new Worker(URL.createObjectURL(text));
            await new Promise((resolve, reject) => {
                worker.onmessage = resolve;
                worker.onerror = ({ message }) => reject(new Error(message));
                worker.postMessage({ library: v.library, json: v.json, nbytes: v.nbytes });
            });
        })()"""
        store.call(start, text=WORKER, library=LIBRARY, json=manifest("dead", LONG), nbytes=LONG)

        def end() -> None:
            store.call("worker.terminate()")

    store.write("k", 8)
    assert store.records() == [["dead", 0], ["k", 0], ["kept", 0], ["living", 0]]
    end()
    held = "(await navigator.locks.query()).held.length"
    store.call(f"(async () => {{ while ({held} > 1) await new Promise((next) => setTimeout(next, 20)); }})()")
    store.write("k", 8)
    assert store.records() == [["k", 0], ["kept", 0], ["living", 0]]
    store.call("writer.commit()")
    assert store.content("living") == WHOLE
    assert store.call(held) == 0


def test_where_locks_are_refused_everybody_has_a_name(store: Store) -> None:
    refuse = "() => Promise.reject(new DOMException('not here', 'SecurityError'))"
    store.call(f"Object.defineProperty(navigator.locks, 'request', {{ value: {refuse} }})")
    for _ in range(2):
        assert store.call("store.hold('name').then((release) => (release(), typeof release))") == "function"


def test_a_writer_that_failed_holds_nothing(store: Store) -> None:
    with pytest.raises(PageError, match="StoreUnavailable"):
        store.call("writeImage(v.json, 1000, 1000).then((w) => w.commit())", json=manifest("k", SMALL))
    assert store.call("navigator.locks.query().then(({ held }) => held)") == []


def test_without_locks(store: Store) -> None:
    """As if no other page were there."""
    store.call("Object.defineProperty(navigator, 'locks', { value: undefined })")
    store.write("kept", 1000)
    store.start("dead", LONG)
    store.write("k", LONG)
    assert store.records() == [["k", 0], ["k", 1], ["kept", 0]]
    assert store.content("k") == WHOLE
    store.start("dead", LONG)
    store.call("store.drop('dead')")
    assert store.records() == [["k", 0], ["k", 1], ["kept", 0]]


# A reader of the entry `k`: goes on with the second chunk when `go` is called.
READ = """(async () => {
    const { promise, resolve } = Promise.withResolvers();
    globalThis.go = resolve;
    const read = async () => {
        const seen = new Uint8Array(v.nbytes);
        globalThis.damages = [];
        for await (const { at, data } of store.chunks(JSON.parse(v.json), damages)) {
            seen.set(data, at);
            await promise;
        }
        return crypto.subtle.digest('SHA-256', seen);
    };
    globalThis.reading = read();
    reading.catch(() => {}); // told when it is waited for
})()"""


def test_an_equal_entry_comes_under_a_reader(store: Store, other: Store) -> None:
    nbytes = 4 * RECORD + MIB  # the fifth record is read from when the second is worked on
    other.start("k", nbytes)
    store.write("k", nbytes)
    store.call(READ, json=json.dumps(store.find("k")), nbytes=nbytes)
    other.call("writer.commit()")
    store.call("go()")
    assert store.sha256("reading") == sha256(image(0, nbytes))
    assert store.find("k")


@pytest.mark.parametrize("when", ["begun", "committed"])
def test_another_version_comes_under_a_reader(store: Store, other: Store, when: str) -> None:
    nbytes = 4 * RECORD + MIB
    store.write("k", nbytes)
    store.call(READ, json=json.dumps(store.find("k")), nbytes=nbytes)
    assert other.find("k", version=2) is None
    other.start("k", LONG, version=2)
    if when == "committed":
        other.call("writer.commit()")
    store.call("go()")
    store.call("reading")
    assert store.call("damages")
    if when == "begun":
        other.call("writer.commit()")
    assert other.find("k", version=2)
    assert other.records() == [["k", 0], ["k", 1]]


# --- ranges


class Stubborn(BaseHTTPRequestHandler):
    """A server that misbehaves as told by the address."""

    protocol_version = "HTTP/1.1"
    content = bytes(range(256)) * 40
    asked: Iterator[int]

    def do_GET(self) -> None:
        number = next(self.asked)
        how = self.path.strip("/")
        part = parse_range(self.headers["Range"], len(self.content))
        assert part
        start, length = part
        if how == "whole":
            self.answer(200, {}, self.content)
        elif how == "busy" and number < 2:
            self.answer(503, {}, b"")
        elif how == "missing":
            self.answer(404, {}, b"")
        elif how in ("cut", "always-cut"):
            body = self.content[start : start + length]
            short = how == "always-cut" or number < 2
            self.answer(206, self.range(start, length), body[: length // 2] if short else body, length)
        else:
            self.answer(206, self.range(start, length), self.content[start : start + length])

    def range(self, start: int, length: int) -> dict[str, str]:
        return {"Content-Range": f"bytes {start}-{start + length - 1}/{len(self.content)}"}

    def answer(self, status: int, headers: dict[str, str], body: bytes, length: int | None = None) -> None:
        self.send_response(status)
        allow = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "Content-Range, ETag"}
        isolation = {"Cross-Origin-Resource-Policy": "cross-origin", "ETag": '"v1"'}
        for name, value in (headers | allow | isolation).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def stubborn() -> Iterator[str]:
    class Handler(Stubborn):
        asked = itertools.count()

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def fetch_range(page: Page, url: str, offset: int, nbytes: int) -> dict[str, Any]:
    fetch = """(async () => {
        const { fetchRange } = await import('/ranges.js');
        const { bytes, size, tag } = await fetchRange(...v.range);
        return { bytes: Array.from(bytes), size, tag };
    })()"""
    return dict(in_page(page, fetch, range=[url, offset, nbytes]))


def test_ranges_of_the_own_server(
    page: Page, serve: Callable[[list[OfferedModel]], str], tmp_path: Path
) -> None:
    content = np.random.default_rng(3).bytes(100_000)
    (tmp_path / "model.gguf").write_bytes(content)
    site = serve([OfferedModel("model", tmp_path / "model.gguf")])
    open_blank(page, site)
    for offset, nbytes in [(0, 1), (5, 70_000), (99_999, 1), (99_990, 500)]:
        reply = fetch_range(page, "/models/model.gguf", offset, nbytes)
        assert bytes(reply["bytes"]) == content[offset : offset + nbytes]
        assert reply["size"] == len(content)
        assert reply["tag"]


@pytest.mark.parametrize("how", ["well", "busy", "cut"])
def test_a_server_that_fails_at_first(page: Page, site: str, stubborn: str, how: str) -> None:
    open_blank(page, site)
    reply = fetch_range(page, stubborn + how, 300, 5000)
    assert bytes(reply["bytes"]) == Stubborn.content[300:5300]
    assert reply["tag"] == '"v1"'


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("whole", "NoRange: the server does not answer Range requests"),
        ("missing", "HttpStatus: the server answered 404 Not Found"),
        ("always-cut", "Network: "),
    ],
)
def test_a_server_that_keeps_failing(page: Page, site: str, stubborn: str, how: str, told: str) -> None:
    open_blank(page, site)
    with pytest.raises(PageError, match=told):
        fetch_range(page, stubborn + how, 0, 5000)


def test_a_server_that_is_gone(page: Page, site: str) -> None:
    open_blank(page, site)
    with pytest.raises(PageError, match="Network: "):
        fetch_range(page, "http://127.0.0.1:9/model.gguf", 0, 100)
