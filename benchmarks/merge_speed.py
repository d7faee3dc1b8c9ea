"""Merging three state dicts of 25 million parameters: ours against mergekit, alternating in one process.

    python benchmarks/merge_speed.py [--repeats 3] [--methods linear slerp ties dare] [--hidden 512]

Both take the same dicts in memory and give a new dict; linear, TIES and DARE merge three models (the latter two onto a
base), SLERP the two that it is defined for. DARE draws the same masks on both sides. The best time of each side counts:
other load on a machine only ever adds. ``floor`` is what it takes to read a method's inputs and to copy one of them
into new memory, or for DARE, where that takes longer, to draw its random numbers: whatever gives a new dict in memory
from torch's allocator takes longer, so mergekit's time over the floor bounds what can be gained, as exactly as the
machine is quiet. Entries that differ: at the threshold of TIES mergekit breaks ties in no fixed order. Prints a line a
method; the last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from forge.merge.methods import copy_model_for_merge, dare, merge_linear, slerp, ties

Dict = dict[str, Tensor]
INPUTS = {"linear": 3, "slerp": 2, "ties": 4, "dare": 4}
DRAWN = 1 << 15  # random numbers at a time: they stay in cache
WEIGHTS, DENSITY, SLERP_T = [0.5, 0.3, 0.2], 0.5, 0.35


def shapes(hidden: int, vocabulary: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes like those of a model at scale `spec`: an embedding and eight blocks' matrices."""
    found: dict[str, tuple[int, ...]] = {"embed.weight": (vocabulary, hidden), "norm.weight": (hidden,)}
    for block in range(4):
        found |= {f"{block}.{part}.weight": (hidden, hidden) for part in "qkvo"}
        found |= {f"{block}.up.weight": (2 * hidden, hidden), f"{block}.down.weight": (hidden, 2 * hidden)}
    return found


def models(sizes: dict[str, tuple[int, ...]], count: int) -> list[Dict]:
    """A base and ``count`` models near it."""
    generator = torch.Generator().manual_seed(0)
    base = {name: 0.02 * torch.randn(shape, generator=generator) for name, shape in sizes.items()}
    near = [
        {name: w + 0.002 * torch.randn(w.shape, generator=generator) for name, w in base.items()} for _ in range(count)
    ]
    return [base, *near]


def contestants(base: Dict, three: list[Dict]) -> dict[str, tuple[Callable[[], Dict], Callable[[], Dict]]]:
    """For each method (ours, mergekit's)."""
    from mergekit.merge_methods import merge_state_dicts

    def seeded(**parameters: Any) -> Dict:
        torch.manual_seed(5)
        return dict(merge_state_dicts([base, *three], "dare_linear", base=0, parameters=parameters))

    shared = {"weight": WEIGHTS, "density": DENSITY}
    return {
        "linear": (
            lambda: merge_linear(three, WEIGHTS),
            lambda: dict(merge_state_dicts(three, "linear", parameters={"weight": WEIGHTS, "normalize": True})),
        ),
        "slerp": (
            lambda: slerp(three[0], three[1], SLERP_T),
            lambda: dict(merge_state_dicts(three[:2], "slerp", base=0, parameters={"t": SLERP_T})),
        ),
        "ties": (
            lambda: ties(base, three, WEIGHTS, DENSITY),
            lambda: dict(merge_state_dicts([base, *three], "ties", base=0, parameters={**shared, "normalize": True})),
        ),
        "dare": (
            lambda: dare(base, three, WEIGHTS, DENSITY, generator=5, rescale="l1"),
            lambda: seeded(**shared, rescale=True),
        ),
    }


def timed(call: Callable[[], Dict]) -> tuple[float, Dict]:
    """Seconds and result of one call."""
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def least(method: str, model: Dict) -> Dict:
    """What no merge can do without: one input copied and the others read, or DARE's numbers drawn."""
    if method == "dare":
        buffer = torch.empty(DRAWN)
        for _ in range((INPUTS[method] - 1) * sum(w.numel() for w in model.values()) // DRAWN):
            buffer.uniform_()
        return {}
    result = copy_model_for_merge(model)
    for _ in range(INPUTS[method] - 1):
        for tensor in model.values():
            tensor.sum()
    return result


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--methods", nargs="+", choices=list(INPUTS), default=list(INPUTS))
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--vocabulary", type=int, default=32768)
    given = parser.parse_args()
    base, *three = models(shapes(given.hidden, given.vocabulary), 3)
    report: dict[str, Any] = {"parameters": sum(w.numel() for w in base.values()), "threads": torch.get_num_threads()}
    total = [0.0, 0.0]
    for method, sides in contestants(base, three).items():
        if method not in given.methods:
            continue
        best, differing, floor = [float("inf")] * 2, 0, float("inf")
        for _ in range(given.repeats):
            (ours, mine), (theirs, other) = (timed(side) for side in sides)
            best = [min(best[0], ours), min(best[1], theirs)]
            floor = min(floor, timed(partial(least, method, base))[0])
            differing = sum(int(((mine[name] - other[name]).abs() > 1e-5).sum()) for name in mine)
        ratio = best[1] / best[0]
        report[method] = {
            "ours_s": best[0], "mergekit_s": best[1], "ratio": ratio, "floor_s": floor,
            "ratio_at_floor": best[1] / floor, "entries_differ": differing,
        }  # fmt: skip
        total = [a + b for a, b in zip(total, best, strict=True)]
        print(
            f"{method:7} ours {best[0]:6.3f} s   mergekit {best[1]:6.3f} s   {ratio:5.1f} times   floor {floor:.3f} s"
            f" ({best[1] / floor:.1f} times)   {differing} entries differ by more than 1e-5",
            flush=True,
        )
    report["all"] = {"ours_s": total[0], "mergekit_s": total[1], "ratio": total[1] / total[0]}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
