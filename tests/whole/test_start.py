"""How little a stage imports before it works: a pipeline is fourteen processes, and each imports anew."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from forge.pipeline.layout.phases import STAGES

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[2]
# Importing torch takes 1.5 to 2 s; each of these takes 0.7 to 3 s more.
HEAVY = ("transformers.modeling_utils", "torch._dynamo", "torch._inductor", "torch.distributed.tensor", "scipy.stats")


def heavy_after(code: str) -> list[str]:
    """Which of `HEAVY` a fresh interpreter has imported after ``code``."""
    told = f"{code}\nimport sys\nprint(*[name for name in {HEAVY!r} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", told], cwd=ROOT, capture_output=True, text=True, check=True)
    return ran.stdout.split()


def test_the_heavy_imports_would_be_noticed() -> None:
    assert "transformers.modeling_utils" in heavy_after("from forge.model.hugging_face import TinyTitanForCausalLM")


def test_no_stage_imports_what_it_does_not_need() -> None:
    stages = "\n".join(f"import stages.{phase.name}" for phase in STAGES)
    seeded = "from forge.pipeline.lifecycle.stage import _seed_everything\n_seed_everything(0, torch_too=True)"
    assert heavy_after(f"{stages}\n{seeded}\nimport torch\nassert torch.are_deterministic_algorithms_enabled()") == []
