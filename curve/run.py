"""One point: make the file, measure it, write the numbers."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import torch

from forge.config import load_params
from forge.curve.points import ARMS, PointRun, measure_curve_point
from forge.errors import Interrupted
from forge.files import atomic_write_json
from forge.host.signals import stop_on_signals

RESULTS = Path(__file__).resolve().parent / "results"


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=float, required=True)
    parser.add_argument("--arm", choices=ARMS, required=True)
    chosen = parser.parse_args()
    name = f"{chosen.times:g}-{chosen.arm}"
    torch.set_deterministic_debug_mode("error")
    with stop_on_signals() as stop:
        run = PointRun(load_params(), name, stop)
        try:
            result = measure_curve_point(run, chosen.times, chosen.arm)
        except Interrupted as pause:
            raise SystemExit(f"{name}: {pause}") from pause
    atomic_write_json(RESULTS / "points" / f"{name}.json", result)
    shutil.rmtree(run.folder)


if __name__ == "__main__":
    main()
