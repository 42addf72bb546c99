"""A file of the LiteRT family to a checkpoint: `.task` and `.litertlm`, for phones or the web (`litert_files`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..errors import FormatError, UnsupportedModel, about
from ..source import Source
from ..text import gemma_tokens
from ..text.vocabulary import SENTENCEPIECE, Vocabulary
from . import litert_files, litert_metadata, litert_phone, litert_web, sentencepiece, tokenizer_json
from .checkpoint import Checkpoint, Setting, TensorInfo, checked
from .flatbuffer import DAMAGED, Flatbuffer
from .litert_files import Contents, Extent
from .litert_metadata import Metadata
from .litert_tensors import ANOTHER, rows_of
from .tflite import Model

SIZES = {  # of Gemma 3's models: layers by width; what is not in the files of some: window, context
    640: (18, 512, 32_768),
    1152: (26, 512, 32_768),
    2560: (34, 1024, 131_072),
    3840: (48, 1024, 131_072),
    5376: (62, 1024, 131_072),
}
PARAMETERS, TOKENIZER = "odml.infra.proto.LlmParameters", "spm_vocab_model"  # metadata of web files
BOS, EOS = 2, 1  # Gemma's, for a tokenizer.json, which does not tell, where the metadata do not either
_DIGITS = 5  # of a RoPE base, as far as f32 frequencies tell it
_MARKS = ("per_layer", "altup", "skip.scale")  # of names of tensors that Gemma 3 has not, and later ones have


async def read(source: Source, start: bytes) -> Checkpoint:
    """The checkpoint of a file that begins with `start`, 32 bytes where it has so many.

    Raises:
        FormatError: it is damaged.
        UnsupportedModel: what it holds cannot be read.
    """
    contents = await litert_files.contents(source, start)
    with about(source.name):
        return await _read(source, contents)


async def _read(source: Source, contents: Contents) -> Checkpoint:
    extent = contents.model
    beginning = bytes(await source.read(extent.offset, min(8, extent.nbytes)))
    if beginning[4:8] != litert_files.TFLITE:
        raise FormatError(f"The model in {source.name} is no TensorFlow Lite model.", DAMAGED)
    model = Model(Flatbuffer(source, extent.offset, extent.nbytes))
    named = await model.metadata()
    if PARAMETERS in named or await model.is_bag():
        return await _web(source, model, {name: extent for name, (_, extent) in named.items()}, contents)
    return await _phone(source, model, contents)


async def _web(
    source: Source, model: Model, named: Mapping[str, Extent | None], contents: Contents
) -> Checkpoint:
    """Of a bag of weights, whose metadata are in it."""
    tensors, refusal = litert_web.read(await model.graph(), source.name)
    parts = [named.get(PARAMETERS), named.get(TOKENIZER)]
    said, spelled = [await litert_files.small(source, e, "metadata") if e else b"" for e in parts]
    metadata = litert_metadata.parameters(said, source.name)
    settings = dict(metadata.settings)
    vocabulary = await _beside(source, contents)
    if spelled:
        vocabulary = sentencepiece.read(spelled, _tokenizer_of(source))
    container = contents.container.replace(".tflite", ".task")
    vocabulary = vocabulary and _with_ids(vocabulary, metadata)
    found = _checkpoint(source, f"{container} for the web", metadata, settings, tensors, vocabulary)
    return replace(found, refusal=refusal)


async def _phone(source: Source, model: Model, contents: Contents) -> Checkpoint:
    """Of a graph, with its tokenizer and metadata beside it."""
    metadata = Metadata()
    if contents.metadata:
        data = await litert_files.small(source, contents.metadata, "metadata")
        how = litert_metadata.metadata if contents.container == ".litertlm" else litert_metadata.parameters
        metadata = how(data, source.name)
    vocabulary = await _beside(source, contents)
    vocabulary = vocabulary and _with_ids(vocabulary, metadata)
    found = litert_phone.read(await model.graph(), source.name)
    settings: dict[str, Setting] = {**metadata.settings, **found.settings}
    if found.window:
        (window,) = np.frombuffer(await source.read(found.window.offset, 4), "<i4").tolist()
        settings["window"] = checked("window", window, "sliding_window")
    angles = [np.frombuffer(await source.read(e.offset, e.nbytes), "<f4") for e in found.angles]
    settings |= _rope(angles)
    return _checkpoint(source, contents.container, metadata, settings, found.tensors, vocabulary)


def _checkpoint(
    source: Source,
    container: str,
    metadata: Metadata,
    settings: dict[str, Setting],
    tensors: dict[str, TensorInfo],
    vocabulary: Vocabulary | None,
) -> Checkpoint:
    architecture = _architecture(metadata, tensors)
    table = tensors.get("embedding")
    if table and len(table.shape) == 2:
        settings |= {"dim": table.shape[1], "vocabulary": table.shape[0]}
        vocabulary = vocabulary and vocabulary.without_extra(table.shape[0])
        if vocabulary and len(vocabulary) != table.shape[0]:
            settings["vocabulary"] = len(vocabulary)
            _check_padding(vocabulary, table, source.name)
            for name in tensors.keys() & {"embedding", "head"}:
                tensors[name] = _first_rows(tensors[name], len(vocabulary))
    layers, window, context = SIZES.get(int(settings.get("dim", 0)), (0, 0, 0))  # type: ignore[arg-type]
    if architecture == "gemma3" and layers == settings.get("layers"):
        settings.setdefault("window", window)
        settings.setdefault("context_limit", context)
    template = metadata.template or None
    return Checkpoint(
        f"LiteRT, {container}", source.name, architecture, settings, tensors, vocabulary, template
    )


def _architecture(metadata: Metadata, tensors: Mapping[str, TensorInfo]) -> str:
    """What a model is: by its own word, or as the only family whose queries and keys have norms and that has none of
    the later ones' tensors."""
    if metadata.architecture:
        return metadata.architecture
    if any(mark in name for name in tensors for mark in _MARKS):
        return "gemma3n"
    return "gemma3" if "layers.0.query_norm" in tensors else "gemma2"


def _check_padding(vocabulary: Vocabulary, table: TensorInfo, name: str) -> None:
    """Raise FormatError unless the rows without a token are padding: in a vocabulary that lacks one, other tokens have
    wrong ids too, so it has to be Gemma's own."""
    if len(vocabulary) > table.shape[0] or not gemma_tokens.is_gemma(vocabulary.tokens):
        raise FormatError(
            f"{name} has {len(vocabulary):,} tokens, but an embedding of {table.shape[0]:,} rows.", DAMAGED
        )


def _first_rows(info: TensorInfo, rows: int) -> TensorInfo:
    """A matrix without its last rows: those of no token are padding."""
    if info.transforms:
        raise UnsupportedModel(f"The tensor {info.source} has more rows than there are tokens.", ANOTHER)
    return rows_of(info, 0, rows)


def _rope(angles: Sequence[NDArray[np.float32]]) -> dict[str, Setting]:
    """The settings of rotary embeddings that frequencies tell: base^(-2 i / E) / factor, of local and global layers."""
    found = []
    for frequencies in angles:
        count = len(frequencies)
        ordered = count > 1 and np.isfinite(frequencies).all() and (np.diff(frequencies) < 0).all()
        if ordered and frequencies[-1] > 0 and frequencies[0] <= 1:
            base = float(frequencies[0] / frequencies[-1]) ** (count / (count - 1))
            found.append((float(f"{base:.{_DIGITS - 1}e}"), float(f"{1 / frequencies[0]:.{_DIGITS - 1}e}")))
    if len(found) != 2:
        return {}
    (local, _), (base, factor) = sorted(found)
    settings: dict[str, Setting] = {
        "rope_base": checked("rope_base", base, "rope_theta"),
        "local_rope_base": checked("local_rope_base", local, "rope_local_base_freq"),
    }
    if factor != 1:
        settings |= {"rope_factor": checked("rope_factor", factor, "rope_scaling"), "rope_scaling": "linear"}
    return settings


def _tokenizer_of(source: Source) -> str:
    """What the tokenizer is called in messages."""
    return f"The tokenizer of {source.name}"


async def _beside(source: Source, contents: Contents) -> Vocabulary | None:
    """The vocabulary of the tokenizer that is a part of the container by itself; None where none is."""
    if contents.tokenizer:
        data = await litert_files.small(source, contents.tokenizer, "tokenizer")
        return sentencepiece.read(data, _tokenizer_of(source))
    if contents.tokenizer_json:
        data = await litert_files.inflated(source, contents.tokenizer_json, "tokenizer.json")
        return tokenizer_json.read(data, _tokenizer_of(source), BOS, EOS, None)
    return None


def _with_ids(vocabulary: Vocabulary, metadata: Metadata) -> Vocabulary:
    """The vocabulary with the ids that the metadata name."""
    ids = {token: number for number, token in enumerate(vocabulary.tokens)}

    def number_of(token: int | str | None) -> int | None:
        return ids.get(token) if isinstance(token, str) else token

    if vocabulary.kind == SENTENCEPIECE and gemma_tokens.is_gemma(vocabulary.tokens):
        vocabulary = replace(vocabulary, types=gemma_tokens.types_of(vocabulary.tokens, vocabulary.types))
    bos = number_of(metadata.start)
    stops = [number for token in metadata.stops if (number := number_of(token)) is not None]
    found = replace(
        vocabulary,
        bos=vocabulary.bos if bos is None else bos,
        eos=vocabulary.eos if not stops or vocabulary.eos in stops else stops[0],
    )
    others = [token for token in stops if token != found.eos]
    found = replace(found, end_of_turn=others[0] if others else None)
    found.check()
    return found
