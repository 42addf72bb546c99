"""A room imports lower rooms only, so that the flow goes one way; inside a room nothing goes round in a circle."""

from __future__ import annotations

import ast
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import sotto

PACKAGE = Path(sotto.__file__).parent
RANKS = {  # room, or module of the root, by how much of the house it may know
    "errors": -2, "driving": -1, "values": -1, "reports": 0, "paths": 0, "device": 0, "documents": 0, "model_files": 0,
    "source": 1, "store": 1, "text": 1, "assets": 1,
    "formats": 2, "site": 2, "tasks": 2,
    "weights": 3,
    "plan": 4, "library": 4,
    "ops": 5, "devices": 5,
    "models": 6, "native": 6, "browser": 6,
    "tuning": 7,
    "engine": 8,
    "api": 9,
    "bench": 10,
    "cli": 11, "page": 11,
    "__main__": 12, "__init__": 12,
}  # fmt: skip
OUTSIDE = {  # third-party modules, and the rooms that may import them
    "numpy": {room for room, rank in RANKS.items() if rank > 0 or room == "device"},
    "wgpudawn": {"native"},
    "huggingface_hub": {"native"},
    "tqdm": {"native"},  # comes with it
    "wasmtime": {"native", "weights"},  # weights: the conversion in C
    "js": {"browser"},
    "pyodide": {"browser", "page"},
    "pyscript": set(),  # page/web.py hands out what is in it
    "click": {"cli"},
    "rich": {"cli"},
    "platformdirs": {"assets"},
    "pypdf": {"documents"},
    "mammoth": {"documents"},
}


def files() -> list[Path]:
    """Every module of the package."""
    found = [path for path in PACKAGE.rglob("*.py") if "kernels" not in path.parts[len(PACKAGE.parts) :][:1]]
    assert len(found) > 20
    return found


def room_of(module: str) -> str:
    """The room of a module, or the module itself where it stands in the root."""
    return module.split(".", maxsplit=1)[0]


def name_of(path: Path) -> str:
    """The dotted name below `sotto`; a package's is that of its folder."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


def imports(path: Path, modules: set[str]) -> list[tuple[str, str]]:
    """("inside", module of sotto) or ("outside", top-level name) for every import in a file."""
    folder = path.relative_to(PACKAGE).parent.parts
    found = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found += [("outside", alias.name.split(".")[0]) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            words = (node.module or "").split(".") if node.module else []
            if node.level == 0 and words[0] != "sotto":
                found.append(("outside", words[0]))
                continue
            base = words[1:] if node.level == 0 else [*folder[: len(folder) - node.level + 1], *words]
            for alias in node.names:
                whole = ".".join([*base, alias.name])
                found.append(("inside", whole if whole in modules else ".".join(base)))
    return found


def graph() -> dict[str, set[str]]:
    """The modules of sotto, and which of them each imports."""
    paths = {name_of(path): path for path in files()}
    names = set(paths)
    return {
        name: {to for kind, to in imports(path, names) if kind == "inside" and to in names and to != name}
        for name, path in paths.items()
    }


def test_every_room_has_a_rank() -> None:
    assert {room_of(name) for name in graph()} == RANKS.keys()


def test_imports_go_down_only() -> None:
    wrong = [
        f"{name} imports {to}"
        for name, targets in graph().items()
        for to in targets
        if room_of(to) != room_of(name) and RANKS[room_of(to)] >= RANKS[room_of(name)]
    ]
    assert wrong == []


def circle(arrows: dict[str, set[str]]) -> list[str]:
    """Names that go round in a circle; none where there is no circle."""
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_nothing_goes_round() -> None:
    arrows = graph()
    assert circle(arrows) == []
    within = {
        name: {to for to in targets if RANKS[room_of(to)] == RANKS[room_of(name)]}
        for name, targets in arrows.items()
    }
    assert circle(within) == []


@pytest.mark.parametrize("arrows", [{"a": {"b"}, "b": {"a"}}, {"a": {"b"}, "b": {"c"}, "c": {"a"}}])
def test_a_circle_is_seen(arrows: dict[str, set[str]]) -> None:
    assert set(circle(arrows)) == set(arrows)


def test_only_the_hosts_import_what_is_not_everywhere() -> None:
    names = {name_of(path) for path in files()}
    wrong = [
        f"{name_of(path)} imports {target}"
        for path in files()
        for kind, target in imports(path, names)
        if kind == "outside"
        and target not in sys.stdlib_module_names
        and room_of(name_of(path)) not in OUTSIDE.get(target, set())
    ]
    assert wrong == []


def test_architectures_do_not_import_each_other() -> None:
    arrows = graph()
    shared = {"models", *(f"models.{name}" for name in ("base", "declared", "recorder", "synthetic"))}
    architectures = {name for name in arrows if room_of(name) == "models"} - shared
    assert [f"{name} imports {to}" for name in architectures for to in arrows[name] & architectures] == []
