"""What a LiteRT file says of a model beside its weights: sizes, tokens that end an answer, and prompt templates.

Two messages are in use: LlmParameters (mediapipe's `llm_params.proto`, `transformer_params.proto`) in `.task` files,
LlmMetadata (LiteRT-LM's `llm_metadata.proto`) in `.litertlm` files.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ..errors import FormatError, UnsupportedModel
from .checkpoint import Setting, checked
from .flatbuffer import DAMAGED
from .protobuf import Message, as_bytes, message, signed

_SIZES = {
    3: "dim",
    4: "ffn_dim",
    5: "head_dim",
    6: "heads",
    7: "layers",
    9: "kv_heads",
}  # of TransformerParameters
_GELU, _CAUSAL, _INVERSE_ROOT, _BY_FACTOR = 1, 1, 2, 4
_KINDS = {
    2: "gemma3n",
    3: "gemma3",
    4: "gemma3",
    8: "gemma4",
    13: "gemma3",
}  # of LlmModelType: FunctionGemma is one
_OTHER_KINDS = {5: "qwen3", 7: "qwen2", 9: "fastvlm", 11: "lfm2", 12: "minicpm5"}


@dataclass(frozen=True)
class Metadata:
    """What a file says.

    Attributes:
        settings: by the checkpoint's names.
        architecture: "" where the file does not name it.
        start: the token that begins a text, by id or spelling; likewise those that end an answer.
        template: all that is put around messages; "" where they are not framed.
    """

    settings: Mapping[str, Setting] = field(default_factory=dict)
    architecture: str = ""
    start: int | str | None = None
    stops: tuple[int | str, ...] = ()
    template: str = ""


def parameters(data: bytes, name: str) -> Metadata:
    """LlmParameters. Raises FormatError; UnsupportedModel for what would compute something else."""
    try:
        fields = message(data)
        settings: dict[str, Setting] = {}
        for part in fields.get(1, ()):
            settings |= _sizes(message(as_bytes(part)), name)
        if 2 in fields:
            settings["vocabulary"] = checked("vocabulary", signed(fields[2][-1]), "vocab_size")
        if _first(fields, 7):
            raise UnsupportedModel(
                f"{name} has a tokenizer that spells bytes in another way than Gemma's.",
                "Choose another model.",
            )
        start: int | str | None = None
        if 4 in fields:
            start = signed(fields[4][-1])
        elif 6 in fields:
            start = _text(fields[6][-1])
        stops = tuple(_text(value) for value in fields.get(5, ()))
        template = _affixes(fields.get(8, ())) + "".join(
            _affixes(roles) for part in fields.get(17, ()) for roles in message(as_bytes(part)).values()
        )
        return Metadata(settings, "", start, stops, template)
    except (struct.error, IndexError, ValueError, TypeError):
        raise FormatError(f"{name} is damaged: its parameters cannot be read.", DAMAGED) from None


def metadata(data: bytes, name: str) -> Metadata:
    """LlmMetadata. Raises FormatError."""
    try:
        fields = message(data)
        start = next((token for part in fields.get(1, ()) for token in _tokens(part)), None)
        stops = tuple(token for part in fields.get(2, ()) for token in _tokens(part))
        template = "".join(
            _affixes(roles, (1, 2))
            for part in fields.get(3, ())
            for roles in message(as_bytes(part)).values()
        )
        template = _text(fields[7][-1]) if 7 in fields else template
        kinds = [kind for part in fields.get(6, ()) for kind in message(as_bytes(part))]
        names = _KINDS | _OTHER_KINDS
        architecture = next((names[kind] for kind in kinds if kind in names), "")
        return Metadata({}, architecture, start, stops, template)
    except (struct.error, IndexError, ValueError, TypeError):
        raise FormatError(f"{name} is damaged: its metadata cannot be read.", DAMAGED) from None


def _sizes(fields: Message, name: str) -> dict[str, Setting]:
    """TransformerParameters."""
    settings: dict[str, Setting] = {}
    for number, setting in _SIZES.items():
        value = _first(fields, number)
        if value:
            settings[setting] = checked(setting, signed(value), setting)
    attention, feed_forward, final = (_message(fields, number) for number in (16, 11, 12))
    window, scale, cap = _first(attention, 6), _first(attention, 5), _float(attention, 4)
    if window:
        settings["window"] = checked("window", signed(window), "sliding_window_size")
    if _first(fields, 19):
        settings["window_pattern"] = checked(
            "window_pattern", signed(_first(fields, 19)) + 1, "num_local_layers_per_global"
        )
    if _float(fields, 32):
        settings["rope_base"] = checked("rope_base", _float(fields, 32), "global_rope_wavelength")
    if _float(fields, 33) not in (0.0, 1.0):
        settings["rope_factor"] = checked("rope_factor", _float(fields, 33), "global_rope_scaling")
        settings["rope_scaling"] = "linear"
    if cap > 0:
        settings["attention_softcap"] = checked("attention_softcap", cap, "soft_cap_value")
    if _float(final, 2) > 0:
        settings["logit_softcap"] = checked("logit_softcap", _float(final, 2), "soft_cap_value")
    wrong = (
        (_first(attention, 3) not in (0, _CAUSAL), "attention that is not causal"),
        (scale not in (0, _INVERSE_ROOT, _BY_FACTOR), f"queries that are scaled by rule {scale}"),
        (_first(feed_forward, 2) not in (0, _GELU), "another activation than GELU"),
    )  # fmt: skip
    for is_wrong, what in wrong:
        if is_wrong:
            raise UnsupportedModel(
                f"{name} describes a model with {what}, which Sotto cannot run.", "Choose another model."
            )
    return settings


def _first(fields: Message, number: int) -> int:
    """An integer; 0 where there is none."""
    return int(fields.get(number, [0])[-1])


def _float(fields: Message, number: int) -> float:
    """An f32; 0 where there is none. Raises struct.error."""
    if number not in fields:
        return 0.0
    value: float = struct.unpack("<f", as_bytes(fields[number][-1]))[0]
    return value


def _message(fields: Message, number: int) -> Message:
    return message(as_bytes(fields[number][-1])) if number in fields else {}


def _text(value: int | bytes) -> str:
    return as_bytes(value).decode("utf-8")


def _tokens(part: int | bytes) -> list[int | str]:
    """Of a TokenUnion: its ids (packed or not), or its spelling."""
    found: list[int | str] = []
    fields = message(as_bytes(part))
    for ids in fields.get(1, ()):
        for value in message(as_bytes(ids)).get(1, ()):
            found += [value] if isinstance(value, int) else _packed(value)
    found += [_text(value) for value in fields.get(2, ())]
    return found


def _packed(data: bytes) -> list[int]:
    """Varints one after the other: as if each were field 1."""
    numbers, value, shift = [], 0, 0
    for byte in data:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            numbers.append(value)
            value = shift = 0
        if shift > 63:
            raise ValueError("too long a number")
    return numbers


def _affixes(parts: Iterable[int | bytes], numbers: tuple[int, ...] = (2, 3)) -> str:
    """What templates put in front of messages and behind them."""
    found = [message(as_bytes(part)) for part in parts]
    return "".join(_text(value) for fields in found for number in numbers for value in fields.get(number, ()))
