"""The tensors of a LiteRT model for phones, by the graph that uses them.

litert-torch names a matrix by the paths of PyTorch's modules that it came through, which tell what each is, but for
gate and up, which end in the same; a norm may have the name of an equal one. So matrices are told by their names, gate
and up by what follows (the gate goes through GELU), and norms by the matrices before and behind them. The order of the
operations is that of the layers. Matrices are (outputs, inputs), row after row; norms have their 1 added already.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from ..errors import UnsupportedModel
from . import tflite
from .checkpoint import Setting, TensorInfo
from .litert_files import Extent
from .litert_tensors import ANOTHER, Tensors, rows_of
from .tflite import Graph, Operator, Tensor

# Numbers of operations (schema.fbs, BuiltinOperator).
EMBEDDING_LOOKUP, DEQUANTIZE, FULLY_CONNECTED, MULTIPLY, GATHER, SUBTRACT = 7, 6, 9, 18, 36, 41
GREATER, GELU, COMPOSITE = 61, 150, 206
SHAPES = {
    22: 0,
    39: 0,
    45: 0,
    65: 0,
    49: 1,
    102: 0,
}  # that move values only (reshape to split), and which input they move
LONGEST_WAY = 8  # of such operations in a row
ROLES = {  # a module's name at the end of its path
    "q_proj": "query", "k_proj": "key", "v_proj": "value", "o_proj": "output", "gate_proj": "gate or up",
    "up_proj": "gate or up", "down_proj": "down", "lm_head": "head", "qkv_projection": "query, key, value",
    "output_projection": "output", "w1": "gate or up", "w3": "gate or up", "w2": "down",
}  # fmt: skip
FUSED = "query, key, value"
_LAYER_ROLES = ("query", "key", "value", "output", "gate", "up", "down")
_MODULE = re.compile(r"Linear_(\w+)$")


@dataclass
class Found:
    """What a graph says of a model.

    Attributes:
        tensors: by canonical name.
        settings: sizes.
        window: where the window of local layers lies, an i32, if it is in the graph.
        angles: where vectors lie that may be the frequencies of rotary embeddings, f32.
    """

    tensors: dict[str, TensorInfo] = field(default_factory=dict)
    settings: dict[str, Setting] = field(default_factory=dict)
    window: Extent | None = None
    angles: list[Extent] = field(default_factory=list)


@dataclass(frozen=True)
class _Product:
    """A matrix's use."""

    role: str
    layer: int
    operator: Operator
    matrix: int  # the tensor


def read(graph: Graph, name: str) -> Found:
    """The model in a graph. Raises FormatError, UnsupportedModel.

    Args:
        name: of the file, for people.
    """
    reader = _Reader(graph, name)
    found = Found()
    embedding = reader.embedding()
    products = reader.products(embedding)
    found.tensors["embedding"] = reader.matrix("embedding", embedding)
    for product in products:
        if product.role != "head":
            found.tensors |= reader.layer_tensors(product)
        elif product.matrix != embedding:
            found.tensors["head"] = reader.matrix("head", product.matrix)
    found.tensors |= reader.norms(products)
    _split(found.tensors, name)
    found.settings = _sizes(found.tensors)
    found.window = reader.window()
    head_dim = found.settings.get("head_dim")
    found.angles = reader.angles(head_dim // 2) if isinstance(head_dim, int) else []
    return found


class _Reader:
    """A graph, with who makes and who uses each tensor."""

    def __init__(self, graph: Graph, name: str) -> None:
        self.graph = graph
        self.name = name
        self._tensors = Tensors(graph, name)
        self._makers = {out: operator for operator in graph.operators for out in operator.outputs}
        self._users: dict[int, list[Operator]] = {}
        for operator in graph.operators:
            for index in set(operator.inputs):
                self._users.setdefault(index, []).append(operator)

    def _tensor(self, index: int) -> Tensor:
        return self.graph.tensors[index]

    def _constant(self, index: int) -> int | None:
        """The tensor of the file that an operation's input is, dequantised perhaps; None for what is computed."""
        if index >= 0 and index in self._makers and self._makers[index].code == DEQUANTIZE:
            index = self._makers[index].inputs[0] if self._makers[index].inputs else -1
        return index if index >= 0 and self._tensor(index).data else None

    def embedding(self) -> int:
        """The tensor of the table of embeddings: of those that rows are looked up in, the largest."""
        found = set()
        for operator in self.graph.operators:
            if operator.code in (EMBEDDING_LOOKUP, GATHER) and len(operator.inputs) > 1:
                table = self._constant(operator.inputs[1 if operator.code == EMBEDDING_LOOKUP else 0])
                if table is not None and len(self._tensor(table).shape) == 2:
                    found.add(table)
        if not found:
            raise UnsupportedModel(
                f"{self.name} has no embedding in its graph: it is a part of a model, or one that Sotto does not know.",
                ANOTHER,
            )
        return max(found, key=lambda index: (self._tensor(index).elements, index))

    def products(self, embedding: int) -> list[_Product]:
        """All uses of matrices, in the graph's order."""
        counts: dict[str, int] = {}
        found = []
        rows = self._tensor(embedding).shape[0]
        for operator in self.graph.operators:
            if operator.code != FULLY_CONNECTED or len(operator.inputs) < 2 or not operator.outputs:
                continue
            matrix = self._constant(operator.inputs[1])
            if matrix is None:
                continue
            if len(operator.inputs) > 2 and operator.inputs[2] >= 0:
                raise UnsupportedModel(f"{self.name} adds biases ({self._tensors.short(matrix)}).", ANOTHER)
            role = self._role(matrix, operator)
            if not role and (matrix == embedding or self._tensor(matrix).shape[:1] == (rows,)):
                role = "head"
            if not role:
                raise UnsupportedModel(
                    f"{self.name} has a matrix that Sotto does not know of a Gemma 3: {self._tensors.short(matrix)}.",
                    ANOTHER,
                )
            layer = counts[role] = counts.get(role, -1) + 1
            found.append(_Product(role, layer, operator, matrix))
        self._check_order(found)
        return found

    def _role(self, matrix: int, operator: Operator) -> str:
        """What a matrix is; "" where its name does not tell. Of several paths in a name the last one is its own."""
        for path in reversed(self._tensor(matrix).name.split(";")):
            module = _MODULE.search(path.rpartition("/")[2])
            role = ROLES.get(module[1] if module else "", "")
            if role == "gate or up":
                gelu = any(user.code == GELU for user in self._users.get(operator.outputs[0], ()))
                return "gate" if gelu else "up"
            if role:
                return role
        return ""

    def _check_order(self, products: list[_Product]) -> None:
        """Raise UnsupportedModel unless every layer has its products, in a row and joined as Gemma 3 joins them."""
        layers = max((p.layer + 1 for p in products if p.role == "down"), default=0)
        by_layer: dict[int, dict[str, Operator]] = {}
        last = 0
        for product in products:
            if product.role != "head":
                by_layer.setdefault(product.layer, {})[product.role] = product.operator
                if product.layer < last:
                    raise self._strange("its layers are not one after the other")
                last = product.layer
        attention: set[frozenset[str]] = {frozenset({"query", "key", "value"}), frozenset({FUSED})}
        for layer in range(layers):
            uses = by_layer.get(layer, {})
            begin = {role for role in uses if role in (*_LAYER_ROLES[:3], FUSED)}
            if begin not in attention or {"output", "gate", "up", "down"} - uses.keys():
                raise self._strange(f"its layer {layer} has {', '.join(uses) or 'nothing'}")
            together = {uses[role].inputs[0] for role in begin}
            if len(together) > 1 or uses["gate"].inputs[0] != uses["up"].inputs[0]:
                raise self._strange(f"the matrices of its layer {layer} are not applied to the same values")
            made_by = self._makers.get(self._origin(uses["down"].inputs[0]))
            gated = set(made_by.inputs) if made_by and made_by.code == MULTIPLY else set()
            gelu = {
                out
                for user in self._users.get(uses["gate"].outputs[0], ())
                if user.code == GELU
                for out in user.outputs
            }
            if uses["up"].outputs[0] not in gated or not gated & gelu:
                raise self._strange(f"its layer {layer} does not multiply GELU of gate with up")
        if len(by_layer) != layers or not layers:
            raise self._strange(f"it has {len(by_layer)} layers, of which {layers} are whole")

    def _strange(self, what: str) -> UnsupportedModel:
        return UnsupportedModel(
            f"{self.name} holds a graph that Sotto cannot follow as a Gemma 3: {what}.", ANOTHER
        )

    def _origin(self, index: int) -> int:
        """What a tensor was before it was reshaped, cut or transposed."""
        for _ in range(LONGEST_WAY):
            maker = self._makers.get(index)
            if maker is None or SHAPES.get(maker.code, 9) >= len(maker.inputs):
                break
            index = maker.inputs[SHAPES[maker.code]]
        return index

    def _origins(self, operator: Operator) -> Iterator[int]:
        """What an operation's inputs were before they were reshaped; if one was multiplied, as norms that are written
        out multiply by the inverse root of a mean square, what was multiplied too."""
        for index in map(self._origin, operator.inputs):
            yield index
            maker = self._makers.get(index)
            if maker and maker.code == MULTIPLY:
                yield from map(self._origin, maker.inputs)

    def norms(self, products: list[_Product]) -> dict[str, TensorInfo]:
        """The norms' vectors, by the matrices before and behind them."""
        before = {p.operator.inputs[0]: p for p in products}
        behind = {p.operator.outputs[0]: p for p in products}
        found: dict[str, TensorInfo] = {}
        between: dict[
            int, list[tuple[int, int]]
        ] = {}  # by layer, of fused queries and keys: elements, vector
        for operator in self.graph.operators:
            if operator.code not in (COMPOSITE, MULTIPLY) or len(operator.inputs) < 2 or not operator.outputs:
                continue
            vector = next((c for c in map(self._constant, operator.inputs) if c is not None), None)
            if vector is None or len(self._tensor(vector).shape) != 1:
                continue
            user = next((before[out] for out in operator.outputs if out in before), None)
            made_by = next((behind[at] for at in self._origins(operator) if at in behind), None)
            if user:
                kind = {"head": "final_norm", "gate": "ffn_norm", "up": "ffn_norm"}.get(
                    user.role, "attention_norm"
                )
            elif made_by and made_by.role == FUSED:
                elements = abs(self._tensor(operator.outputs[0]).elements)
                between.setdefault(made_by.layer, []).append((elements, vector))
                continue
            elif made_by:
                kind = {
                    "query": "query_norm", "key": "key_norm", "output": "post_attention_norm", "down": "post_ffn_norm",
                }.get(made_by.role, "")  # fmt: skip
            else:
                continue
            place = user or made_by
            if kind and place:
                canonical = kind if kind == "final_norm" else f"layers.{place.layer}.{kind}"
                found.setdefault(canonical, self.vector(canonical, vector))
        for layer, both in between.items():
            both.sort()
            if len(both) != 2 or both[0][0] == both[1][0]:
                raise self._strange(
                    f"the norms of queries and keys of its layer {layer} cannot be told apart"
                )
            for kind, (_, vector) in zip(("key_norm", "query_norm"), both, strict=True):
                canonical = f"layers.{layer}.{kind}"
                found[canonical] = self.vector(canonical, vector)
        return found

    def vector(self, canonical: str, index: int) -> TensorInfo:
        """A norm's vector."""
        return self._tensors.vector(canonical, index)

    def matrix(self, canonical: str, index: int) -> TensorInfo:
        """A matrix with its scales."""
        return self._tensors.matrix(canonical, index)

    def layer_tensors(self, product: _Product) -> dict[str, TensorInfo]:
        """A matrix of a layer."""
        canonical = f"layers.{product.layer}.{product.role}"
        return {canonical: self.matrix(canonical, product.matrix)}

    def window(self) -> Extent | None:
        """Where the number of positions lies that a local layer sees: a mask is made of `key > position - number`."""
        for operator in self.graph.operators:
            for index in operator.inputs if operator.code == GREATER else ():
                maker = self._makers.get(index)
                if maker and maker.code == SUBTRACT and len(maker.inputs) > 1 and maker.inputs[1] >= 0:
                    number = self._tensor(maker.inputs[1])
                    if number.data and number.type == tflite.INT32 and number.data.nbytes == 4:
                        return number.data
        return None

    def angles(self, elements: int) -> list[Extent]:
        """Where vectors of so many f32 lie that are multiplied with something."""
        return list(self._angles(elements))

    def _angles(self, elements: int) -> Iterator[Extent]:
        seen = set()
        for operator in self.graph.operators:
            for index in operator.inputs if operator.code == MULTIPLY else ():
                tensor = self._tensor(index) if index >= 0 else None
                if tensor is None or tensor.type != tflite.FLOAT32 or tensor.elements != elements:
                    continue
                if tensor.data and tensor.data not in seen and tensor.data.nbytes == 4 * elements:
                    seen.add(tensor.data)
                    yield tensor.data


def _split(tensors: dict[str, TensorInfo], name: str) -> None:
    """Cut fused queries, keys and values into three matrices of their own, which are its rows."""
    for canonical in [name for name in tensors if name.endswith(FUSED)]:
        whole = tensors.pop(canonical)
        layer = canonical.removesuffix(FUSED)
        output, norm = tensors[f"{layer}output"], tensors.get(f"{layer}query_norm")
        queries, rows = output.shape[1], whole.shape[0]
        values = (rows - queries) // 2
        if norm is None or values != norm.shape[0] or queries + 2 * values != rows:
            # With several key heads, the order of the rows is a matter of the converter.
            raise UnsupportedModel(
                f"{name} has queries, keys and values in one matrix, in an order that Sotto does not know.",
                ANOTHER,
            )
        first = 0
        for role, count in (("query", queries), ("key", values), ("value", values)):
            tensors[layer + role] = rows_of(replace(whole, name=layer + role), first, count)
            first += count


def _sizes(tensors: dict[str, TensorInfo]) -> dict[str, Setting]:
    """The settings that shapes tell."""
    shape = {name.removeprefix("layers.0."): info.shape for name, info in tensors.items()}
    settings: dict[str, Setting] = {
        "layers": sum(name.endswith(".down") for name in tensors),
        "vocabulary": shape["embedding"][0],
        "dim": shape["embedding"][1],
        "ffn_dim": shape["gate"][0],
    }
    head_dim = shape.get("query_norm", (0,))[0]
    if head_dim:
        settings |= {
            "head_dim": head_dim,
            "heads": shape["query"][0] // head_dim,
            "kv_heads": shape["key"][0] // head_dim,
        }
    return settings
