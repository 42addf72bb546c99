#!/usr/bin/env python3
"""Write the held-out pairs' answers with Sotto itself, and say how many keep the rules.

    python finetune/evaluate.py                      all three ways, in finetune/results/; goes on where it stopped
    python finetune/evaluate.py --ways adapter --first 30
    python finetune/evaluate.py --report             finetune/RESULTS.md from what is there

The ways: `examples`, the base model with a few examples in its prompt; `adapter`, one answer of the adapted model, the
most probable tokens; `candidates`, as the page does it: drawn with a bias towards the text's phrases, the best by rule
of up to three, and no more once one breaks no rule. What a reader said of the posts is in `results/reading.jsonl`: id,
way, usable, and why.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "py"), str(Path(__file__).resolve().parent)]

from pairs import FOLDER, Pair, read  # noqa: E402
from sotto import load  # noqa: E402
from sotto.api import Model  # noqa: E402
from sotto.page.options import Options  # noqa: E402
from sotto.tasks import few_shot, rules  # noqa: E402
from sotto.tasks.candidates import USUAL, Candidate, best_first, judge, sampling_of  # noqa: E402
from sotto.tasks.request import Frame, prompt  # noqa: E402
from sotto.text.sampler import Sampling  # noqa: E402

HERE = Path(__file__).resolve().parent
WAYS = ("examples", "adapter", "candidates")
MAX_TOKENS = 200
MOST_PROBABLE = Sampling(temperature=0)
SHOWN = 30  # pairs that the report shows, the first ones
FREE = 0.95  # closeness below which an answer has some words of its own


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line as options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", type=Path, nargs="+", default=[FOLDER / "held-out.jsonl"], help="files of pairs")
    add("--model", default="", help="a model's file or name (the default model)")
    add("--adapter", type=Path, default=HERE / "posts", help="(%(default)s)")
    add("--device", default="auto", help="gpu, cpu or auto (%(default)s)")
    add("--ways", nargs="+", choices=WAYS, default=WAYS)
    add("--first", type=int, help="pairs to take, from the beginning (all)")
    add("--out", type=Path, default=HERE / "results", help="folder of the answers (%(default)s)")
    add("--report", action="store_true", help="write RESULTS.md and nothing else")
    return parser.parse_args(arguments)


def write(model: Model, pair: Pair, frame: Frame, sampling: Sampling = MOST_PROBABLE) -> Candidate:
    """An answer to a pair's text."""
    ask = prompt(pair.request, pair.text, frame)
    text = "".join(model.generate(ask, max_tokens=MAX_TOKENS, **asdict(sampling)))
    shown = few_shot.shown(pair.request.language) if frame == "examples" else ()
    return judge(pair.request, pair.text, text, ended=model.stats.stop_reason != "length", shown=shown)


def write_several(model: Model, pair: Pair) -> list[Candidate]:
    """Answers of the adapted model until one breaks no rule, as the page writes them."""
    found: list[Candidate] = []
    usual = Options(seed=0)
    while len(found) < usual.versions and (not found or found[-1].findings):
        sampling = sampling_of(usual.sampling(USUAL), pair.request, "plain", len(found))
        found.append(write(model, pair, "plain", sampling))
    return found


def line(pair: Pair, way: str, chosen: Candidate, others: Sequence[Candidate] = ()) -> dict[str, Any]:
    """An answer as it is kept."""
    return {
        "id": pair.id,
        "way": way,
        "answer": chosen.answer,
        "breaks": [f"{finding.rule} {finding.detail}".strip() for finding in chosen.findings],
        "closeness": round(chosen.closeness, 3),
        "others": [other.answer for other in others],
    }


def answers(path: Path) -> list[dict[str, Any]]:
    """What was written before."""
    return [json.loads(each) for each in path.read_text("utf-8").splitlines()] if path.exists() else []


def evaluate(options: argparse.Namespace, pairs: Sequence[Pair]) -> None:
    """Write what is missing."""
    path = options.out / "answers.jsonl"
    done = {(each["id"], each["way"]) for each in answers(path)}
    options.out.mkdir(parents=True, exist_ok=True)
    named = {"model": options.model} if options.model else {}
    with load(**named, device=options.device) as model, path.open("a", encoding="utf-8") as file:
        name = model.add_lora(options.adapter) if set(options.ways) != {"examples"} else ""
        for number, pair in enumerate(pairs, 1):
            for way in options.ways:
                if (pair.id, way) in done or (way == "examples" and pair.request.task != "post"):
                    continue
                model.use(*([] if way == "examples" else [name]))
                if way == "candidates":
                    found = write_several(model, pair)
                else:
                    found = [write(model, pair, "examples" if way == "examples" else "plain")]
                best, *others = best_first(found)
                file.write(json.dumps(line(pair, way, best, others), ensure_ascii=False) + "\n")
                file.flush()
            print(f"\r{number} of {len(pairs)}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)


# --- the report


def share(values: Iterable[bool]) -> str:
    """How many are true, in percent."""
    found = list(values)
    return f"{sum(found) / len(found):.0%}" if found else ""


def figures(written: Sequence[dict[str, Any]], pairs: dict[str, Pair]) -> dict[str, str]:
    """What a table's column says of some answers."""
    broken = [{each.partition(" ")[0] for each in one["breaks"]} for one in written]
    posts = [(one, pairs[one["id"]].text) for one in written if pairs[one["id"]].request.task == "post"]
    limited = [
        "length" not in found
        for one, found in zip(written, broken, strict=True)
        if pairs[one["id"]].request.longest
    ]
    return {
        "answers": str(len(written)),
        "ends by itself": share("unended" not in found for found in broken),
        "limit kept": share(limited),
        "language right": share("language" not in found for found in broken),
        "all numbers supported": share("number" not in found for found in broken),
        "all names supported": share("name" not in found for found in broken),
        "posts not merely a sentence of the text": share(
            not rules.is_one_sentence(text, one["answer"]) for one, text in posts
        ),
        "posts re-worded or joined from several places": share(
            not rules.is_one_stretch(text, one["answer"]) for one, text in posts
        ),
        "posts with some words of their own": share(one["closeness"] < FREE for one, _ in posts),
        "no loop": share("loop" not in found for found in broken),
        "breaks no rule": share(not found for found in broken),
        "closeness, median": f"{statistics.median(one['closeness'] for one in written):.2f}"
        if written
        else "",
    }


def table(columns: dict[str, dict[str, str]]) -> list[str]:
    """A Markdown table of some columns."""
    rows = next(iter(columns.values()))
    lines = ["| | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    return lines + [f"| {row} | " + " | ".join(each[row] for each in columns.values()) + " |" for row in rows]


def separation(values: Sequence[float], usable: Sequence[bool]) -> float:
    """How often a usable post has the higher value of two posts of which one is usable: 0.5 tells nothing, 1 all.

    The area under the ROC curve, as Mann and Whitney count it: ties are halves. NaN where all posts are alike.
    """
    good = [value for value, is_good in zip(values, usable, strict=True) if is_good]
    bad = [value for value, is_good in zip(values, usable, strict=True) if not is_good]
    if not good or not bad:
        return float("nan")
    return sum((a > b) + (a == b) / 2 for a in good for b in bad) / (len(good) * len(bad))


def signs(verdicts: Sequence[dict[str, Any]], written: dict[tuple[str, str], dict[str, Any]]) -> list[str]:
    """What tells a usable post from another, by the reader's verdicts."""
    read_ones = [
        (written[key], one["usable"]) for one in verdicts if (key := (one["id"], one["way"])) in written
    ]
    usable = [verdict for _, verdict in read_ones]
    found = {
        "closeness (pairs of neighbouring words that stand in the text)": [
            one["closeness"] for one, _ in read_ones
        ],
        "the rules (none is broken)": [float(not one["breaks"]) for one, _ in read_ones],
        "brevity": [-float(len(one["answer"])) for one, _ in read_ones],
    }
    lines = [
        "What tells a usable post from one that is not (of two such posts, how often the sign is stronger in the "
        "usable one; 0.50 tells nothing):",
        "",
    ]
    return lines + [f"* {name}: {separation(values, usable):.2f}" for name, values in found.items()]


def report(options: argparse.Namespace, pairs: Sequence[Pair]) -> str:
    """RESULTS.md."""
    by_id = {pair.id: pair for pair in pairs}
    written = [one for one in answers(options.out / "answers.jsonl") if one["id"] in by_id]
    training = json.loads((options.adapter / "training.json").read_text("utf-8"))
    how = ", ".join(f"{name} {value}" for name, value in training.items() if name != "curve")
    curve = "; ".join(
        f"epoch {each['epoch']}: training {each['training']:.3f}, validation {each['validation']:.3f}"
        for each in training["curve"]
    )
    lines = [
        "# What the default model's adapter writes",
        "",
        f"Made by `finetune/evaluate.py --report` of {len(pairs)} held-out pairs, whose texts were not trained on.",
        f"How it was trained: {how}. Loss of a token of the answers, {curve}.",
        "",
        "## By rule",
    ]
    for language, name in (("", "All"), ("en", "English"), ("ja", "Japanese")):
        columns = {}
        for way in WAYS:
            own = [
                one
                for one in written
                if one["way"] == way and language in ("", by_id[one["id"]].request.language)
            ]
            columns[way] = figures(own, by_id)
        lines += ["", f"### {name}", "", *table(columns)]
    read_posts = answers(options.out / "reading.jsonl")
    if read_posts:
        lines += ["", "## By reading", "", "| | read | usable as they are |", "|---|---|---|"]
        for way in WAYS:
            for language, name in (("en", "English"), ("ja", "Japanese")):
                own = [
                    one
                    for one in read_posts
                    if one["way"] == way and by_id[one["id"]].request.language == language
                ]
                if own:
                    lines.append(f"| {way}, {name} | {len(own)} | {share(one['usable'] for one in own)} |")
        lines += ["", *signs(read_posts, {(one["id"], one["way"]): one for one in written})]
        lines += ["", "Each verdict with its reason:", ""]
        said = {(one["id"], one["way"]): one["answer"] for one in written}
        for one in read_posts:
            verdict = "usable" if one["usable"] else "not usable"
            lines.append(
                f"* {one['id']}, {one['way']}: {said.get((one['id'], one['way']), '')} **{verdict}**: {one['why']}"
            )
    lines += ["", f"## The first {SHOWN}, as they came"]
    for pair in pairs[:SHOWN]:
        asked = ", ".join([pair.request.task, *pair.request.options()])
        text = " ".join(pair.text.split())
        lines += ["", f"**{pair.id}** ({asked})", "", f"> {text[:600]}{' …' if len(text) > 600 else ''}", ""]
        for one in written:
            if one["id"] == pair.id:
                broken = f" ({'; '.join(one['breaks'])})" if one["breaks"] else ""
                lines.append(f"* {one['way']}: {one['answer']}{broken}")
        lines.append(f"* *a person*: {pair.answer}")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the answers, or the report."""
    options = parse_arguments(arguments)
    pairs = read(options.data)[: options.first]
    if options.report:
        (HERE / "RESULTS.md").write_text(report(options, pairs), "utf-8")
    else:
        evaluate(options, pairs)


if __name__ == "__main__":
    main()
