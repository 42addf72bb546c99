"""What a folder of transformers holds, where it is nothing that can run: by config.json and the tensors' names."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from .hf_config import text_part

_QUANTIZERS = {  # quant_method, or what stands for it: what people call it
    "bitsandbytes": "bitsandbytes",
    "gptq": "GPTQ",
    "awq": "AWQ",
    "compressed-tensors": "compressed-tensors",
    "mlx": "MLX",
}
_TAKE_FLOATS = "Take the model's own files (bf16), which Sotto quantizes itself, or a GGUF file of it."
_MARKS = {  # ends of tensor names that only a quantizer writes
    ".quant_state.bitsandbytes__nf4": "bitsandbytes",
    ".quant_state.bitsandbytes__fp4": "bitsandbytes",
    ".absmax": "bitsandbytes",
    ".SCB": "bitsandbytes",
    ".g_idx": "gptq",
    ".qweight": "gptq",
    ".weight_packed": "compressed-tensors",
    ".biases": "mlx",
}


def refusal_of(name: str, config: Mapping[str, object], tensors: Collection[str]) -> tuple[str, str] | None:
    """Why a folder's model cannot run, and what to take instead."""
    method = quantizer(config, tensors)
    if method:
        return f"{name} is quantized already, by {method}, whose codes Sotto cannot read.", _TAKE_FLOATS
    if text_part(config).get("use_bidirectional_attention"):
        return (
            f"{name} is a model that turns texts into vectors (embeddings), whose tokens see those behind them too "
            "(use_bidirectional_attention); it cannot write.",
            "Choose a model for text generation, such as Gemma 3.",
        )
    if any(".lora_A." in tensor for tensor in tensors):
        return (
            f"{name} is a LoRA adapter: changes to a model, without the model.",
            "Load the model it was made for, and give this with it (--lora).",
        )
    return None


def quantizer(config: Mapping[str, object], tensors: Collection[str]) -> str:
    """What quantized a model's tensors, in people's words; "" where nothing did."""
    for given in (config, text_part(config)):
        found = given.get("quantization_config")
        if isinstance(found, dict):
            method = str(
                found.get("quant_method") or ("mlx" if "group_size" in found else "an unknown method")
            )[:40]
            return _QUANTIZERS.get(method, method)
        if isinstance(given.get("quantization"), dict):
            return _QUANTIZERS["mlx"]
    for tensor in tensors:
        for end, method in _MARKS.items():
            if tensor.endswith(end):
                return _QUANTIZERS[method]
    return ""
