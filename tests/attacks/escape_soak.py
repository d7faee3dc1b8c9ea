"""`python -m tests.attacks.escape_soak --n 200 --seed 1`: the corpus and `n` generated escapes on every kind of system.

Prints a line of JSON for each kind and ends with 1 if anything got out, changed the world or stopped the sandbox.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.attacks.escapes import World, corpus, escaped, generate
from tests.support.sandboxes import SYSTEMS, start_sandbox


def soak(system: str, n: int, seed: int) -> dict[str, object]:
    """What happened on one kind of system."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        (folder / "outside").mkdir()
        world = World(folder / "outside")
        executor = start_sandbox(folder, patch, SYSTEMS[system])
        if (first := executor.run("print(1)")) != "1":
            return {"system": system, "refused": first}
        before, sandbox, faults = world.state(), executor.pid, []
        attacks = [*corpus(world), *generate(world, n, seed)]
        for attack in attacks:
            answers = [executor.run(snippet) for snippet in attack.snippets]
            if escaped(answers[-1]) or world.state() != before or executor.pid != sandbox:
                faults.append([attack.name, answers[-1]])
        layers = executor.layers
        executor.close()
        world.close()
    seconds = round(time.monotonic() - begun, 1)
    return {"system": system, "layers": layers, "attempts": len(attacks), "faults": faults, "seconds": seconds}


def main() -> int:
    """Run all systems."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    found = [soak(system, options.n, options.seed) for system in SYSTEMS]
    for each in found:
        print(json.dumps(each))
    return int(any(each.get("faults") for each in found))


if __name__ == "__main__":
    sys.exit(main())
