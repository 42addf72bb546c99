"""Files of the LiteRT family, built in memory after those that Google's tools write, for the tests of their readers.

The graph has the operations by which a reader finds its way, and not the others."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from sotto.formats import blocks
from sotto.formats.gguf import parse
from sotto.formats.gguf_checkpoint import canonical_name
from sotto.text.vocabulary import Vocabulary

F32, F16, I32, I8, I4 = 0, 1, 2, 9, 17
Values = dict[str, np.ndarray]
TURNS = ("<start_of_turn>user\n", "<end_of_turn>\n<start_of_turn>model\n")


def values_of(gguf: bytes) -> Values:
    """All tensors of a GGUF file by canonical name, f32."""
    return {
        canonical_name(r.name): blocks.dequantize(
            r.type, np.frombuffer(gguf, np.uint8, r.nbytes, r.offset), r.shape
        )
        for r in parse(gguf).tensors.values()
    }


@dataclass(frozen=True)
class Quantized:
    """A matrix as LiteRT's tools round it: codes (N, K) i8, scales (N, K / block), one a row without blocks."""

    codes: np.ndarray
    scales: np.ndarray
    bits: int
    block: int = 0

    @classmethod
    def of(cls, values: np.ndarray, bits: int, block: int = 0) -> Quantized:
        """ai-edge-quantizer's rule: the largest of a row, or block, is 7 or 127; block scales are bf16, stored as
        f16."""
        rows, columns = values.shape
        parts = values.reshape(rows, -1, block or columns)
        scales = np.maximum(np.abs(parts).max(axis=2), np.float32(1e-9)) / np.float32(7 if bits == 4 else 127)
        if block:
            scales = (scales.view(np.uint32) + 0x8000 & 0xFFFF0000).view(np.float32)
            scales = scales.astype(np.float16).astype(np.float32)
        low = -8 if bits == 4 else -127
        codes = np.clip(np.rint(parts / scales[:, :, None]), low, 7 if bits == 4 else 127).astype(np.int8)
        return cls(codes.reshape(rows, columns), scales.astype(np.float32), bits, block)

    @property
    def values(self) -> np.ndarray:
        """The reference's dequantisation: a scale times a code, in f32."""
        rows, columns = self.codes.shape
        parts = self.codes.reshape(rows, self.scales.shape[1], -1).astype(np.float32)
        return (parts * self.scales[:, :, None]).reshape(rows, columns)

    @property
    def packed(self) -> bytes:
        """The codes as a file for phones has them."""
        return packed(self.codes.reshape(-1).view(np.uint8), self.bits)

    @property
    def ggml(self) -> tuple[str, bytes]:
        """The same in blocks of Q4_0 or Q8_0, if the scales are f16 numbers: type and bytes."""
        halves = np.repeat(self.scales.astype("<f2").view(np.uint8), self.codes.shape[1] // 32, axis=0)
        if self.bits == 8:
            return "Q8_0", np.concatenate(
                [halves, self.codes.reshape(-1, 32).view(np.uint8)], axis=1
            ).tobytes()
        codes = (self.codes + 8).astype(np.uint8).reshape(-1, 2, 16)
        return "Q4_0", np.concatenate([halves, codes[:, 0] | codes[:, 1] << 4], axis=1).tobytes()

    @property
    def tiled(self) -> bytes:
        """The codes as a file for the web has them: written out element by element."""
        rows, columns = self.codes.shape
        excess = (self.codes.astype(np.int16) + (8 if self.bits == 4 else 128)).astype(np.uint8)
        order = excess.T.reshape(columns // 4, 4, rows // 4, 4).swapaxes(1, 2)
        return packed(np.ascontiguousarray(order).reshape(-1), self.bits)


def packed(codes: np.ndarray, bits: int) -> bytes:
    """Bytes of codes u8: two of four bits in one, the first in its low half."""
    return (codes if bits == 8 else codes[0::2] & 15 | codes[1::2] << 4).astype(np.uint8).tobytes()


def quantized(values: Values, bits: Callable[[str], tuple[int, int]]) -> dict[str, np.ndarray | Quantized]:
    """All matrices rounded, to bits and blocks by canonical name; vectors as they are."""
    return {name: Quantized.of(v, *bits(name)) if v.ndim == 2 else v for name, v in values.items()}


def web_mix(name: str) -> tuple[int, int]:
    """What the published files for the web hold."""
    return (4 if name.endswith(("gate", "up", "down")) else 8), 0


# --- Flatbuffers ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Number:
    """A scalar field."""

    kind: str
    value: int


Item = Number | str | bytes | np.ndarray | dict | list  # a field: scalar, text, bytes, vector, table, tables
Fields = dict[int, Item]


class Writer:
    """Writes a flatbuffer front to back: a table, then what it points to."""

    def __init__(self, root: Fields, identifier: bytes = b"TFL3") -> None:
        self.data = bytearray(struct.pack("<I", 0) + identifier)
        struct.pack_into("<I", self.data, 0, self.item(root))

    def item(self, value: Item) -> int:
        """Where something is written that a field points to."""
        self.data += bytes(-len(self.data) % 8)
        if isinstance(value, dict):
            return self.table(value)
        if isinstance(value, list):
            return self.tables(value)
        raw = value.encode() if isinstance(value, str) else value
        count = len(raw)
        self.data += bytes(4)  # so that items of eight bytes are aligned
        at = len(self.data)
        self.data += struct.pack("<I", count) + (raw if isinstance(raw, bytes) else raw.tobytes()) + b"\0"
        return at

    def table(self, fields: Fields) -> int:
        """A table with its vtable in front, each field eight bytes long."""
        count = max(fields, default=-1) + 1
        offsets = [8 + 8 * number if number in fields else 0 for number in range(count)]
        vtable = len(self.data)
        self.data += struct.pack(f"<{count + 2}H", 4 + 2 * count, 8 + 8 * count, *offsets)
        self.data += bytes(-len(self.data) % 8)
        at = len(self.data)
        self.data += struct.pack("<i", at - vtable) + bytes(4 + 8 * count)
        for number, value in fields.items():
            place = at + offsets[number]
            if isinstance(value, Number):
                struct.pack_into(value.kind, self.data, place, value.value)
            else:
                struct.pack_into("<I", self.data, place, self.item(value) - place)
        return at

    def tables(self, tables: list[Fields]) -> int:
        """A vector of tables."""
        at = len(self.data)
        self.data += struct.pack("<I", len(tables)) + bytes(4 * len(tables))
        for number, fields in enumerate(tables):
            self.data += bytes(-len(self.data) % 8)
            place = at + 4 + 4 * number
            struct.pack_into("<I", self.data, place, self.table(fields) - place)
        return at


def u32(value: int) -> Number:
    return Number("<I", value)


def byte(value: int) -> Number:
    return Number("<B", value)


@dataclass
class Tflite:
    """A TensorFlow Lite model in the making.

    Attributes:
        inside: its buffers are in the flatbuffer, in place of behind it.
    """

    inside: bool = False
    tensors: list[Fields] = field(default_factory=list)
    operators: list[Fields] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    data: list[bytes] = field(default_factory=lambda: [b""])
    metadata: list[tuple[str, int]] = field(default_factory=list)

    def buffer(self, data: bytes) -> int:
        self.data.append(data)
        return len(self.data) - 1

    def tensor(
        self, name: str, shape: Sequence[int], kind: int = F32, data: bytes = b"", extra: Fields | None = None
    ) -> int:
        number = self.buffer(data) if data else 0
        fields: Fields = {0: np.array(shape, "<i4"), 1: byte(kind), 2: u32(number), 3: name}
        self.tensors.append(fields | ({4: extra} if extra else {}))
        return len(self.tensors) - 1

    def op(self, code: int, inputs: Sequence[int], shape: Sequence[int] = (1, 1, 1)) -> int:
        """An operation with one output, which is returned."""
        if code not in self.codes:
            self.codes.append(code)
        out = self.tensor(f"value {len(self.tensors)}", shape)
        index = u32(self.codes.index(code))
        self.operators.append({0: index, 1: np.array(inputs, "<i4"), 2: np.array([out], "<i4")})
        return out

    def build(self) -> bytes:
        offsets = [0] * len(self.data)
        for _ in range(2):  # the first time to see how long the flatbuffer is
            out = self._written(offsets)
            end = -(-len(out) // 256) * 256
            for number, data in enumerate(self.data):
                offsets[number] = end if data and not self.inside else 0
                end += len(data) if offsets[number] else 0
        out = self._written(offsets)
        for offset, data in zip(offsets, self.data, strict=True):
            if offset:
                out += bytes(offset - len(out)) + data
        return bytes(out)

    def _written(self, offsets: Sequence[int]) -> bytearray:
        buffers: list[Item] = []
        for offset, data in zip(offsets, self.data, strict=True):
            if self.inside:
                buffers.append({0: data} if data else {})
            else:
                place: Fields = {1: Number("<Q", offset), 2: Number("<Q", len(data))}
                buffers.append(place if data else {})
        graph: Fields = {0: list(self.tensors), 3: list(self.operators), 4: "main"}
        signature: Fields = {2: "decode", 4: u32(0)}
        root: Fields = {
            0: u32(3),
            1: [{0: Number("<b", min(code, 127)), 3: Number("<i", code)} for code in self.codes],
            2: [graph],
            4: buffers,
            6: [{0: name, 1: u32(number)} for name, number in self.metadata],
        }
        if self.operators:
            root[7] = [signature]
        return Writer(root).data


# --- For phones -------------------------------------------------------------------------------------------------

MODULES = {
    "query": "self_attn/Linear_q_proj", "key": "self_attn/x;y/Linear_q_proj;;self_attn/Linear_k_proj",
    "value": "self_attn/Linear_q_proj;;self_attn/Linear_v_proj", "output": "self_attn/Linear_o_proj",
    "gate": "mlp/Linear_gate_proj", "up": "mlp/Linear_up_proj;;mlp/Linear_gate_proj", "down": "mlp/Linear_down_proj",
}  # fmt: skip
EXAMPLES = {
    "qkv": "attn/Linear_qkv_projection", "output": "attn/Linear_output_projection", "gate": "ff/Linear_w1",
    "up": "ff/Linear_w1", "down": "ff/Linear_w2",
}  # fmt: skip


def phone(
    weights: Mapping[str, np.ndarray | Quantized],
    heads: int,
    window: int = 32,
    *,
    inside: bool = False,
    fused: bool = False,
    up_first: bool = False,
    bias: bool = False,
    written_out: bool = False,
) -> bytes:
    """A graph as litert-torch writes it: of transformers' modules, or (fused) of its own examples; with its norms as
    operations of their own, or (written_out) as those that they consist of."""
    model = Tflite(inside)
    modules = EXAMPLES if fused else MODULES
    head_dim = len(weights["layers.0.query_norm"])

    def matrix(name: str, value: np.ndarray | Quantized) -> int:
        if isinstance(value, np.ndarray):
            return model.tensor(name, value.shape, F32, value.astype("<f4").tobytes())
        kind = I4 if value.bits == 4 else I8
        if value.block:
            scales = model.tensor(
                f"{name}_scales", value.scales.shape, F16, value.scales.astype("<f2").tobytes()
            )
            details: Fields = {0: Number("<i", scales), 1: Number("<i", -1), 2: Number("<i", value.block)}
            extra: Fields = {4: byte(2), 5: details}
        else:
            extra = {2: value.scales.astype("<f4").reshape(-1), 3: np.zeros(1, "<i8")}
        return model.tensor(name, value.codes.shape, kind, value.packed, extra)

    def vector(name: str, value: np.ndarray) -> int:
        return model.tensor(name, value.shape, F32, value.astype("<f4").tobytes())

    def norm(value: int, name: str, shape: Sequence[int] = (1, 1, 1)) -> int:
        weight = vector(f"RMSNorm_{name};", weights[name])
        if not written_out:
            return model.op(206, [value, weight], shape)
        mean_square = model.op(40, [model.op(18, [value, value])])
        return model.op(18, [model.op(18, [value, model.op(76, [mean_square])]), weight], shape)

    def product(value: int, which: int, rows: int = 1) -> int:
        return model.op(9, [value, which, bias_of if bias else -1], (1, 1, rows))

    token, position = model.tensor("tokens", (1, 1), I32), model.tensor("position", (1,), I32)
    bias_of = model.tensor("bias", (1,), F32, bytes(4)) if bias else -1
    number = model.tensor("window", (1, 1, 1), I32, struct.pack("<i", window))
    places = model.tensor("places", (1, 1, 4), I32, bytes(16))
    model.op(61, [places, model.op(41, [position, number])])
    for base in (1e4, 1e6):
        frequencies = (base ** (-np.arange(0, head_dim, 2) / head_dim)).astype("<f4")
        model.op(18, [position, model.tensor("rotary", (1, 1, head_dim // 2), F32, frequencies.tobytes())])
    model.op(36, [model.tensor("angles", (4, 4), F32, bytes(64)), position])
    table = matrix("arith.constant1", weights["embedding"])
    x = model.op(7, [token, table])
    layers = sum(name.endswith(".down") for name in weights)
    for layer in range(layers):
        at, path = f"layers.{layer}.", f"Model/DecoderLayer_{layer}/"
        w = {kind: weights[at + kind] for kind in (*MODULES,) if at + kind in weights}
        a = norm(x, at + "attention_norm")
        if fused:
            parts = [w[kind] for kind in ("query", "key", "value")]
            codes = np.concatenate([p.codes for p in parts if isinstance(p, Quantized)])
            scales = np.concatenate([p.scales for p in parts if isinstance(p, Quantized)])
            assert isinstance(parts[0], Quantized)
            whole = Quantized(codes, scales, parts[0].bits, parts[0].block)
            qkv = product(a, matrix(path + modules["qkv"], whole), len(codes))
            q, k, v = (model.op(65, [model.op(22, [qkv])]) for _ in range(3))
        else:
            q, k, v = (
                product(a, matrix(path + modules[kind] + ";", w[kind])) for kind in ("query", "key", "value")
            )
        q = norm(model.op(39, [model.op(22, [q])]), at + "query_norm", (1, heads, 1, head_dim))
        k = norm(model.op(39, [model.op(22, [k])]), at + "key_norm", (1, 1, 1, head_dim))
        scores = model.op(126, [q, k])
        o = product(model.op(126, [scores, v]), matrix(path + modules["output"], w["output"]))
        x = model.op(0, [x, norm(o, at + "post_attention_norm")])
        h = norm(x, at + "ffn_norm")

        def gate(h: int = h, path: str = path, w: Mapping[str, np.ndarray | Quantized] = w) -> int:
            return model.op(150, [product(h, matrix(path + modules["gate"], w["gate"]))])

        def up(h: int = h, path: str = path, w: Mapping[str, np.ndarray | Quantized] = w) -> int:
            return product(h, matrix(path + modules["up"], w["up"]))

        both = [up(), gate()] if up_first else [gate(), up()]
        d = product(model.op(18, both), matrix(path + modules["down"], w["down"]))
        x = model.op(0, [x, norm(d, at + "post_ffn_norm")])
    model.op(9, [norm(x, "final_norm"), table, -1])
    return model.build()


# --- For the web ------------------------------------------------------------------------------------------------

NAMES = {
    "query": "self_attention.q.w", "key": "self_attention.k.w", "value": "self_attention.v.w",
    "output": "self_attention.post.w", "gate": "ff_layer.ffn_layer1_gate.w", "up": "ff_layer.ffn_layer1.w",
    "down": "ff_layer.ffn_layer2.w", "query_norm": "self_attention.q_norm.scale",
    "key_norm": "self_attention.k_norm.scale", "attention_norm": "pre_layer_norm.scale",
    "post_attention_norm": "post_layer_norm.scale", "ffn_norm": "ff_layer.pre_layer_norm.scale",
    "post_ffn_norm": "ff_layer.post_layer_norm.scale",
    "embedding": "params.lm.softmax.logits_ffn.w", "final_norm": "params.lm.final_ln.scale",
}  # fmt: skip
NEWER = {
    "query": "attn.q.w", "key": "attn.k.w", "value": "attn.v.w", "output": "attn.attn_vec_einsum.w",
    "gate": "mlp.ff_gate.w", "up": "mlp.ff1.w", "down": "mlp.linear.w", "query_norm": "attn.q_norm.scale",
    "key_norm": "attn.k_norm.scale", "attention_norm": "pre_attention_norm.scale",
    "post_attention_norm": "post_attention_norm.scale", "ffn_norm": "pre_ffw_norm.scale",
    "post_ffn_norm": "post_ffw_norm.scale",
    "embedding": "transformer.embedder.input_embedding.w", "final_norm": "transformer.final_norm.scale",
}  # fmt: skip


def web(
    weights: Mapping[str, np.ndarray | Quantized],
    vocabulary: Vocabulary,
    parameters: bytes,
    *,
    newer: bool = False,
    changed: Callable[[str, bytes], bytes] = lambda _, data: data,
) -> bytes:
    """A bag of weights with MediaPipe's names.

    Args:
        changed: what becomes of a tensor's bytes, by its name.
    """
    model = Tflite()
    model.metadata.append(("odml.infra.proto.LlmParameters", model.buffer(parameters)))
    model.metadata.append(("spm_vocab_model", model.buffer(sentencepiece(vocabulary))))
    model.metadata.append(("odml.infra.LlmModelType", 99_999))  # which is no buffer
    names = NEWER if newer else NAMES
    front = "transformer.layer_" if newer else "params.lm.transformer.x_layers_"

    def add(name: str, kind: int, data: bytes) -> None:
        found = changed(name, data)
        model.tensor(name, [len(found)], kind, found)

    for name, value in weights.items():
        _, layer, which = name.split(".") if "." in name else ("", "", name)
        source = f"{front}{layer}.{names[which]}" if layer else names[which]
        if isinstance(value, Quantized):
            add(source + "_quantized_scale", F32, value.scales.astype("<f4").tobytes())
            add(source, I4 if value.bits == 4 else I8, value.tiled)
            add(source + ".sum_i", I32, value.codes.sum(axis=1, dtype="<i4").tobytes())
        else:
            add(source, F32, (value - 1).astype("<f4").tobytes())
    return model.build()


# --- Protocol buffers -------------------------------------------------------------------------------------------


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def pb(*fields: tuple[int, int | float | str | bytes]) -> bytes:
    """A message."""
    out = b""
    for number, value in fields:
        if isinstance(value, float):
            out += varint(number * 8 + 5) + struct.pack("<f", value)
        elif isinstance(value, int):
            out += varint(number * 8) + varint(value)
        else:
            data = value.encode() if isinstance(value, str) else value
            out += varint(number * 8 + 2) + varint(len(data)) + data
    return out


def sentencepiece(vocabulary: Vocabulary) -> bytes:
    """tokenizer.model."""
    pieces = zip(vocabulary.tokens, vocabulary.scores.tolist(), vocabulary.types.tolist(), strict=True)
    out = b"".join(pb((1, pb((1, token), (2, score), (3, kind)))) for token, score, kind in pieces)
    trainer = pb((3, 2), (35, 1), (40, 3), (41, vocabulary.bos), (42, vocabulary.eos))
    return out + pb((2, trainer), (3, pb((1, "identity"), (3, 0), (4, 0))))


def llm_parameters(
    sizes: Mapping[int, int], vocabulary: int, window: int = 32, *more: tuple[int, bytes]
) -> bytes:
    """LlmParameters; `sizes` by the numbers of TransformerParameters."""
    attention = pb((1, 1), (2, 1), (3, 1), (5, 2), (6, window), (7, 1))
    transformer = pb(*sizes.items(), (11, pb((1, 1), (2, 1))), (16, attention), (19, 5), (32, 1e6))
    turns = pb((1, pb((2, TURNS[0]), (3, TURNS[1]))))
    return pb(
        (1, transformer), (2, vocabulary), (4, 2), (5, "<eos>"), (5, "<end_of_turn>"), (17, turns), *more
    )


def llm_metadata() -> bytes:
    """LlmMetadata, with ids and a spelling."""
    stops = (2, pb((1, pb((1, varint(1)))))), (2, pb((2, "<end_of_turn>")))
    turns = pb((1, pb((1, TURNS[0]), (2, TURNS[1]))))
    return pb((1, pb((1, pb((1, varint(2)))))), *stops, (3, turns), (5, 128), (6, pb((4, b""))))


# --- Containers -------------------------------------------------------------------------------------------------


def task(members: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """A zip as mediapipe's bundler writes it."""
    out = io.BytesIO(bytes(4))
    out.seek(4)
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return out.getvalue()


def bundle(model: bytes, vocabulary: Vocabulary, parameters: bytes) -> bytes:
    """A `.task` for phones."""
    return task(
        {
            "TF_LITE_PREFILL_DECODE": model,
            "TOKENIZER_MODEL": sentencepiece(vocabulary),
            "METADATA": parameters,
        }
    )


def litertlm(sections: Sequence[tuple[int, str, bytes]], version: int = 1) -> bytes:
    """A `.litertlm` of sections: type, model_type, bytes."""
    block = 1 << 14
    begin, places = block, []
    for _, _, data in sections:
        places.append((begin, begin + len(data)))
        begin += -(-len(data) // block) * block + block
    objects: list[Item] = []
    for (kind, model_type, _), (first, end) in zip(sections, places, strict=True):
        item: Fields = {0: "model_type", 1: byte(9), 2: {0: model_type}}
        section: Fields = {1: Number("<Q", first), 2: Number("<Q", end), 3: byte(kind)}
        objects.append(section | ({0: [item]} if model_type else {}))
    header = bytes(Writer({1: {0: objects}}, b"").data)
    out = b"LITERTLM" + struct.pack("<4IQ", version, 7, 0, 0, 32 + len(header)) + header
    for (_, _, data), (first, _) in zip(sections, places, strict=True):
        out += bytes(first - len(out)) + data
    return out
