"""Room on the disk that stages ask for, by their parameters."""

from __future__ import annotations

from pathlib import Path

import pytest

from forge.config import load_params
from forge.data.tasks import SUITE
from forge.pipeline.layout import disk
from forge.pipeline.layout.phases import STAGES

PARAMS = load_params(Path(__file__).resolve().parents[3] / "params.yaml")


def test_rows_are_counted_for_every_family_of_the_suite() -> None:
    assert len(SUITE) == disk._FAMILIES


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_a_stage_that_publishes_asks_for_room_for_its_weights(stage: disk.Stage) -> None:
    weights = 4 * PARAMS.block("cognate").parameters_target
    needed = disk.stage_bytes(stage, PARAMS)
    assert needed >= 64 * 2**20 + (weights if stage.publishes else 0)
    assert needed < disk.run_bytes_in_layout(PARAMS)
