"""One variant with one seed: train, measure, write the numbers."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from forge.ablation.variants import VARIANTS, run_variant
from forge.config import read_params_yaml
from forge.files import atomic_write_json

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variant", choices=list(VARIANTS), required=True)
    parser.add_argument("--seed", type=int, required=True)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    params = read_params_yaml(HERE / "params.yaml")
    result = run_variant(chosen.variant, chosen.seed, params, HERE.parent / "data" / "prepared")
    atomic_write_json(HERE / "results" / "runs" / f"{chosen.variant}-{chosen.seed}.json", result)


if __name__ == "__main__":
    main()
