"""The site as a folder for a static host."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import unquote

import pytest

import small_site
from sotto.errors import SottoError
from sotto.site.export import LIST, export
from sotto.site.policy import HEADERS
from sotto.site.site import ADAPTER_FILES, WORKER, OfferedModel, Site

MODEL = bytes(range(256)) * 100
PARTS = 10_000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return small_site.build(tmp_path)


@pytest.fixture
def site(root: Path) -> Site:
    (root / "mine").mkdir()
    (root / "mine/my model.gguf").write_bytes(MODEL)
    for name in ADAPTER_FILES:
        (root / "mine" / name).write_text(name)
    return Site(root, root / "cache", [OfferedModel("mine", root / "mine/my model.gguf", root / "mine")])


def listed(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def joined(folder: Path, row: dict[str, object]) -> bytes:
    """The parts of a file, end to end, each as long as the list says."""
    whole = b""
    parts = row["parts"]
    assert isinstance(parts, list)
    for part in parts:
        data = (folder / unquote(part["url"])).read_bytes()
        assert len(data) == part["size"] <= PARTS
        whole += data
    return whole


def test_everything_that_the_server_would_give_is_there(site: Site, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    written = export(site, folder, PARTS, with_model=True)
    assert {path.as_posix() for path in written} == listed(folder)
    for address in (*site.addresses(), WORKER):
        resource = site.find(f"/{address}")
        assert resource is not None
        with resource.open() as file:
            assert (folder / (address or "index.html")).read_bytes() == file.read()
    headers = (folder / "_headers").read_text().splitlines()
    assert headers == ["/*", *(f"  {name}: {value}" for name, value in HEADERS.items())]
    assert (folder / ".nojekyll").is_file()

    models = json.loads((folder / "models.json").read_bytes())
    (row,) = models["models"]
    assert models["default"] == row["name"] == "mine"
    assert len(row["parts"]) == 3
    assert joined(folder, row) == MODEL
    for file in row["adapter"]["files"]:
        assert joined(folder, file) == file["name"].encode()


def test_without_a_model_there_is_none(site: Site, tmp_path: Path) -> None:
    export(site, tmp_path / "out", with_model=False)
    assert json.loads((tmp_path / "out/models.json").read_bytes()) == {"default": "", "models": []}
    assert not (tmp_path / "out/models").exists()


def test_the_next_export_takes_the_place_of_the_last(site: Site, root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    (folder / ".git").mkdir(parents=True)
    export(site, folder, PARTS, with_model=True)
    before = listed(folder)
    (folder / "CNAME").write_text("sotto.example")
    (root / "mine/my model.gguf").write_bytes(MODEL[:PARTS])
    export(site, folder, PARTS, with_model=True)
    after = listed(folder)
    assert len([name for name in after if name.startswith("models/")]) == 1
    assert "CNAME" in after
    assert not {name for name in before & after if name.startswith("models/")}, "another version, other names"


def test_a_folder_with_something_else_is_left_alone(site: Site, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.txt").write_text("mine")
    with pytest.raises(SottoError, match="is not empty, and holds no site"):
        export(site, tmp_path / "out", with_model=False)
    assert listed(tmp_path / "out") == {"thesis.txt"}


def test_a_list_that_names_files_elsewhere_removes_none(site: Site, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "out" / LIST).write_text("../mine.txt\n")
    export(site, tmp_path / "out", with_model=False)
    assert (tmp_path / "mine.txt").is_file()


def test_a_page_larger_than_a_part_is_refused_and_can_be_exported_again(site: Site, tmp_path: Path) -> None:
    with pytest.raises(SottoError, match="more than a part may have"):
        export(site, tmp_path / "out", 12, with_model=False)
    export(site, tmp_path / "out", with_model=False)


def test_a_folder_that_cannot_be_written_to(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SottoError, match="cannot be written to"):
        export(site, tmp_path / "file" / "out", with_model=False)
