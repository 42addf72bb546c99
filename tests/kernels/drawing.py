"""The cases of `sample`, for every device: candidates, and draws by random settings."""

from __future__ import annotations

import numpy as np

from kernels.harness import compare, execute
from sotto import ops
from sotto.device import Device
from sotto.plan.plan import Plan, Use, tensor
from sotto.text.sampler import PICKS, Rule, Sampling

CANDIDATES = [(64, 64), (300, 5), (5000, 64), (262_144, 64), (262_400, 128)]  # (vocabulary, count)
KINDS = ["spread", "ties", "falling", "equal"]
CONTEXT = 200


def plan_of(vocabulary: int, count: int) -> Plan:
    p = Plan("test", 1)
    x = tensor("x", (1, vocabulary), "f32", Use.CACHE)
    ops.sample(p, x, tensor("text", (CONTEXT,), "u32", Use.CACHE), count)
    return p


def check_candidates(device: Device, reference: Device, vocabulary: int, count: int, kind: str) -> None:
    """Exactly the best logits, in order, and the best of them picked."""
    x = np.random.default_rng(7).standard_normal(vocabulary).astype(np.float32) * 10
    if kind == "ties":
        x = np.round(x)
    if kind == "falling":  # all of the best in one slice
        x = -np.arange(vocabulary, dtype=np.float32)
    if kind == "equal":  # but for two, and the sign of zero
        x = np.where(np.arange(vocabulary) % 2, np.float32(0), np.float32(-0.0))
        x[[vocabulary // 3, vocabulary - 1]] = 1, 2
    p = plan_of(vocabulary, count)
    seen = compare(
        device, reference, p, {"x": x}, p.inputs(9, [0]),
        dtypes={"candidates": "u4", "inputs": "u4"}, tolerance=0, exact=lambda name: True,
    )  # fmt: skip
    best = np.argsort(-x, kind="stable")[:count]
    np.testing.assert_array_equal(seen["candidates"][: 2 * count : 2], best)
    assert seen["candidates"][2 * count] == seen["inputs"][64] == best[0]


def check_draws(device: Device, reference: Device, draws: int) -> None:
    """Random settings, seeds, texts and positions: the same token everywhere, and the same inputs of the next run."""
    rng = np.random.default_rng(3)
    p = plan_of(700, 64)
    ranks = set()
    for case in range(draws):
        x = rng.standard_normal(700).astype(np.float32) * 1.5
        best = np.argsort(-x, kind="stable")[:64]
        sampling = Sampling(
            temperature=float(rng.choice([0, 1e-3, 0.4, 1, 1, 3, 9])),
            top_k=int(rng.choice([0, 1, 7, 64])),
            top_p=float(rng.choice([1, 1, 0.95, 0.5, 1e-6])),
            min_p=float(rng.choice([0, 0, 0.02, 0.5])),
            repeat_penalty=float(rng.choice([1, 1.3, 0.8])),
            repeat_last=int(rng.choice([0, 3, 64, 10_000])),
            copy_bias=float(rng.choice([0, 1.5, 4])),
            seed=int(rng.integers(1 << 63)),
        )
        position = int(rng.integers(1, CONTEXT))  # the last: there is no room for a token behind it
        inputs = bytearray(
            p.inputs(position, [0], rule=Rule.of(sampling, int(rng.integers(CONTEXT))).pack(case))
        )
        inputs[52:56] = int(rng.integers(1000)).to_bytes(4, "little")  # picked so far
        arrays = {"x": x, "text": rng.choice(best[:20], CONTEXT).astype(np.uint32)}  # phrases return
        outcome = []
        for each in (device, reference):
            written = execute(each, p, arrays, bytes(inputs))
            outcome.append([written[name].view(np.uint32) for name in ("inputs", "text")])
            outcome[-1].append(written["candidates"].view(np.uint32)[-PICKS:])
        for got, expected in zip(*outcome, strict=True):
            np.testing.assert_array_equal(got[: expected.size], expected, err_msg=f"{case}: {sampling}")
        ranks.add(best.tolist().index(outcome[1][0][64]))
    assert len(ranks) > 8, "the cases are all alike"
