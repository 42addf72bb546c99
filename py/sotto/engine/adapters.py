"""The adapters of a loaded model: side by side on the device, of which any are on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count

from .. import values
from ..errors import SottoError
from ..formats.adapter import Adapter
from ..plan.memory import Memory
from ..plan.plan import Tensor
from ..plan.weights import LowRank, Weights, bind_adapters
from ..weights.image import Wanted
from ..weights.low_rank import AdapterImage

Names = tuple[str, ...]

LARGEST_SCALE = 100.0
_NUMBERS = count()


class AdapterMemory:
    """Adapters that are on together, as one piece of device memory.

    Attributes:
        names: of the adapters, in the order in which their ranks stand.
    """

    def __init__(self, memory: Memory, wanted: Sequence[Wanted], adapters: Mapping[str, Adapter]) -> None:
        self.names = tuple(adapters)
        self._memory = memory
        self._image = AdapterImage(wanted, tuple(adapters.values()))
        self._whole: Tensor
        self._low_rank: dict[str, LowRank]
        # The same adapters may be prepared twice at once.
        label = f"adapters {', '.join(self.names)} #{next(_NUMBERS)}"
        self._whole, self._low_rank = bind_adapters(self._image, label)
        self._scales: tuple[float, ...] | None = None
        memory.allocate("adapters", [self._whole])

    def adapted(self, weights: Weights) -> Weights:
        """The model's weights with these adapters."""
        return weights.adapted(self._whole, self._low_rank)

    def check(self, scales: Sequence[float]) -> None:
        """Raise InvalidSetting unless the adapters can count that much."""
        if self._scales != tuple(scales):
            self._image.scaled(scales)

    def write(self, scales: Sequence[float]) -> None:
        """Let the adapters count `scales` times."""
        if self._scales != tuple(scales):
            self._memory.write(self._whole, self._image.scaled(scales))
            self._scales = tuple(scales)

    def release(self) -> None:
        """Free the memory."""
        self._memory.free([self._whole])


class Adapters:
    """The adapters of a model by name.

    Args:
        wanted: the model's weights.

    Attributes:
        shapes: (N, K) of the matrices that an adapter can change, by canonical name.
    """

    def __init__(self, memory: Memory, wanted: Sequence[Wanted]) -> None:
        self._memory = memory
        self._wanted = tuple(wanted)
        self.shapes = {
            name: (shape[0], shape[1])
            for want in wanted
            for name, shape in zip(want.sources, want.shapes, strict=True)
            if name.startswith("layers.") and len(shape) == 2
        }
        self._known: dict[str, Adapter] = {}

    @property
    def known(self) -> Mapping[str, Adapter]:
        """Those that were added, by name."""
        return self._known

    def add(self, name: str, adapter: Adapter) -> None:
        """Keep an adapter. Raises UnsupportedModel when it does not fit the model, InvalidSetting for a bad name."""
        if not isinstance(name, str) or not 0 < len(name) <= 200:
            raise values.invalid("the name of an adapter", name, "a text of 1 to 200 characters")
        adapter.outline.check_fits(self.shapes)
        self._known[name] = adapter

    def remove(self, name: str) -> None:
        """Forget an adapter."""
        del self._known[self.named(name)]

    def named(self, name: str) -> str:
        """A name, if it is known. Raises SottoError, naming those that are."""
        if name not in self._known:
            known = ", ".join(self._known) or "none is loaded"
            raise SottoError(f"There is no adapter {name!r} with this model.", f"There are: {known}.")
        return name

    def checked(self, on: Mapping[str, float]) -> dict[str, float]:
        """What is to be on, in the order in which adapters were added; a scale of 0 is off.

        Raises SottoError for an unknown name, InvalidSetting for a scale that is none.
        """
        scales = {
            self.named(name): values.number(
                f"the scale of the adapter {name}", scale, -LARGEST_SCALE, LARGEST_SCALE
            )
            for name, scale in on.items()
        }
        return {name: scales[name] for name in self._known if scales.get(name)}

    def together(self, names: Names) -> AdapterMemory | None:
        """Some of them as they are on together, in new memory; None for none. Raises DeviceError, LimitError."""
        if not names:
            return None
        return AdapterMemory(self._memory, self._wanted, {name: self._known[name] for name in names})
