"""Folders of transformers at a hub, natively: known by their headers before they are fetched, refused by name, one
offer of several files, fetched, checked, kept, and found again without the hub."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

import hugging
import lora
import tiny
from local_hub import Fault, Hub, Repository, own_caches, serve_hub
from sotto.api import drive
from sotto.cli import sotto
from sotto.devices.reference.device import NumpyDevice
from sotto.engine.engine import Engine
from sotto.errors import AssetError, SottoError
from sotto.library.address import HubAddress
from sotto.library.library import Library
from sotto.library.offers import Offer, choose
from sotto.model_files import INDEX
from sotto.native import disk
from sotto.native import hub as native
from sotto.native.disk import DiskStore
from sotto.native.files import find_model
from sotto.reports import LoadStats, Settings
from sotto.weights import reads

RUNS = {"gemma3"}.__contains__
SIZES = tiny.Tiny(layers=2, chat=True)
FILES = hugging.files(SIZES, shards=3)
FIRST = "model-00001-of-00003.safetensors"
SMALL = sorted(name for name in FILES if not name.endswith(".safetensors"))
NAME = "owner/tiny-it"
NEVER = {"README.md": b"#", "pytorch_model.bin": b"PK\x03\x04" + bytes(9000), "tokenizer.model": bytes(9000)}


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DiskStore:
    """What is kept in the caches of this test's own."""
    return DiskStore(own_caches(tmp_path, monkeypatch) / "weights")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serve_hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        hub.repositories[NAME] = Repository({**FILES, **NEVER})
        yield hub


def offered(hub: Hub, files: dict[str, bytes]) -> dict[str, Offer]:
    """What a repository with these files offers, by path."""
    hub.repositories["owner/other"] = Repository(files)
    return {offer.path: offer for offer in native.look(HubAddress("owner/other"), RUNS)[1]}


def changed(**changes: object) -> dict[str, bytes]:
    """The files with another config.json."""
    return {**FILES, "config.json": json.dumps(hugging.config(SIZES, **changes)).encode()}


def run(*arguments: str) -> str:
    """What a command says. Raises what it does."""
    return CliRunner().invoke(sotto, arguments, catch_exceptions=False).output


def generated(model: str | Path) -> str:
    """What a model writes."""
    how = ("-d", "cpu", "--context", "64", "-n", "4", "--temp", "0")
    return run("generate", "-m", str(model), *how, "a").splitlines()[-1]


# --- before anything is fetched


def test_a_folder_is_one_offer_known_by_its_headers(hub: Hub) -> None:
    (offer,) = native.look(HubAddress(NAME), RUNS)[1]
    assert (offer.path, offer.format, offer.why_not, offer.recommended) == (FIRST, "safetensors", "", True)
    assert (offer.type, offer.rounded) == ("BF16", "int8")
    names = [file.name for file in offer.files]
    assert names[:3] == [name for name in FILES if name.endswith(".safetensors")]
    assert sorted(names[3:]) == SMALL
    assert offer.nbytes == sum(map(len, FILES.values()))
    assert hub.sent < offer.nbytes / 10
    assert not hub.asked("pytorch_model") and not hub.asked("tokenizer")


@pytest.mark.parametrize(
    ("files", "kind", "complaint"),
    [
        (changed(quantization_config={"quant_method": "bitsandbytes"}), "quantized", "by bitsandbytes"),
        (changed(quantization_config={"quant_method": "gptq"}), "quantized", "by GPTQ"),
        (changed(quantization_config={"quant_method": "awq"}), "quantized", "by AWQ"),
        (changed(quantization_config={"quant_method": "compressed-tensors"}), "quantized", "by compressed-tensors"),
        (changed(quantization={"group_size": 64, "bits": 4}), "quantized", "by MLX"),
        (changed(model_type="llama"), "architecture", "architecture 'llama'"),
        (changed(use_bidirectional_attention=True), "architecture", "embeddings"),
        (changed(model_type=None), "files", "what kind of model"),
        ({**FILES, "config.json": b"<html>"}, "files", "config.json is not the JSON"),
        ({**FILES, INDEX: b"[]"}, "files", "not the JSON"),
        ({name: data for name, data in FILES.items() if name != FIRST}, "files", f"not there: {FIRST}"),
        ({name: data for name, data in FILES.items() if name not in (FIRST, INDEX)}, "files", "not the shards"),
        ({name: data for name, data in FILES.items() if name != "tokenizer.json"}, "files", "no tokenizer.json"),
        ({**FILES, FIRST: FILES[FIRST][:-4]}, "files", "last 4 bytes are missing"),
        ({**FILES, FIRST: FILES[FIRST].replace(b'"BF16"', b'"I16" ')}, "", ""),  # most of them are floats
    ],
)  # fmt: skip
def test_what_cannot_run_is_refused_by_name(
    hub: Hub, files: dict[str, bytes], kind: str, complaint: str
) -> None:
    offers = offered(hub, files)
    (offer,) = offers.values()
    assert offer.kind == kind and complaint in offer.why_not and offer.path.endswith(".safetensors")
    assert offer.recommended == (not kind)
    assert hub.sent < offer.nbytes / 8
    if kind:
        model = native.look(HubAddress("owner/other"), RUNS)[0]
        with pytest.raises(SottoError, match="does not run here") as told:
            choose(model, [offer], offer.path)
        assert complaint in told.value.message
        with pytest.raises(SottoError, match="has no file that runs here"):
            find_model("owner/other", lambda report: None, runs=RUNS)


def test_quantizers_are_known_by_their_tensors_too(hub: Hub) -> None:
    held = {**hugging.tensors(SIZES), "model.layers.0.mlp.up_proj.g_idx": hugging.np.zeros(8, "f4")}
    files = hugging.files(SIZES) | {"model.safetensors": hugging.safetensors(held)}
    assert "by GPTQ" in offered(hub, files)["model.safetensors"].why_not
    whole = hugging.files(SIZES)
    whole["model.safetensors"] = whole["model.safetensors"].replace(b'"BF16"', b'"I16" ')
    offer = offered(hub, whole)["model.safetensors"]
    assert offer.kind == "quantized" and "of the type I16" in offer.why_not


def test_of_another_architecture_no_header_is_read(hub: Hub) -> None:
    offered(hub, changed(model_type="llama"))
    assert not hub.asked(".safetensors")


def test_four_bits_in_a_gguf_file_are_recommended_where_both_are_there(hub: Hub) -> None:
    model = tiny.build(SIZES)
    found = offered(hub, {**FILES, "gguf/tiny-Q4_0.gguf": model})
    assert found["gguf/tiny-Q4_0.gguf"].recommended and not found[FIRST].why_not


def test_folders_within_a_repository(hub: Hub) -> None:
    inner = {f"step-100/{name}": data for name, data in FILES.items()}
    peft = lora.files(lora.halves({"layers.0.query": (64, 64)}))
    found = offered(
        hub,
        {
            **FILES,
            **inner,
            **peft,
            "model.safetensors.bak/model.safetensors": b"0",
            "step-100/model.bin": b"0",
        },
    )
    assert found[FIRST].recommended and found[f"step-100/{FIRST}"].why_not == ""
    assert found["adapter_model.safetensors"].adapter
    alone = found["model.safetensors.bak/model.safetensors"]
    assert alone.kind == "kind" and "without a config.json" in alone.why_not
    assert len(found) == 4
    model, offers = native.look(HubAddress("owner/other"), RUNS)
    for file in ("step-100", "step-100/config.json", f"step-100/{FIRST}"):
        assert choose(model, offers, file).path == f"step-100/{FIRST}"


def test_a_name_tells_what_it_was_trained_for(hub: Hub) -> None:
    hub.repositories["owner/tiny-q4_0-unquantized"] = Repository(FILES)
    (offer,) = native.look(HubAddress("owner/tiny-q4_0-unquantized"), RUNS)[1]
    assert offer.rounded == "q4_0"


# --- fetched


def test_it_is_fetched_kept_and_found_again(hub: Hub, store: DiskStore, tmp_path: Path) -> None:
    listed = run("pull", NAME, "--list")
    assert "BF16" in listed and "rounded to int8" in listed and "pytorch_model" not in listed
    (facts,) = json.loads(run("pull", NAME, "--list", "--json"))["files"]
    assert facts["recommended"] and facts["rounded"] == "int8" and len(facts["files"]) == len(FILES)
    assert not (tmp_path / "hub").exists()
    assert f"{NAME}:{FIRST}" in run("pull", NAME)
    there = {path.name for path in (tmp_path / "hub").rglob("snapshots/*/*")}
    assert there == set(FILES), "nothing but what is read"

    # Without the hub from now on; it is one entry under its name, also when the same folder lies elsewhere.
    before = len(hub.requests)
    post = generated(NAME)
    assert generated(hugging.write(tmp_path / "copy", {**FILES, **NEVER})) == post
    (entry,) = json.loads(run("models", "--json"))["models"]
    assert (entry["name"], entry["format"], entry["licence"]) == (NAME, "safetensors", "gemma")
    assert entry["file_bytes"] == sum(map(len, FILES.values()))
    shutil.rmtree(tmp_path / "hub")
    shutil.rmtree(tmp_path / "copy")
    assert generated(NAME) == post
    assert len(hub.requests) == before


def test_half_of_it_is_fetched_on(hub: Hub, tmp_path: Path) -> None:
    last = max(FILES, key=lambda name: len(FILES[name]))  # the large ones come last
    hub.repositories[NAME].announced[last] = "0" * 64
    with pytest.raises(AssetError, match="not what the hub says it is"):
        run("pull", NAME)
    hub.repositories[NAME].announced.clear()
    hub.sent = 0
    found = find_model(NAME, lambda report: None, runs=RUNS)
    assert found.source.name == NAME and hub.sent < sum(map(len, FILES.values())) * 2 / 3
    found.source.close()
    for missing in (FIRST, "tokenizer.json"):
        next((tmp_path / "hub").rglob(f"snapshots/*/{missing}")).unlink()
        before = len(hub.requests)
        find_model(NAME, lambda report: None, runs=RUNS).source.close()
        assert len(hub.requests) > before


def test_a_broken_line(hub: Hub) -> None:
    looks = hub.sent
    native.look(HubAddress(NAME), RUNS)
    looks = sum(method == "GET" and "expires" in path for method, path, _ in hub.requests)
    hub.faults += [*[None] * looks, Fault(cut=10), None, Fault(cut=100), Fault(cut=5000), Fault(cut=100)]
    assert f"{NAME}:{FIRST}" in run("pull", NAME)


def test_what_is_kept_is_mended_by_ranges(
    hub: Hub, store: DiskStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub's cache is cleared: what is read there again is known to be the same model."""
    monkeypatch.setattr(disk, "RECORD_BYTES", 1 << 15)
    monkeypatch.setattr(disk, "CHUNK_BYTES", 1 << 13)
    monkeypatch.setattr(reads, "READ_BYTES", 1 << 15)
    library = Library(store)

    def load() -> LoadStats:
        found = find_model(NAME, lambda report: None, lambda: drive(library.entries()), RUNS)
        engine = drive(Engine.load(found.source, NumpyDevice(), store, Settings(context=32, chunks=(8,))))
        drive(library.used(found.source.key, found.about))
        found.source.close()
        return engine.load_stats

    assert not load().cached
    assert load().cached, "the hub's cache is asked first"
    shutil.rmtree(tmp_path / "hub")
    (image,) = store.folder.glob(f"*/{disk.IMAGE}")
    data = bytearray(image.read_bytes())
    data[70_000] ^= 1
    image.write_bytes(data)
    hub.sent = 0
    stats = load()
    assert stats.cached and stats.mended == 1 << 15
    assert 0 < hub.sent < sum(map(len, FILES.values())) / 2
