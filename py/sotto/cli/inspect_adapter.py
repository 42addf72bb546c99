"""What `sotto inspect` shows of a LoRA adapter."""

from __future__ import annotations

from ..formats.adapter import Adapter
from .options import print_json
from .terminal import output


def show(adapter: Adapter, as_json: bool) -> None:
    """Print what an adapter was made for and what it changes."""
    scales = sorted({factors.scale for factors in adapter.factors.values()})
    if as_json:
        print_json(
            {
                "name": adapter.name,
                "format": f"LoRA ({adapter.format})",
                "base": adapter.base,
                "parameters": adapter.parameters,
                "ranks": adapter.ranks,
                "scales": scales,
                "layers": adapter.projections,
                "card": dict(adapter.card),
            }
        )
        return
    lowest, highest = adapter.ranks
    rank = str(lowest) if lowest == highest else f"{lowest} to {highest}"
    scale = f"{scales[0]:g}" if len(scales) == 1 else f"{scales[0]:g} to {scales[-1]:g}"
    rows = {
        "made for": adapter.base or "it does not say",
        "parameters": f"{adapter.parameters / 1e6:,.1f} million",
        "rank": rank,
        "scale": scale,
        "changes": ", ".join(f"{kind} of {layers} layers" for kind, layers in adapter.projections.items()),
        **{name.replace("_", " "): str(value) for name, value in adapter.card.items()},
    }
    console = output()
    console.print(f"{adapter.name}: LoRA adapter ({adapter.format})", markup=False)
    for name, value in rows.items():
        console.print(f"{name:12} {value}", markup=False)
