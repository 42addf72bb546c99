#!/usr/bin/env python3
"""Train a LoRA adapter on pairs of texts and answers.

    python finetune/train.py                                    the default model's, into finetune/posts
    python finetune/train.py --data mine.jsonl --start ADAPTER --out my-adapter --epochs 3
                                                                go on from there with a person's own pairs
    python finetune/train.py --model FOLDER --data mine.jsonl --out my-adapter     another Gemma 3

Needs `pip install -r finetune/requirements.txt` besides Sotto itself. The loss is of the answers' tokens alone; the
projections of attention and MLP are adapted, the embedding and the head never. Seeded; a run that was stopped goes on
where it was when the same command is given again. The adapter of the epoch with the lowest validation loss is kept.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from tqdm import tqdm
from transformers import AutoModelForCausalLM, AutoTokenizer

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "py"), str(Path(__file__).resolve().parent)]

from pairs import FOLDER, Pair, read  # noqa: E402
from sotto.assets import DEFAULT_MODEL, default_cache, model_path  # noqa: E402
from sotto.tasks import request as requests  # noqa: E402

PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
SHARED = 64  # batches whose pairs are sorted by length together, so that little is padded
SAVED_EVERY = 25  # steps
REPORTED = ("frame", "rank", "alpha", "dropout", "rate", "epochs", "batch", "seed")


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line as options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--model", type=Path, help="a GGUF file, or a folder of transformers (the default model)")
    add("--data", type=Path, nargs="+", help="files of pairs (finetune/data/train-*.jsonl)")
    add(
        "--out",
        type=Path,
        default=Path(__file__).parent / "posts",
        help="folder of the adapter (%(default)s)",
    )
    add("--start", type=Path, help="folder of an adapter to go on from (a new one)")
    add("--frame", choices=("plain", "chat"), help="of the prompts (chat for instruction-tuned models)")
    add("--rank", type=int, default=16)
    add("--alpha", type=float, default=32)
    add("--dropout", type=float, default=0.0)
    add("--rate", type=float, default=3e-4, help="highest learning rate (%(default)s)")
    add("--epochs", type=int, default=1)
    add("--batch", type=int, default=8, help="pairs a step (%(default)s)")
    add("--validation", type=float, default=0.05, help="share of the pairs that is kept out (%(default)s)")
    add(
        "--longest",
        type=int,
        default=1024,
        help="tokens of a pair; longer ones are left out, and said (%(default)s)",
    )
    add("--seed", type=int, default=1)
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser.parse_args(arguments)


@dataclass(frozen=True)
class Example:
    """A pair as tokens: the prompt's, and the answer's with its end."""

    prompt: list[int]
    answer: list[int]

    @property
    def length(self) -> int:
        return len(self.prompt) + len(self.answer)


def tokens(pair: Pair, tokenizer: Any, frame: str) -> Example:
    """A pair as the engine would read its prompt: the answer is tokenized apart, as it will be generated."""
    prompt = [tokenizer.bos_token_id]
    for segment in requests.prompt(pair.request, pair.text, "chat" if frame == "chat" else "plain").segments:
        prompt += tokenizer.encode(
            segment.text, add_special_tokens=False, split_special_tokens=not segment.trusted
        )
    end = "<end_of_turn>" if frame == "chat" else "<eos>"
    answer = tokenizer.encode(pair.answer, add_special_tokens=False, split_special_tokens=True)
    return Example(prompt, [*answer, tokenizer.convert_tokens_to_ids(end)])


def batches(examples: Sequence[Example], size: int, random_: random.Random) -> list[list[Example]]:
    """One epoch: pairs of about the same length together, in random order."""
    order = list(examples)
    random_.shuffle(order)
    found = []
    for start in range(0, len(order), size * SHARED):
        alike = sorted(order[start : start + size * SHARED], key=lambda example: example.length)
        found += [alike[at : at + size] for at in range(0, len(alike), size)]
    random_.shuffle(found)
    return found


def losses(model: Any, batch: Sequence[Example], device: str) -> tuple[torch.Tensor, int]:
    """The summed loss of a batch's answers, and how many tokens they have.

    The head, two thirds of a small model, is computed where there is a loss and nowhere else.
    """
    longest = max(example.length for example in batch)
    ids = torch.zeros(len(batch), longest, dtype=torch.long)
    mask = torch.zeros_like(ids)
    wanted = torch.zeros_like(ids, dtype=torch.bool)
    for row, example in enumerate(batch):
        ids[row, : example.length] = torch.tensor(example.prompt + example.answer)
        mask[row, : example.length] = 1
        wanted[row, len(example.prompt) : example.length] = True
    ids, mask, wanted = ids.to(device), mask.to(device), wanted.to(device)
    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    hidden = causal.model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
    logits = causal.lm_head(hidden[:, :-1][wanted[:, 1:]]).float()
    return torch.nn.functional.cross_entropy(logits, ids[wanted], reduction="sum"), int(wanted.sum())


def validate(model: Any, examples: Sequence[Example], size: int, device: str) -> float:
    """The mean loss of a token of the answers."""
    model.eval()
    total, count = 0.0, 0
    ordered = sorted(examples, key=lambda example: example.length)
    with torch.no_grad():
        for at in range(0, len(ordered), size):
            loss, number = losses(model, ordered[at : at + size], device)
            total += float(loss)
            count += number
    model.train()
    return total / count


def load(path: Path) -> tuple[Any, Any]:
    """A model in f32 and its tokenizer, of a folder or a GGUF file."""
    where: dict[str, Any] = {"gguf_file": path.name} if path.is_file() else {}
    folder = path.parent if path.is_file() else path
    tokenizer = AutoTokenizer.from_pretrained(folder, **where)
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **where), tokenizer


def begin(model: Any, folder: Path) -> None:
    """Take over the weights of an adapter of the same rank."""
    config = json.loads((folder / "adapter_config.json").read_text("utf-8"))
    own = model.peft_config["default"]
    if (config["r"], config["lora_alpha"]) != (own.r, own.lora_alpha):
        raise SystemExit(
            f"{folder} has rank {config['r']} and alpha {config['lora_alpha']}: give the same here."
        )
    set_peft_model_state_dict(model, load_file(folder / "adapter_model.safetensors"))


def save(model: Any, options: argparse.Namespace, report: dict[str, Any]) -> None:
    """The adapter as PEFT has it, in f16, with what the engine needs to know of its training."""
    state = {name: value.half().contiguous() for name, value in get_peft_model_state_dict(model).items()}
    save_file(state, options.out / "adapter_model.safetensors", metadata={"format": "pt"})
    config = model.peft_config["default"].to_dict()
    kept = {
        name: config[name]
        for name in (
            "peft_type",
            "task_type",
            "r",
            "lora_alpha",
            "lora_dropout",
            "bias",
            "use_rslora",
            "use_dora",
        )
    }
    kept |= {
        "base_model_name_or_path": report["base"],
        "target_modules": sorted(PROJECTIONS),
        "inference_mode": True,
        "sotto": {"frame": options.frame, "end": "<end_of_turn>" if options.frame == "chat" else "<eos>"},
    }
    kept["peft_type"], kept["task_type"] = "LORA", "CAUSAL_LM"
    (options.out / "adapter_config.json").write_text(json.dumps(kept, indent=2) + "\n", "utf-8")
    (options.out / "training.json").write_text(json.dumps(report, indent=2) + "\n", "utf-8")


class Run:
    """A training run, and where it stands."""

    def __init__(
        self, options: argparse.Namespace, model: Any, train: list[Example], kept_out: list[Example]
    ):
        self.options, self.model, self.train, self.kept_out = options, model, train, kept_out
        self.weights = [weight for weight in model.parameters() if weight.requires_grad]
        self.optimizer = torch.optim.AdamW(self.weights, lr=options.rate, weight_decay=0.01)
        self.steps = options.epochs * math.ceil(len(train) / options.batch)
        self.step, self.best = 0, math.inf
        self.curve: list[dict[str, float]] = []
        self.state = options.out / "state.pt"

    def rate(self) -> float:
        """A short rise, then down a cosine to a tenth."""
        rise = max(1, self.steps // 20)
        if self.step < rise:
            return float(self.options.rate * (self.step + 1) / rise)
        done = (self.step - rise) / max(1, self.steps - rise)
        return float(self.options.rate * (0.55 + 0.45 * math.cos(math.pi * done)))

    def resume(self) -> None:
        if not self.state.exists():
            return
        state = torch.load(self.state, weights_only=True)
        if state["steps"] != self.steps:
            raise SystemExit(f"{self.state} is of another run: remove it to begin anew.")
        set_peft_model_state_dict(self.model, state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.best, self.curve = state["step"], state["best"], state["curve"]
        print(f"Going on at step {self.step} of {self.steps}.")

    def keep(self) -> None:
        state = {
            "steps": self.steps, "step": self.step, "best": self.best, "curve": self.curve,
            "weights": get_peft_model_state_dict(self.model), "optimizer": self.optimizer.state_dict(),
        }  # fmt: skip
        torch.save(state, self.state)

    def order(self) -> Iterator[tuple[int, list[Example]]]:
        """The batches that are left, with their epoch. The order is the seed's, whenever the run is taken up."""
        step = 0
        for epoch in range(self.options.epochs):
            for batch in batches(
                self.train, self.options.batch, random.Random(f"{self.options.seed} {epoch}")
            ):
                step += 1
                if step > self.step:
                    yield epoch, batch

    def go(self, report: dict[str, Any]) -> None:
        options, begun = self.options, time.monotonic()
        progress = tqdm(total=self.steps, initial=self.step, unit="step")
        last = math.ceil(len(self.train) / options.batch)
        mean = 0.0
        for epoch, batch in self.order():
            torch.manual_seed(options.seed * 1_000_003 + self.step)
            for group in self.optimizer.param_groups:
                group["lr"] = self.rate()
            loss, count = losses(self.model, batch, options.device)
            (loss / count).backward()
            torch.nn.utils.clip_grad_norm_(self.weights, 1.0)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            self.step += 1
            mean = 0.95 * mean + 0.05 * float(loss) / count if mean else float(loss) / count
            progress.update()
            progress.set_postfix(loss=f"{mean:.3f}")
            if self.step % last == 0:
                value = validate(self.model, self.kept_out, options.batch, options.device)
                self.curve.append({"epoch": epoch + 1, "training": mean, "validation": value})
                print(f"\nEpoch {epoch + 1}: training loss {mean:.4f}, validation loss {value:.4f}")
                if value < self.best:
                    self.best = value
                    save(self.model, options, report | {"curve": self.curve})
            if self.step % SAVED_EVERY == 0 or self.step % last == 0:
                self.keep()
        progress.close()
        print(f"{(time.monotonic() - begun) / 60:.0f} minutes; the adapter is in {options.out}.")


def main(arguments: Sequence[str] | None = None) -> None:
    """Read, train, keep the best."""
    options = parse_arguments(arguments)
    pairs = read(options.data or sorted(FOLDER.glob("train-*.jsonl")))
    if len(pairs) < 10:
        raise SystemExit(f"{len(pairs)} pairs are too few: write 50 or more.")
    model, tokenizer = load(options.model or model_path(DEFAULT_MODEL, default_cache(), None))
    if options.frame is None:
        options.frame = "chat" if tokenizer.chat_template else "plain"
    options.out.mkdir(parents=True, exist_ok=True)

    examples = [tokens(pair, tokenizer, options.frame) for pair in pairs]
    fitting = [example for example in examples if example.length <= options.longest]
    if left := len(examples) - len(fitting):
        print(f"{left} pairs are longer than {options.longest} tokens and are left out.")
    random.Random(options.seed).shuffle(fitting)
    cut = max(1, round(options.validation * len(fitting)))
    kept_out, train = fitting[:cut], fitting[cut:]

    torch.manual_seed(options.seed)
    model = get_peft_model(
        model.to(options.device),
        LoraConfig(
            task_type="CAUSAL_LM", r=options.rank, lora_alpha=options.alpha, lora_dropout=options.dropout,
            target_modules=list(PROJECTIONS),
        ),
    )  # fmt: skip
    if options.start:
        begin(model, options.start)
    model.train()
    run = Run(options, model, train, kept_out)
    run.resume()
    count = sum(weight.numel() for weight in run.weights)
    length = sum(example.length for example in train)
    print(f"{len(train)} pairs of {length:,} tokens, {len(kept_out)} kept out; {count:,} weights.")
    report = {
        "base": options.model.name if options.model else DEFAULT_MODEL,
        "pairs": len(train),
        "kept out": len(kept_out),
        "torch": torch.__version__,
    } | {name: getattr(options, name) for name in REPORTED}
    if options.start and (before := options.start / "training.json").exists():
        report["before"] = json.loads(before.read_text("utf-8"))
    if not run.step:
        base = validate(model, kept_out, options.batch, options.device)
        print(f"Validation loss without an adapter: {base:.4f}")
    run.go(report)


if __name__ == "__main__":
    main()
