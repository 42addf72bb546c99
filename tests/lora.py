"""Random LoRA adapters, in PEFT's files and in GGUF, and the model that has one merged in f32: what the tests of
adapters are given and hold them against."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sotto.api import drive
from sotto.formats import blocks, gguf_checkpoint, open_adapter
from sotto.formats.adapter import Adapter
from sotto.formats.gguf import parse
from sotto.formats.gguf_writer import RawTensor, write
from sotto.formats.peft import MODULES
from sotto.source import Folder, MemorySource

MODULE = {kind: module for module, kind in MODULES.items()}
Shapes = Mapping[str, tuple[int, int]]  # (N, K) by canonical name
Halves = dict[str, np.ndarray]  # PEFT's names


def path_of(name: str, prefix: str = "model.") -> str:
    """PEFT's path of a module by the canonical name of its matrix."""
    _, layer, kind = name.split(".")
    return f"{prefix}layers.{layer}.{MODULE[kind]}"


def halves(
    shapes: Shapes,
    rank: int | Callable[[str], int] = 8,
    only: str = "",
    seed: int = 0,
    prefix: str = "base_model.model.model.",
    strength: float = 0.3,
) -> Halves:
    """Random A and B of the matrices whose PEFT path matches `only`, as a trained adapter might have them.

    Args:
        strength: how large what B A adds is, with a scale of 2, of what a random matrix gives.
    """
    found: Halves = {}
    for name, (rows, columns) in shapes.items():
        path = path_of(name, prefix)
        if only and not re.search(only, path):
            continue
        random = np.random.default_rng([seed, *name.encode()])
        r = rank if isinstance(rank, int) else rank(path)
        a = random.uniform(-1, 1, (r, columns)) / columns**0.5
        b = random.standard_normal((rows, r)) * strength / r**0.5
        found[f"{path}.lora_A.weight"] = a.astype(np.float32)
        found[f"{path}.lora_B.weight"] = b.astype(np.float32)
    return found


def safetensors(tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None) -> bytes:
    """A safetensors file. uint16 arrays are BF16."""
    words = {"float32": "F32", "float16": "F16", "uint16": "BF16", "int64": "I64", "float64": "F64"}
    fields: dict[str, object] = {"__metadata__": dict(metadata or {"format": "pt"})}
    data = b""
    for name, array in tensors.items():
        begin = len(data)
        data += array.tobytes()
        fields[name] = {
            "dtype": words[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [begin, len(data)],
        }
    header = json.dumps(fields).encode()
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + data


def config(**changed: object) -> dict[str, object]:
    """What PEFT 0.21 writes into adapter_config.json, with some settings changed."""
    return {
        "alora_invocation_tokens": None,
        "alpha_pattern": {},
        "arrow_config": None,
        "auto_mapping": None,
        "base_model_name_or_path": "google/gemma-3-270m",
        "bias": "none",
        "corda_config": None,
        "ensure_weight_tying": False,
        "eva_config": None,
        "exclude_modules": None,
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "layer_replication": None,
        "layers_pattern": None,
        "layers_to_transform": None,
        "loftq_config": {},
        "lora_alpha": 16,
        "lora_bias": False,
        "lora_dropout": 0.05,
        "megatron_config": None,
        "megatron_core": "megatron.core",
        "modules_to_save": None,
        "peft_type": "LORA",
        "peft_version": "0.21.2",
        "qalora_group_size": 16,
        "r": 8,
        "rank_pattern": {},
        "revision": None,
        "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        "target_parameters": None,
        "task_type": "CAUSAL_LM",
        "trainable_token_indices": None,
        "use_dora": False,
        "use_qalora": False,
        "use_rslora": False,
        **changed,
    }


def files(tensors: Mapping[str, np.ndarray], **changed: object) -> dict[str, bytes]:
    """The two files of an adapter."""
    return {
        "adapter_config.json": json.dumps(config(**changed)).encode(),
        "adapter_model.safetensors": safetensors(tensors),
    }


def folder(contents: Mapping[str, bytes], name: str = "adapter") -> Folder:
    """Files in memory as a folder."""
    return Folder(name, {file: MemorySource(data, file, file) for file, data in contents.items()})


def written(contents: Mapping[str, bytes], at: Path) -> Path:
    """The same on disk."""
    at.mkdir(parents=True, exist_ok=True)
    for name, data in contents.items():
        (at / name).write_bytes(data)
    return at


def gguf(tensors: Mapping[str, np.ndarray], alpha: float = 16.0, **metadata: object) -> bytes:
    """An adapter as llama.cpp's converter writes it."""
    raw = {}
    for key, values in tensors.items():
        match = re.search(r"layers\.(\d+)\.(.*)\.lora_([AB])\.weight", key)
        assert match
        source = gguf_checkpoint.source_name(f"layers.{match[1]}.{MODULES[match[2]]}")
        raw[f"{source}.lora_{match[3].lower()}"] = RawTensor(values.shape, "F32", values.tobytes())
    given = {"general.architecture": "gemma3", "general.type": "adapter", "adapter.type": "lora"}
    return write({**given, "adapter.lora.alpha": alpha, **metadata}, raw)


def products(tensors: Halves, scale: Callable[[str, int], float]) -> dict[str, np.ndarray]:
    """scale * B A by canonical name; `scale` of PEFT's path of the module and a rank."""
    found = {}
    for key, a in tensors.items():
        if ".lora_A." not in key:
            continue
        path = key.removesuffix(".lora_A.weight")
        match = re.search(r"layers\.(\d+)\.(.*)", path)
        assert match
        b = tensors[f"{path}.lora_B.weight"]
        product = b.astype(np.float64) @ a.astype(np.float64) * scale(path, len(a))
        found[f"layers.{match[1]}.{MODULES[match[2]]}"] = product.astype(np.float32)
    return found


def merged(model: bytes, added: Mapping[str, np.ndarray]) -> bytes:
    """A GGUF model with products added to its matrices, which become F32."""
    header = parse(model)
    tensors = {}
    for record in header.tensors.values():
        data = np.frombuffer(model, np.uint8, record.nbytes, record.offset)
        name = gguf_checkpoint.canonical_name(record.name)
        if name in added:
            values = blocks.dequantize(record.type, data, record.shape) + added[name]
            tensors[record.name] = RawTensor(record.shape, "F32", values.astype("<f4").tobytes())
        else:
            tensors[record.name] = RawTensor(record.shape, record.type, data.tobytes())
    return write(header.metadata, tensors)


def shapes_of(model: bytes) -> dict[str, tuple[int, int]]:
    """The matrices that an adapter can change, by canonical name."""
    found = {}
    for record in parse(model).tensors.values():
        name = gguf_checkpoint.canonical_name(record.name)
        if name.startswith("layers.") and len(record.shape) == 2:
            found[name] = record.shape[0], record.shape[1]
    return found


def _pattern_rank(path: str) -> int:
    ranks = {"layers.3.self_attn.q_proj": 2, "down_proj": 16}
    return next((rank for end, rank in ranks.items() if path.endswith(end)), 8)


@dataclass(frozen=True)
class Case:
    """An adapter of the default model for which tests/golden/ has what transformers and PEFT compute.

    Attributes:
        settings: of its configuration, besides `config`.
        rank: of a module by its path.
        only: a pattern of the modules' paths.
    """

    settings: Mapping[str, object]
    rank: int | Callable[[str], int] = 8
    only: str = ""

    def tensors(self, shapes: Shapes) -> Halves:
        """Its matrices: as strong as one that was trained."""
        return halves(shapes, self.rank, self.only, strength=0.05)

    def files(self, shapes: Shapes) -> dict[str, bytes]:
        """Its two files."""
        return files(self.tensors(shapes), **self.settings)


CASES = {
    "all": Case({"r": 8, "lora_alpha": 16}),
    "attention": Case(
        {"r": 8, "lora_alpha": 64, "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"]},
        only="self_attn",
    ),
    "rank-stabilized": Case({"r": 16, "lora_alpha": 8, "use_rslora": True}, rank=16),
    "patterns": Case(
        {
            "r": 8,
            "lora_alpha": 16,
            "rank_pattern": {"layers.3.self_attn.q_proj": 2, "down_proj": 16},
            "alpha_pattern": {r"layers\.[0-8]\.mlp\.(up|gate)_proj": 32, "down_proj": 64},
        },
        rank=_pattern_rank,
    ),
    "regex": Case(
        {"r": 8, "lora_alpha": 64, "target_modules": r".*\.layers\.(0|17)\..*(q_proj|up_proj|down_proj)"},
        only=r"layers\.(0|17)\..*(q_proj|up_proj|down_proj)",
    ),
    "layers": Case(
        {
            "r": 8,
            "lora_alpha": 64,
            "target_modules": ["v_proj", "gate_proj"],
            "layers_to_transform": [2, 5, 11],
        },
        only=r"layers\.(2|5|11)\..*(v_proj|gate_proj)",
    ),
}


def golden_adapters(model: Path) -> dict[str, Adapter]:
    """The adapters of CASES for the default model, whose file this is."""
    shapes = shapes_of(model.read_bytes())
    return {name: drive(open_adapter(folder(case.files(shapes)))) for name, case in CASES.items()}
