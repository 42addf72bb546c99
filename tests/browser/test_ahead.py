"""What the last visit needed is read by another thread while Python starts (web/ahead.js)."""

from __future__ import annotations

from typing import Any

import pytest
from common import ROOT
from pages import SHORT, in_page, state, until, write
from playwright.sync_api import Page, Route, expect
from stores import BIG, LONG, MIB, RECORD, Store, image, sha256

from sotto.store import NEXT

RECORDS = -(-BIG // RECORD)
# The bytes of some records as SHA-256, null for what is not given; `told` is what it said of its script.
READ = """(async () => {
    const ahead = await import(`${origin}/ahead.js`);
    globalThis.told = [];
    const given = new URLSearchParams({ pyodide: `${origin}/runtime/pyodide/pyodide.mjs`, app: `${origin}/app.zip` });
    ahead.use(ahead.begin(given, (kind, url) => told.push(`${kind} ${new URL(url).pathname}`)));
    const found = [];
    const read = async ([key, index]) => {
        const record = await ahead.record(key, index);
        const digest = record && new Uint8Array(await crypto.subtle.digest('SHA-256', record.bytes));
        return digest ? Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('') : null;
    };
    for (let at = 0; at < v.asked.length; at += v.together) {
        found.push(...await Promise.all(v.asked.slice(at, at + v.together).map(read)));
    }
    return found;
})()"""


@pytest.fixture
def store(page: Page, site: str) -> Store:
    store = Store(page, site)
    store.write("big", BIG)
    return store


def used(store: Store, key: str) -> None:
    store.call("store.keepNote(v.note, v.key)", note=NEXT, key=key)


def read(store: Store, asked: list[tuple[str, int]], together: int = 1) -> Any:
    return store.call(READ, asked=asked, together=together)


def gone(store: Store) -> None:
    """Wait until its thread has ended."""
    while store.page.workers:
        store.page.wait_for_timeout(20)


def expected(index: int) -> str:
    return sha256(image(index * RECORD, min(RECORD, BIG - index * RECORD)))


def test_the_records_of_the_model_that_was_used_last(store: Store) -> None:
    assert RECORDS > 4 + 1  # more than are held before anybody asks
    used(store, "big")
    asked = [("big", index) for index in range(RECORDS)]
    assert read(store, [*asked, ("big", 0)]) == [
        *(expected(index) for index in range(RECORDS)),
        None,
    ]
    assert store.call("told") == ["asked /ahead_worker.js", "arrived /ahead_worker.js"]
    gone(store)


def test_records_that_are_asked_for_before_they_are_read(store: Store) -> None:
    store.write("long", LONG)
    used(store, "long")
    # The last is shorter, and there before the other.
    found = read(store, [("long", 0), ("long", 1)], together=2)
    assert found == [sha256(image(0, RECORD)), sha256(image(RECORD, LONG - RECORD))]
    gone(store)


def test_another_model_is_wanted(store: Store) -> None:
    store.write("small", MIB)
    used(store, "big")
    assert read(store, [("small", 0), ("big", 0)]) == [None, None]
    gone(store)


@pytest.mark.parametrize("key", ["", "gone"])
def test_no_model_was_used_or_it_is_gone(store: Store, key: str) -> None:
    if key:
        used(store, key)
    assert read(store, [("big", 0)]) == [None]


def test_a_record_that_is_missing(store: Store) -> None:
    used(store, "big")
    store.call("idOf('big', 1).then((id) => inside('records', (records) => records.delete(id)))")
    assert read(store, [("big", 0), ("big", 1)]) == [expected(0), None]


def test_a_script_that_does_not_come(store: Store) -> None:
    used(store, "big")
    store.page.route("**/ahead_worker.js*", lambda route: route.fulfill(status=404))
    assert read(store, [("big", 0)]) == [None]
    assert store.call("told") == ["asked /ahead_worker.js", "arrived /ahead_worker.js"]


# What is given, as far as anything still holds it. The other end of the line gives at once.
GIVE = """(async () => {
    const ahead = await import(`${origin}/ahead.js`);
    const { port1, port2 } = new MessageChannel();
    ahead.use(port2);
    port1.onmessage = ({ data }) => port1.postMessage({ name: data.index, value: { bytes: new Uint8Array(9) } });
    port1.postMessage({ name: 'header', value: {} });
    port1.postMessage({ name: 'body', value: new ArrayBuffer(9) });
    const { body } = await ahead.snapshot();
    globalThis.given = [await body, (await ahead.record('key', 0)).bytes].map((value) => new WeakRef(value));
})()"""


def test_what_was_given_is_not_held(store: Store) -> None:
    store.call(GIVE)
    browser = store.page.context.new_cdp_session(store.page)
    for _ in range(10):
        browser.send("HeapProfiler.collectGarbage")
        if store.call("given.every((value) => value.deref() === undefined)"):
            break
    assert store.call("given.map((value) => value.deref() === undefined)") == [True, True]


# Tells the page of every record that is asked for, and whether it was there.
COUNTING = """
export async function record(key, index) {
    const found = await asked(key, index);
    counts.postMessage(Boolean(found));
    return found;
}
const counts = new BroadcastChannel("counts");
"""


def test_the_page_takes_its_weights_from_there(page: Page, tiny: str) -> None:
    def counted(route: Route) -> None:
        script = (ROOT / "web" / "ahead.js").read_text("utf-8")
        assert script.count("export async function record(") == 1
        script = script.replace("export async function record(", "async function asked(")
        route.fulfill(body=script + COUNTING, content_type="text/javascript")

    page.route("**/ahead.js", counted)
    page.add_init_script(
        "globalThis.counted = []; const counts = new BroadcastChannel('counts');"
        "counts.onmessage = ({ data }) => counted.push(data);"
    )
    page.goto(tiny + SHORT)
    state(page, "ready")
    post = write(page)
    assert in_page(page, "counted") == []  # nothing was kept yet
    page.reload()
    state(page, "ready")
    until(page, "counted.length")
    assert set(in_page(page, "counted")) == {True}
    assert write(page) == post


def test_a_page_without_it(page: Page, tiny: str) -> None:
    """It only saves time."""
    page.route("**/ahead_worker.js*", lambda route: route.abort())
    posts = []
    for _ in range(2):
        page.goto(tiny + SHORT)
        state(page, "ready")
        posts.append(write(page))
    expect(page.locator("#error")).to_be_hidden()
    assert posts[0] and posts[0] == posts[1]
