"""Write a GGUF of Gemma 3 as the folder of files that other systems' converters read.

    pip install torch==2.13.0 transformers==4.57.1 onnxruntime-genai==0.11.4 onnx==1.23.2 onnx_ir==1.1.0 \\
        onnxruntime==1.32.0 safetensors   (an environment of its own; torch's CPU wheel will do)
    python docs/benchmarks/peers/checkpoint.py MODEL.gguf CHECKPOINT
    python -m onnxruntime_genai.models.builder -i CHECKPOINT -o ONNX -p int4 -e webgpu -c CACHE \\
        --extra_options use_webgpu_fp32=true shared_embeddings=true int4_algo_config=rtn
    python docs/benchmarks/peers/mend_onnx.py ONNX

The weights are the file's own values as float32 (Gemma's norms are stored there with 1 added, here without); the
tokenizer is an empty one, since the peers are given token ids.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "py"))

from sotto import formats
from sotto.api import drive
from sotto.formats import blocks
from sotto.models.gemma3 import Config
from sotto.source import FileSource

NAMES = {
    "attention_norm": "input_layernorm",
    "query": "self_attn.q_proj",
    "key": "self_attn.k_proj",
    "value": "self_attn.v_proj",
    "output": "self_attn.o_proj",
    "query_norm": "self_attn.q_norm",
    "key_norm": "self_attn.k_norm",
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "gate": "mlp.gate_proj",
    "up": "mlp.up_proj",
    "down": "mlp.down_proj",
    "post_ffn_norm": "post_feedforward_layernorm",
}


def renamed(name: str) -> str:
    """The name there of a tensor."""
    if name.startswith("layers."):
        _, layer, kind = name.split(".")
        return f"model.layers.{layer}.{NAMES[kind]}.weight"
    return {"embedding": "model.embed_tokens.weight", "final_norm": "model.norm.weight"}[name]


def configuration(about: Config) -> dict[str, object]:
    """config.json in the form that transformers 4 reads."""
    return {
        "architectures": ["Gemma3ForCausalLM"],
        "model_type": "gemma3_text",
        "vocab_size": about.vocabulary,
        "hidden_size": about.dim,
        "intermediate_size": about.ffn_dim,
        "num_hidden_layers": about.layers,
        "num_attention_heads": about.heads,
        "num_key_value_heads": about.kv_heads,
        "head_dim": about.head_dim,
        "query_pre_attn_scalar": about.head_dim,
        "hidden_activation": "gelu_pytorch_tanh",
        "max_position_embeddings": about.context_limit,
        "rms_norm_eps": about.eps,
        "rope_theta": about.rope_base,
        "rope_local_base_freq": 10000.0,
        "rope_scaling": None,
        "sliding_window": about.window,
        "sliding_window_pattern": 6,
        "layer_types": [
            "full_attention" if about.is_global(layer) else "sliding_attention"
            for layer in range(about.layers)
        ],
        "attention_bias": False,
        "tie_word_embeddings": True,
        "bos_token_id": 2,
        "eos_token_id": 1,
        "pad_token_id": 0,
        "torch_dtype": "float32",
    }


def main() -> None:
    """Read, dequantise, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    source = FileSource(given.model)
    checkpoint = drive(formats.open(source))
    tensors = {}
    for info in checkpoint.tensors.values():
        raw = np.frombuffer(drive(source.read(info.offset, info.nbytes)), np.uint8)
        values = blocks.dequantize(info.type, raw, info.shape)
        tensors[renamed(info.name)] = values - 1 if info.name.endswith("norm") else values
    given.folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, given.folder / "model.safetensors", {"format": "pt"})
    (given.folder / "config.json").write_text(
        json.dumps(configuration(Config.read(checkpoint.settings)), indent=1), "utf-8"
    )
    words = {"<pad>": 0, "<eos>": 1, "<bos>": 2, "<unk>": 3}
    empty = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel(words, "<unk>")),
        bos_token="<bos>", eos_token="<eos>", pad_token="<pad>", unk_token="<unk>",
    )  # fmt: skip
    empty.save_pretrained(given.folder)


if __name__ == "__main__":
    main()
