"""Every long phase, killed at random moments: nothing lives on, nothing is repeated, nothing differs in the end.

`FAULTS_SEED` sets the seed of the moments (it is printed with every fault). The soak does the same for as long as
wanted: see docs/reliability.md.
"""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

import pytest

from tests.faults.conftest import Finished
from tests.faults.lab import Lab
from tests.faults.torture import torture

SEED = int(os.environ.get("FAULTS_SEED", "11"))
LONG = ("trunk", "cognate", "evomerge", "quietstar", "bitnet", "forge", "baking", "edge", "compress")
KILLS = {"data": 2, **dict.fromkeys(LONG, 4), "trunk": 6, "cognate": 6, "quietstar": 6}
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc, PDEATHSIG and subreapers"),
]


@pytest.mark.parametrize("phase", KILLS)
def test_a_killed_phase_resumes_and_ends_with_the_same_bytes(
    lab: Lab, finished: Finished, tmp_path: Path, phase: str
) -> None:
    victim = finished.victim(lab, tmp_path / "project", phase, "reasoning" if phase == "cognate" else None)
    blows = list(torture(victim, KILLS[phase], random.Random(f"{SEED} {phase}")))
    told = "\n".join(map(str, blows))
    print(told)
    assert not [blow for blow in blows if blow.faults], f"seed {SEED}:\n{told}"
    assert sum(blow.delivered for blow in blows) >= KILLS[phase], told
    assert blows[-1].code == 0
    assert phase == "data" or any(blow.skipped for blow in blows), f"nothing was ever resumed:\n{told}"
