"""Merging three state dicts of 25 million parameters: ours against mergekit, alternating in one process.

    python benchmarks/merge_speed.py [--repeats 3] [--hidden 512] [--vocabulary 32768]

Both take the same dicts in memory and give a new dict; linear, TIES and DARE merge three models (the latter two onto a
base), SLERP the two that it is defined for. DARE draws the same masks on both sides. The best time of each side counts:
other load on a machine only ever adds. Prints a line a method; the last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from forge.merge.methods import dare, linear, slerp, ties

Dict = dict[str, Tensor]
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
        {name: w + 0.002 * torch.randn(w.shape, generator=generator) for name, w in base.items()}
        for _ in range(count)
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
            lambda: linear(three, WEIGHTS),
            lambda: dict(merge_state_dicts(three, "linear", parameters={"weight": WEIGHTS, "normalize": True})),
        ),
        "slerp": (
            lambda: slerp(three[0], three[1], SLERP_T),
            lambda: dict(merge_state_dicts(three[:2], "slerp", base=0, parameters={"t": SLERP_T})),
        ),
        "ties": (
            lambda: ties(base, three, WEIGHTS, DENSITY),
            lambda: dict(
                merge_state_dicts([base, *three], "ties", base=0, parameters={**shared, "normalize": True})
            ),
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


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--vocabulary", type=int, default=32768)
    given = parser.parse_args()
    base, *three = models(shapes(given.hidden, given.vocabulary), 3)
    report: dict[str, Any] = {"parameters": sum(w.numel() for w in base.values()), "threads": torch.get_num_threads()}
    for method, sides in contestants(base, three).items():
        best, gap = [float("inf")] * 2, 0.0
        for _ in range(given.repeats):
            (ours, mine), (theirs, other) = (timed(side) for side in sides)
            best = [min(best[0], ours), min(best[1], theirs)]
            gap = max(float((mine[name] - other[name]).abs().max()) for name in mine)
        ratio = best[1] / best[0]
        report[method] = {"ours_s": best[0], "mergekit_s": best[1], "ratio": ratio, "largest_difference": gap}
        print(f"{method:7} ours {best[0]:7.3f} s   mergekit {best[1]:7.3f} s   {ratio:5.1f} times   differ {gap:.1e}")
    print(json.dumps(report))


if __name__ == "__main__":
    main()
