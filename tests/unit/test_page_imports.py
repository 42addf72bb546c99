"""All of the page's Python can be imported where there is no page: so it stands in snapshots of Python."""

from __future__ import annotations

import importlib
import json
import pkgutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

from sotto.page import web

ROOT = Path(__file__).resolve().parents[2]
FOREIGN = {
    "pyodide": (),
    "pyodide.ffi": ("JsException", "create_proxy", "run_sync"),
    "pyodide.http": ("pyfetch",),
}


def test_it_is_known_which_modules_are_the_pages() -> None:
    html = (ROOT / "web" / "index.html").read_text("utf-8")
    config = json.loads(html.partition("config='")[2].partition("'")[0])
    assert set(web.OF_PAGE) == set(config["js_modules"]["main"].values())


def test_every_module_can_be_imported_without_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, attributes in FOREIGN.items():
        module = ModuleType(name)
        for attribute in attributes:
            setattr(module, attribute, None)
        monkeypatch.setitem(sys.modules, name, module)
    for name in ("js", "pyscript", "polyscript"):
        monkeypatch.setitem(sys.modules, name, None)
    before = set(sys.modules)
    package = importlib.import_module("sotto.page")
    found = [each.name for each in pkgutil.walk_packages(package.__path__, "sotto.page.")]
    assert "sotto.page.screens.post" in found
    for name in found:
        importlib.import_module(name)
    assert not {"window", "document"} & set(vars(sys.modules["sotto.page.web"]))
    for name in set(sys.modules) - before:
        del sys.modules[name]
