"""wasmtime keeps the compiled CPU kernels: the next start finds them."""

from __future__ import annotations

from pathlib import Path

import pytest

from sotto.assets.cache import CACHE_VARIABLE
from sotto.native.wasm import WasmtimeMachine


def kept(folder: Path) -> dict[Path, int]:
    """The compiled modules and when they were written."""
    return {
        path: path.stat().st_mtime_ns
        for path in (folder / "compiled" / "modules").rglob("*")
        if path.is_file() and not path.suffix
    }


def test_the_next_start_finds_what_was_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / 'a "folder"'))
    first = WasmtimeMachine()
    found = kept(tmp_path / 'a "folder"')
    assert found
    assert WasmtimeMachine().heap == first.heap
    assert kept(tmp_path / 'a "folder"') == found  # nothing was compiled again
    WasmtimeMachine(relaxed=False)
    assert len(kept(tmp_path / 'a "folder"')) > len(found)  # another module


def test_without_a_folder_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "no folder"
    place.write_text("")
    monkeypatch.setenv(CACHE_VARIABLE, str(place))
    assert WasmtimeMachine().heap
    assert place.read_text() == ""
