"""Reads kernels/: a WGSL file is the signature of its kernel.

Bindings, their access and the overrides are parsed from the source, so that no other file repeats a binding
number. Two comment directives are understood:

    // #include "reduce.wgsl"              the shared functions of kernels/lib/reduce.wgsl, once
    // #include "weights/{format}.wgsl"    the same, with a name filled in by the caller: one matmul text
                                           serves every weight format; likewise any other {option}
    // #variant-of "matmul"                this file computes what that kernel computes, in another way

Lines that begin with `enable` or `requires` may stand in any file: they are moved to the top, where WGSL wants them.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..paths import kernels_folder
from ..weights.layout import FORMATS

_DIRECTIVE = re.compile(r"^(?:enable|requires) [^;]+;[ \t]*$", re.MULTILINE)
_OPTION = re.compile(r"\{(\w+)\}")
_VARIANT_OF = re.compile(r'^// #variant-of "(\w+)"[ \t]*$', re.MULTILINE)
_INCLUDE = re.compile(r'^// #include "([^"]+)"[ \t]*$', re.MULTILINE)
_BINDING = re.compile(
    r"@group\(0\)\s*@binding\((\d+)\)\s*var<\s*(uniform|storage)\s*(?:,\s*(read|read_write)\s*)?>\s*(\w+)\s*:\s*([^;]+);"
)
_OVERRIDE = re.compile(r"^override\s+(\w+)\s*:\s*(\w+)\s*(?:=\s*([^;]+))?;", re.MULTILINE)
_COMMENT = re.compile(r"//[^\n]*")


@dataclass(frozen=True)
class BindingDeclaration:
    """`@group(0) @binding(number) var<...> name: type;`"""

    number: int
    name: str
    access: str  # "read", "read_write" or "uniform"
    type: str


@dataclass(frozen=True)
class Override:
    """`override name: type = default;`; default is None when the caller must give a value."""

    name: str
    type: str
    default: str | None


@dataclass(frozen=True)
class Kernel:
    """One WGSL kernel with its includes resolved.

    Attributes:
        name: the file's stem and the options it was read with; `named` finds the kernel again.
        operation: what it computes: the name of its reference. The file's stem, unless it is a variant of another.
        format: the weight format it was read for, or ''.
        options: what its includes were filled in with, the format among it.
        bindings: by their numbers, the lowest first.
    """

    name: str
    operation: str
    format: str
    source: str
    bindings: tuple[BindingDeclaration, ...]
    overrides: dict[str, Override]
    options: dict[str, str]

    def __hash__(self) -> int:
        return hash(self.name)

    @functools.cached_property
    def numbers(self) -> dict[str, int]:
        """The bindings' numbers by their names."""
        return {binding.name: binding.number for binding in self.bindings}

    @functools.cached_property
    def names(self) -> dict[int, str]:
        """The bindings' names by their numbers."""
        return {binding.number: binding.name for binding in self.bindings}

    @functools.cached_property
    def required(self) -> frozenset[str]:
        """The overrides without a default."""
        return frozenset(name for name, override in self.overrides.items() if override.default is None)


class OptionsError(ValueError):
    """A kernel was not given the options that it asks for.

    Attributes:
        missing: those that it asks for besides; these may ask for more.
        surplus: those that it has no use for, with the values of the others.
    """

    def __init__(self, name: str, asked: Iterable[str], given: Iterable[str]) -> None:
        super().__init__(f"kernel {name} asks for the options {sorted(asked)}, given {sorted(given)}")
        self.missing = sorted(set(asked) - set(given))
        self.surplus = sorted(set(given) - set(asked))


def names() -> list[str]:
    """The kernels there are, by file name."""
    return sorted(path.stem for path in kernels_folder().glob("*.wgsl"))


def variant_of(name: str) -> str | None:
    """The kernel that kernels/<name>.wgsl is another way of, if it is one."""
    found = _VARIANT_OF.search((kernels_folder() / f"{name}.wgsl").read_text("utf-8"))
    return found[1] if found else None


def operation(name: str) -> str:
    """What kernels/<name>.wgsl computes: the name of the kernel that it is a variant of, or its own."""
    return variant_of(name) or name


def options(name: str) -> dict[str, list[str]]:
    """What kernels/<name>.wgsl must be read with, the format among it: the values there are for each option.

    Not every value goes with every value of another option.
    """
    folder = kernels_folder()
    found: dict[str, set[str]] = {}
    seen: set[Path] = set()

    def visit(path: Path) -> None:
        if path in seen:
            return
        seen.add(path)
        for included in _INCLUDE.findall(path.read_text("utf-8")):
            pattern = re.compile(_OPTION.sub(r"(?P<\1>\\w+)", included.replace(".", r"\.")))
            for option in _OPTION.findall(included):
                found.setdefault(option, set())
            for file in (folder / "lib").glob(_OPTION.sub("*", included)):
                match = pattern.fullmatch(file.relative_to(folder / "lib").as_posix())
                for option, value in match.groupdict().items() if match else ():
                    found[option].add(value)
                visit(file)

    visit(folder / f"{name}.wgsl")
    if "format" in found:
        found["format"] &= set(FORMATS)  # beside them lie what several share
    return {option: sorted(values) for option, values in sorted(found.items())}


def load(name: str, format: str = "", **options: str) -> Kernel:
    """Read kernels/<name>.wgsl.

    Args:
        name: the file's stem.
        format: the weight format for an include of weights/{format}.wgsl; '' where the kernel has none.
        options: values for the other {option}s of its includes.

    Raises:
        FileNotFoundError: no such kernel or include.
        OptionsError: the options are not those the kernel asks for.
        ValueError: two bindings share a number.
    """
    return _load(name, tuple(sorted((options | ({"format": format} if format else {})).items())))


def named(name: str) -> Kernel:
    """The kernel whose `name` this is."""
    stem, _, options = name.partition(":")
    return _load(stem, tuple(tuple(o.split("=", 1)) for o in options.split(",") if o))


@functools.cache
def _text(path: str) -> str:
    """A file of kernels/, most of which several kernels include."""
    return (kernels_folder() / path).read_text("utf-8")


@functools.cache
def _load(name: str, options: tuple[tuple[str, str], ...]) -> Kernel:
    values = dict(options)
    used: set[str] = set()
    seen: set[str] = set()

    def value(match: re.Match[str]) -> str:
        used.add(match[1])
        return values.get(match[1], "")

    def include(text: str) -> str:
        def replace(match: re.Match[str]) -> str:
            path = _OPTION.sub(value, match[1])
            if path in seen:
                return ""
            seen.add(path)
            return include(_text(f"lib/{path}")) if used <= set(values) else ""

        return _INCLUDE.sub(replace, text)

    source = include(_text(f"{name}.wgsl"))
    if used != set(values):
        raise OptionsError(name, used, values)
    directives = sorted(set(_DIRECTIVE.findall(source)))
    source = "".join(f"{line}\n" for line in directives) + _DIRECTIVE.sub("", source)
    bare = _COMMENT.sub("", source)
    bindings = sorted(
        (
            BindingDeclaration(
                int(number), variable, "uniform" if space == "uniform" else access or "read", kind.strip()
            )
            for number, space, access, variable, kind in _BINDING.findall(bare)
        ),
        key=lambda binding: binding.number,
    )
    if len({b.number for b in bindings}) != len(bindings):
        raise ValueError(f"kernel {name}: two bindings share a number")
    overrides = {
        variable: Override(variable, kind, default.strip() or None)
        for variable, kind, default in _OVERRIDE.findall(bare)
    }
    of = _VARIANT_OF.search(source)
    full = ":".join([name, *([",".join(f"{k}={v}" for k, v in options)] if options else [])])
    return Kernel(
        full, of[1] if of else name, values.get("format", ""), source, tuple(bindings), overrides, values
    )
