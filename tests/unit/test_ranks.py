"""A module imports lower ranks only, so that the flow goes one way."""

from __future__ import annotations

import ast
from pathlib import Path

import sotto

PACKAGE = Path(sotto.__file__).parent
RANKS = {
    "errors": 0, "source": 0, "gguf": 0, "quant": 0, "tokenizer": 0, "chat": 0, "prompts": 0, "sampler": 0,
    "kept": 0, "speculation": 0, "reports": 0, "wgsl": 0, "plan": 0, "pace": 0, "assets": 0, "device": 0,
    "variants": 0,
    "layout": 1, "compiled": 1, "weights": 1, "ops": 1, "memory": 1, "trials": 1,
    "models": 2, "selection": 2,
    "reference": 3, "reference_call": 3, "reference_decode": 3, "recording": 3, "known_answer": 3,
    "answers": 3, "samples": 3,
    "tuned": 3, "tuning": 3, "loading": 3, "session": 3, "generation": 3, "engine": 3, "cpu": 3,
    "native": 4, "api": 4, "disk": 4, "web": 4, "webcpu": 4, "wasm": 4, "synthetic": 4,
    "bench": 5, "page": 5, "cli": 6, "__main__": 7, "__init__": 7,
}  # fmt: skip
OUTSIDE = {  # third-party modules, and the ranks that may import them
    "numpy": range(8),
    "wgpudawn": range(4, 5),
    "wasmtime": (1, 4),  # 1: the conversion of weights
    "js": range(4, 6),
    "pyodide": range(4, 6),
    "pyscript": range(4, 6),
    "click": range(6, 8),
    "rich": range(6, 8),
    "platformdirs": range(8),
}
STANDARD = set(__import__("sys").stdlib_module_names)


def imports(path: Path) -> list[tuple[str, str]]:
    """("inside", module of sotto) or ("outside", top-level name) for every import in a file."""
    folder = path.relative_to(PACKAGE).parent.parts
    found = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found += [("outside", a.name.split(".")[0]) for a in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            top, *rest = str(node.module).split(".")
            if top != "sotto":
                found.append(("outside", top))
            else:
                found += [("inside", rest[0])] if rest else [("inside", a.name) for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = folder[: len(folder) - node.level + 1]
            parts = (*base, *(node.module.split(".") if node.module else ()))
            found += [("inside", parts[0])] if parts else [("inside", a.name) for a in node.names]
    return found


def module_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def test_imports_go_down_only() -> None:
    wrong = []
    files = [p for p in PACKAGE.rglob("*.py") if "kernels" not in p.parts]
    assert len(files) > 20
    for path in files:
        name = module_of(path)
        assert name in RANKS, f"{name} has no rank: add it to RANKS"
        for kind, target in imports(path):
            if kind == "inside" and target != name:
                if target not in RANKS:
                    continue  # a name defined in __init__
                if RANKS[target] > RANKS[name]:
                    wrong.append(f"{name} (rank {RANKS[name]}) imports {target} (rank {RANKS[target]})")
            if kind == "outside" and target not in STANDARD and RANKS[name] not in OUTSIDE.get(target, ()):
                wrong.append(f"{path.relative_to(PACKAGE)} imports {target}")
    assert wrong == []


def test_architectures_do_not_import_each_other() -> None:
    files = {p.stem for p in (PACKAGE / "models").glob("*.py")} - {"__init__", "base"}
    for name in files:
        text = (PACKAGE / "models" / f"{name}.py").read_text("utf-8")
        tree = ast.parse(text)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.level == 1:
                names = {node.module, *(a.name for a in node.names)}
                assert not names & (files - {name})
