"""Take from a built ONNX model what refers to nothing: the builder leaves an input without a value when the
embedding is shared with a symmetric head.

    python docs/benchmarks/peers/mend_onnx.py ONNX
"""

from __future__ import annotations

import argparse
from pathlib import Path

import onnx

FED = ("input_ids", "attention_mask", "position_ids", "past_key_values")


def main() -> None:
    """Rewrite model.onnx in the folder; its data file stays."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    path = parser.parse_args().folder / "model.onnx"
    model = onnx.load(path, load_external_data=False)
    graph = model.graph
    inputs = [value for value in graph.input if value.name.startswith(FED)]
    known = {value.name for value in (*inputs, *graph.initializer)}
    known.update(name for node in graph.node for name in node.output)
    removed = []
    for node in graph.node:
        kept = [name if name in known else "" for name in node.input]
        removed += [name for name in node.input if name and name not in known]
        while kept and not kept[-1]:
            kept.pop()
        del node.input[:]
        node.input.extend(kept)
    removed += [value.name for value in graph.input if value not in inputs]
    del graph.input[:]
    graph.input.extend(inputs)
    onnx.save(model, path)
    print(f"removed: {', '.join(removed) or 'nothing'}")


if __name__ == "__main__":
    main()
