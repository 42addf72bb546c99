"""The pictures are those that docs/pictures.py takes, and each is shown somewhere."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PICTURE = re.compile(
    r"\((?:docs/|\.\./)?(?:images|web/screenshots)/([\w-]+)\.png\)|\"screenshots/([\w-]+)\.png\""
)


def test_every_picture_is_taken_by_the_script_and_shown() -> None:
    script = ast.parse((DOCS / "pictures.py").read_text("utf-8"))
    (taken,) = (
        node.value
        for node in script.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "SHOWN"
    )
    assert isinstance(taken, ast.Dict)
    names = {ast.literal_eval(name) for name in taken.keys if name}
    texts = (ROOT / "README.md", ROOT / "web" / "manifest.webmanifest", *DOCS.rglob("*.md"))
    shown = {"".join(found) for path in texts for found in PICTURE.findall(path.read_text("utf-8"))}
    folders = (DOCS / "images", ROOT / "web" / "screenshots")
    there = {path.stem for folder in folders for path in folder.glob("*.png")}
    assert names == there == shown
