"""What int8 activations cost: transformers in f32, with the inputs of its matrices rounded as the CPU device does it.

    pip install torch==2.13.0 transformers==5.24.0 peft==0.21.2
    python docs/benchmarks/activations.py [--tokens 513]

For each choice of matrices and of columns that share a scale: the change of the mean negative log-likelihood of the
golden text with its standard error, the mean |delta logprob|, and the least and largest change over 64 tokens.
"""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / folder) for folder in ("py", "tests", "tools")]

from reference_adapters import base_model

from sotto import assets

PARTS = {
    "q_proj": "qkv", "k_proj": "qkv", "v_proj": "qkv", "o_proj": "output", "gate_proj": "gate and up",
    "up_proj": "gate and up", "down_proj": "down", "lm_head": "head",
}  # fmt: skip
STEP = 64  # tokens whose logits are held at once


def rounded(x: torch.Tensor, columns: int) -> torch.Tensor:
    """Codes of -127 to 127, halves to even, with a scale for so many columns (kernels/cpu/activations.h)."""
    blocks = x.reshape(*x.shape[:-1], -1, columns)
    peak = blocks.abs().amax(-1, keepdim=True)
    factor = torch.where(peak > 0, 127 / peak, torch.zeros_like(peak))
    return (torch.round(blocks * factor) * (peak / 127)).reshape(x.shape)


class Rounded:
    """A model, the inputs of whose matrices can be rounded. `columns`: that share a scale, by part; 0 for f32."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.columns: dict[str, int] = {}
        for name, module in model.named_modules():
            if part := PARTS.get(name.rpartition(".")[2]):
                module.register_forward_pre_hook(partial(self._before, part))

    def _before(self, part: str, module: object, given: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        columns = self.columns.get(part, 0)
        return (rounded(given[0], columns),) if columns else given

    def nll(self, ids: list[int]) -> NDArray[np.float64]:
        """The negative log-likelihood of each token but the first."""
        found = []
        with torch.no_grad():
            hidden = self.model.model(input_ids=torch.tensor([ids[:-1]])).last_hidden_state[0]
            for begin in range(0, len(ids) - 1, STEP):
                logits = self.model.lm_head(hidden[begin : begin + STEP])
                targets = torch.tensor(ids[1:][begin : begin + STEP])
                found.append(torch.logsumexp(logits, -1) - logits[torch.arange(len(targets)), targets])
        values: NDArray[np.float64] = torch.cat(found).double().numpy()
        return values


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tokens", type=int, default=513)
    given = parser.parse_args()
    golden = json.loads((ROOT / "tests/golden/gemma3-270m.json").read_text("utf-8"))["perplexity"]
    ids = golden["ids"][: given.tokens]
    model = Rounded(base_model(Path(assets.default_model()).read_bytes()))
    reference = model.nll(ids)
    parts = list(dict.fromkeys(PARTS.values()))
    cases = {f"all, a scale for {n} columns": dict.fromkeys(parts, n) for n in (32, 16, 8)}
    cases |= {f"only {part}": {part: 32} for part in parts}
    cases |= {f"all but {part}": {p: 32 for p in parts if p != part} for part in parts}
    print("| rounded | mean nll | standard error | mean abs delta logprob | least, largest of 64 tokens |")
    for name, columns in cases.items():
        model.columns = columns
        off = model.nll(ids) - reference
        of_64 = [off[begin : begin + 64].mean() for begin in range(0, len(off) - 63, 64)]
        print(
            f"| {name} | {off.mean():+.4f} | {off.std() / len(off) ** 0.5:.4f} | {np.abs(off).mean():.4f} "
            f"| {min(of_64):+.4f}, {max(of_64):+.4f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
