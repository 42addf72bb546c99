"""Files that comments, docstrings and documents name are there: what has moved is named as it is called now."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("docs", "finetune", "kernels", "py", "tests", "tools", "web")
NAME = re.compile(r"(?<![\w/.{}$<-])((?:[\w-]+/)*[\w-]+\.(?:py|js|mjs|wgsl|c|h))\b(?![\w(/])")
TEST = re.compile(r"([\w/]+\.py)::(test_\w+)")
NOT_OURS = {
    "modeling_gemma3.py",  # transformers
    "models/gemma3/configuration_gemma3.py",  # likewise
    "tokenization_utils_sentencepiece.py",  # likewise
    "flag-definitions.h",  # V8
    "ggml-common.h",  # llama.cpp
    "gguf-py/gguf/constants.py",  # likewise
    "convert_lora_to_gguf.py",  # likewise
    "peft/tuners/lora/layer.py",  # PEFT
    "peft/utils/other.py",  # likewise
    "uniform_quantize_tensor.py",  # ai-edge-quantizer
    "model_asset_bundle_utils.py",  # mediapipe
    "safetensors_converter.py",  # likewise
    "generative/layers/lora.py",  # litert-torch
    "core.js",  # PyScript
    "Chart.js",
    "kernels/x.wgsl",  # any
}


def sources() -> list[Path]:
    """All text of the project's own."""
    found = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file()]
    kinds = {".py", ".js", ".wgsl", ".c", ".h", ".md", ".html", ".css"}
    own = [path for path in found if path.suffix in kinds and "__pycache__" not in path.parts]
    return sorted([*own, ROOT / "README.md", ROOT / "serve.py"])


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """Lines of a file that people read, with their numbers: all of a document, comments of a program."""
    text = path.read_text("utf-8")
    if path.suffix == ".py":
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string
        for node in ast.walk(ast.parse(text)):
            documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            if documented and ast.get_docstring(node):
                for number, line in enumerate(
                    ast.get_docstring(node, clean=False).splitlines(), node.body[0].lineno
                ):
                    yield number, line
        return
    inside = False
    for number, line in enumerate(text.splitlines(), 1):
        if path.suffix in (".js", ".wgsl", ".c", ".h"):
            inside = inside or "/*" in line
            _, mark, comment = line.partition("//")
            if inside or mark:
                yield number, line if inside else comment
            inside = inside and "*/" not in line
        else:
            yield number, line


def endings() -> set[str]:
    """Every file by its name, and by as many of its folders as a comment may name."""
    found = set()
    for path in [*ROOT.glob("*"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*"))]:
        parts = path.relative_to(ROOT).parts
        found |= {"/".join(parts[start:]) for start in range(len(parts))}
    return found


def missing(line: str, known: set[str]) -> list[str]:
    """Names of files in a line that are nobody's."""
    return [name for name in NAME.findall(line) if name not in known | NOT_OURS]


def test_named_files_are_there() -> None:
    known = endings()
    assert [
        f"{path.relative_to(ROOT)}:{number}: {name}"
        for path in sources()
        for number, line in prose(path)
        for name in missing(line, known)
    ] == []


def test_named_tests_are_there() -> None:
    named = [
        found for path in sources() if path.suffix == ".md" for found in TEST.findall(path.read_text("utf-8"))
    ]
    assert len(named) > 60
    texts = {file: (ROOT / "tests" / file).read_text("utf-8") for file, _ in named}
    assert [f"{file}::{test}" for file, test in named if f"\ndef {test}(" not in texts[file]] == []


def test_test_files_have_names_of_their_own() -> None:
    # pytest imports them by their names alone: of two it collects one, and calls the other an error.
    names = Counter(path.name for path in (ROOT / "tests").rglob("*.py") if path.name != "conftest.py")
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("as layout.py says", []),
        ("as weights/layout.py and web/store.js say", []),
        ("(quant.py), `native.py`, models/layout.py.", ["quant.py", "models/layout.py"]),
        ("kernels/gone.wgsl: see gone.js", ["kernels/gone.wgsl", "gone.js"]),
        ("transformers' modeling_gemma3.py", []),
        ("x.py(1) is no file, nor is $x/y.py", []),
    ],
)
def test_a_file_that_is_gone_is_found(line: str, names: list[str]) -> None:
    assert missing(line, {"layout.py", "weights/layout.py", "web/store.js", "native.py"}) == names
