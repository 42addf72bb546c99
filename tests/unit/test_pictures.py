"""The pictures in docs/images are those that docs/pictures.py takes, and each is shown somewhere."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def test_every_picture_is_taken_by_the_script_and_shown() -> None:
    script = ast.parse((DOCS / "pictures.py").read_text("utf-8"))
    (taken,) = (
        ast.literal_eval(node.value)
        for node in script.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "SHOWN"
    )
    texts = [path.read_text("utf-8") for path in (ROOT / "README.md", *DOCS.rglob("*.md"))]
    shown = {name for text in texts for name in re.findall(r"\((?:docs/|\.\./)?images/([\w-]+)\.png\)", text)}
    there = {path.stem for path in (DOCS / "images").glob("*.png")}
    assert set(taken) == there == shown
