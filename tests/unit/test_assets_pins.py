"""The pins agree with each other, and the code that uses them needs no package."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

from sotto import assets
from sotto.assets import DEFAULT_MODEL, default_cache, default_model, known_models, model_path
from sotto.assets.pins import MODELS, PYODIDE, RUNTIME, File
from sotto.errors import AssetError

FILES = [file for group in (*RUNTIME, *MODELS.values()) for file in group.files]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.path)
def test_a_pin_is_complete(file: File) -> None:
    assert re.fullmatch("[0-9a-f]{64}", file.sha256)
    assert file.path == str(PurePosixPath(file.path))
    assert file.path.split("/")[0] in ("runtime", "models")
    assert all(url.startswith("https://") and url.endswith("/" + file.name) for url in file.urls)
    if file.text:
        assert file.size == len(file.text.encode())
        assert file.sha256 == hashlib.sha256(file.text.encode()).hexdigest()
    else:
        assert sum(part.size for part in file.parts) == file.size
    for part in file.parts:
        assert re.fullmatch("[0-9a-f]{64}", part.package.sha256)
        assert re.fullmatch(r"[\w-]+==[\d.]+|@?[\w./-]+@[\d.]+", part.package.requirement)


def test_no_path_is_pinned_twice() -> None:
    assert len({file.path for file in FILES}) == len(FILES)


def test_the_package_index_lists_exactly_the_wheels_that_are_there() -> None:
    files = {file.name: file for file in PYODIDE.files}
    packages = json.loads(files["pyodide-lock.json"].text)["packages"]
    listed = {package["file_name"]: package["sha256"] for package in packages.values()}
    assert listed == {name: file.sha256 for name, file in files.items() if name.endswith(".whl")}
    assert set(packages) == {"numpy", "micropip"}


def test_the_standard_library_is_enough() -> None:
    code = """
import sys
import sotto.assets, sotto.site.server, sotto.site.site
outside = {name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names) - {"sotto"}
print(sorted(name for name in outside if not name.startswith("_")))
"""
    source = str(Path(assets.__file__).parents[2])
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {source!r})\n{code}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert result.stdout.strip() == "[]"


def test_names_of_models(tmp_path: Path) -> None:
    assert DEFAULT_MODEL in known_models()
    with pytest.raises(AssetError, match="no model named 'gemma-9'") as caught:
        model_path("gemma-9", tmp_path)
    assert DEFAULT_MODEL in caught.value.hint


def test_where_the_cache_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOTTO_CACHE", raising=False)
    assert default_cache() == Path(assets.__file__).resolve().parents[3] / ".cache"
    monkeypatch.setenv("SOTTO_CACHE", str(tmp_path))
    assert default_cache() == tmp_path


def test_the_default_model_is_fetched_into_the_chosen_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No package can be had, so the error shows which file was wanted and that it was looked for here.
    monkeypatch.setenv("SOTTO_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.delenv("PIP_INDEX_URL", raising=False)
    with pytest.raises(AssetError, match=r"models/gemma-3-270m-q4_k_m\.gguf \(253 MB\) could not be fetched"):
        default_model()
    assert (tmp_path / "downloads").is_dir()
