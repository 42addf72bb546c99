"""Models from a hub and from any address, natively: every way that a network and a hub have of going wrong."""

from __future__ import annotations

import shutil
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

import tiny
from local_hub import Fault, Hub, Repository, own_caches, serve_hub
from sotto.api import drive
from sotto.assets.cache import OWN_STAMPS_NAME, Stamps
from sotto.devices.reference.device import NumpyDevice
from sotto.engine.engine import Engine
from sotto.errors import AssetError, ModelLost, SottoError
from sotto.library.address import HubAddress, UrlAddress
from sotto.library.library import Library
from sotto.library.offers import described
from sotto.native import disk, pull, room
from sotto.native import hub as native
from sotto.native.disk import DiskStore
from sotto.native.files import find_model
from sotto.native.hub_cache import cached
from sotto.reports import LoadStats, Settings
from sotto.weights import reads

RUNS = {"gemma3"}.__contains__
MODEL = tiny.build(tiny.Tiny(layers=2))
NAME = "owner/tiny"
TOKEN, OTHER = "hf_accepted", "hf_other"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Caches of this test's own, and no waiting."""
    return own_caches(tmp_path, monkeypatch)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serve_hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        hub.repositories[NAME] = Repository(
            {"README.md": b"#", "tiny-Q4_0.gguf": MODEL, "tiny-F32.gguf": MODEL}
        )
        hub.tokens |= {TOKEN, OTHER}
        hub.accepted |= {TOKEN}
        yield hub


def fetch(file: str = "tiny-Q4_0.gguf", token: str | None = None) -> tuple[bytes, list[tuple[int, int]]]:
    told: list[tuple[int, int]] = []
    path, _ = pull.pull(HubAddress(NAME, file), RUNS, lambda done, total: told.append((done, total)), token)
    return path.read_bytes(), told


# --- a hub that is well


def test_a_repository_is_looked_at_before_anything_is_fetched(hub: Hub) -> None:
    model, offered = native.look(HubAddress(NAME), RUNS)
    assert (model.licence, model.gated) == ("gemma", False)
    assert [(offer.path, offer.nbytes, offer.recommended) for offer in offered] == [
        ("tiny-F32.gguf", len(MODEL), False), ("tiny-Q4_0.gguf", len(MODEL), True),
    ]  # fmt: skip
    assert hub.sent == 2 * 4096


def test_the_page_reads_what_the_hub_says_as_its_library_does(hub: Hub) -> None:
    with urllib.request.urlopen(f"{hub.url}/api/models/{NAME}/revision/main?blobs=true") as answer:
        text = answer.read().decode()
    assert described(HubAddress(NAME), text) == native.look(HubAddress(NAME), RUNS)[0]
    for other in (
        "<html>",
        "[]",
        "{}",
        '{"siblings": [{}]}',
        '{"siblings": [{"rfilename": "a", "size": "x"}]}',
    ):
        with pytest.raises(AssetError, match="what answered is no hub"):
            described(HubAddress(NAME), other)


def test_a_model_is_fetched_once_checked_and_found_without_the_hub(hub: Hub, cache: Path) -> None:
    looked = 2 * 4096
    path, about = pull.pull(HubAddress(NAME), RUNS, lambda done, total: None)
    assert path.read_bytes() == MODEL and hub.sent == len(MODEL) + looked
    assert about.origin == f"{NAME}:tiny-Q4_0.gguf" and about.licence == "gemma" and about.format == "GGUF"
    assert Stamps(cache, OWN_STAMPS_NAME).known(str(path.resolve()))
    pull.pull(HubAddress(NAME), RUNS, lambda done, total: None)
    assert hub.sent == len(MODEL) + 2 * looked
    before = len(hub.requests)
    for text in (NAME, about.origin, f"{hub.url}/{NAME}/blob/main/tiny-Q4_0.gguf"):
        found = find_model(text, lambda report: None)
        assert drive(found.source.read(0, 4)) == b"GGUF"  # type: ignore[union-attr]
        found.source.close()
    assert len(hub.requests) == before


def test_progress_ends_at_all_of_it(hub: Hub) -> None:
    content, told = fetch()
    assert content == MODEL and told[-1] == (len(MODEL), len(MODEL))
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_a_token_goes_to_the_hub_alone(hub: Hub) -> None:
    hub.repositories[NAME].gated = True
    assert fetch(token=TOKEN)[0] == MODEL  # the storage refuses whoever brings a token


# --- refusals


@pytest.mark.parametrize(
    ("name", "token", "message"),
    [
        (NAME, None, "needs an access token"),
        (NAME, OTHER, "may not be read with this access token"),
        (NAME, "hf_expired", "does not accept the access token"),
        ("owner/absent", None, "needs an access token .* or there is no such model"),
        ("owner/absent", TOKEN, "There is no owner/absent"),
        (f"{NAME}@dev", TOKEN, "no revision dev"),
        (f"{NAME}:absent.gguf", TOKEN, "no model file absent.gguf"),
    ],
)
def test_refusals_are_explained(hub: Hub, name: str, token: str | None, message: str) -> None:
    hub.repositories[NAME].gated = True
    address = native_address(name)
    with pytest.raises(SottoError, match=message):
        pull.pull(address, RUNS, lambda done, total: None, token)
    assert not hub.sent or token == TOKEN


def native_address(text: str) -> HubAddress:
    from sotto.library.address import parse

    found = parse(text)
    assert isinstance(found, HubAddress)
    return found


def test_a_busy_hub_is_waited_for_or_told(hub: Hub) -> None:
    hub.faults += [None, None, Fault(status=429, retry_after="1")]
    assert fetch()[0] == MODEL
    hub.api_faults += [Fault(status=429, retry_after="37")] * 20
    with pytest.raises(AssetError, match="too many requests") as told:
        fetch()
    assert "37 seconds" in told.value.hint


def test_no_network_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(AssetError, match=r"owner/tiny:tiny-Q4_0.gguf cannot be fetched: .*refused"):
        fetch()


def test_a_captive_portal_is_no_hub(hub: Hub) -> None:
    hub.api_faults.append(Fault(portal=True))
    with pytest.raises(AssetError, match="cannot be fetched"):
        fetch()


def test_without_the_library_it_says_what_to_install(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(AssetError, match="not installed") as told:
        fetch()
    assert "sotto[hub]" in told.value.hint


# --- bytes that do not come as they should; two looks at first bytes come before each download


@pytest.mark.parametrize(
    "faults",
    [
        [Fault(cut=100_000), Fault(cut=50_000)],
        [Fault(cut=100_000), Fault(whole=True)],
        [Fault(cut=0)],
        [Fault(lies=5000)],
    ],
    ids=["cut twice", "cut, then all of it", "nothing", "more announced"],
)
def test_a_broken_download_goes_on(hub: Hub, faults: list[Fault]) -> None:
    hub.faults += [None, None, *faults]
    assert fetch()[0] == MODEL


def test_a_wrong_hash_is_thrown_away(hub: Hub) -> None:
    hub.repositories[NAME].announced["tiny-Q4_0.gguf"] = "0" * 64
    with pytest.raises(AssetError, match="not what the hub says it is"):
        fetch()
    hub.repositories[NAME].announced.clear()
    assert fetch()[0] == MODEL


@pytest.mark.parametrize(
    "fault",
    [
        Fault(replaced=MODEL[:-1] + b"?"),
        Fault(portal=True),
        Fault(replaced=MODEL[:5000]),
        Fault(lies=-5000),
        Fault(status=503),
    ],
    ids=["replaced", "portal", "shorter", "less announced", "busy"],
)  # fmt: skip
def test_another_file_in_its_place_is_not_taken(hub: Hub, fault: Fault) -> None:
    hub.faults += [None, None, fault]
    with pytest.raises(AssetError):
        fetch()
    assert fetch()[0] == MODEL


def test_what_is_packed_unasked_is_unpacked_or_not_taken(hub: Hub) -> None:
    hub.faults += [None, None, Fault(gzip=True)]
    try:
        assert fetch()[0] == MODEL
    except AssetError:
        assert fetch()[0] == MODEL


def test_a_disk_without_room_is_told_before_anything_is_fetched(
    hub: Hub, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def little(folder: Path) -> SimpleNamespace:
        assert folder.exists()
        return SimpleNamespace(free=len(MODEL) - 1)

    monkeypatch.setattr(room.shutil, "disk_usage", little)
    for fetched in (fetch, lambda: from_url(url)):
        hub.sent = 0
        with pytest.raises(AssetError, match=r"takes 0\.00 GB, and 0\.00 GB are free"):
            fetched()
        assert hub.sent <= 2 * 4096


def test_what_has_arrived_needs_no_room(hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fetch()[0] == MODEL
    monkeypatch.setattr(room.shutil, "disk_usage", lambda folder: SimpleNamespace(free=0))
    assert fetch()[0] == MODEL


# --- any address


@pytest.fixture
def url(hub: Hub) -> str:
    return f"{hub.storage_url}/{NAME}/tiny-Q4_0.gguf?expires={time.time() + 60}"


def from_url(url: str) -> bytes:
    return pull.pull(UrlAddress(url), RUNS, lambda done, total: None)[0].read_bytes()


def test_a_url_is_fetched_once(hub: Hub, url: str) -> None:
    assert from_url(url) == MODEL
    before = len(hub.requests)
    found = find_model(url.partition("?")[0], lambda report: None)
    assert found.about.origin == url.partition("?")[0] and found.source.size == len(MODEL)
    found.source.close()
    assert len(hub.requests) == before


@pytest.mark.parametrize(
    "faults",
    [[Fault(cut=100_000)], [Fault(cut=100_000), Fault(whole=True)]],
    ids=["cut", "cut, then all of it"],
)
def test_a_broken_url_goes_on(hub: Hub, url: str, faults: list[Fault]) -> None:
    hub.faults += [None, *faults]
    assert from_url(url) == MODEL


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        ([Fault(portal=True)], "looks like a web page"),
        ([Fault(status=404)], "answered 404"),
        ([Fault(gzip=True)], "no model file"),
        ([None, Fault(cut=100_000), Fault(replaced=MODEL[:-1] + b"?")], "was replaced"),
        ([None, Fault(lies=5000)], "offers .* bytes"),
        ([None, Fault(portal=True)], "offers .* bytes"),
    ],
)
def test_what_is_wrong_with_a_url_is_told(
    hub: Hub, url: str, faults: list[Fault | None], message: str
) -> None:
    hub.faults += faults
    with pytest.raises(AssetError, match=message) as told:
        from_url(url)
    assert "expires" not in str(told.value)  # as any signature
    assert from_url(url) == MODEL


# --- what is kept, and damaged


def test_what_is_kept_of_a_model_of_the_hub_is_mended_by_ranges(
    hub: Hub, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub's cache is cleared: no more is fetched again than what is damaged was made of."""
    monkeypatch.setattr(disk, "RECORD_BYTES", 1 << 15)
    monkeypatch.setattr(disk, "CHUNK_BYTES", 1 << 13)
    monkeypatch.setattr(reads, "READ_BYTES", 1 << 15)
    store = DiskStore(tmp_path / "weights")
    library = Library(store)

    def load() -> LoadStats:
        found = find_model(
            f"{NAME}:tiny-Q4_0.gguf", lambda report: None, lambda: drive(library.entries()), RUNS
        )
        engine = drive(Engine.load(found.source, NumpyDevice(), store, Settings(context=32, chunks=(8,))))
        drive(library.used(found.source.key, found.about))
        found.source.close()
        return engine.load_stats

    def damage(*places: int) -> None:
        (image,) = store.folder.glob(f"*/{disk.IMAGE}")
        data = bytearray(image.read_bytes())
        for at in places or range(0, len(data), 1 << 15):
            data[at] ^= 1
        image.write_bytes(data)

    assert not load().cached
    shutil.rmtree(tmp_path / "hub")
    damage(70_000)
    hub.sent = 0
    stats = load()
    assert stats.cached and stats.mended == 1 << 15
    assert 2 * 4096 < hub.sent < len(MODEL) // 2
    hub.sent = 0
    assert load().cached and not hub.sent

    damage()  # all of it: then the file is fetched, and checked, as ever
    stats = load()
    assert not stats.cached and "missing or altered" in stats.dropped
    assert hub.sent >= len(MODEL) and cached(HubAddress(NAME, "tiny-Q4_0.gguf"))

    shutil.rmtree(tmp_path / "hub")
    damage(70_000)
    hub.repositories.clear()
    with pytest.raises(ModelLost, match=r"cannot be mended: .*needs an access token"):
        load()
