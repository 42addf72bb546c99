"""A model's checkpoint, whatever files it came in: settings, tensors and vocabulary under names of our own.

Settings, all of them sizes in elements, positions or tokens where nothing else is said; a file need not have all:

    layers, dim (D), heads (H), kv_heads (G), head_dim (E), value_dim, ffn_dim (F), vocabulary (V), context_limit
    eps                 added to the mean square in norms
    window              positions that a local layer sees, its own included
    window_pattern      every so-manieth layer is global; or for each layer, whether it is local
    rope_base, local_rope_base   of the RoPE angles of global and of local layers
    rope_scaling        "none", "linear", or the file's word for another rule; rope_factor: positions are divided by it
    rope_dim            elements of a head that are rotated
    query_scale         queries are multiplied by it
    attention_softcap, logit_softcap   0 for none
    causal              whether a token sees only those before it

What a file says beyond these of its attention, rope or scales stands here too, under the file's own word: a model
refuses what it does not know (`models.base.understood`), because it would compute something else.

Tensors, matrices as (outputs, inputs): embedding (V, D), head (V, D; absent where it is tied), final_norm (D,), and
for each layer `layers.3.` and one of attention_norm (D,), query (H E, D), key (G E, D), value (G E, D), query_norm
(E,), key_norm (E,), output (D, H E), post_attention_norm (D,), ffn_norm (D,), gate (F, D), up (F, D), down (D, F),
post_ffn_norm (D,). A tensor without such a name keeps the file's own.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from ..errors import FormatError, StoreDamaged, UnsupportedModel
from ..text.vocabulary import MOST_TOKENS, Vocabulary
from . import blocks, tiles
from .row_types import RowType

Setting = bool | int | float | str | tuple[bool, ...]

MOST_LAYERS = 1024
LONGEST_WORD = 64
_HINT = "The file is damaged or was converted wrongly: try another copy."


@dataclass(frozen=True)
class Range:
    """What a numeric setting may be."""

    low: float
    high: float
    whole: bool = True


RANGES: dict[str, Range] = {
    "layers": Range(1, MOST_LAYERS),
    "dim": Range(1, 1 << 16),
    "heads": Range(1, 1 << 10),
    "kv_heads": Range(1, 1 << 10),
    "head_dim": Range(1, 1 << 12),
    "value_dim": Range(1, 1 << 12),
    "rope_dim": Range(1, 1 << 12),
    "ffn_dim": Range(1, 1 << 20),
    "vocabulary": Range(1, MOST_TOKENS),
    "window": Range(1, 1 << 24),
    "context_limit": Range(1, 1 << 24),
    "eps": Range(1e-12, 1.0, whole=False),
    "rope_base": Range(1.0, 1e12, whole=False),
    "local_rope_base": Range(1.0, 1e12, whole=False),
    "rope_factor": Range(1e-3, 1e6, whole=False),
    "query_scale": Range(1e-6, 1e6, whole=False),
    "attention_softcap": Range(0.0, 1e6, whole=False),
    "logit_softcap": Range(0.0, 1e6, whole=False),
}
WORDS = ("rope_scaling",)


def checked(name: str, value: object, source: str) -> Setting:
    """A setting's value, if this setting can have it; `source` is the file's name of it. Raises FormatError.

    Numbers that must be whole come back as int, the others as float. `window_pattern` may be a period or a flag for
    each layer.
    """
    valid = RANGES.get(name)
    if name == "window_pattern":
        if isinstance(value, tuple) and len(value) <= MOST_LAYERS and all(isinstance(v, bool) for v in value):
            return value
        valid = Range(1, MOST_LAYERS)
    if valid:
        number = value if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
        if valid.low <= number <= valid.high and not (valid.whole and number != int(number)):
            return int(number) if valid.whole else float(number)
        kind = "a whole number" if valid.whole else "a number"
        expected = f"{kind} from {valid.low:,g} to {valid.high:,g}"
    elif name in WORDS:
        if isinstance(value, str) and len(value) <= LONGEST_WORD:
            return value
        expected = "a word"
    elif isinstance(value, bool):
        return value
    else:
        expected = "true or false"
    raise FormatError(f"The file's setting {source} is {_shortened(value)}; it must be {expected}.", _HINT)


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}…"


class Transform(Enum):
    """What is done to a tensor's values when they are converted."""

    ADD_ONE = "add one"  # to a vector: norms that are stored as their distance from 1
    TRANSPOSE = "transpose"  # a matrix that is stored as (inputs, outputs)
    TILES = "tiles"  # a matrix in the order of `tiles`


@dataclass(frozen=True)
class TensorInfo:
    """Where a tensor lies, and how it becomes what a model binds.

    Attributes:
        name: the canonical one.
        source: the file's name of it, for people.
        shape: (length,) or (rows, columns), after the transforms.
        type: a name that `blocks.find` knows, or "type 99" for one not known there; then `nbytes` is 0.
        offset: from the start of the file, in bytes.
        nbytes: in the file.
        transforms: applied in this order.
        file: its name among a folder's files; "" where there is one file.
        beside: other ranges of the file, offset and bytes, in which every row has as many bytes as any other: they are
            read in front of the rows' own.
    """

    name: str
    source: str
    shape: tuple[int, ...]
    type: str
    offset: int
    nbytes: int
    transforms: tuple[Transform, ...] = ()
    file: str = ""
    beside: tuple[tuple[int, int], ...] = ()

    @property
    def all_bytes(self) -> int:
        """Bytes of all of it in the file."""
        return self.nbytes + sum(nbytes for _, nbytes in self.beside)


def transformed(
    info: TensorInfo,
    data: NDArray[np.uint8],
    shape: tuple[int, ...],
    untile: tiles.Untile = tiles.untiled,
) -> tuple[str, NDArray[np.uint8]]:
    """A tensor's type and bytes after its transforms.

    Args:
        info: the tensor.
        data: bytes of the whole tensor; where nothing is transposed, whole rows of it will do, of tiles whole ones.
        shape: that the result has.
        untile: as `tiles.untiled`, or faster.

    Raises:
        FormatError: tiles do not have the sums that the file says.
        UnsupportedModel: the transform cannot be done with this type.
    """
    kind = info.type
    for transform in info.transforms:
        if transform is Transform.ADD_ONE and len(shape) == 1:
            values = blocks.dequantize(kind, data, shape) + np.float32(1)
            kind, data = "F32", values.astype("<f4").view(np.uint8)
        elif transform is Transform.TRANSPOSE and len(shape) == 2 and kind in blocks.FLOAT_TYPES:
            elements = data.reshape(*shape[::-1], -1)
            data = np.ascontiguousarray(elements.swapaxes(0, 1)).reshape(-1)
        elif transform is Transform.TILES and isinstance(row_type := blocks.find(kind), RowType):
            rows, columns = shape
            data = tiles.rows_of(data, rows, columns, row_type.bits, info.source, untile)
        else:
            raise UnsupportedModel(
                f"The tensor {info.source} (type {kind}, shape {list(shape)}) is stored in a way that cannot be "
                f"converted: {transform.value}.",
                "Choose another file of this model.",
            )
    return kind, data


@dataclass(frozen=True)
class Checkpoint:
    """What a model's files say of it; the tensors' data stays where it is.

    Attributes:
        format: of the files: "GGUF", "LiteRT", "safetensors".
        name: what a person calls the file or folder.
        architecture: as in `models.ARCHITECTURES`, or whatever the file says.
        settings: by the names above, checked.
        tensors: by canonical name.
        vocabulary: None where the file has none.
        chat_template: of an instruction-tuned model; it is never run.
        refusal: why this is nothing that can run, and what to take instead; None for a model.
        card: what the files say for Sotto, as an adapter's do: "frame", how prompts were framed in training.
        scheme: of a card that is kept with converted weights, to what they were rounded; "" for nothing.
    """

    format: str
    name: str
    architecture: str
    settings: Mapping[str, Setting]
    tensors: Mapping[str, TensorInfo]
    vocabulary: Vocabulary | None
    chat_template: str | None = None
    refusal: tuple[str, str] | None = None
    card: Mapping[str, str] = field(default_factory=dict)
    scheme: str = ""

    def check_model(self) -> Vocabulary:
        """Raise UnsupportedModel unless this is a model by itself; returns its vocabulary."""
        if self.refusal:
            raise UnsupportedModel(*self.refusal)
        if self.vocabulary is None:
            raise UnsupportedModel(
                f"{self.name} has no vocabulary: text cannot be read with it.",
                "Choose another file of this model.",
            )
        return self.vocabulary

    # --- As a card --------------------------------------------------------------------------------------------

    def to_card(self) -> bytes:
        """All of it, to be kept with the converted weights: lines of UTF-8: a checksum of the others, then JSON of
        all but the vocabulary's tokens, and some of these in each of the rest."""
        fields = {
            "format": self.format,
            "name": self.name,
            "architecture": self.architecture,
            "settings": dict(self.settings),
            "tensors": [
                asdict(info) | {"transforms": [transform.value for transform in info.transforms]}
                for info in self.tensors.values()
            ],
            "vocabulary": self.vocabulary and self.vocabulary.to_json(),
            "chat_template": self.chat_template,
            "refusal": self.refusal,
            "card": dict(self.card),
            "scheme": self.scheme,
        }
        lines = [_line(fields), *map(_line, self.vocabulary.spellings() if self.vocabulary else ())]
        return b"".join([_checksum(lines), *lines])

    @classmethod
    def from_card(cls, card: bytes) -> Checkpoint:
        """The checkpoint that `to_card` described. Raises StoreDamaged when a byte of it has changed."""
        with _sound():
            first, *rest = _lines(card)
            fields = json.loads(first)
            vocabulary = fields.pop("vocabulary")
            settings = {name: _setting(value) for name, value in fields.pop("settings").items()}
            tensors = {info["name"]: _tensor(info) for info in fields.pop("tensors")}
            refusal = fields.pop("refusal")
            return cls(
                **fields,
                settings=settings,
                tensors=tensors,
                vocabulary=vocabulary and Vocabulary.from_json(vocabulary, map(json.loads, rest)),
                refusal=refusal and (refusal[0], refusal[1]),
            )


def shapes_in_card(card: bytes) -> dict[str, tuple[int, ...]]:
    """Of the tensors that a card tells of, by canonical name. (Of a vocabulary, which is most of it, nothing is made.)

    Raises StoreDamaged when a byte of it has changed.
    """
    with _sound():
        return {info["name"]: tuple(info["shape"]) for info in json.loads(_lines(card)[0])["tensors"]}


@contextmanager
def _sound() -> Iterator[None]:
    """Turn what a card that is none leads to into StoreDamaged."""
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise StoreDamaged(
            "What was kept of the converted model's settings is damaged.",
            "The model is converted again from its file.",
        ) from error


def _line(value: object) -> bytes:
    """JSON has no line's end in it."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"


def _lines(card: bytes) -> list[bytes]:
    """Those of a card behind its checksum, one at least. Raises ValueError when a byte of it has changed."""
    checksum, end, rest = card.partition(b"\n")
    if not rest or checksum + end != _checksum([rest]):
        raise ValueError("another checksum")
    return rest.splitlines()


def _checksum(lines: Iterable[bytes]) -> bytes:
    whole = hashlib.sha256()
    for line in lines:
        whole.update(line)
    return whole.hexdigest().encode() + b"\n"


def _setting(value: Setting | list[bool]) -> Setting:
    return tuple(value) if isinstance(value, list) else value


def _tensor(fields: dict[str, object]) -> TensorInfo:
    shape, transforms, beside = fields.pop("shape"), fields.pop("transforms"), fields.pop("beside")
    assert isinstance(shape, list) and isinstance(transforms, list) and isinstance(beside, list)
    ranges = tuple((offset, nbytes) for offset, nbytes in beside)
    return TensorInfo(
        shape=tuple(shape),
        transforms=tuple(map(Transform, transforms)),
        beside=ranges,
        **fields,  # type: ignore[arg-type]
    )
