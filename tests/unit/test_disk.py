"""The cache of converted weights: whole or absent, whatever happened to it."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tiny
from sotto.api import drive, iterate
from sotto.devices.reference.device import NumpyDevice
from sotto.engine.engine import Engine
from sotto.errors import StoreDamaged, StoreFull
from sotto.native import disk
from sotto.native.disk import DiskStore
from sotto.reports import Settings
from sotto.source import MemorySource
from sotto.store import Manifest, Placement
from sotto.text.sampler import Sampling
from sotto.weights.layout import LAYOUT_VERSION

KEY = "a model"
RECORD = 1 << 17  # small, so that the tiny model has ten
CHUNK = 1 << 15


@pytest.fixture(scope="module")
def model() -> bytes:
    return tiny.build(tiny.Tiny(layers=2))


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DiskStore:
    monkeypatch.setattr(disk, "RECORD_BYTES", RECORD)
    monkeypatch.setattr(disk, "CHUNK_BYTES", CHUNK)
    return DiskStore(tmp_path / "weights")


def load(model: bytes, store: DiskStore | None, key: str = KEY) -> Engine:
    source = MemorySource(model, "tiny.gguf", key)
    return drive(Engine.load(source, NumpyDevice(), store, Settings(context=32, chunks=(8,))))


def tokens(engine: Engine) -> list[int]:
    """A few greedy tokens: they depend on every weight."""
    return [p.token for p in iterate(engine.generate([2, 300, 301], 4, Sampling(temperature=0)))]


def entries(store: DiskStore) -> list[Path]:
    return sorted(store.folder.iterdir()) if store.folder.exists() else []


def manifest(key: str = KEY, nbytes: int = 1000) -> Manifest:
    return Manifest(key, LAYOUT_VERSION, nbytes, "m.gguf", "2026-01-01T00:00:00+00:00", b"card")


def write(store: DiskStore, data: bytes, key: str = KEY) -> None:
    writer = drive(store.begin(manifest(key, len(data))))
    drive(writer.append(data))
    drive(writer.commit())


def content(store: DiskStore, manifest: Manifest) -> bytes:
    """The whole image."""
    device = NumpyDevice()
    place = Placement(0, manifest.nbytes, device.buffer(manifest.nbytes, "all"), 0)
    drive(store.fill(manifest, [place], device, lambda _: None))
    return drive(device.read(place.buffer, 0, manifest.nbytes))


def test_second_load_comes_from_the_cache(model: bytes, store: DiskStore) -> None:
    first, second, without = load(model, store), load(model, store), load(model, None)
    assert (first.load_stats.cached, second.load_stats.cached) == (False, True)
    assert first.load_stats.note == second.load_stats.note == ""
    found = drive(store.find(KEY))
    assert found is not None and len(found.records) > 5
    assert tokens(first) == tokens(second) == tokens(without)
    planes = {t.memory: t.nbytes for t in without._recorder.weights.planes()}
    for plane in without._recorder.weights.planes():
        images = [
            drive(e.device.read(*e._memory.place(plane), planes[plane.memory])) for e in (second, without)
        ]
        assert images[0] == images[1], plane.name


def test_parts_that_lie_across_records(store: DiskStore) -> None:
    data = np.random.default_rng(0).integers(0, 256, 3 * RECORD + 100, np.uint8)
    write(store, data.tobytes())
    found = drive(store.find(KEY))
    assert found is not None and [r.nbytes for r in found.records] == [RECORD] * 3 + [100]
    device = NumpyDevice()
    where = device.buffer(2 * RECORD, "where")
    places = [Placement(RECORD - 8, 2 * RECORD - 64, where, 64)]
    done: list[int] = []
    drive(store.fill(found, places, device, done.append))
    assert done == [*range(CHUNK, 3 * RECORD + 1, CHUNK), 3 * RECORD + 100]
    got = np.frombuffer(drive(device.read(where, 0, 2 * RECORD)), np.uint8)
    np.testing.assert_array_equal(got[64:], data[RECORD - 8 : 3 * RECORD - 72])
    assert not got[:64].any()


def test_a_damaged_card_is_made_again(model: bytes, store: DiskStore) -> None:
    load(model, store)
    path = entries(store)[0] / disk.CARD
    card = path.read_bytes()
    for at in (0, 64, 70, len(card) // 2, len(card) - 1, None):
        path.unlink()
        if at is not None:
            path.write_bytes(card[:at] + b"\xa7" + card[at + 1 :])
        again = load(model, store)
        assert not again.load_stats.cached
        assert tokens(again) == tokens(load(model, None))
        assert load(model, store).load_stats.cached, "the entry was not written again"


def test_a_load_from_the_cache_does_not_read_the_file(model: bytes, store: DiskStore) -> None:
    load(model, store)

    class Unread(MemorySource):
        async def read(self, offset: int, nbytes: int) -> bytes:
            raise AssertionError("the file was read")

    engine = drive(Engine.load(Unread(model, "m.gguf", KEY), NumpyDevice(), store, Settings(64, chunks=(8,))))
    assert engine.load_stats.cached
    assert tokens(engine) == tokens(load(model, None))


DAMAGE = 4 * RECORD + 100  # bytes of the image that is damaged


def flip(data: bytearray, at: int) -> None:
    data[at] ^= 0x80


def swap(data: bytearray, first: int, second: int, nbytes: int) -> None:
    a, b = data[first : first + nbytes], data[second : second + nbytes]
    data[first : first + nbytes], data[second : second + nbytes] = b, a


@pytest.mark.parametrize(
    "damage",
    [
        *(partial(flip, at=record * RECORD + at) for record in range(5) for at in (0, 99)),
        partial(swap, first=0, second=CHUNK, nbytes=CHUNK),  # chunks of a record
        partial(swap, first=RECORD, second=3 * RECORD, nbytes=RECORD),
        partial(swap, first=0, second=4096, nbytes=4096),
        partial(swap, first=8, second=16, nbytes=8),
    ],
    ids=lambda damage: f"{damage.func.__name__} {damage.keywords}",
)
def test_any_damage_is_noticed_and_mended(store: DiskStore, damage: Callable[[bytearray], None]) -> None:
    data = np.random.default_rng(0).integers(0, 256, DAMAGE, np.uint8).tobytes()
    write(store, data)
    found = drive(store.find(KEY))
    assert found is not None and len(found.records) == 5
    device = NumpyDevice()
    place = Placement(0, DAMAGE, device.buffer(DAMAGE, "all"), 0)
    assert drive(store.fill(found, [place], device, lambda _: None)) == []
    altered = bytearray(data)
    damage(altered)
    image = entries(store)[0] / disk.IMAGE
    image.write_bytes(altered)
    damaged = [
        number for number, (at, nbytes) in enumerate(found.spans(range(5)))
        if altered[at : at + nbytes] != data[at : at + nbytes]
    ]  # fmt: skip
    assert damaged
    assert drive(store.fill(found, [place], device, lambda _: None)) == damaged
    for number in damaged:
        ((at, nbytes),) = found.spans([number])
        right = np.frombuffer(data, np.uint8)[at : at + nbytes]
        with pytest.raises(StoreDamaged, match=f"record {number}"):
            drive(store.mend(found, number, np.roll(right, 8)))
        drive(store.mend(found, number, right))
    assert image.read_bytes() == data
    assert drive(store.fill(found, [place], device, lambda _: None)) == []


@pytest.mark.parametrize("nbytes", [0, 1, DAMAGE - 1, DAMAGE + 1])
def test_an_image_of_another_length_than_when_it_was_found(store: DiskStore, nbytes: int) -> None:
    write(store, bytes(DAMAGE))
    found = drive(store.find(KEY))
    assert found is not None
    os.truncate(entries(store)[0] / disk.IMAGE, nbytes)
    with pytest.raises(StoreDamaged):
        drive(store.fill(found, [], NumpyDevice(), lambda _: None))
    assert entries(store) == []


def test_an_entry_dropped_while_it_is_read(store: DiskStore) -> None:
    data = np.random.default_rng(0).integers(0, 256, DAMAGE, np.uint8).tobytes()
    write(store, data)
    found = drive(store.find(KEY))
    assert found is not None
    device = NumpyDevice()
    place = Placement(0, DAMAGE, device.buffer(DAMAGE, "all"), 0)
    drive(store.fill(found, [place], device, lambda _: drive(store.drop(KEY))))
    assert drive(device.read(place.buffer, 0, DAMAGE)) == data
    with pytest.raises(StoreDamaged):
        drive(store.fill(found, [place], device, lambda _: None))


def test_pieces_of_any_size(store: DiskStore) -> None:
    data = np.random.default_rng(0).integers(0, 256, DAMAGE, np.uint8).tobytes()
    write(store, data)
    expected = drive(store.find(KEY))
    writer = drive(store.begin(manifest(nbytes=DAMAGE)))
    for at in range(0, DAMAGE, 9973):
        drive(writer.append(data[at : at + 9973]))
    drive(writer.commit())
    assert drive(store.find(KEY)) == expected


def test_damage_to_three_words_shows() -> None:
    """For certain: the highest bits, whose sums are the likeliest to cancel out."""
    rng = np.random.default_rng(2)
    words = rng.integers(0, 1 << 63, 16 * 512, np.uint64)
    whole = disk._sums(words.view(np.uint8))
    for count in (1, 2, 3):
        for _ in range(200):
            first, step = rng.integers(0, 4096), rng.choice([1, 511, 512, 513])
            altered = words.copy()
            altered[first + step * np.arange(count)] ^= np.uint64(1 << 63)
            assert disk._sums(altered.view(np.uint8)) != whole


@pytest.mark.parametrize("damage", ["short image", "no image", "no manifest", "no JSON", "other fields"])
def test_incomplete_entries_are_dropped(store: DiskStore, damage: str) -> None:
    write(store, bytes(1000))
    entry = entries(store)[0]
    match damage:
        case "short image":
            os.truncate(entry / disk.IMAGE, 999)
        case "no image":
            (entry / disk.IMAGE).unlink()
        case "no manifest":
            (entry / disk.MANIFEST).unlink()
        case "no JSON":
            (entry / disk.MANIFEST).write_text("{")
        case "other fields":
            (entry / disk.MANIFEST).write_text('{"records": [], "colour": 1}')
    with pytest.raises(StoreDamaged, match="have been dropped"):
        drive(store.find(KEY))
    assert entries(store) == []
    assert drive(store.find(KEY)) is None, "it is told once"


MISSING = object()
# Whatever JSON can hold in a field's place; 1e400 reads as infinity, and what is deep ends the parser.
VALUES = [
    MISSING,
    None,
    True,
    0,
    3,
    -1,
    1.5,
    1 << 60,
    float("nan"),
    float("inf"),
    "",
    "text",
    [],
    [1],
    {},
    {"a": 1},
]


def changed(of: object, path: tuple[str | int, ...], value: object) -> Any:
    """A copy of nested lists and objects with another value, or none, at a path."""
    copy: Any = json.loads(json.dumps(of))
    if not path:
        return value
    inner = copy
    for step in path[:-1]:
        inner = inner[step]
    if value is MISSING:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return copy


def paths(of: object) -> list[tuple[str | int, ...]]:
    """Every place in nested lists and objects, the whole first."""
    steps = of.items() if isinstance(of, dict) else enumerate(of) if isinstance(of, list) else ()
    return [(), *((step, *rest) for step, inner in steps for rest in paths(inner))]


def test_a_manifest_of_any_other_shape_is_dropped_once(store: DiskStore, model: bytes) -> None:
    """Every field with every kind of value: the entry is as it was, is dropped once, or is of another layout."""
    data = bytes(2 * RECORD + 4)
    write(store, data)
    manifest_file = entries(store)[0] / disk.MANIFEST
    whole = json.loads(manifest_file.read_text("utf-8"))
    text = [
        json.dumps(changed(whole, path, value))
        for path in paths(whole)
        for value in VALUES
        if path or value is not MISSING
    ]
    text += ["", "{", "[" * 100_000, "\x00", json.dumps(whole)[:-1], json.dumps(whole | {"colour": 1})]
    saved = whole["records"]
    text += [json.dumps(whole | {"records": other}) for other in (saved[::-1], saved[:2], saved * 2)]
    told = 0
    for altered in text:
        if json.loads(json.dumps(whole)) == _parsed(altered):
            continue
        write(store, data)
        manifest_file.write_text(altered, "utf-8")
        try:
            found = drive(store.find(KEY))
            if found is None:
                assert isinstance(_parsed(altered)["layout_version"], int), altered
            else:
                drive(store.fill(found, [], NumpyDevice(), lambda _: None))
                assert json.loads(found.to_json()) == _parsed(altered), (
                    "nothing in it may be taken for something else"
                )
        except StoreDamaged:
            told += 1
            assert drive(store.find(KEY)) is None
            assert entries(store) == []
    assert told > 150


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def test_an_entry_of_another_image_is_made_again(model: bytes, store: DiskStore) -> None:
    """Whole in itself, but not what this model file gives: a load says so once, and the next one is as usual."""
    expected = tokens(load(model, store))
    entry = entries(store)[0]
    fields = json.loads((entry / disk.MANIFEST).read_text("utf-8"))
    last = fields["records"].pop()["nbytes"]
    os.truncate(entry / disk.IMAGE, fields["nbytes"] - last)
    fields["nbytes"] -= last
    (entry / disk.MANIFEST).write_text(json.dumps(fields), "utf-8")
    again = load(model, store)
    assert not again.load_stats.cached and tokens(again) == expected
    assert "made again" in again.load_stats.dropped and again.load_stats.note == ""
    third = load(model, store)
    assert third.load_stats.cached and third.load_stats.dropped == ""


def test_a_damaged_entry_is_not_mapped_any_more_when_it_is_removed(
    store: DiskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows does not remove a file that is."""
    data = bytes(DAMAGE)
    write(store, data)
    found = drive(store.find(KEY))
    assert found is not None
    image = entries(store)[0] / disk.IMAGE
    with image.open("ab") as file:
        file.write(b"x")
    seen: list[bool] = []

    def mapped() -> bool:
        return str(image) in Path("/proc/self/maps").read_text("utf-8")

    remove = shutil.rmtree

    def check(path: Path, **options: bool) -> None:
        seen.append(mapped())
        remove(path, **options)

    monkeypatch.setattr(disk.shutil, "rmtree", check)
    device = NumpyDevice()
    place = Placement(0, DAMAGE, device.buffer(DAMAGE, "all"), 0)
    with pytest.raises(StoreDamaged):
        drive(store.fill(found, [place], device, lambda _: None))
    assert seen == [False]


def test_an_error_while_the_image_is_read_is_that_error(store: DiskStore) -> None:
    write(store, bytes(DAMAGE))
    found = drive(store.find(KEY))
    assert found is not None

    def fail(done: int) -> None:
        raise ValueError("not a damage")

    with pytest.raises(ValueError, match="not a damage"):
        drive(store.fill(found, [], NumpyDevice(), fail))
    assert drive(store.find(KEY)) == found


def test_other_layout_versions_are_dropped(
    model: bytes, store: DiskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(model, store)
    write(store, bytes(8), "another model")
    monkeypatch.setattr(disk, "LAYOUT_VERSION", LAYOUT_VERSION + 1)
    assert drive(store.find(KEY)) is None
    assert len(entries(store)) == 1, "the stale entry of this key is gone, the other is not asked for yet"
    drive(drive(store.begin(manifest("new"))).abort())
    assert entries(store) == [], "a new entry sweeps what can never be read again"


def test_interrupted_writer(store: DiskStore) -> None:
    """A process that dies while writing leaves nothing that is found, and later not even that."""
    script = f"""
        import os
        from pathlib import Path
        from sotto.api import drive
        from sotto.native.disk import DiskStore
        from sotto.store import Manifest
        writer = drive(DiskStore(Path({str(store.folder)!r})).begin(
            Manifest({KEY!r}, {LAYOUT_VERSION}, 99, "m", "")))
        drive(writer.append(bytes(50)))
        os._exit(9)
    """
    path = os.pathsep.join(map(str, sys.path))
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], env=os.environ | {"PYTHONPATH": path}, check=False
    )
    assert done.returncode == 9
    (left,) = entries(store)
    assert drive(store.find(KEY)) is None
    write(store, bytes(1000))
    assert left in entries(store), "it may be another process at work"
    old = time.time() - 2 * disk._ABANDONED_SECONDS
    os.utime(left / disk.IMAGE, (old, old))
    write(store, bytes(1000), "another model")
    assert left not in entries(store) and len(entries(store)) == 2
    assert drive(store.find(KEY)) is not None


def test_two_writers_at_once(store: DiskStore) -> None:
    writers = [drive(store.begin(manifest(nbytes=8))) for _ in range(2)]
    for writer in writers:
        drive(writer.append(bytes(8)))
    for writer in writers:
        drive(writer.commit())
    assert drive(store.find(KEY)) is not None
    assert len(entries(store)) == 1


def test_two_processes_write_one_model(tmp_path: Path) -> None:
    """Whoever is quicker: both succeed, and the entry is whole."""
    store = DiskStore(tmp_path / "weights")
    script = f"""
        from pathlib import Path
        from sotto.api import drive
        from sotto.native.disk import DiskStore
        from sotto.store import Manifest
        for _ in range(20):
            writer = drive(DiskStore(Path({str(store.folder)!r})).begin(
                Manifest({KEY!r}, {LAYOUT_VERSION}, 1 << 20, "m", "")))
            drive(writer.append(bytes(range(256)) * 4096))
            print("written", flush=True)
            input()
            drive(writer.commit())
            print("committed", flush=True)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, sys.path))}
    pipe = subprocess.PIPE
    with ExitStack() as stack:
        writers = [
            stack.enter_context(subprocess.Popen(command, env=env, stdin=pipe, stdout=pipe, text=True))
            for _ in range(2)
        ]
        inputs = [writer.stdin for writer in writers if writer.stdin]
        outputs = [writer.stdout for writer in writers if writer.stdout]
        for _ in range(20):
            assert [output.readline() for output in outputs] == ["written\n"] * 2
            for each in inputs:
                print(file=each, flush=True)
            assert [output.readline() for output in outputs] == ["committed\n"] * 2
            found = drive(store.find(KEY))
            assert found is not None
            assert content(store, found) == bytes(range(256)) * 4096
    assert [writer.returncode for writer in writers] == [0, 0]
    assert len(entries(store)) == 1


def test_abort_leaves_the_old_entry(store: DiskStore) -> None:
    write(store, b"old!")
    writer = drive(store.begin(manifest(nbytes=4)))
    drive(writer.append(b"new!"))
    drive(writer.abort())
    found = drive(store.find(KEY))
    assert found is not None and content(store, found) == b"old!"


def test_no_room(model: bytes, store: DiskStore) -> None:
    """The model loads without a cache, says so, and leaves nothing behind."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        engine = load(model, store)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "no room" in engine.load_stats.note
    assert not engine.load_stats.cached
    assert tokens(engine) == tokens(load(model, None))
    assert entries(store) == []


def test_a_folder_that_cannot_be(tmp_path: Path, model: bytes) -> None:
    (tmp_path / "file").write_text("")
    store = DiskStore(tmp_path / "file" / "weights")
    with pytest.raises(StoreFull, match="cannot be kept"):
        drive(store.begin(manifest()))
    assert "cannot be kept" in load(model, store).load_stats.note


def test_manifest_is_readable(store: DiskStore) -> None:
    write(store, bytes(1000))
    fields = json.loads((entries(store)[0] / disk.MANIFEST).read_text("utf-8"))
    assert (fields["key"], fields["layout_version"], fields["nbytes"]) == (KEY, LAYOUT_VERSION, 1000)


def test_notes(store: DiskStore, model: bytes) -> None:
    assert drive(store.find_note("a")) is None
    drive(store.keep_note("a", "one"))
    drive(store.keep_note("a", "two"))
    drive(store.keep_note("b", "three"))
    load(model, store).close()
    again = DiskStore(store.folder)
    assert [drive(again.find_note(key)) for key in ("a", "b", "c")] == ["two", "three", None]
    for note in (store.folder / disk.NOTES).iterdir():
        note.write_text("{")
    assert drive(store.find_note("a")) is None, "a damaged note is none"


def test_one_holds_a_name(store: DiskStore) -> None:
    again = DiskStore(store.folder)
    release = drive(store.hold("a"))
    assert release and drive(again.hold("a")) is None and drive(store.hold("a")) is None
    other = drive(again.hold("b"))
    assert other
    release()
    release = drive(again.hold("a"))
    assert release
    release()
    other()


def test_a_name_is_free_when_its_holder_dies(store: DiskStore) -> None:
    code = (
        "import pathlib, sys, time; from sotto.api import drive; from sotto.native.disk import DiskStore; "
        "held = drive(DiskStore(pathlib.Path(sys.argv[1])).hold('a')); print(held is not None, flush=True); "
        "time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(store.folder)], stdout=subprocess.PIPE) as process:
        assert process.stdout and process.stdout.readline() == b"True\n"
        assert drive(store.hold("a")) is None
        process.kill()
    release = drive(store.hold("a"))
    assert release
    release()


def test_a_note_that_cannot_be_kept_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = DiskStore(tmp_path / "file")
    drive(store.keep_note("a", "one"))
    assert drive(store.find_note("a")) is None
