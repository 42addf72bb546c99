"""What a file is, by its first bytes."""

from __future__ import annotations

from . import litert_files

GGUF = b"GGUF"
FIRST_READ = 8 << 20
"""Bytes of the first read: all of a GGUF's header in most cases."""
BEGINNING = 4096
"""Bytes of a file that tell what it is."""
CONFIG, MATRICES = "adapter_config.json", "adapter_model.safetensors"
"""The files of an adapter, as PEFT names them."""
_OTHERS = (  # offset, bytes there, what it is
    (8, b'{"', "a safetensors file, which needs the model's config.json and tokenizer.json beside it"),
    (
        0,
        b"version https://git-lfs",
        "a Git LFS pointer, not the file it stands for: download the file itself",
    ),
    (0, b"\x80\x02", "a pickled checkpoint of PyTorch"),
    (0, b"lmgg", "a GGML file, the format before GGUF"),
    (0, b"tjgg", "a GGML file, the format before GGUF"),
    (0, b"{", "a JSON file"),
)


def kind_of(start: bytes) -> tuple[str, str]:
    """What a file is, by its first bytes; 64 are enough.

    Returns:
        The name of its format and "" for one that is read here; "" and what it looks like, as far as that can be told,
        for another.
    """
    if start[:4] == GGUF:
        return "GGUF", ""
    if litert_files.starts(start):
        return "LiteRT", ""
    if start.lstrip()[:1] == b"<":
        return "", "a web page: the download may have been answered by an error or a login page"
    return "", next((kind for at, magic, kind in _OTHERS if start[at:].startswith(magic)), "")
