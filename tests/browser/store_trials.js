// Set up in a page by test_store_shapes.py: an entry that can be altered, and loads as the engine does them. `v` holds
// `json`, a manifest, and `part`, the bytes of each of the entry's three records.
(async () => {
    const N = v.part;
    globalThis.kinds = ['manifests', 'records', 'notes'];
    const raw = await new Promise((resolve) => {
        indexedDB.open('sotto').onsuccess = ({ target }) => resolve(target.result);
    });
    const all = (use) => new Promise((resolve, reject) => {
        const transaction = raw.transaction(kinds, 'readwrite');
        const request = use(Object.fromEntries(kinds.map((kind) => [kind, transaction.objectStore(kind)])));
        transaction.oncomplete = () => resolve(request?.result);
        transaction.onabort = () => reject(transaction.error);
    });
    globalThis.inside = (kind, use) => all((stores) => use(stores[kind]));
    globalThis.expected = Array.from({ length: 3 }, (_, i) => Array.from(new Uint8Array(image(N * i, N).buffer))).flat();

    // An entry of three records, put together from three models of one.
    const parts = [];
    for (let i = 0; i < 3; i += 1) {
        const writer = await store.begin(JSON.stringify({ ...JSON.parse(v.json), nbytes: N }), CARD);
        await writer.append(image(N * i, N));
        await writer.commit();
        const entry = await inside('manifests', (manifests) => manifests.get('k'));
        parts.push({ entry, record: await inside('records', (records) => records.get([entry.writer, 0])) });
    }
    const { entry } = parts[0];
    entry.nbytes = 3 * N;
    entry.records = parts.map((part) => part.entry.records[0]);
    globalThis.whole = { entry, records: parts.map((part) => part.record) };

    globalThis.restore = () => all(({ manifests, records, notes }) => {
        for (const kind of [manifests, records, notes]) kind.clear();
        manifests.put(whole.entry, 'k');
        whole.records.forEach((record, i) => records.put(record, [whole.entry.writer, i]));
    });

    // As the engine loads: from the store, else converted. How it went, and the manifest that was found.
    globalThis.load = async () => {
        let how = 'converted';
        try {
            const found = await store.find('k', 1);
            if (found !== undefined) {
                await store.card('k'); // Python looks at what is in it
                const got = new Uint8Array(3 * N);
                const gpu = { write: (buffer, at, data) => got.set(data, at), finish: async () => {} };
                const damaged = await store.fill(found, JSON.stringify([[0, 3 * N, 0, 0]]), gpu, () => {});
                for (const index of damaged) {
                    const part = Uint8Array.from(expected.slice(N * index, N * (index + 1)));
                    await store.mend(found, index, part);
                    got.set(part, N * index);
                }
                const right = got.every((byte, i) => byte === expected[i]);
                return [right ? (damaged.length ? 'mended' : 'cached') : 'wrong bytes', found];
            }
        } catch (error) {
            if (error.name !== 'StoreDamaged') return [`${error.name}: ${error.message}`, ''];
            how = 'dropped';
            await store.drop('k').catch(() => {}); // as Python does
        }
        try {
            const writer = await store.begin(v.json, CARD);
            await writer.append(Uint8Array.from(expected));
            await writer.commit();
        } catch (error) {
            return [`${error.name}: ${error.message}`, ''];
        }
        return [how, ''];
    };

    // One alteration: two loads after it, and what is left in the database.
    globalThis.reports = [];
    globalThis.trial = async (name, alter) => {
        await restore();
        await alter();
        const first = await load();
        const second = await load();
        await store.sweep().catch(() => {});
        const left = await inside('records', (records) => records.getAllKeys());
        const keys = await inside('manifests', (manifests) => manifests.getAllKeys());
        reports.push({ name, first: first[0], found: first[1], second: second[0], left: left.map(String), keys });
    };

    globalThis.MISSING = Symbol('missing');
    const round = {};
    round.self = round;
    globalThis.values = {
        missing: MISSING, undefined, null: null, true: true, zero: 0, one: 1, five: 5, half: 1.5, negative: -1, NaN: NaN,
        infinity: Infinity, huge: 2 ** 53, 'very huge': 1e300, big: 5n, empty: '', text: 'text', date: new Date(0),
        array: [], 'array of one': [1], 'array of text': ['0'.repeat(64), '0'.repeat(32)], object: {},
        'array buffer': new ArrayBuffer(48), bytes: new Uint8Array(16), 'no bytes': new Uint8Array(0),
        'words': new Uint16Array(8), floats: new Float64Array(2), view: new DataView(new ArrayBuffer(16)),
        blob: new Blob(['text']), 'empty blob': new Blob([]), file: new File(['text'], 'name'), map: new Map([[1, 2]]),
        set: new Set([1]), error: new Error('text'), expression: /x/, round, deep: JSON.parse('['.repeat(40) + ']'.repeat(40)),
    };
    const isPlain = (value) => Array.isArray(value) || (value && Object.getPrototypeOf(value) === Object.prototype);
    globalThis.places = (value) => [[], ...(isPlain(value) ? Object.entries(value) : []).flatMap(
        ([step, inner]) => places(inner).map((rest) => [step, ...rest]))];
    // A copy with another value at a place; everything that is not on the way there is shared.
    globalThis.changed = (value, [step, ...rest], by) => {
        if (step === undefined) return by;
        const copy = Array.isArray(value) ? [...value] : { ...value };
        if (rest.length === 0 && by === MISSING) {
            if (Array.isArray(copy)) copy.splice(step, 1);
            else delete copy[step];
        } else copy[step] = changed(value[step], rest, by);
        return copy;
    };
})()
