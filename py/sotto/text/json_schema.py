"""JSON of a given schema as a grammar.

What is written has a schema's properties in their order, and no others. Kept are: type, properties, required, items,
prefixItems, minItems, maxItems, minLength, maxLength, enum, const, anyOf, $ref within the schema, additionalProperties
as a map, minimum and maximum where both bound a small range of whole numbers. Anything else that a text would have to
keep is refused, what only describes is passed over.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..errors import InvalidSetting
from .grammar import EMPTY, ENDLESS, Chain, Choice, Node, OneOf, Plain, Repeat, Text, optional, settle
from .vocabulary import SPACE

DIGITS = 15  # of a number before the point, and behind it: what a float holds
INDENT = 24  # spaces at most at the beginning of a line
LARGEST_RANGE = 1000  # whole numbers that a range is written out for

_DESCRIBES = frozenset(
    [
        "title",
        "description",
        "default",
        "examples",
        "$schema",
        "$id",
        "$comment",
        "$defs",
        "definitions",
        "deprecated",
        "readOnly",
        "writeOnly",
        "format",
        "additionalProperties",
    ]
)
_KEPT: Mapping[str, frozenset[str]] = {
    "object": frozenset({"properties", "required"}),
    "array": frozenset({"items", "prefixItems", "minItems", "maxItems"}),
    "string": frozenset({"minLength", "maxLength"}),
    "integer": frozenset({"minimum", "maximum"}),
    "number": frozenset(),
    "boolean": frozenset(),
    "null": frozenset(),
}
_HEX = "0123456789abcdefABCDEF"

Schema = Mapping[str, Any] | bool


def grammar(schema: Schema, has: Callable[[str], bool] = lambda _: True) -> Node:
    """The grammar of a schema's JSON; a space is spelled as in a vocabulary.

    Args:
        has: whether a character can be written as it is; what cannot is escaped in keys and constants.

    Raises InvalidSetting, naming the place, for a schema that is none, or that asks for what cannot be kept.
    """
    root = _Compiler(schema, has).node(schema, "the schema")
    settle(root)
    if root.least >= ENDLESS:
        raise InvalidSetting("The schema has no JSON that ends.", "Let one of its references be optional.")
    return root


class _Compiler:
    """Args: the whole schema, which references are looked up in."""

    def __init__(self, root: Schema, has: Callable[[str], bool]) -> None:
        self._root = root
        self._has = has
        self._references: dict[str, Choice] = {}
        self._any: Choice | None = None
        self._character = Choice(Plain(), self._escape())
        self._space = Choice(
            EMPTY, self._text(" "), Chain(self._text("\n"), Repeat(self._text(" "), 0, INDENT))
        )

    def node(self, schema: object, place: str) -> Node:
        """The grammar of a part of the schema."""
        if schema is True or schema == {}:
            return self._anything()
        if not isinstance(schema, Mapping):
            raise InvalidSetting(f"{place} is {json.dumps(schema)}.", "It must be a JSON schema: an object.")
        known = {name: value for name, value in schema.items() if name not in _DESCRIBES}
        for name, make in (("$ref", self._reference), ("const", self._constant), ("enum", self._constants)):
            if name in known:
                return make(known[name], place)
        for name in ("anyOf", "allOf"):
            if name in known:
                return self._union(known[name], place, name, known)
        kinds = known.pop("type", None)
        if kinds is None:
            kinds = [kind for kind, names in _KEPT.items() if names & known.keys() and kind != "integer"]
            if not kinds or "minimum" in known or "maximum" in known:
                self._refuse(known, place)
                return self._anything()
        kinds = [kinds] if isinstance(kinds, str) else kinds
        self._check(known, kinds, place)
        extra = schema.get("additionalProperties")
        return Choice(*(self._typed(kind, known, extra, place) for kind in kinds))

    # --- By type

    def _typed(self, kind: str, schema: Mapping[str, Any], extra: object, place: str) -> Node:
        if kind == "object":
            return self._object(schema, extra, place)
        if kind == "array":
            return self._array(schema, place)
        if kind == "string":
            return self._string(*self._bounds(schema, "minLength", "maxLength", place))
        if kind == "integer":
            return self._integer(schema, place)
        if kind == "number":
            return self._number()
        return Choice(*map(self._text, ("true", "false") if kind == "boolean" else ("null",)))

    def _number(self) -> Node:
        digit = OneOf("0123456789")
        fraction = Chain(Text("."), Repeat(digit, 1, DIGITS))
        exponent = Chain(OneOf("eE"), optional(OneOf("+-")), Repeat(digit, 1, 2))
        return Chain(self._whole(), optional(fraction), optional(exponent))

    def _object(self, schema: Mapping[str, Any], extra: object, place: str) -> Node:
        properties = schema.get("properties", {})
        required = schema.get("required", [])
        if not isinstance(properties, Mapping) or not isinstance(required, Sequence):
            raise InvalidSetting(f"The properties of {place} are no JSON schema.", "They must be an object.")
        for name in required:
            if name not in properties:
                raise InvalidSetting(
                    f"{place} requires {name!r}, which is none of its properties.", "Describe it among them."
                )
        if not properties:
            if "properties" in schema or extra is False:
                return Chain(Text("{"), self._space, Text("}"))
            value = self.node({} if extra is None else extra, f"{place}.additionalProperties")
            return self._listed("{", Chain(self._string(), *self._colon(), value), "}", 0, None)
        members = [
            (
                Chain(
                    self._text(json.dumps(name, ensure_ascii=False)),
                    *self._colon(),
                    self.node(value, f"{place}.{name}"),
                ),
                name in required,
            )
            for name, value in properties.items()
        ]
        return Chain(Text("{"), self._space, self._members(members), self._space, Text("}"))

    def _members(self, members: Sequence[tuple[Node, bool]]) -> Node:
        """Members in their order, those that are not required or not, with commas between them."""
        comma = Chain(Text(","), self._space)
        rest: Node = EMPTY  # behind a member
        first: Node = EMPTY  # where none is there yet
        for member, needed in reversed(members):
            with_member, more = Chain(member, rest), Chain(comma, member, rest)
            first = with_member if needed else Choice(with_member, first)
            rest = more if needed else Choice(more, rest)
        return first

    def _array(self, schema: Mapping[str, Any], place: str) -> Node:
        fewest, most = self._bounds(schema, "minItems", "maxItems", place)
        places = [self.node(item, f"{place}[{n}]") for n, item in enumerate(schema.get("prefixItems", []))]
        if not places:
            return self._listed("[", self.node(schema.get("items", {}), f"{place}[]"), "]", fewest, most)
        if schema.get("items", False) is not False:
            raise InvalidSetting(f"{place} has both prefixItems and items.", "Give one of them.")
        fixed = [part for item in places for part in (Text(","), self._space, item)][2:]
        return Chain(Text("["), self._space, *fixed, self._space, Text("]"))

    def _listed(self, left: str, item: Node, right: str, fewest: int, most: int | None) -> Node:
        if most == 0:
            return Chain(Text(left), self._space, Text(right))
        more = Repeat(
            Chain(Text(","), self._space, item), max(0, fewest - 1), None if most is None else most - 1
        )
        items: Node = Chain(item, more)
        return Chain(Text(left), self._space, items if fewest else optional(items), self._space, Text(right))

    def _string(self, fewest: int = 0, most: int | None = None) -> Node:
        return Chain(Text('"'), Repeat(self._character, fewest, most), Text('"'))

    def _integer(self, schema: Mapping[str, Any], place: str) -> Node:
        if "minimum" not in schema and "maximum" not in schema:
            return self._whole()
        low, high = schema.get("minimum"), schema.get("maximum")
        if not isinstance(low, int) or not isinstance(high, int) or not 0 <= high - low < LARGEST_RANGE:
            raise InvalidSetting(
                f"{place} has a minimum of {low} and a maximum of {high}.",
                f"Give both, whole and at most {LARGEST_RANGE:,} numbers apart, or leave them out.",
            )
        return Choice(*(Text(str(number)) for number in range(low, high + 1)))

    def _whole(self) -> Node:
        digits = Chain(OneOf("123456789"), Repeat(OneOf("0123456789"), 0, DIGITS - 1))
        return Chain(optional(Text("-")), Choice(Text("0"), digits))

    def _anything(self) -> Node:
        if self._any is None:
            self._any = Choice()
            kinds = (kind for kind in _KEPT if kind != "integer")
            self._any.nodes = [self._typed(kind, {}, True, "the schema") for kind in kinds]
        return self._any

    # --- Without a type

    def _reference(self, name: object, place: str) -> Node:
        if not isinstance(name, str) or not name.startswith("#"):
            raise InvalidSetting(
                f"{place} refers to {name!r}.", "Refer to a part of the schema, as #/$defs/name."
            )
        if name not in self._references:
            target: Any = self._root
            for key in name[1:].split("/")[1:]:
                step = key.replace("~1", "/").replace("~0", "~")
                if not isinstance(target, Mapping) or step not in target:
                    raise InvalidSetting(
                        f"{place} refers to {name!r}.", "There is no such part of the schema."
                    )
                target = target[step]
            self._references[name] = Choice()
            self._references[name].nodes = [self.node(target, name)]
        return self._references[name]

    def _constants(self, values: object, place: str) -> Node:
        if not isinstance(values, Sequence) or isinstance(values, str) or not values:
            raise InvalidSetting(
                f"The enum of {place} is {json.dumps(values)}.", "It must be a list of values."
            )
        return Choice(*(self._constant(value, place) for value in values))

    def _constant(self, value: object, _: str) -> Node:
        return self._text(json.dumps(value, ensure_ascii=False))

    def _union(self, schemas: object, place: str, name: str, known: Mapping[str, Any]) -> Node:
        if not isinstance(schemas, Sequence) or not schemas or (name == "allOf" and len(schemas) > 1):
            self._refuse({name: schemas}, place)
        self._refuse({key: value for key, value in known.items() if key != name}, place)
        return Choice(*(self.node(each, place) for each in schemas))  # type: ignore[attr-defined]

    # --- Pieces

    def _colon(self) -> tuple[Node, Node]:
        return Text(":"), self._space

    def _escape(self) -> Node:
        """Two characters, or four digits of a code that is no half of a pair."""
        first = OneOf(_HEX.replace("d", "").replace("D", ""))
        code = Chain(Text("u"), first, Repeat(OneOf(_HEX), 3, 3))
        return Chain(Text("\\"), Choice(OneOf('"\\/bfnrt'), code))

    def _text(self, text: str) -> Text:
        """A text with what cannot be written as it is escaped."""
        spelled = re.sub(
            r"[^\x00-\x7f]",
            lambda found: found[0] if self._has(found[0]) else json.dumps(found[0])[1:-1],
            text,
        )
        return Text(spelled.replace(" ", SPACE))

    def _bounds(self, schema: Mapping[str, Any], low: str, high: str, place: str) -> tuple[int, int | None]:
        fewest, most = schema.get(low, 0), schema.get(high)
        numbers = [number for number in (fewest, most) if number is not None]
        if any(not isinstance(number, int) or number < 0 for number in numbers) or numbers != sorted(numbers):
            raise InvalidSetting(
                f"{place} has a {low} of {fewest} and a {high} of {most}.",
                "They must be whole numbers in their order.",
            )
        return fewest, most

    def _check(self, known: Mapping[str, Any], kinds: object, place: str) -> None:
        if not isinstance(kinds, Sequence) or not kinds or any(kind not in _KEPT for kind in kinds):
            raise InvalidSetting(
                f"{place} has the type {json.dumps(kinds)}.", f"There are: {', '.join(_KEPT)}."
            )
        kept = frozenset[str]().union(*(_KEPT[kind] for kind in kinds))
        self._refuse({name: value for name, value in known.items() if name not in kept}, place)

    @staticmethod
    def _refuse(left: Mapping[str, Any], place: str) -> None:
        if left:
            raise InvalidSetting(
                f"{place} has {next(iter(left))!r}, which what is written cannot be held to.",
                "Leave it out, and check the answer for it.",
            )
