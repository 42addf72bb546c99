"""What store.js does in browsers that refuse a kind of storage: whatever it is, a load comes to its end.

Each refusal is put into a real Chromium's own objects, and taken out again. An entry that the browser cannot keep is
told about in one sentence; nothing else ever comes out of the store.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from pages import PageError
from playwright.sync_api import Page
from stores import LIBRARY, Store, manifest

NBYTES = 4000

PREPARE = """(async () => {
    const library = Uint8Array.from(v.library);
    const expected = image(0, v.nbytes);
    const undo = [];
    const patch = (object, name, descriptor) => {
        const own = Object.getOwnPropertyDescriptor(object, name);
        Object.defineProperty(object, name, { configurable: true, ...descriptor });
        undo.push(() => (own ? Object.defineProperty(object, name, own) : delete object[name]));
    };
    const refuse = (name, message) => () => { throw new DOMException(message ?? `no: ${name}`, name); };
    const method = (object, name, make) => patch(object, name, { writable: true, value: make(object[name]) });
    const throwing = (object, name, kind) => method(object, name, () => refuse(kind));

    // A request that fails a moment later, as far as its user can see.
    const failing = (name) => () => {
        const request = { error: new DOMException('later', name), readyState: 'done' };
        setTimeout(() => request.onerror?.({ preventDefault() {}, target: request }));
        return request;
    };
    const aborting = (real) => function (...given) {
        const request = real.apply(this, given);
        this.transaction.abort();
        return request;
    };
    const holds = (value) => value instanceof Blob || value?.blob instanceof Blob;
    const factory = IDBFactory.prototype, base = IDBDatabase.prototype, kept = IDBObjectStore.prototype;

    globalThis.refusals = {
        'nothing': () => {},
        'no indexedDB': () => patch(globalThis, 'indexedDB', { value: undefined }),
        'indexedDB that throws': () => patch(globalThis, 'indexedDB', { get: refuse('SecurityError') }),
        'no IDBKeyRange': () => patch(globalThis, 'IDBKeyRange', { value: undefined }),
        'no crypto.subtle': () => patch(Crypto.prototype, 'subtle', { value: undefined }),
        'no crypto.randomUUID': () => patch(Crypto.prototype, 'randomUUID', { value: undefined }),
        'no navigator.storage': () => patch(Navigator.prototype, 'storage', { value: undefined }),
        'no navigator.locks': () => patch(Navigator.prototype, 'locks', { value: undefined }),
        'locks that throw': () => throwing(LockManager.prototype, 'request', 'SecurityError'),
        'locks that are refused': () => method(LockManager.prototype, 'request',
            () => () => Promise.reject(new DOMException('not here', 'SecurityError'))),
        'locks that are not told': () => method(LockManager.prototype, 'query',
            () => () => Promise.reject(new DOMException('not here', 'SecurityError'))),
        'locks whose question throws': () => throwing(LockManager.prototype, 'query', 'SecurityError'),
        'open fails': () => method(factory, 'open', () => failing('UnknownError')),
        'open fails without a reason': () => method(factory, 'open', () => () => {
            const request = { error: null };
            setTimeout(() => request.onerror?.({ preventDefault() {} }));
            return request;
        }),
        'no Blob in storage': () => method(kept, 'put', (real) => function (value, ...key) {
            if (holds(value)) throw new DOMException('BlobURLs are not yet supported.', 'DataCloneError');
            return real.call(this, value, ...key);
        }),
        'no Blob in storage, later': () => method(kept, 'put', (real) => function (value, ...key) {
            return (holds(value) ? aborting(real) : real).call(this, value, ...key);
        }),
        'full at put': () => throwing(kept, 'put', 'QuotaExceededError'),
        'full at commit': () => {
            method(kept, 'put', aborting);
            patch(IDBTransaction.prototype, 'error', { get: () => new DOMException('no room', 'QuotaExceededError') });
        },
        'blobs that cannot be read': () => method(Blob.prototype, 'arrayBuffer',
            () => () => Promise.reject(new DOMException('lost', 'NotReadableError'))),
        'no memory for the checksum': () => method(WebAssembly, 'Memory',
            () => function () { throw new RangeError('no'); }),
        'no memory for a record': () => method(globalThis, 'ArrayBuffer', (real) => new Proxy(real, {
            construct(target, [nbytes]) { if (nbytes > 1e7) throw new RangeError('no'); return new target(nbytes); },
        })),
        'no WebAssembly': () => method(WebAssembly, 'compile',
            () => () => Promise.reject(new WebAssembly.CompileError('no SIMD'))),
    };
    for (const [object, names] of [
        [factory, ['open']],
        [base, ['transaction']],
        [IDBTransaction.prototype, ['objectStore']],
        [kept, ['get', 'getKey', 'getAllKeys', 'put', 'delete', 'count']],
    ]) {
        for (const name of names) {
            for (const kind of ['InvalidStateError', 'TypeError']) {
                refusals[`${name} throws ${kind}`] = () => throwing(object, name, kind);
            }
            if (object !== kept) continue;
            refusals[`${name} fails later`] = () => method(kept, name, () => failing('UnknownError'));
            refusals[`${name} ends its transaction`] = () => method(kept, name, aborting);
        }
    }

    // What web/store.js may throw, and what Python makes of it, as py/sotto/browser/store.py and weights/loader.py.
    const refused = (error) => ['StoreUnavailable', 'StoreFull'].includes(error.name) && error.message;
    const load = async () => {
        const told = [];
        let store;
        try { store = await files.open(library); } catch (error) {
            if (!refused(error)) throw error;
            return { how: 'without a store', told: [error.name] };
        }
        let how = 'converted';
        try {
            const found = await store.find('k', 1);
            if (found !== undefined) {
                const got = new Uint8Array(v.nbytes);
                const gpu = { write: (buffer, at, data) => got.set(data, at), finish: async () => {} };
                const damaged = await store.fill(found, JSON.stringify([[0, v.nbytes, 0, 0]]), gpu, () => {});
                if (damaged.length) {
                    how = 'dropped'; // by Python, since it is all there is
                    try { await store.drop('k'); } catch (error) { if (!refused(error)) throw error; }
                } else if (got.some((byte, i) => byte !== new Uint8Array(expected.buffer)[i])) {
                    throw new Error('other bytes');
                } else how = 'cached';
            }
        } catch (error) {
            if (error.name === 'StoreDamaged') how = 'dropped';
            else if (!refused(error)) throw error;
            else told.push(error.name);
        }
        const release = await store.hold('name');
        if (typeof release !== 'function') throw new Error('nobody has the name');
        release();
        for (const use of [() => store.findNote('n'), () => store.keepNote('n', 'note'), () => store.drop('none')]) {
            try { await use(); } catch (error) { if (!refused(error)) throw error; }
        }
        if (how === 'cached' || told.length) return { how, told };
        try {
            const writer = await store.begin(v.json, CARD);
            await writer.append(expected);
            await writer.commit();
        } catch (error) {
            if (!refused(error)) throw error;
            told.push(error.name);
        }
        return { how, told };
    };
    const attempt = () => load().catch((error) => ({ how: `${error.name}: ${error.message}`, told: [] }));

    // Two loads with an empty and two with a full database under a refusal, and one without it afterwards.
    globalThis.trial = async (name) => {
        const loads = {};
        for (const state of ['empty', 'full']) {
            await new Promise((resolve) => { indexedDB.deleteDatabase('sotto').onsuccess = resolve; });
            if (state === 'full') await load();
            refusals[name]();
            try { loads[state] = [await attempt(), await attempt()]; } finally {
                while (undo.length) undo.pop()();
            }
            loads[`${state}, then without`] = [await attempt(), await attempt()];
        }
        return loads;
    };
})()"""


@pytest.fixture
def store(page: Page, site: str) -> Store:
    store = Store(page, site)
    store.call(PREPARE, library=LIBRARY, json=manifest("k", NBYTES), nbytes=NBYTES)
    return store


# Nothing is missing that the store needs, or only what it can do without.
HARMLESS = {
    "nothing",
    "no crypto.subtle",
    "no crypto.randomUUID",
    "no navigator.storage",
    "no navigator.locks",
    "locks that throw",
    "locks that are refused",
    "locks that are not told",
    "locks whose question throws",
}


def test_whatever_is_refused_a_load_ends_and_tells_once(store: Store) -> None:
    names = store.call("Object.keys(refusals)")
    assert len(names) >= 50
    wrong: dict[str, Any] = {}
    for name in names:
        loads = store.call("trial(v.name)", name=name)
        ends = {"cached", "converted", "dropped", "without a store"}
        ended = all(
            load["how"] in ends and len(load["told"]) <= 1 for pair in loads.values() for load in pair
        )
        # Without the refusal it is as ever: at the latest the second load comes from the cache.
        mended = all(
            loads[f"{state}, then without"][1] == {"how": "cached", "told": []} for state in ("empty", "full")
        )
        if name in HARMLESS:
            ended = ended and loads["empty"] == [
                {"how": "converted", "told": []},
                {"how": "cached", "told": []},
            ]
        else:  # every load that did not come from the cache says why, after the first at the latest
            ended = ended and (
                loads["empty"][1]["how"] in ("cached", "dropped") or bool(loads["empty"][1]["told"])
            )
        if not (ended and mended):
            wrong[name] = loads
    assert not wrong, json.dumps(wrong, indent=1)


@pytest.mark.parametrize(
    ("refusal", "told"),
    [
        ("no Blob in storage", "StoreUnavailable"),
        ("full at put", "StoreFull"),
        ("full at commit", "StoreFull"),
    ],
)
def test_the_kind_that_is_told(store: Store, refusal: str, told: str) -> None:
    loads = store.call("trial(v.name)", name=refusal)
    assert loads["empty"] == [{"how": "converted", "told": [told]}] * 2
    assert loads["full"][0] == {"how": "cached", "told": []}


def test_a_tab_that_does_not_let_go(store: Store, page: Page, site: str) -> None:
    """A database that has to be changed, held by somebody who does not close it: told after a while."""
    other = Store(page.context.new_page(), site)
    other.call("""new Promise((resolve, reject) => {
        const request = indexedDB.open('held', 1);
        request.onerror = () => reject(request.error);
        request.onsuccess = () => resolve(void (globalThis.held = request.result));
    })""")
    with pytest.raises(PageError, match="StoreUnavailable: another tab holds the database"):
        store.call("files.open(Uint8Array.from(v.library), 'held')", library=LIBRARY)
    other.call("held.close()")
    store.call(
        "files.open(Uint8Array.from(v.library), 'held').then((opened) => opened.find('k', 1))",
        library=LIBRARY,
    )
