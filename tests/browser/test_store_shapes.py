"""What store.js does with a database that holds anything but what it wrote.

Whatever was altered, a load comes to its end with the right bytes, what cannot be used is mended or dropped once, and
the next load comes from the cache again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pages import PageError
from playwright.sync_api import Page
from stores import LIBRARY, Store, manifest

from sotto.store import Manifest

PART = 4000  # bytes of each of three records

PREPARE = (Path(__file__).parent / "store_trials.js").read_text("utf-8")


@pytest.fixture
def store(page: Page, site: str) -> Store:
    store = Store(page, site)
    store.call(PREPARE, json=manifest("k", 3 * PART), part=PART)
    return store


def check(reports: list[dict[str, Any]], pristine: dict[str, Any], harmless: int = 0) -> None:
    """All of them ended well; so many at most were not noticed, because what they altered is not looked at."""
    wrong = []
    unnoticed = []
    for report in reports:
        first = report["first"]
        if first == "cached":  # then Python drops it, or it is as good as the one that was written
            try:
                found = Manifest.from_json(report["found"], "k", 1)
                assert found
                differences = {name for name, value in as_json(found).items() if value != pristine[name]}
                unnoticed += [report["name"]] if differences else []  # one value is the very same
                ended = differences <= {"name", "created"}
            except ValueError:
                ended = True
        else:
            ended = first in ("dropped", "converted", "mended")
        left = {key.partition(" ")[2] for key in report["left"]}
        if not (
            ended
            and report["second"] == "cached"
            and report["keys"] == ["k"]
            and left <= {f"k,{i}" for i in range(3)}
        ):
            wrong.append(report)
    assert not wrong, f"{len(wrong)} of {len(reports)}: {json.dumps(wrong, indent=1)[:4000]}"
    assert len(unnoticed) <= harmless, unnoticed


def as_json(found: Manifest) -> dict[str, Any]:
    return dict(json.loads(found.to_json()))


def test_a_manifest_of_any_other_shape(store: Store) -> None:
    """Every place in it with every kind of value."""
    reports = store.call("""(async () => {
        for (const place of places(whole.entry)) {
            for (const [name, value] of Object.entries(values)) {
                const entry = changed(whole.entry, place, value);
                await trial(`${place.join('.')}: ${name}`, () => inside('manifests', (manifests) =>
                    (entry === MISSING ? manifests.delete('k') : manifests.put(entry, 'k'))));
            }
        }
        return reports;
    })()""")
    assert len(reports) > 500
    pristine = as_json_of(store)
    # Two texts for the name and the date.
    check(reports, pristine, harmless=2 * 2)
    noticed = [report["name"] for report in reports if report["first"] in ("dropped", "mended")]
    assert {name.partition(":")[0] for name in noticed} >= {
        "", "key", "layout_version", "nbytes", "records", "writer", "card", "records.1",
        "records.1.nbytes", "records.1.checksum",
    }  # fmt: skip


def as_json_of(store: Store) -> dict[str, Any]:
    entry = dict(store.call("JSON.parse(JSON.stringify(whole.entry))"))
    del entry["writer"]
    return entry


def test_records_of_any_other_shape(store: Store) -> None:
    """The middle one, and every place in it, with every kind of value; bytes and checksums of another length."""
    reports = store.call("""(async () => {
        const id = [whole.entry.writer, 1];
        const bytes = new Uint8Array(await whole.records[1].blob.arrayBuffer());
        const { hashes } = whole.records[1];
        const others = {
            blob: { ...values, bytes, buffer: bytes.buffer, same: new Blob([new Uint8Array(bytes.length)]),
                short: new Blob([bytes.subarray(1)]), long: new Blob([bytes, 'x']) },
            hashes: { ...values, buffer: hashes.slice().buffer, array: Array.from(hashes),
                clamped: new Uint8ClampedArray(hashes), signed: new Int8Array(hashes),
                view: new DataView(hashes.slice().buffer),
                short: hashes.slice(1), long: new Uint8Array(hashes.length + 16),
                text: new TextDecoder().decode(hashes) },
        };
        const put = (name, value) => trial(name, () => inside('records', (records) =>
            (value === MISSING ? records.delete(id) : records.put(value, id))));
        for (const [name, value] of Object.entries(values)) await put(`: ${name}`, value);
        for (const field of ['blob', 'hashes']) {
            for (const [name, value] of Object.entries(others[field])) {
                await put(`${field}: ${name}`, changed(whole.records[1], [field], value));
            }
        }
        await put('first record', whole.records[0]);
        return reports;
    })()""")
    assert len(reports) > 100
    check(reports, as_json_of(store))


def test_keys_of_any_other_kind(store: Store) -> None:
    """Records moved to other keys, records more than there should be, and a manifest under another key."""
    reports = store.call("""(async () => {
        const { writer } = whole.entry;
        const id = [writer, 1];
        const put = (kind, value, key) => inside(kind, (content) => content.put(value, key));
        const keys = {
            number: 7, infinity: -Infinity, text: 'text', writer, date: new Date(0), bytes: new Uint8Array(4),
            array: [], 'only the writer': [writer], 'index as text': [writer, '1'], fraction: [writer, 1.5],
            negative: [writer, -1],
            'far index': [writer, 2 ** 53], 'date as index': [writer, new Date(1)], 'nested index': [writer, [1]],
            'one more': [writer, 3], longer: [writer, 1, 1], 'other writer': ['nobody k', 1],
            'number as writer': [1, 1],
            'array as writer': [[writer], 1], 'date as writer': [new Date(0), 1],
        };
        for (const [name, key] of Object.entries(keys)) {
            await trial(`moved to ${name}`, async () => {
                await inside('records', (records) => records.delete(id));
                await put('records', whole.records[1], key);
            });
            await trial(`more under ${name}`, () => put('records', whole.records[1], key));
            await trial(`nonsense under ${name}`, () => put('records', 5, key));
            await trial(`a manifest under ${name}`, () => put('manifests', whole.entry, key));
            await trial(`null as a manifest under ${name}`, () => put('manifests', null, key));
        }
        return reports;
    })()""")
    assert len(reports) == 100
    # What lies beside the entry is swept when the next one is written.
    moved = [report for report in reports if report["name"].startswith("moved")]
    check(moved, as_json_of(store))
    assert {report["first"] for report in moved} == {"mended"}
    check(reports, as_json_of(store), harmless=len(reports))


def test_notes_of_any_other_kind(store: Store) -> None:
    found = store.call("""(async () => {
        const found = [];
        for (const [name, value] of Object.entries(values)) {
            if (value === MISSING) continue;
            await inside('notes', (notes) => notes.put(value, 'n'));
            found.push([name, typeof (await store.findNote('n'))]);
            await store.keepNote('n', 'note');
            found.push([name, await store.findNote('n')]);
        }
        return found;
    })()""")
    kinds = dict(found[::2])
    assert {name for name, kind in kinds.items() if kind == "string"} == {"empty", "text"}
    assert set(kinds.values()) == {"string", "undefined"}
    assert {note for _, note in found[1::2]} == {"note"}


SCHEMAS = """(async () => {
    const schemas = {
        'not there': null, 'a key path': { keyPath: 'key' }, 'two key paths': { keyPath: ['key', 'writer'] },
        'an empty key path': { keyPath: '' }, 'counting': { autoIncrement: true },
        'counting by a path': { keyPath: 'key', autoIncrement: true }, 'an index': {},
    };
    const results = [];
    for (const kind of kinds) {
        for (const [how, options] of Object.entries(schemas)) {
            const name = `${kind} ${how}`;
            await new Promise((resolve, reject) => {
                const request = indexedDB.open(name, 2);
                request.onerror = () => reject(request.error);
                request.onupgradeneeded = () => {
                    for (const each of kinds) {
                        if (each === kind && options === null) continue;
                        const made = request.result.createObjectStore(each, each === kind ? options : {});
                        if (each === kind && how === 'an index') made.createIndex('all', 'key', { unique: true });
                    }
                };
                request.onsuccess = () => (request.result.close(), resolve());
            });
            const loads = [];
            for (let i = 0; i < 2; i += 1) {
                try {
                    globalThis.store = await files.open(Uint8Array.from(v.library), name);
                    loads.push((await load())[0]);
                    await store.keepNote('n', 'note');
                    loads.push(await store.findNote('n'));
                } catch (error) {
                    loads.push(`${error.name}: ${error.message}`);
                }
            }
            results.push([name, loads]);
        }
    }
    return results;
})()"""


def test_databases_of_any_other_schema(store: Store) -> None:
    """They are made anew, which is told once."""
    results = store.call(SCHEMAS, library=LIBRARY)
    assert len(results) == 21
    wrong = [(name, loads) for name, loads in results if loads != ["dropped", "note", "cached", "note"]]
    assert not wrong


def test_a_database_of_a_newer_version_is_left_alone(store: Store) -> None:
    kept = """new Promise((resolve, reject) => {
        const request = indexedDB.open('newer', 3);
        request.onerror = () => reject(request.error);
        request.onupgradeneeded = () => request.result.createObjectStore('models').put('kept', 1);
        request.onsuccess = () => {
            request.result.transaction('models').objectStore('models').get(1).onsuccess = ({ target }) => {
                request.result.close();
                resolve([request.result.version, target.result]);
            };
        };
    })"""
    assert store.call(kept) == [3, "kept"]
    with pytest.raises(PageError, match=r"StoreUnavailable: .*version"):
        store.call("files.open(Uint8Array.from(v.library), 'newer')", library=LIBRARY)
    assert store.call(kept) == [3, "kept"]


def test_a_database_of_an_older_version_is_completed(store: Store) -> None:
    store.call("""new Promise((resolve, reject) => {
        const request = indexedDB.open('older', 1);
        request.onerror = () => reject(request.error);
        request.onupgradeneeded = () => request.result.createObjectStore('records');
        request.onsuccess = () => (request.result.close(), resolve());
    })""")
    store.call(
        """files.open(Uint8Array.from(v.library), 'older').then((opened) => {
        globalThis.store = opened;
    })""",
        library=LIBRARY,
    )
    assert [store.call("load().then(([how]) => how)") for _ in range(2)] == ["converted", "cached"]
