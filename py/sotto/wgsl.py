"""Reads kernels/: a WGSL file is the signature of its kernel.

Bindings, their access and the overrides are parsed from the source, so that no other file repeats a binding
number. Two comment directives are understood:

    // #include "lib/reduce.wgsl"          the shared functions of that file, once
    // #include "weights/{format}.wgsl"    the same, with a name filled in by the caller: one matmul text
                                           serves every weight format
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path

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
    """One WGSL kernel with its includes resolved. `name` is the file's stem, plus the weight format if any."""

    name: str
    source: str
    bindings: tuple[BindingDeclaration, ...]
    overrides: dict[str, Override]

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def operation(self) -> str:
        """The kernel's file name without the weight format: the name of its op and of its reference."""
        return self.name.partition(":")[0]

    @property
    def format(self) -> str:
        """The weight format the kernel was read for, or ''."""
        return self.name.partition(":")[2]


def kernels_folder() -> Path:
    """Where the .wgsl files are: inside the installed package, or beside py/ in a checkout."""
    here = Path(__file__).resolve().parent
    packaged = here / "kernels"
    return packaged if packaged.is_dir() else here.parent.parent / "kernels"


def names() -> list[str]:
    """The kernels there are, by file name."""
    return sorted(path.stem for path in kernels_folder().glob("*.wgsl"))


@functools.cache
def load(name: str, format: str = "") -> Kernel:
    """Read kernels/<name>.wgsl.

    Args:
        name: the file's stem.
        format: the weight format for an include of weights/{format}.wgsl; '' where the kernel has none.

    Raises:
        FileNotFoundError: no such kernel or include.
        ValueError: two bindings share a number, or a format is given to a kernel without one.
    """
    folder = kernels_folder()
    seen: set[str] = set()

    def include(text: str) -> str:
        def replace(match: re.Match[str]) -> str:
            path = match[1].replace("{format}", format)
            if path in seen:
                return ""
            seen.add(path)
            return include((folder / "lib" / path).read_text("utf-8"))

        return _INCLUDE.sub(replace, text)

    text = (folder / f"{name}.wgsl").read_text("utf-8")
    if bool(format) != ("{format}" in text):
        raise ValueError(f"kernel {name} {'has no' if format else 'needs a'} weight format")
    source = include(text)
    bare = _COMMENT.sub("", source)
    bindings = tuple(
        BindingDeclaration(
            int(number), variable, "uniform" if space == "uniform" else access or "read", kind.strip()
        )
        for number, space, access, variable, kind in _BINDING.findall(bare)
    )
    if len({b.number for b in bindings}) != len(bindings):
        raise ValueError(f"kernel {name}: two bindings share a number")
    overrides = {
        variable: Override(variable, kind, default.strip() or None)
        for variable, kind, default in _OVERRIDE.findall(bare)
    }
    return Kernel(f"{name}:{format}" if format else name, source, bindings, overrides)
