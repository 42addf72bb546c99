"""The page's JavaScript passes a type checker: its JSDoc comments say what everything is."""

from __future__ import annotations

import json
import re
from pathlib import Path

import typescript

ROOT = Path(__file__).resolve().parents[2]
PROJECT = ROOT / "tests" / "types"


def test_types() -> None:
    assert typescript.check(PROJECT) == []


FAULTS = {
    "export const length = (text) => text.length;": "TS7006",  # a parameter without a type
    "/** @param {number} size */\nexport const twice = (size) => size.length;": "TS2339",
    '/** @returns {number} */\nexport const three = () => "3";': "TS2322",
    'export const id = document.getElementById("a").id;': "TS2531",
    "/** @param {GPUDevice} device */\nexport const write = (device) => device.queue.write();": "TS2339",
}


def test_faults_are_seen(tmp_path: Path) -> None:
    """The checker is there and strict: otherwise the test above could not fail."""
    for number, text in enumerate(FAULTS):
        (tmp_path / f"faulty{number}.js").write_text(text)
    config = {"extends": (PROJECT / "tsconfig.json").as_posix(), "include": ["*.js"]}
    (tmp_path / "tsconfig.json").write_text(json.dumps(config))
    found = sorted(re.sub(r"\(.*error (\w+):.*", r" \1", line) for line in typescript.check(tmp_path))
    assert found == [f"faulty{number}.js {fault}" for number, fault in enumerate(FAULTS.values())]
