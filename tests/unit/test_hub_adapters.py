"""Adapters from a hub, natively: known by their headers before they are fetched, held against the models that are here,
fetched, checked, kept beside the models, and used."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from test_litert_adapter import file as litert_file
from test_litert_adapter import tensors as litert_tensors

import lora
import tiny
from local_hub import Fault, Hub, Repository, own_caches, serve_hub
from sotto import api
from sotto.api import drive
from sotto.cli import sotto
from sotto.devices.reference.device import NumpyDevice
from sotto.engine.engine import Engine
from sotto.errors import AssetError, SottoError
from sotto.library.address import HubAddress
from sotto.library.library import Library
from sotto.library.offers import Offer, choose
from sotto.native import hub as native
from sotto.native.disk import DiskStore
from sotto.native.files import find_model
from sotto.reports import Settings

RUNS = {"gemma3"}.__contains__
MODEL = tiny.build(tiny.Tiny(layers=2))
SHAPES = lora.shapes_of(MODEL)
HALVES = lora.halves(SHAPES, 64)
PEFT = lora.files(HALVES)
NAME, OTHER = "owner/posts", "owner/others"
TOKEN = "hf_accepted"


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DiskStore:
    """What is kept in the caches of this test's own."""
    return DiskStore(own_caches(tmp_path, monkeypatch) / "weights")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serve_hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        hub.tokens |= {TOKEN}
        hub.accepted |= {TOKEN}
        hub.repositories[NAME] = Repository({"README.md": b"#", **PEFT}, licence="mit")
        larger = lora.shapes_of(tiny.build(tiny.Tiny(layers=3)))
        hub.repositories[OTHER] = Repository(
            {
                "tiny-Q4_0.gguf": MODEL,
                "looks-like-a-model-Q4_0.gguf": lora.gguf(
                    lora.halves(larger, 2),
                    **{"general.base_model.0.name": "Larger"},
                ),
                "phone.tflite": litert_file(litert_tensors()),
                "other.tflite": b"\x1c\0\0\0TFL3" + bytes(100),
                "dora/adapter_config.json": lora.files(HALVES, use_dora=True)["adapter_config.json"],
                "dora/adapter_model.safetensors": PEFT["adapter_model.safetensors"],
                "pickle/adapter_config.json": PEFT["adapter_config.json"],
                "pickle/adapter_model.bin": b"PK\x03\x04" + bytes(5000),
                "step-100/adapter_config.json": PEFT["adapter_config.json"],
                "step-100/adapter_model.safetensors": PEFT["adapter_model.safetensors"],
            }
        )
        yield hub


def looked(name: str) -> dict[str, Offer]:
    return {offer.path: offer for offer in native.look(HubAddress(name), RUNS)[1]}


def run(*arguments: str) -> str:
    """What a command says. Raises what it does."""
    return CliRunner().invoke(sotto, arguments, catch_exceptions=False).output


def keep_a_model(store: DiskStore, data: bytes, title: str, tmp_path: Path) -> None:
    """Have a model in the library, converted."""
    path = tmp_path / f"{title}.gguf"
    path.write_bytes(data)
    found = find_model(path, lambda report: None)
    drive(Engine.load(found.source, NumpyDevice(), store, Settings(context=32, chunks=(8,)))).close()
    drive(Library(store).used(found.source.key, found.about))
    found.source.close()


# --- before anything is fetched


def test_an_adapter_is_known_by_its_headers(hub: Hub) -> None:
    offer = looked(NAME)["adapter_model.safetensors"]
    assert (offer.adapter, offer.format, offer.why_not, offer.recommended) == (True, "PEFT", "", True)
    assert offer.outline and offer.outline.base == "google/gemma-3-270m"
    assert offer.outline.name == NAME and offer.nbytes == sum(map(len, PEFT.values()))
    assert offer.outline == drive(api.formats.open_adapter(lora.folder(PEFT, NAME))).outline
    assert offer.outline.fits(SHAPES) and len(offer.outline.shapes) == len(SHAPES)
    assert 0 < hub.sent < len(PEFT["adapter_model.safetensors"]) / 10


def test_names_are_not_believed(hub: Hub) -> None:
    found = looked(OTHER)
    model, gguf = found["tiny-Q4_0.gguf"], found["looks-like-a-model-Q4_0.gguf"]
    assert model.recommended and not model.adapter, "where there is a model, that is what is recommended"
    assert gguf.adapter and gguf.outline and gguf.outline.base == "Larger"
    assert not gguf.outline.fits(SHAPES) and gguf.outline.fits(
        lora.shapes_of(tiny.build(tiny.Tiny(layers=3)))
    )
    phone = found["phone.tflite"]
    assert phone.adapter and phone.outline and phone.format == "LiteRT" and len(phone.outline.shapes) == 8
    assert not found["other.tflite"].adapter and ".tflite are not read" in found["other.tflite"].why_not
    assert "DoRA" in found["dora/adapter_model.safetensors"].why_not
    assert "pickle" in found["pickle/adapter_model.bin"].why_not
    step = found["step-100/adapter_model.safetensors"]
    assert step.outline and step.outline.name == f"{OTHER}/step-100"
    described, offered = native.look(HubAddress(OTHER), RUNS)
    for file in ("step-100", "step-100/adapter_model.safetensors"):
        assert choose(described, offered, file).path == step.path
    for file, why in (("dora", "DoRA"), ("pickle/adapter_model.bin", "pickle")):
        with pytest.raises(SottoError, match=why):
            choose(described, offered, file)


def test_what_fits_is_said_before_anything_is_fetched(hub: Hub, store: DiskStore, tmp_path: Path) -> None:
    assert "fits none of the models" in run("pull", NAME, "--list")
    keep_a_model(store, MODEL, "two", tmp_path)
    keep_a_model(store, tiny.build(tiny.Tiny(layers=1)), "one", tmp_path)
    listed = run("pull", NAME, "--list")
    assert "LoRA adapter" in listed and "google/gemma-3-270m" in listed
    (facts,) = json.loads(run("pull", NAME, "--list", "--json"))["files"]
    assert facts["adapter"] and facts["fits"] == ["two.gguf"] and facts["base"] == "google/gemma-3-270m"
    assert not list((tmp_path / "hub").glob("**/adapter_model.safetensors"))


# --- fetched


def test_it_is_fetched_kept_and_used(hub: Hub, store: DiskStore, tmp_path: Path) -> None:
    keep_a_model(store, MODEL, "two", tmp_path)
    said = run("pull", NAME)
    assert f"--lora {NAME}" in said and "It fits two.gguf." in said
    (entry,) = json.loads(run("models", "--json"))["adapters"]
    assert (entry["name"], entry["origin"]) == (NAME, f"{NAME}:adapter_model.safetensors")
    assert (entry["licence"], entry["base"], entry["format"]) == ("mit", "google/gemma-3-270m", "PEFT")
    assert entry["file_bytes"] == sum(map(len, PEFT.values()))

    # From the library, by its name or where it came from, without the hub.
    before = len(hub.requests)
    for name in (NAME, f"{NAME}:adapter_model.safetensors"):
        adapter = api.read_adapter(name)
        assert adapter.outline.shapes == drive(api.formats.open_adapter(lora.folder(PEFT))).outline.shapes
    source = find_model(tmp_path / "two.gguf", lambda report: None).source
    settings = Settings(context=32, chunks=(8,))
    engine = drive(Engine.load(source, NumpyDevice(), store, settings, adapters=[(NAME, adapter, 1.0)]))
    assert list(engine.adapters_on) == [NAME]
    engine.close()
    source.close()
    assert len(hub.requests) == before

    # Again, or from a copy on the disk: one entry.
    run("pull", NAME)
    run("pull", str(lora.written(PEFT, tmp_path / "copy")))
    assert len(json.loads(run("models", "--json"))["adapters"]) == 1
    run("rm", NAME)
    assert not json.loads(run("models", "--json"))["adapters"]


@pytest.mark.parametrize("file", ["looks-like-a-model-Q4_0.gguf", "phone.tflite", "step-100"])
def test_every_kind_is_kept(hub: Hub, file: str) -> None:
    kept = json.loads(run("pull", f"{OTHER}:{file}", "--json"))
    name = f"{OTHER}/step-100" if file == "step-100" else file
    assert kept["adapter"] == name and api.read_adapter(name).name == name


def test_a_broken_line_and_a_wrong_hash(hub: Hub, store: DiskStore) -> None:
    looks = [None] * 3  # the beginnings of both files, and the rest of a header
    hub.faults += [*looks, Fault(cut=10_000), Fault(cut=5000)]
    run("pull", NAME)
    assert len(drive(Library(store).adapters())) == 1
    run("rm", NAME)
    wrong = lora.files(lora.halves(SHAPES, 2))
    hub.repositories["owner/wrong"] = Repository(wrong, announced={"adapter_model.safetensors": "0" * 64})
    with pytest.raises(AssetError, match="not what the hub says it is"):
        run("pull", "owner/wrong")
    assert not drive(Library(store).adapters())


def test_the_terms_come_before_it(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.repositories[NAME].gated = True
    with pytest.raises(AssetError, match="needs an access token"):
        run("pull", NAME)
    assert not hub.sent
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    run("pull", NAME)


def test_an_adapter_is_no_model(hub: Hub) -> None:
    for name in (NAME, f"{OTHER}:phone.tflite"):
        sent = hub.sent
        with pytest.raises(SottoError, match="is a LoRA adapter") as told:
            find_model(name, lambda report: None, runs=RUNS)
        assert f"sotto pull {name}" in told.value.hint
        assert hub.sent - sent < 2 * len(PEFT["adapter_model.safetensors"]) / 10
