"""Phase 1 as a whole, told by the first stage that holds all its branches."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from forge.data.dataset import EncodedSet
from forge.model import load_model
from forge.phases.cognate.claims import difference_claims
from forge.phases.cognate.metrics import phase_metrics


def conclude_phase(run: Any, trunk: Path, branches: Mapping[str, Path]) -> None:
    """Claim how the published branches differ and record the phase's metrics.

    Args:
        run: the stage's run; it must declare phase 1's records.
        trunk: directory of the trunk's model.
        branches: directories of the branches' models by name.
    """
    models = {name: load_model(directory) for name, directory in branches.items()}
    run.claims(difference_claims(run, models, EncodedSet.load(run.data_dir / "test.safetensors")))
    run.phase_metrics("cognate", phase_metrics(run, trunk, branches))
