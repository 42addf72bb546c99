"""The cache in a page, for the tests of web/store.js."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
from pages import in_page, open_blank
from playwright.sync_api import Page

from sotto.store import Manifest
from sotto.weights import compiled

MIB = 1 << 20
LIBRARY = list(compiled.path().read_bytes())
RECORD = 16 * MIB
BIG = 150 * MIB - 12  # whole records and a part of one, a part of a chunk at its end
SMALL = 7 * MIB + 4
LONG = RECORD + MIB  # a whole record, stored while the image is written, and one that the commit stores


# An image whose bytes follow from the offset: word i is i * 2654435761, so that any part can be made again.
PRELUDE = """(async () => {
    globalThis.bridge = await import(`${origin}/bridge.js`);
    globalThis.files = await import(`${origin}/store.js`);
    globalThis.store = await files.open(Uint8Array.from(v.library));
    globalThis.CARD = new TextEncoder().encode('card');
    globalThis.image = (offset, nbytes) => Uint32Array.from({ length: nbytes / 4 },
        (_, i) => Math.imul(offset / 4 + i, 2654435761));
    globalThis.writeImage = async (json, piece, nbytes) => {
        const writer = await store.begin(json, CARD);
        for (let at = 0; at < nbytes; at += piece) {
            await writer.append(image(at, Math.min(piece, nbytes - at)));
        }
        return writer;
    };
    globalThis.inside = async (kind, use) => {
        const database = await new Promise((resolve) => {
            indexedDB.open('sotto').onsuccess = (event) => resolve(event.target.result);
        });
        const transaction = database.transaction(kind, 'readwrite');
        const request = use(transaction.objectStore(kind));
        return new Promise((resolve) => {
            transaction.oncomplete = () => { database.close(); resolve(request.result); };
        });
    };
    globalThis.content = async (json, nbytes) => {
        const bytes = new Uint8Array(nbytes);
        const gpu = { write: (buffer, at, data) => bytes.set(data, at), finish: async () => {} };
        await store.fill(json, JSON.stringify([[0, nbytes, 0, 0]]), gpu, () => {});
        return bytes;
    };
    globalThis.idOf = async (key, index) => {
        const { writer } = await inside('manifests', (manifests) => manifests.get(key));
        return [writer, index];
    };
})()"""


def image(offset: int, nbytes: int) -> bytes:
    """The same bytes as the page's `image`."""
    words = np.arange(offset // 4, (offset + nbytes) // 4, dtype=np.uint64) * 2654435761
    return words.astype(np.uint32).tobytes()


class Store:
    """The cache in a page, called as Python calls it."""

    def __init__(self, page: Page, site: str) -> None:
        self.page = page
        open_blank(page, site)
        self.call(PRELUDE, library=LIBRARY)

    def call(self, expression: str, **values: object) -> Any:
        return in_page(self.page, expression, **values)

    def write(self, key: str, nbytes: int, version: int = 1, piece: int = 5 * MIB) -> None:
        write = "writeImage(v.json, v.piece, v.nbytes).then((writer) => writer.commit())"
        self.call(write, json=manifest(key, nbytes, version), piece=piece, nbytes=nbytes)

    def start(self, key: str, nbytes: int, version: int = 1, name: str = "writer") -> None:
        """Write an image, all whole records of it onto the disk, and leave its writer as it is."""
        write = "writeImage(v.json, 1 << 20, v.nbytes)"
        keep = "(writer) => { globalThis[v.name] = writer; return writer.saving; }"
        self.call(f"{write}.then({keep})", json=manifest(key, nbytes, version), nbytes=nbytes, name=name)

    def find(self, key: str, version: int = 1) -> dict[str, Any] | None:
        found = self.call("store.find(v.key, v.version)", key=key, version=version)
        return None if found is None else dict(json.loads(found))

    def content(self, key: str) -> str:
        """The SHA-256 of the whole image."""
        found = self.find(key)
        assert found
        digest = "crypto.subtle.digest('SHA-256', await content(v.json, v.nbytes))"
        return self.sha256(digest, json=json.dumps(found), nbytes=found["nbytes"])

    def sha256(self, digest: str, **values: object) -> str:
        """What an expression for a digest gives, in hex: bytes by the million are not sent to the test."""
        return bytes(self.call(f"Array.from(new Uint8Array(await {digest}))", **values)).hex()

    def fill(self, key: str, placements: list[list[int]]) -> list[int]:
        fill = """(async () => {
            const progress = [];
            await store.fill(v.json, JSON.stringify(v.placements), gpu, (done) => progress.push(done));
            return progress;
        })()"""
        return list(self.call(fill, json=json.dumps(self.find(key)), placements=placements))

    def records(self) -> list[list[Any]]:
        """The model's key and the index of every record."""
        ids = self.call("inside('records', (records) => records.getAllKeys())")
        return sorted([writer.partition(" ")[2], index] for writer, index in ids)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def manifest(key: str, nbytes: int, version: int = 1) -> str:
    """The JSON of one whose records are still to come."""
    return Manifest(key, version, nbytes, "test", "2026-11-21T00:00:00Z").to_json()
