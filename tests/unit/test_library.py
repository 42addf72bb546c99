"""The library of models: what is kept, how it is called, what could go, and that names and times do not matter."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

import tiny
from sotto.api import drive
from sotto.assets.cache import OWN_STAMPS_NAME, Stamps
from sotto.devices.reference.device import NumpyDevice
from sotto.engine.engine import Engine
from sotto.errors import SottoError
from sotto.library.address import HubAddress, UrlAddress, parse
from sotto.library.library import NOTE, About, Entry, Library, to_delete
from sotto.library.offers import HubFile, HubModel, choose, offers
from sotto.native.disk import DiskStore
from sotto.native.files import find_model
from sotto.reports import Settings
from sotto.source import FileSource, Folder, KeptSource
from sotto.store import Kept
from sotto.weights.layout import LAYOUT_VERSION


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SOTTO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def store(tmp_path: Path) -> DiskStore:
    return DiskStore(tmp_path / "weights")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.gguf"
    path.write_bytes(tiny.build(tiny.Tiny(layers=1)))
    return path


def load(model: Path | str, store: DiskStore) -> Engine:
    """As api.load does, on numpy."""
    library = Library(store)
    found = find_model(model, lambda report: None, lambda: drive(library.entries()))
    try:
        engine = drive(Engine.load(found.source, NumpyDevice(), store, Settings(context=32, chunks=(8,))))
    finally:
        found.source.close()
    drive(library.used(found.source.key, found.about))
    return engine


def entries(store: DiskStore) -> list[Entry]:
    return drive(Library(store).entries())


# --- one content, one entry


def test_a_file_that_is_touched_moved_or_copied_stays_one_entry(file: Path, store: DiskStore) -> None:
    load(file, store)
    for seconds in range(1, 6):
        os.utime(file, (seconds, seconds))
        assert load(file, store).load_stats.cached
    other = file.with_name("other.gguf")
    shutil.copy(file, other)
    file.unlink()
    assert load(other, store).load_stats.cached
    (entry,) = entries(store)
    assert entry.about.origin == str(other) and entry.about.format == "GGUF"


def test_a_file_that_is_replaced_is_another_model(file: Path, store: DiskStore) -> None:
    load(file, store)
    time = file.stat().st_mtime_ns
    file.write_bytes(tiny.build(tiny.Tiny(layers=1, seed=1)))
    os.utime(file, ns=(time + 1, time + 1))
    assert not load(file, store).load_stats.cached
    assert len(entries(store)) == 2


def test_a_model_in_several_files_is_known_by_their_contents(file: Path) -> None:
    def key(folder: str, name: str) -> str:
        source = Folder(folder, {name: FileSource(file)})
        source.close()
        return source.key

    before = key("m", "a")
    os.utime(file, (1, 1))
    assert key("other", "a") == before
    assert key("m", "b") != before


def test_a_file_is_hashed_once(file: Path, cache: Path) -> None:
    told: list[int] = []
    first = Stamps(cache, OWN_STAMPS_NAME).sha256(file, lambda done, total: told.append(done))
    assert told and told[-1] == file.stat().st_size
    told.clear()
    assert (
        Stamps(cache, OWN_STAMPS_NAME).sha256(file, lambda done, total: told.append(done)) == first
        and not told
    )
    gone = file.with_name("gone.gguf")
    file.rename(gone)
    Stamps(cache, OWN_STAMPS_NAME).sha256(gone)
    assert list(json.loads((cache / OWN_STAMPS_NAME).read_text("utf-8"))) == [str(gone.resolve())]


def test_without_a_cache_nothing_is_hashed(file: Path, cache: Path) -> None:
    found = find_model(file, lambda report: None)
    drive(Engine.load(found.source, NumpyDevice(), None, Settings(context=32, chunks=(8,))))
    found.source.close()
    assert not (cache / OWN_STAMPS_NAME).exists()


# --- the list


def test_a_model_loads_from_the_library_when_its_file_is_gone(file: Path, store: DiskStore) -> None:
    load(file, store)
    (entry,) = entries(store)
    drive(Library(store).rename(entry, "  my   model "))
    file.unlink()
    assert load("my model", store).load_stats.cached
    shutil.rmtree(store.folder / "notes")
    with pytest.raises(SottoError, match="my model does not exist"):
        load("my model", store)


def test_a_damaged_entry_without_its_file_says_so(store: DiskStore) -> None:
    with pytest.raises(SottoError, match="its file is not here"):
        drive(
            Engine.load(KeptSource("key", "m.gguf"), NumpyDevice(), store, Settings(context=32, chunks=(8,)))
        )


def test_what_is_known_of_a_model_grows(store: DiskStore) -> None:
    clock = iter([datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2)])
    library = Library(store, lambda: next(clock))
    drive(library.used("key", About("a title", "/a/path", "Gemma", "GGUF", 10)))
    drive(library.used("key", About("", "owner/name:file")))
    (entry,) = drive(library.entries())
    assert entry.about == About(
        "a title", "owner/name:file", "Gemma", "GGUF", 10, used="2026-01-02T00:00:00.000000+00:00"
    )
    assert entry.title == "a title" and not entry.current and not entry.nbytes


def test_the_last_used_is_the_first_also_within_a_second(store: DiskStore) -> None:
    clock = iter([datetime(2026, 1, 1, 0, 0, 1, part, tzinfo=UTC) for part in (0, 1000)])
    library = Library(store, lambda: next(clock))
    for title in ("two", "one"):
        drive(library.used(title, About(title)))
    assert [entry.title for entry in drive(library.entries())] == ["one", "two"]


def test_what_was_read_a_while_ago_undoes_nothing(store: DiskStore) -> None:
    library = Library(store)
    drive(library.used("key", About("a title")))
    (before,) = drive(library.entries())
    drive(library.used("key", About()))
    drive(library.rename(before, "another"))
    drive(library.pin(before, True))
    (entry,) = drive(library.entries())
    assert entry.used > before.used and entry.title == "another" and entry.about.pinned


@pytest.mark.parametrize("text", ["", "[]", "[" * 100_000, '{"title": 3, "used": null, "more": 1}'])
def test_a_damaged_note_is_no_note(store: DiskStore, text: str) -> None:
    drive(store.keep_note(NOTE + "key", text))
    (entry,) = entries(store)
    assert entry.about == About() and entry.title == "key"


def test_names(store: DiskStore) -> None:
    library = Library(store)
    for key, title in (("aaaaaaaa1", "one"), ("aaaaaaaa2", "two"), ("b", "same"), ("c", "same")):
        drive(library.record(key, About(title, f"/at/{key}")))
    assert drive(library.find("one")).key == "aaaaaaaa1"
    assert drive(library.find("/at/b")).key == "b"
    assert drive(library.find("aaaaaaaa2")).title == "two"
    for name, message in (
        ("same", "2 models called same"),
        ("aaaaaaaa", "2 models"),
        ("zzz", "no model"),
        ("", "no m"),
    ):
        with pytest.raises(SottoError, match=message):
            drive(library.find(name))
    for title, message in (("two", "called two already"), ("  ", "needs a name")):
        with pytest.raises(SottoError, match=message):
            drive(library.rename(drive(library.find("one")), title))


def test_what_is_removed_is_gone(file: Path, store: DiskStore) -> None:
    load(file, store)
    library = Library(store)
    drive(library.remove(drive(library.find("tiny.gguf"))))
    assert entries(store) == [] and file.exists()
    assert not load(file, store).load_stats.cached


def test_entries_are_whole_ones_of_any_layout(file: Path, store: DiskStore) -> None:
    load(file, store)
    (entry,) = entries(store)
    assert entry.kept is not None
    folder = next(path.parent for path in store.folder.glob("*/manifest.json"))
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    (folder / "manifest.json").write_text(
        json.dumps(manifest | {"layout_version": LAYOUT_VERSION + 1}), "utf-8"
    )
    (entry,) = entries(store)
    assert not entry.current and entry.kept is not None and entry.kept.layout_version == LAYOUT_VERSION + 1
    (folder / "manifest.json").write_text("[1]", "utf-8")
    (entry,) = entries(store)
    assert entry.kept is None


def kept(key: str, used: str, nbytes: int = 10, version: int = LAYOUT_VERSION, pinned: bool = False) -> Entry:
    return Entry(key, About(key, used=used, pinned=pinned), Kept(key, version, nbytes, key, "2025"))


def test_the_least_recently_used_are_offered_for_deletion() -> None:
    shelf = [
        kept("new", "2026-03"), kept("old", "2026-01"), kept("older, kept", "2025-01", pinned=True),
        kept("other layout", "2026-04", version=LAYOUT_VERSION - 1), Entry("file alone", About(used="2020"), None),
    ]  # fmt: skip
    assert [entry.key for entry in to_delete(shelf, 15)] == ["other layout", "old"]
    assert [entry.key for entry in to_delete(shelf, 1000)] == ["other layout", "old", "new"]
    assert [entry.key for entry in to_delete(shelf, 1000, using="old")] == ["other layout", "new"]
    assert to_delete(shelf, 0) == []


# --- addresses


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("google/gemma", HubAddress("google/gemma")),
        ("google/gemma:a/b.gguf", HubAddress("google/gemma", "a/b.gguf")),
        ("google/gemma@dev:b.gguf", HubAddress("google/gemma", "b.gguf", "dev")),
        (" hf://google/gemma ", HubAddress("google/gemma")),
        ("https://huggingface.co/google/gemma", HubAddress("google/gemma")),
        ("https://huggingface.co/google/gemma/tree/main", HubAddress("google/gemma")),
        ("hf.co/google/gemma/blob/v1/a/b%20c.gguf?x=1#y", HubAddress("google/gemma", "a/b c.gguf", "v1")),
        ("https://hf.co/google/gemma/resolve/v1/a/b%20c.gguf?x=1", HubAddress("google/gemma", "a/b c.gguf", "v1")),
        ("http://127.0.0.1:99/a/b/blob/main/c.gguf", HubAddress("a/b", "c.gguf")),
        ("https://example.org/a/b.gguf", UrlAddress("https://example.org/a/b.gguf")),
        ("b.gguf", None), ("/a/b", None), ("a/b/c", None), ("", None), ("./a", None), ("~/a", None),
    ],
)  # fmt: skip
def test_addresses(text: str, want: object) -> None:
    got = parse(text, "http://127.0.0.1:99")
    assert got == want
    if isinstance(got, HubAddress):
        assert parse(str(got)) == got


@pytest.mark.parametrize("text", ["https://huggingface.co/datasets/a/b", "https://huggingface.co/google"])
def test_other_pages_of_the_hub_are_told(text: str) -> None:
    with pytest.raises(SottoError, match="not the page of a model"):
        parse(text)


def test_a_url_is_shown_without_its_secrets() -> None:
    address = UrlAddress("https://user:pass@example.org/a%20b.gguf?signature=1")
    assert str(address) == "https://example.org/a%20b.gguf" and address.name == "a b.gguf"


# --- what a repository offers

GEMMA = tiny.build(tiny.Tiny(layers=1))[:4096]
CLIP = GEMMA.replace(b"\x06\0\0\0\0\0\0\0gemma3", b"\x04\0\0\0\0\0\0\0clip")


def repository(**sizes: int) -> HubModel:
    files = tuple(HubFile(name.replace("__", "/").replace("DOT", "."), size) for name, size in sizes.items())
    return HubModel("owner/name", "main", "gemma", False, files)


def offered(model: HubModel, start: Callable[[str], bytes], room: int = 0) -> dict[str, tuple[str, bool]]:
    starts = {file.path: start(file.path) for file in model.files}
    found = offers(model, starts, {"gemma3"}.__contains__, room)
    return {offer.path: (offer.why_not, offer.recommended) for offer in found}


def test_what_runs_is_told_by_the_first_bytes_and_one_is_recommended() -> None:
    model = repository(
        READMEDOTmd=5, **{"m-Q8_0DOTgguf": 9, "m-Q4_0DOTgguf": 5, "m-Q2_KDOTgguf": 3, "mmprojDOTgguf": 2},
        htmlDOTgguf=4, modelDOTsafetensors=9,
    )  # fmt: skip
    starts = {"mmproj.gguf": CLIP, "html.gguf": b" <html>", "model.safetensors": b""}
    found = offered(model, lambda path: starts.get(path, GEMMA))
    assert list(found)[:3] == ["m-Q2_K.gguf", "m-Q4_0.gguf", "m-Q8_0.gguf"]
    assert [path for path, (_, best) in found.items() if best] == ["m-Q4_0.gguf"]
    assert "'clip'" in found["mmproj.gguf"][0] and "web page" in found["html.gguf"][0]
    assert ".safetensors" in found["model.safetensors"][0] and "README.md" not in found
    assert offered(model, lambda path: starts.get(path, GEMMA), room=4)["m-Q2_K.gguf"] == ("", True)


def test_parts_are_one_offer_and_whole_or_refused() -> None:
    first, second = "m-00001-of-00002DOTgguf", "m-00002-of-00002DOTgguf"
    model = repository(**{first: 5, second: 3, "x__m-00001-of-00002DOTgguf": 5})
    found = offers(model, {file.path: GEMMA for file in model.files}, lambda name: True)
    assert [(offer.path, offer.nbytes, offer.why_not) for offer in found] == [
        ("m-00001-of-00002.gguf", 8, ""),
        ("x/m-00001-of-00002.gguf", 5, "1 of its 2 parts are missing"),
    ]
    assert choose(model, found, "m-00002-of-00002.gguf") is found[0]


def test_choosing() -> None:
    model = repository(aDOTgguf=1, bDOTgguf=2)
    found = offers(model, {"a.gguf": GEMMA, "b.gguf": CLIP}, {"gemma3"}.__contains__)
    assert choose(model, found, "").path == "a.gguf"
    for file, message in (("b.gguf", "b.gguf does not run here"), ("c.gguf", "no model file c.gguf")):
        with pytest.raises(SottoError, match=message):
            choose(model, found, file)
    with pytest.raises(SottoError, match="no file that runs here"):
        choose(model, found[1:], "")
