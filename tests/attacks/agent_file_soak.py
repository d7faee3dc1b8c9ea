"""Thousands of forged files: `python -m tests.attacks.agent_file_soak --n 10000 --seed 1`. The last line is JSON; exit
code 1 if any of them ended in anything but an answer or one line, took more than 5 s, or more than 500 MB.

The files are made of small agents, one ternary, one vector-quantized, and of those that `--agent` names.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from pathlib import Path

import torch

from tests.attacks.agent_files import BOMBS, Dissected, dissect, sealed_mutations
from tests.attacks.prober import Outcome, Prober, load_and_answer
from tests.support.toy_agent import build_quantized_toy, build_toy, declare_in_metadata
from tests.support.toy_tools import HAND_MADE

MEGABYTES = 500
MIB_TO_MB = 2**20 / 1e6


def soak(goods: list[Dissected], n: int, seed: int, folder: Path, keep: Path | None = None) -> dict[str, object]:
    """Try ``n`` mutations; figures, and every breach with what led to it."""
    ends: Counter[str] = Counter()
    parts: Counter[str] = Counter()
    breaches, worst = [], {"seconds": 0.0, "megabytes": 0.0, "added_megabytes": 0.0}
    with Prober() as prober:
        for number, (what, data) in zip(range(n), sealed_mutations(goods, seed), strict=False):
            path = folder / "agent.forge"
            path.write_bytes(data)
            found = prober(path)
            ends[found.kind] += 1
            parts[what.split()[0]] += 1
            ends["empty answer"] += found.kind == "answer" and not found.text
            figures = (found.seconds, found.mib * MIB_TO_MB, found.grown * MIB_TO_MB)
            worst = {key: max(old, new) for (key, old), new in zip(worst.items(), figures, strict=True)}
            if breach := _breach(found):
                breaches.append(f"{number}: {what}: {breach}")
                print(breaches[-1], flush=True)
                if keep is not None:
                    (keep / f"{seed}-{number}.forge").write_bytes(data)
            if number % 500 == 499:
                print(f"{number + 1} of {n}: {dict(ends)}", flush=True)
    rounded = {key: round(value, 2) for key, value in worst.items()}
    return {
        "files": n,
        "seed": seed,
        "ends": dict(ends),
        "changed": dict(parts),
        "worst": rounded,
        "breaches": breaches,
    }


def _breach(found: Outcome) -> str:
    if not found.held:
        return f"{found.kind}: {found.text}"
    megabytes = found.mib * MIB_TO_MB
    return f"{found.kind} with {megabytes:.0f} MB" if megabytes > MEGABYTES else ""


def main() -> int:
    """Run the soak and print its figures."""
    torch.set_num_threads(1)  # the prober forks, and a fork waits for ever for threads that it does not have
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=1000, help="files to try")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--agent", type=Path, action="append", default=[], help="a further file to make them of")
    parser.add_argument("--keep", type=Path, help="folder for the files that broke something")
    chosen = parser.parse_args()
    if chosen.keep is not None:
        chosen.keep.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        own = declare_in_metadata(*HAND_MADE)
        made = [build_toy(folder / "a", **own) / "agent.forge", build_quantized_toy(folder / "b")]
        goods = [dissect(path) for path in (*made, *chosen.agent)]
        for path in made:  # imports what an answer needs, so that no child does
            load_and_answer(path)
        started = time.perf_counter()
        figures = soak(goods, chosen.n, chosen.seed, folder, chosen.keep)
        figures["bombs"] = _bombs(goods[1], folder)
        figures["minutes"] = round((time.perf_counter() - started) / 60, 1)
    print(json.dumps(figures))
    return 1 if figures["breaches"] or figures["bombs"] else 0


def _bombs(good: Dissected, folder: Path) -> list[str]:
    """Names of the bombs that were not refused within the limits."""
    failed = []
    with Prober() as prober:
        for name, (make, _) in BOMBS.items():
            path = folder / "bomb.forge"
            path.write_bytes(make(good))
            if (found := prober(path)).kind != "refused" or _breach(found):
                failed.append(name)
    return failed


if __name__ == "__main__":
    raise SystemExit(main())
