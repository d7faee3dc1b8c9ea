"""What `python -m stages.<stage>` does at the edges of a stage's life."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

import pytest

from forge.errors import Interrupted
from forge.pipeline.lifecycle.stage import run_stage
from forge.pipeline.records.tracking import read_recorded_status

pytestmark = pytest.mark.long


def test_a_grace_that_ends_just_after_the_body_is_a_pause_like_any_other(
    prepared: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The alarm may come when the body is left and the lifecycle has not heard of it yet."""
    leave, alarms = contextlib._GeneratorContextManager.__exit__, []

    def interrupted(self: Any, kind: Any, error: Any, trace: Any) -> bool | None:
        if self.gen.__name__ == "stage_lifecycle" and not alarms:
            alarms.append(True)
            raise Interrupted(5, 5)
        return leave(self, kind, error, trace)

    monkeypatch.setattr(contextlib._GeneratorContextManager, "__exit__", interrupted)
    monkeypatch.setattr(sys, "argv", ["stages.trunk"])
    with pytest.raises(SystemExit) as ended:
        run_stage("trunk", lambda run: None)
    assert alarms
    assert ended.value.code == 130
    assert capsys.readouterr().err.splitlines()[-1].startswith("trunk: paused at step 5 of 5")
    assert read_recorded_status(Path(".forge/runs/trunk"))["state"] == "paused"  # type: ignore[index]
