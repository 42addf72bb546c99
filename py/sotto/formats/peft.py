"""Adapters as Hugging Face's PEFT writes them: adapter_config.json, and the matrices in a safetensors file.

What of the configuration changes the result is used or refused; a setting that is not known here is refused too. How
scales follow from it: peft/tuners/lora/layer.py, and for patterns `get_pattern_key` in peft/utils/other.py.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import cast

from ..errors import FormatError, UnsupportedModel
from ..source import Source
from . import safetensors
from .adapter import DAMAGED, Adapter, Outline, outlined, paired

MOST_CONFIG_BYTES = 1 << 20
MODULES = {
    "self_attn.q_proj": "query",
    "self_attn.k_proj": "key",
    "self_attn.v_proj": "value",
    "self_attn.o_proj": "output",
    "mlp.gate_proj": "gate",
    "mlp.up_proj": "up",
    "mlp.down_proj": "down",
}
HARMLESS = frozenset({  # settings of training, or that the tensors themselves show
    "auto_mapping", "base_model_name_or_path", "corda_config", "ensure_weight_tying", "eva_config", "exclude_modules",
    "fan_in_fan_out", "inference_mode", "layers_pattern", "layers_to_transform", "loftq_config", "lora_dropout",
    "lora_ga_config", "megatron_core", "peft_version", "qalora_group_size", "rank_pattern", "revision",
    "runtime_config", "target_modules", "task_type", "velora_config",
})  # fmt: skip
USED = frozenset(
    {"alpha_pattern", "init_lora_weights", "lora_alpha", "peft_type", "r", "sotto", "use_rslora"}
)
REFUSED = {  # set to anything but nothing: what it is
    "use_dora": "is a DoRA adapter, which also changes the length of the matrices' columns",
    "lora_bias": "also changes biases (lora_bias)",
    "modules_to_save": "holds whole tensors that replace the model's own (modules_to_save)",
    "alora_invocation_tokens": "is an activated LoRA (aLoRA), which works from certain tokens on only",
    "use_qalora": "is a QA-LoRA adapter, whose inputs are pooled",
    "arrow_config": "chooses between several adapters for each token (Arrow)",
    "layer_replication": "repeats layers of the model (layer_replication)",
    "trainable_token_indices": "changes tokens of the embedding (trainable_token_indices)",
    "target_parameters": "changes parameters outside of linear layers (target_parameters)",
    "megatron_config": "was made for a model that is spread over several machines (Megatron)",
    "use_bdlora": "is a block-diagonal LoRA (BD-LoRA)",
    "kasa_config": "is a KaSA adapter, which also changes the model's own matrices",
    "monteclora_config": "draws its matrices at random (MonteCLoRA)",
}
STARTS = (None, True, False, "true", "gaussian", "eva", "orthogonal")
"""Of training, that leave the model's own matrices alone."""
ANOTHER = (
    "Sotto runs plain LoRA: train it again without that, or merge it into the model and load the result."
)

_KEY = re.compile(
    r"(?:base_model\.model\.)?((?:model\.)?(?:language_model\.)?(?:model\.)?layers\.(\d{1,4})\.((?:self_attn|mlp)\.\w+))"
    r"\.lora_([AB])(?:\.\w+)?\.weight"
)
_LONGEST_PATTERN = 200  # characters
_MOST_LOOPS = 4  # in a pattern: what it costs to match grows with their number


async def read(config: Source, weights: Source, name: str) -> Adapter:
    """The adapter in two files. Raises FormatError, UnsupportedModel, each with a reason.

    Args:
        name: what a person calls the adapter.
    """
    settings, scale_of, header = await _headers(config, weights, name)
    halves, paths = [], {}
    async for record, values in safetensors.read_values(weights, header.tensors.values()):
        canonical, half, path = _half(record, name)
        halves.append((canonical, half, values))
        paths[canonical] = path
    factors = paired(halves, lambda canonical, rank: scale_of(paths[canonical], rank))
    card = settings.get("sotto")
    return Adapter(
        "PEFT",
        name,
        _base(settings),
        factors,
        cast(Mapping[str, object], card) if isinstance(card, dict) else {},
    )


async def outline(config: Source, weights: Source, name: str) -> Outline:
    """What the two files' headers tell of the adapter; else as `read`."""
    settings, _, header = await _headers(config, weights, name)
    halves = [(*_half(record, name)[:2], record.shape) for record in header.tensors.values()]
    return Outline("PEFT", name, _base(settings), outlined(halves))


async def _headers(
    config: Source, weights: Source, name: str
) -> tuple[dict[str, object], _Scales, safetensors.Header]:
    """The configuration, what follows from it, and the tensors, all of which are halves of matrices."""
    settings = await _settings(config)
    _check_kind(settings, name)
    scale_of = _scales(settings, config.name)
    header = await safetensors.read_header(weights)
    for record in header.tensors.values():
        _half(record, name)
    return settings, scale_of, header


def _half(record: safetensors.Record, name: str) -> tuple[str, str, str]:
    """A tensor's canonical matrix, which half of it it is, and PEFT's path of the module. Raises UnsupportedModel."""
    match = _KEY.fullmatch(record.name)
    if match is None or match[3] not in MODULES:
        raise UnsupportedModel(f"The adapter {name} {_what(record.name)}.", ANOTHER)
    return f"layers.{int(match[2])}.{MODULES[match[3]]}", match[4].lower(), match[1]


def _base(settings: Mapping[str, object]) -> str:
    base = settings.get("base_model_name_or_path")
    return base[:200] if isinstance(base, str) else ""


async def _settings(config: Source) -> dict[str, object]:
    """The JSON of an adapter's configuration."""
    if config.size <= MOST_CONFIG_BYTES:
        try:
            found = json.loads(bytes(await config.read(0, config.size)))
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, dict):
            return found
    raise FormatError(f"{config.name} is not the configuration of an adapter (JSON).", DAMAGED)


def _check_kind(settings: Mapping[str, object], name: str) -> None:
    """Raise UnsupportedModel unless the configuration describes plain LoRA."""
    kind = settings.get("peft_type")
    if kind != "LORA":
        raise UnsupportedModel(
            f"The adapter {name} is of the kind {str(kind)[:40]}, which changes a model in another way than LoRA."
            if kind
            else f"The configuration of the adapter {name} does not say of which kind it is (peft_type).",
            ANOTHER,
        )
    for key, what in REFUSED.items():
        if settings.get(key):
            raise UnsupportedModel(f"The adapter {name} {what}.", ANOTHER)
    if settings.get("bias", "none") not in ("none", None, False):
        raise UnsupportedModel(
            f"The adapter {name} also changes biases (bias: {str(settings['bias'])[:40]}).", ANOTHER
        )
    start = settings.get("init_lora_weights")
    if start not in STARTS:
        raise UnsupportedModel(
            f"The adapter {name} was begun with {str(start)[:40]}, which changes the model's own matrices as well.",
            "Convert it to plain LoRA when it is saved (PEFT: path_initial_model_for_weight_conversion).",
        )
    for key, value in settings.items():
        if key not in HARMLESS | USED | REFUSED.keys() | {"bias"} and value:
            raise UnsupportedModel(
                f"The adapter {name} has the setting {key[:60]}: {str(value)[:60]}, which Sotto does not know.",
                ANOTHER,
            )


class _Scales:
    """What B A of a module is multiplied by, given its path and its rank."""

    def __init__(self, alpha: float, patterns: Mapping[str, float], rank_stabilized: bool) -> None:
        self._alpha = alpha
        self._patterns = {re.compile(rf"(.*\.)?({pattern})$"): value for pattern, value in patterns.items()}
        self._rank_stabilized = rank_stabilized

    def __call__(self, path: str, rank: int) -> float:
        found = (value for pattern, value in self._patterns.items() if pattern.match(path))
        alpha = next(found, self._alpha)
        return alpha / (math.sqrt(rank) if self._rank_stabilized else rank)


def _scales(settings: Mapping[str, object], file: str) -> _Scales:
    """As the configuration has it. Raises FormatError for what is no number, or a pattern that cannot be used."""
    patterns = settings.get("alpha_pattern") or {}
    if not isinstance(patterns, dict):
        raise FormatError(f"{file}: alpha_pattern is not a list of patterns.", DAMAGED)
    alphas = {"lora_alpha": settings.get("lora_alpha", 8), **patterns}  # 8 is PEFT's own
    for key, value in alphas.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e6:
            raise FormatError(
                f"{file}: the alpha of {key[:60]} is {str(value)[:40]}; it must be a number.", DAMAGED
            )
    for pattern in patterns:
        _check_pattern(pattern, file)
    return _Scales(alphas["lora_alpha"], patterns, bool(settings.get("use_rslora")))


def _check_pattern(pattern: str, file: str) -> None:
    """Raise FormatError for a pattern that is none, or that could take very long to match."""
    loops = len(re.findall(r"[*+{]", pattern))
    nested = re.search(r"\)[*+{]", pattern)
    try:
        if len(pattern) <= _LONGEST_PATTERN and loops <= _MOST_LOOPS and not nested:
            re.compile(pattern)
            return
    except re.error:
        pass
    raise FormatError(
        f"{file}: the pattern {pattern[:60]} of alpha_pattern cannot be used.",
        "Write the names of the modules out, without repetitions in it.",
    )


def _what(key: str) -> str:
    """What a tensor that is no half of a known matrix's LoRA says about its adapter."""
    if "lora_magnitude_vector" in key:
        return REFUSED["use_dora"]
    if key.endswith(".bias"):
        return f"also changes biases (tensor {key[:100]})"
    if "lora_embedding_" in key or "embed_tokens" in key or "lm_head" in key:
        return f"changes the embedding or the head of the model (tensor {key[:100]})"
    if "lora_" in key:
        return f"changes a part of a model that Sotto does not know (tensor {key[:100]})"
    return f"holds a whole tensor that replaces the model's own: {key[:100]}"
