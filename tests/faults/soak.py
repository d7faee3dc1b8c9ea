"""Hundreds of kills: `python -m tests.faults.soak --kills 300 --seed 1`. The last line is JSON; exit code 1 if
anything broke.

Makes one small pipeline, then strikes its long stages in turn until so many signals have been delivered. What must
hold after each of them stands in `tests.faults.torture`.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from forge.interface.paths import declared_stage_name
from tests.faults.lab import STAGES, Lab, link_project
from tests.faults.torture import Blow, Victim, prepare, torture

BLOWS_A_TURN = 6  # that a stage takes in a row, before it may end and the next one comes


def soak(place: Path, kills: int, seed: int, seconds: float) -> list[Blow]:
    """Strike the stages in turn until ``kills`` signals were delivered or the time is over."""
    began, blows = time.monotonic(), list[Blow]()
    with Lab() as lab:
        references = prepare(lab, place / "finished")
        turn = 0
        while (left := kills - sum(blow.delivered for blow in blows)) > 0 and time.monotonic() - began < seconds:
            phase, branch = STAGES[turn % len(STAGES)]
            project = link_project(place / "finished", place / f"turn-{turn}")
            victim = Victim(lab, project, phase, branch, references[declared_stage_name(phase, branch)])
            for blow in torture(victim, min(left, BLOWS_A_TURN), random.Random(f"{seed} {turn}")):
                print(blow, flush=True)
                blows.append(blow)
            turn += 1
    return blows


def summary(blows: list[Blow], seed: int, seconds: float) -> dict[str, object]:
    """Figures of a soak."""
    struck = [blow for blow in blows if blow.delivered]
    return {
        "seed": seed,
        "kills": len(struck),
        "by_signal": dict(sorted(Counter(blow.signal for blow in struck).items())),
        "by_target": dict(sorted(Counter(blow.target for blow in struck).items())),
        "by_stage": dict(sorted(Counter(blow.stage for blow in struck).items())),
        "runs": len(blows),
        "runs_completed": sum(blow.code == 0 for blow in blows),
        "runs_resumed": sum(blow.skipped > 0 for blow in blows),
        "work_not_repeated": sum(blow.skipped for blow in blows),
        "faults": [str(blow) for blow in blows if blow.faults],
        "seconds": round(seconds, 1),
    }


def main() -> int:
    """Parse the command line, soak, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=300, help="signals to deliver")
    parser.add_argument("--seed", type=int, default=0, help="of the moments, signals and targets")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no stage after so long")
    arguments = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="soak-") as place:
        blows = soak(Path(place), arguments.kills, arguments.seed, arguments.seconds)
    facts = summary(blows, arguments.seed, time.monotonic() - began)
    print(json.dumps(facts))
    return 1 if facts["faults"] or facts["kills"] == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
