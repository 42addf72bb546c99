"""config.json of Hugging Face's transformers: a Gemma 3's settings, in the spellings of versions 4 and 5.

What a file leaves out is what `Gemma3TextConfig` has for it (transformers, models/gemma3/configuration_gemma3.py):
Google's own files of 4B and larger name only what differs. Version 4 wrote `rope_theta`, `rope_local_base_freq` and
`rope_scaling`, version 5 writes `rope_parameters`; larger models have the text part's settings in `text_config`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from ..errors import FormatError
from ..model_files import CONFIG
from ..source import Source
from .checkpoint import Setting, checked

MOST_BYTES = 1 << 20
ARCHITECTURES = {"gemma3_text": "gemma3", "gemma3": "gemma3"}
"""By model_type."""

SETTINGS = {
    "num_hidden_layers": "layers",
    "hidden_size": "dim",
    "num_attention_heads": "heads",
    "num_key_value_heads": "kv_heads",
    "head_dim": "head_dim",
    "intermediate_size": "ffn_dim",
    "max_position_embeddings": "context_limit",
    "rms_norm_eps": "eps",
    "sliding_window": "window",
    "attn_logit_softcapping": "attention_softcap",
    "final_logit_softcapping": "logit_softcap",
}
DEFAULTS: Mapping[str, object] = {
    "num_hidden_layers": 26, "hidden_size": 2304, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256,
    "intermediate_size": 9216, "max_position_embeddings": 131_072, "rms_norm_eps": 1e-6, "sliding_window": 4096,
    "query_pre_attn_scalar": 256,
}  # fmt: skip
_ROPE_BASES = {"full_attention": 1_000_000.0, "sliding_attention": 10_000.0}
_LOCAL, _GLOBAL = "sliding_attention", "full_attention"
_USED = frozenset({
    *SETTINGS, "query_pre_attn_scalar", "layer_types", "sliding_window_pattern", "_sliding_window_pattern",
    "rope_parameters", "rope_scaling", "rope_theta", "rope_local_base_freq", "use_bidirectional_attention",
    "hidden_activation", "hidden_act", "attention_bias", "quantization_config", "quantization",
})  # fmt: skip
_HARMLESS = frozenset({"attention_dropout", "_attn_implementation", "attn_implementation"})
_CHANGES = (
    "attn",
    "attention",
    "rope",
    "rotary",
    "scal",
    "softcap",
    "expert",
    "altup",
    "laurel",
    "bias",
    "norm_",
)
_HINT = "The file is damaged or was converted wrongly: try another copy."


async def read_json(source: Source, most: int = MOST_BYTES) -> dict[str, object]:
    """The JSON object in a file. Raises FormatError for anything else."""
    if source.size <= most:
        try:
            found = json.loads(bytes(await source.read(0, source.size)))
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, dict):
            return found
    raise FormatError(f"{source.name} is not the JSON that it should be.", _HINT)


def text_part(config: Mapping[str, object]) -> Mapping[str, object]:
    """The settings of the part that writes."""
    inner = config.get("text_config")
    return inner if isinstance(inner, dict) else config


def architecture(config: Mapping[str, object]) -> str:
    """The name of ours, or the file's own."""
    kind = config.get("model_type")
    if not isinstance(kind, str) or len(kind) > 64:
        raise FormatError(f"{CONFIG} does not say what kind of model it describes (model_type).", _HINT)
    return ARCHITECTURES.get(kind, kind)


def settings(config: Mapping[str, object]) -> dict[str, Setting]:
    """A Gemma 3's settings by their canonical names, but for the vocabulary. Raises FormatError."""
    given = {key: value for key, value in text_part(config).items() if value is not None}
    known = {**DEFAULTS, **given}
    found = {name: checked(name, known[key], key) for key, name in SETTINGS.items() if key in known}
    scalar = known["query_pre_attn_scalar"]
    if isinstance(scalar, bool) or not isinstance(scalar, int | float) or not 0 < scalar < 1e6:
        raise FormatError(
            f"The file's setting query_pre_attn_scalar is {str(scalar)[:40]}; it must be a number.", _HINT
        )
    found["query_scale"] = float(scalar**-0.5)
    found |= _windows(given) | _rope(given)
    found["causal"] = not given.get("use_bidirectional_attention", False)
    for key in ("hidden_activation", "hidden_act"):
        if given.get(key, "gelu_pytorch_tanh") != "gelu_pytorch_tanh" and (
            key == "hidden_activation" or "hidden_activation" not in given
        ):
            found[key] = str(given[key])[:80]
    if given.get("attention_bias"):
        found["attention_bias"] = True
    for key, value in given.items():
        if key not in _USED | _HARMLESS and value and any(word in key for word in _CHANGES):
            found[key] = str(value)[:80]
    return found


def _windows(given: Mapping[str, object]) -> dict[str, Setting]:
    """Which layers are local."""
    kinds = given.get("layer_types")
    if isinstance(kinds, list):
        if not all(kind in (_LOCAL, _GLOBAL) for kind in kinds):
            raise FormatError(
                "The file's setting layer_types names kinds of attention that Sotto does not know.", _HINT
            )
        return {
            "window_pattern": checked(
                "window_pattern", tuple(kind == _LOCAL for kind in kinds), "layer_types"
            )
        }
    for key in ("sliding_window_pattern", "_sliding_window_pattern"):
        if key in given:
            return {"window_pattern": checked("window_pattern", given[key], key)}
    return {}


def _rope(given: Mapping[str, object]) -> dict[str, Setting]:
    """Bases and scaling of RoPE, of global and of local layers."""
    parameters = given.get("rope_parameters")
    if parameters is None:
        scaling = given.get("rope_scaling") or {}
        parts: dict[str, object] = {
            _GLOBAL: {
                "rope_theta": given.get("rope_theta", _ROPE_BASES[_GLOBAL]),
                **_mapping(scaling, "rope_scaling"),
            },
            _LOCAL: {"rope_theta": given.get("rope_local_base_freq", _ROPE_BASES[_LOCAL])},
        }
    else:
        both = _mapping(parameters, "rope_parameters")
        parts = dict(both) if both.keys() & {_GLOBAL, _LOCAL} else {_GLOBAL: both}
    found: dict[str, Setting] = {}
    for kind, front in ((_GLOBAL, ""), (_LOCAL, "local_")):
        part = _mapping(parts.get(kind) or {}, "rope_parameters")
        base = part.get("rope_theta", _ROPE_BASES[kind])
        found[f"{front}rope_base"] = checked(f"{front}rope_base", base, "rope_theta")
        scaling = checked("rope_scaling", part.get("rope_type", part.get("type", "default")), "rope_type")
        if scaling != "default":
            found[f"{front}rope_scaling"] = scaling
            if "factor" in part:
                found[f"{front}rope_factor"] = checked("rope_factor", part["factor"], "factor")
    found.setdefault("rope_scaling", "none")
    return found


def _mapping(value: object, key: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise FormatError(f"The file's setting {key} is no list of settings.", _HINT)
    return value
