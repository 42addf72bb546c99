"""Adapters in the library, side by side with models: kept by their content, found by name, used without their files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import lora
import tiny
from sotto import api
from sotto.api import drive
from sotto.cli import sotto
from sotto.errors import FormatError, SottoError, StoreDamaged
from sotto.library import adapters as shelf
from sotto.library.library import Entry, Library
from sotto.native.disk import DiskStore

SHAPES = lora.shapes_of(tiny.build(tiny.Tiny(layers=1)))


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DiskStore:
    """The usual one of a computer of its own."""
    monkeypatch.setenv("SOTTO_CACHE", str(tmp_path / "cache"))
    return DiskStore(tmp_path / "cache" / "weights")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An adapter as PEFT writes it."""
    return lora.written(lora.files(lora.halves(SHAPES, 4)), tmp_path / "posts")


def keep(store: DiskStore, path: Path, origin: str = "") -> Entry:
    """Keep the adapter of a path."""
    source = api.files.adapter_source(path)
    try:
        return drive(shelf.keep(store, source, origin))[0]
    finally:
        source.close()


def test_an_adapter_is_kept_and_used_without_its_files(
    tmp_path: Path, folder: Path, store: DiskStore
) -> None:
    other = lora.written(lora.files(lora.halves(SHAPES, 2, seed=1)), tmp_path / "other")
    before = api.read_adapter(folder)
    entry, again = keep(store, folder, "here"), keep(store, folder)
    assert entry.key == again.key and again.about.origin == "here", "the same content is one entry"
    assert (entry.title, entry.about.base, entry.about.format) == ("posts", "google/gemma-3-270m", "PEFT")
    library = Library(store)
    assert drive(library.entries()) == [] and [each.key for each in drive(library.adapters())] == [entry.key]
    shutil.rmtree(folder)
    keep(store, other)  # what is kept next leaves it where it is
    drive(library.rename(again, "mine"))
    for name in ("mine", entry.digits):
        found = api.read_adapter(name)
        assert found.name == "mine"
        for matrix, factors in before.factors.items():
            np.testing.assert_array_equal(found.factors[matrix].a, factors.a)
    drive(library.remove(drive(library.find("mine"))))
    with pytest.raises(SottoError, match="does not exist"):
        api.read_adapter("mine")


def test_what_is_no_adapter_or_damaged_is_told(tmp_path: Path, folder: Path, store: DiskStore) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(tiny.build(tiny.Tiny(layers=1)))
    with pytest.raises(FormatError, match="is a model, not an adapter"):
        keep(store, path)
    entry = keep(store, folder)
    image = max(store.folder.glob("*/*"), key=lambda file: file.stat().st_size)
    data = bytearray(image.read_bytes())
    data[len(data) // 2] ^= 1
    image.write_bytes(data)
    with pytest.raises(StoreDamaged):
        drive(shelf.read(store, entry))
    with pytest.raises(StoreDamaged):
        drive(shelf.read(store, entry))


def test_on_the_command_line(folder: Path) -> None:
    def run(*words: str) -> str:
        result = CliRunner().invoke(sotto, words, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    assert "--lora posts" in run("pull", str(folder))
    shown = run("models")
    assert "posts" in shown and "google/gemma-3-270m" in shown
    (facts,) = json.loads(run("models", "--rename", "posts", "mine", "--json"))["adapters"]
    assert (facts["name"], facts["format"], facts["origin"]) == ("mine", "PEFT", str(folder))
    assert "Deleted the adapter mine" in run("rm", "mine")
    assert json.loads(run("models", "--json"))["adapters"] == []
