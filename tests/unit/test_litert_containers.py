"""Containers that Google's own tools wrote of one tiny model (tests/golden/README.md): read as what they hold.

Their codes are zeros here, their scales are not: the largest number of a row over the largest code, which tells every
matrix from any other, whatever it is called and wherever it stands.
"""

from __future__ import annotations

import lzma
from pathlib import Path

import numpy as np
import pytest

from sotto import formats
from sotto.api import drive, iterate
from sotto.devices.reference.device import NumpyDevice
from sotto.engine.engine import Engine
from sotto.formats.checkpoint import Checkpoint, TensorInfo
from sotto.reports import Settings
from sotto.source import MemorySource
from sotto.text.sampler import Sampling
from sotto.text.tokenizer import Tokenizer

GOLDEN = Path(__file__).parents[1] / "golden" / "litert"
FILES = {path.stem: lzma.decompress(path.read_bytes()) for path in GOLDEN.glob("*.xz")}
CHECKPOINTS = {name: drive(formats.open(MemorySource(data, name, name))) for name, data in FILES.items()}
INT4, INT8, WEB = "tiny-g3-int4.task", "tiny-g3-int8.litertlm", "tiny-g3-848-web.litertlm"
HIGHEST = {"INT4": 7, "INT8": 127}


def numbers(name: str, offset: int, nbytes: int) -> np.ndarray:
    return np.frombuffer(FILES[name], "<f4", nbytes // 4, offset)


def peaks(name: str, info: TensorInfo) -> np.ndarray:
    """The largest magnitude of each row of a matrix, by its scales."""
    return numbers(name, *info.beside[0]) * np.float32(HIGHEST[info.type])


def types(checkpoint: Checkpoint) -> set[tuple[str, str]]:
    return {
        (name.rpartition(".")[2], info.type)
        for name, info in checkpoint.tensors.items()
        if len(info.shape) == 2
    }


def test_what_they_say() -> None:
    assert CHECKPOINTS.keys() == {INT4, INT8, WEB}
    forms = {INT4: "LiteRT, .task", INT8: "LiteRT, .litertlm", WEB: "LiteRT, .litertlm for the web"}
    sizes = {
        "layers": 6,
        "dim": 256,
        "ffn_dim": 512,
        "heads": 4,
        "kv_heads": 1,
        "head_dim": 64,
        "vocabulary": 512,
    }
    text = "the printing  press\n <b>日本🚀"
    ids = set()
    for name, checkpoint in CHECKPOINTS.items():
        assert (checkpoint.format, checkpoint.architecture) == (forms[name], "gemma3")
        assert checkpoint.settings.items() >= sizes.items(), name
        ids.add(tuple(Tokenizer(checkpoint.check_model()).encode(text)))
    assert len(ids) == 1
    for name in (INT4, INT8):  # the web's file does not tell
        found = CHECKPOINTS[name].settings
        assert (found["window"], found["rope_base"], found["local_rope_base"]) == (32, 1e6, 1e4)
    mlp = {"gate", "up", "down"}
    matrices = {*mlp, "embedding", "query", "key", "value", "output"}
    assert types(CHECKPOINTS[INT4]) == {(kind, "INT4") for kind in matrices}
    assert types(CHECKPOINTS[INT8]) == {(kind, "INT8") for kind in matrices}
    assert types(CHECKPOINTS[WEB]) == {(kind, "INT4" if kind in mlp else "INT8") for kind in matrices}


@pytest.mark.parametrize("name", [INT8, WEB])
def test_every_tensor_is_the_same_one_in_all_of_them(name: str) -> None:
    """The graphs of the files for phones call gate and up alike, and norms by each other's names; the web's tells."""
    usual, others = CHECKPOINTS[INT4].tensors, CHECKPOINTS[name].tensors
    assert usual.keys() == others.keys()
    seen = []
    for canonical, info in usual.items():
        other = others[canonical]
        assert info.shape == other.shape
        if len(info.shape) == 1:
            found = numbers(INT4, info.offset, info.nbytes)
            one = 1 if other.transforms else 0
            expected = numbers(name, other.offset, other.nbytes) + np.float32(one)
        else:
            found, expected = peaks(INT4, info), peaks(name, other)
        np.testing.assert_allclose(found, expected, rtol=1e-6, err_msg=canonical)
        seen.append(found.tobytes())
    assert len(set(seen)) == len(seen), "no two are alike"


def test_a_file_of_googles_tools_runs() -> None:
    """With codes in place of the zeros: what a device computes with is each times its row's scale."""
    data, random = bytearray(FILES[INT4]), np.random.default_rng(1)
    for info in CHECKPOINTS[INT4].tensors.values():
        if info.beside:
            data[info.offset : info.offset + info.nbytes] = random.integers(
                0, 256, info.nbytes, np.uint8
            ).tobytes()
    engine = drive(
        Engine.load(MemorySource(bytes(data), INT4, "k"), NumpyDevice(), None, Settings(64, chunks=(16,)))
    )
    assert {part.form.name for part in engine._image.parts if part.form} == {"q4r"}
    assert engine.load_stats.rounding == 0
    scores = drive(engine.score([2, *range(300, 315)]))
    assert np.isfinite(scores).all() and scores.std() > 0.1
    assert len([piece.token for piece in iterate(engine.generate([2, 300], 3, Sampling(temperature=0)))]) == 3
