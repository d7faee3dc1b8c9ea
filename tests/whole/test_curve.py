"""The curve as a project of its own, on a finished run: `dvc --cd curve repro`."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from forge.files import read_json
from tests.support.smoke_runs import Ran, python_in

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("untraced")]


def test_the_curve_of_a_finished_run(pristine: Ran, tmp_path: Path) -> None:
    root = tmp_path / "clone"
    shutil.copytree(pristine.root, root, symlinks=True)
    folder = root / "curve"
    (folder / "params.yaml").write_text("times: [3, 25]\narms: [taught, scratch]\n")
    python_in(root, "-m", "dvc", "--cd", "curve", "repro", "-q")
    points = {path.stem: read_json(path) for path in (folder / "results" / "points").glob("*.json")}
    assert set(points) == {"3-taught", "3-scratch", "25-taught", "25-scratch"}
    for times in (3, 25):
        taught, scratch = points[f"{times}-taught"], points[f"{times}-scratch"]
        assert taught["parameters"] == scratch["parameters"]
        assert len(taught["tools"]) == len(scratch["tools"]) > 0
    assert points["25-taught"]["bytes"] < points["3-taught"]["bytes"]
    assert points["3-taught"]["ratio"] >= 3
    assert points["25-taught"]["parameters"] != points["3-taught"]["parameters"], "a student has a shape of its own"
    assert (folder / "results" / "curve.md").read_text().count("\n| ") == 4
    assert "<svg" in (folder / "results" / "curve.svg").read_text()
    assert not list((root / ".forge" / "curve").iterdir())
    python_in(root, "-m", "dvc", "--cd", "curve", "status", "-q")  # nothing is stale
