"""All of the page's Python can be imported where there is no page: so it stands in snapshots of Python."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from types import ModuleType

import pytest

FOREIGN = {
    "pyodide": (),
    "pyodide.ffi": ("JsException", "create_proxy", "run_sync"),
    "pyodide.http": ("pyfetch",),
}


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
