"""A run that ended is kept whole or not at all; what docs/runs/ and agents/ hold belongs together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from forge.errors import ForgeError
from forge.files import atomic_write_json, atomic_write_text
from forge.pipeline.upkeep.keep_run import RUNS, keep_run

ROOT = Path(__file__).resolve().parents[3]
PARAMS = (ROOT / "params.yaml").read_text(encoding="utf-8")  # at scale tiny


def ended_run(folder: Path, scale: str, agent: bytes = b"agent") -> Path:
    digest = hashlib.sha256(b"agent").hexdigest()
    row = {"phase": "compress", "sha256": {"models/compress/agent.forge": digest}}
    atomic_write_json(folder / "results" / "report.json", {"scale": scale, "ledger": [row]})
    for name in ("results/report.md", "results/ladder.svg", "results/edge/metrics.json", "dvc.lock"):
        atomic_write_text(folder / name, f"{name} at {scale}")
    atomic_write_text(folder / "params.yaml", PARAMS.replace("\nscale: tiny\n", f"\nscale: {scale}\n"))
    atomic_write_text(folder / "models/compress/agent.forge", agent.decode())
    return folder


def project(folder: Path) -> Path:
    atomic_write_text(folder / "params.yaml", PARAMS)
    atomic_write_text(folder / "results" / "gone" / "metrics.json", "of a phase that is no more")
    return folder


def test_a_run_at_the_scale_of_the_project_becomes_its_results(tmp_path: Path) -> None:
    root = project(tmp_path / "root")
    keep_run(ended_run(tmp_path / "run", "tiny"), root)
    assert (root / "agents/tiny.forge").read_bytes() == b"agent"
    assert (root / "dvc.lock").read_text() == "dvc.lock at tiny"
    assert (root / "results/edge/metrics.json").read_text() == "results/edge/metrics.json at tiny"
    assert not (root / "results/gone/metrics.json").exists()
    assert (root / "params.yaml").read_text(encoding="utf-8") == PARAMS


def test_a_run_at_another_scale_stands_beside_them(tmp_path: Path) -> None:
    root, old = project(tmp_path / "root"), tmp_path / "root" / RUNS / "spec" / "curve.svg"
    atomic_write_text(old, "of an earlier run")
    kept = keep_run(ended_run(tmp_path / "run", "spec"), root)
    assert not old.exists()
    names = ("dvc.lock", "ladder.svg", "params.yaml", "report.json", "report.md")
    assert kept == [Path("agents/spec.forge"), *(RUNS / "spec" / name for name in names)]
    assert all((root / path).is_file() for path in kept)
    assert (root / "results/gone/metrics.json").is_file()


@pytest.mark.parametrize("agent", [b"another", None])
def test_a_report_of_another_file_is_refused_and_nothing_written(tmp_path: Path, agent: bytes | None) -> None:
    root, run = project(tmp_path / "root"), ended_run(tmp_path / "run", "tiny", agent or b"")
    if agent is None:
        (run / "models/compress/agent.forge").unlink()
    before = sorted(root.rglob("*"))
    with pytest.raises(ForgeError, match=r"agent\.forge: not the file that"):
        keep_run(run, root)
    assert sorted(root.rglob("*")) == before


def another_seed(run: Path) -> None:
    atomic_write_text(run / "params.yaml", PARAMS.replace("\nseed: 0\n", "\nseed: 1\n"))


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda run: (run / "dvc.lock").unlink(), "dvc.lock: No such file or directory; nothing was kept"),
        (another_seed, "other parameters than here"),
        (lambda run: atomic_write_json(run / "results" / "report.json", {"ledger": []}), "not the report of a run"),
    ],
    ids=["a file is missing", "another seed", "no ledger"],
)
def test_what_is_not_whole_is_refused_and_nothing_written(
    tmp_path: Path, harm: Callable[[Path], object], words: str
) -> None:
    root, run = project(tmp_path / "root"), ended_run(tmp_path / "run", "tiny")
    harm(run)
    before = sorted(root.rglob("*"))
    with pytest.raises(ForgeError, match=words):
        keep_run(run, root)
    assert sorted(root.rglob("*")) == before


@pytest.mark.parametrize("folder", sorted((ROOT / RUNS).glob("*/")), ids=lambda path: path.name)
def test_report_and_agent_of_a_kept_run_belong_together(folder: Path) -> None:
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    agent = (ROOT / "agents" / f"{folder.name}.forge").read_bytes()
    row = report["ledger"][-1]
    assert report["scale"] == folder.name
    assert (row["bytes"], list(row["sha256"].values())) == (len(agent), [hashlib.sha256(agent).hexdigest()])
    assert f"{len(agent):,} bytes" in (folder / "report.md").read_text(encoding="utf-8")


@pytest.mark.skipif(not (ROOT / RUNS / "spec").is_dir(), reason="no run at spec is kept")
def test_the_headline_holds() -> None:
    """25 million parameters in at most 356,515 bytes, 280 times smaller than phase 1's weights in float32."""
    report = json.loads((ROOT / RUNS / "spec" / "report.json").read_text(encoding="utf-8"))
    first, last = report["ledger"][0], report["ledger"][-1]
    assert (first["phase"], last["phase"]) == ("cognate", "compress")
    assert first["parameters"] == pytest.approx(25.07e6, rel=0.1)
    assert (ROOT / "agents/spec.forge").stat().st_size == last["bytes"] <= 356_515
    assert 4 * first["parameters"] >= 280 * last["bytes"]
