"""Write tests/golden/gemma3-270m-adapters.json: what transformers and PEFT compute of the tests' adapters.

    pip install torch==2.13.0 transformers==5.24.0 peft==0.21.2
    python tools/reference_adapters.py

The default model's weights are taken from its GGUF file in f32. That they are right is checked first: without an
adapter the log-likelihoods must be those of tests/golden/gemma3-270m.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import peft
import torch
import transformers
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
sys.path += [str(ROOT / "py"), str(ROOT / "tests")]

import lora
from sotto import assets, formats
from sotto.api import drive
from sotto.formats import blocks
from sotto.formats.gguf import parse
from sotto.formats.gguf_checkpoint import canonical_name
from sotto.models.gemma3 import Config
from sotto.source import MemorySource

GOLDEN = ROOT / "tests" / "golden"
TOKENS = 129
LAYER_NAMES = {
    **{kind: f"{module}.weight" for kind, module in lora.MODULE.items()},
    "attention_norm": "input_layernorm.weight",
    "query_norm": "self_attn.q_norm.weight",
    "key_norm": "self_attn.k_norm.weight",
    "post_attention_norm": "post_attention_layernorm.weight",
    "ffn_norm": "pre_feedforward_layernorm.weight",
    "post_ffn_norm": "post_feedforward_layernorm.weight",
}


def base_model(data: bytes) -> Any:
    """The model of a GGUF file in f32, with transformers' own forward pass."""
    checkpoint = drive(formats.open(MemorySource(data, "model.gguf", "model")))
    sizes = Config.read(checkpoint.settings)
    config = transformers.Gemma3TextConfig(
        vocab_size=sizes.vocabulary, hidden_size=sizes.dim, intermediate_size=sizes.ffn_dim,
        num_hidden_layers=sizes.layers, num_attention_heads=sizes.heads, num_key_value_heads=sizes.kv_heads,
        head_dim=sizes.head_dim, query_pre_attn_scalar=sizes.head_dim, sliding_window=sizes.window,
        max_position_embeddings=sizes.context_limit, attn_implementation="eager",
    )  # fmt: skip
    model = transformers.Gemma3ForCausalLM(config).to(torch.float32).eval()
    state = {}
    for record in parse(data).tensors.values():
        raw = np.frombuffer(data, np.uint8, record.nbytes, record.offset)
        values = blocks.dequantize(record.type, raw, record.shape)
        name = canonical_name(record.name)
        if name == "embedding":
            key = "model.embed_tokens.weight"
        elif name == "final_norm":
            key = "model.norm.weight"
        else:
            _, layer, kind = name.split(".")
            key = f"model.layers.{layer}.{LAYER_NAMES[kind]}"
        state[key] = torch.from_numpy(values - 1 if name.endswith("norm") else values)
    state["lm_head.weight"] = state["model.embed_tokens.weight"]
    model.load_state_dict(state, strict=True)
    return model


def nll(model: Any, ids: list[int]) -> NDArray[np.float64]:
    """The negative log-likelihood of each token but the first."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids])).logits[0].double()
    found = -torch.log_softmax(logits, -1)[torch.arange(len(ids) - 1), torch.tensor(ids[1:])]
    values: NDArray[np.float64] = found.numpy()
    return values


def main() -> None:
    """Make the references."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    golden = json.loads((GOLDEN / "gemma3-270m.json").read_text("utf-8"))["perplexity"]
    ids = golden["ids"][:TOKENS]
    data = Path(assets.default_model()).read_bytes()
    shapes = lora.shapes_of(data)
    model = base_model(data)
    plain = nll(model, ids)
    off = np.abs(plain - np.array(golden["nll"][: TOKENS - 1])).max()
    print(f"without an adapter: mean nll {plain.mean():.4f}, {off:.1e} from the other reference at most")
    assert off < 1e-3, "the weights are not those of the other reference"
    found = {}
    for name, case in lora.CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            lora.written(case.files(shapes), Path(folder))
            adapted = peft.PeftModel.from_pretrained(model, folder).eval()
            values = nll(adapted, ids)
            model = adapted.unload()
        print(f"{name}: mean nll {values.mean():.4f}, mean |change| {np.abs(values - plain).mean():.3f}")
        found[name] = [round(float(value), 5) for value in values]
    again = np.abs(nll(model, ids) - plain).max()
    assert again < 1e-6, "an adapter was left behind"
    versions = f"transformers {transformers.__version__}, peft {peft.__version__}, torch {torch.__version__}"
    text = json.dumps({"engine": versions, "tokens": TOKENS, "nll": found})
    (GOLDEN / "gemma3-270m-adapters.json").write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
