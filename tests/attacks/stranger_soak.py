"""Model directories, tokenizers and rows of strangers: `python -m tests.attacks.stranger_soak --n 2000 --seed 1`. The
last line is JSON; exit code 1 if any of them ended in anything but an answer or one line of ForgeError, or if reading
them all took the process more than 500 MB.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from forge.data.layouts import own_record_rows
from forge.data.tokenizer import read_tokenizer
from forge.errors import ForgeError
from forge.runtime.load import load_agent
from tests.attacks.model_directories import mutate
from tests.attacks.rows import random_records
from tests.attacks.tokenizers import changed_tokenizers
from tests.support.toy_agent import build_toy, declare_in_metadata
from tests.support.toy_tools import HAND_MADE

MEGABYTES = 500
LONGEST = 400  # characters of a refusal
Case = tuple[str, Callable[[], object]]


def directories(folder: Path, n: int, seed: int) -> Iterator[Case]:
    """Copies of a published model with something changed, each asked a question."""
    sound = build_toy(folder / "sound", **declare_in_metadata(*HAND_MADE)) / "toy"
    for number in range(n):
        copy = folder / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(sound, copy)
        mutate(copy, seed * 1_000_003 + number)

        def ask(copy: Path = copy) -> object:
            with load_agent(copy) as agent:
                return agent.reply([{"role": "user", "content": "What is 2 + 3?"}], max_new_tokens=3)

        yield f"directory {number}", ask


def tokenizers(folder: Path, n: int, seed: int) -> Iterator[Case]:
    """Tokenizers with something changed, read."""
    good = json.loads((folder / "sound" / "toy" / "tokenizer.json").read_text(encoding="utf-8"))
    path = folder / "tokenizer.json"
    for number, (what, text) in enumerate(itertools.islice(changed_tokenizers(good, seed), n)):
        path.write_text(text)
        yield f"tokenizer {number}: {what}", lambda: read_tokenizer(path)


def rows(n: int, seed: int) -> Iterator[Case]:
    """Records of own data in no particular layout."""
    for number, record in enumerate(random_records(seed, n)):
        yield f"row {number}", lambda record=record: own_record_rows(record, "here")  # type: ignore[misc]


def soak(cases: Iterator[Case]) -> tuple[Counter[str], list[str]]:
    """How each case ended, and those that broke a promise."""
    ends: Counter[str] = Counter()
    breaches = []
    for name, run in cases:
        kind = name.split()[0]
        try:
            run()
        except ForgeError as error:
            ends[f"{kind} refused"] += 1
            if not 0 < len(str(error)) < LONGEST or "\n" in str(error):
                breaches.append(f"{name}: {error}")
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - a panic of the tokenizers library is no Exception
            breaches.append(f"{name}: {type(error).__name__}: {error}")
        else:
            ends[f"{kind} read"] += 1
    return ends, breaches


def main() -> int:
    """Run the soak and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=400, help="directories and tokenizers each; ten times as many rows")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    n, seed = chosen.n, chosen.seed
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        cases = itertools.chain(directories(folder, n, seed), tokenizers(folder, n, seed), rows(10 * n, seed))
        ends, breaches = soak(cases)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / 1e6
    if grown > MEGABYTES:
        breaches.append(f"{grown:.0f} MB")
    seconds = time.perf_counter() - started
    print(json.dumps({"seed": seed, "ends": ends, "mb": round(grown), "seconds": round(seconds), "breaches": breaches}))
    return 1 if breaches else 0


if __name__ == "__main__":
    raise SystemExit(main())
