"""The life of a stage: what it may read, what it must leave, how it stops."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from forge.config import load_params, set_param
from forge.errors import ForgeError, Interrupted
from forge.evals.claims import Claim, compare_for_claim
from forge.files import atomic_write_json, atomic_write_text, read_json, verify_manifest, write_manifest
from forge.host.signals import stop_on_signals
from forge.interface.paths import WORKSPACE, declared_model_path
from forge.pipeline.dvc.code import ProjectCode
from forge.pipeline.handoff.publish import publishing_directory
from forge.pipeline.layout import paths as locate
from forge.pipeline.layout.phases import (
    STAGES,
    find_stage_in_layout,
    last_stage,
    layout_input_files,
    layout_input_paths,
    phase_in_layout,
    stage_names,
)
from forge.pipeline.lifecycle import stage as stage_module
from forge.pipeline.lifecycle.checkpoints import CheckpointHome, digest_stage_input, stage_fingerprint
from forge.pipeline.lifecycle.recording import recorded_name_prefix
from forge.pipeline.lifecycle.run import Run
from forge.pipeline.lifecycle.stage import stage_lifecycle
from forge.pipeline.records.tracking import read_recorded_status

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[3]
BOOT = load_params(ROOT / "params.yaml").block("evaluation").bootstrap
CLAIM = Claim(claim="c", metric="m", value=1.0, control="k", control_value=0.0, ci95=None, n=1, passed=True)


def publish_directory(path: str, text: str = "x") -> None:
    atomic_write_text(Path(path) / "f.txt", text)
    write_manifest(path)


def fill_model(run: Run) -> None:
    """The smallest thing that can be published: one weight."""
    import torch

    from forge.files import save_safetensors_file

    save_safetensors_file(run.out_dir / "model.safetensors", {"w": torch.full((3,), float(run.seed))})


def train_cognate_trunk(steps: int = 3) -> None:
    with stage_lifecycle("trunk") as run:
        for step in range(steps):
            run.log(step, **{"train/loss": 1.0 / (step + 1), "other": step})
            run.progress(step + 1, steps)
        fill_model(run)
        run.publish(
            {"final_loss": 0.5},
            files={"note.txt": "hello", "raw.bin": b"\0", "copy": Path("params.yaml")},
        )
        run.record({"detail": 2}, headline={"quality/bpb": 1.5}, claims=[CLAIM])


def test_the_data_stage_publishes_two_directories(project: Path) -> None:
    with stage_lifecycle("data") as run:
        assert run.params == load_params().block("data")
        for target in ("data/prepared", "data/workspace"):
            with run.building(target) as draft:
                atomic_write_text(draft / "f.txt", "x")
        run.record(headline={"rows/train": 10})
    verify_manifest("data/prepared")
    metrics = read_json("results/data/metrics.json")
    assert metrics["rows"]["train"] == 10
    assert metrics["phase"]["duration_seconds"] > 0
    assert not list(Path("data").glob(".*.building"))


def test_a_training_stage_leaves_what_dvc_expects(prepared: Path) -> None:
    train_cognate_trunk()
    model = Path("models/trunk")
    verify_manifest(model)
    assert (model / "note.txt").read_text() == "hello"
    assert (model / "copy").read_bytes() == Path("params.yaml").read_bytes()
    metadata = read_json(model / "metadata.json")
    assert metadata["metrics"] == {"final_loss": 0.5}
    assert metadata["parameters"] == 3
    assert read_json("results/trunk/claims.json") == [CLAIM.model_dump(mode="json")]
    metrics = read_json("results/trunk/metrics.json")
    assert metrics["quality"] == {"bpb": 1.5}
    assert set(metrics) == {"quality", "phase", "step"}
    curve = Path("results/trunk/plots/metrics/train/loss.tsv").read_text().split()
    assert curve[:4] == ["step", "loss", "0", "1.0"]
    assert not list(Path("results/trunk/plots").rglob("other.tsv"))
    run = read_json("results/trunk/run.json")
    assert run["seconds"] > 0
    assert run["created_at"].endswith("Z")
    logged = [json.loads(line) for line in Path(".forge/runs/trunk/metrics.jsonl").read_text().splitlines()]
    assert [(row["step"], row["other"]) for row in logged] == [(0, 0), (1, 1), (2, 2)]
    summary = read_json(".forge/runs/trunk/summary.json")
    assert summary["detail"] == 2
    assert summary["quality/bpb"] == 1.5
    kept = read_json("results/trunk/all_metrics.json")
    assert kept.pop("trunk/phase/duration_seconds") > 0
    sampled = {name for name in kept if name.startswith("trunk/system/")}
    assert kept["trunk/system/rss_gb_peak"] > 0
    kept = {name: value for name, value in kept.items() if name not in sampled}
    assert kept == {"trunk/train/loss": 1 / 3, "trunk/other": 2, "trunk/detail": 2, "trunk/quality/bpb": 1.5}
    assert read_recorded_status(Path(".forge/runs/trunk"))["state"] == "done"  # type: ignore[index]
    assert not list(Path(".forge/checkpoints").rglob("*.*")), "checkpoints outlived the publication"


def test_code_that_was_edited_since_it_was_noted_is_not_run(prepared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stage, part = find_stage_in_layout("trunk"), Path("forge/train/part.py")
    atomic_write_text(Path("stages/trunk.py"), "from forge.train import part\n")
    atomic_write_text(part, "RATE = 1\n")
    atomic_write_text(Path(stage.code), ProjectCode().text_of(stage))
    atomic_write_text(part, "# a remark\nRATE = 1\n")
    train_cognate_trunk()
    atomic_write_text(part, "RATE = 2\n")
    with pytest.raises(SystemExit) as caught:
        train_cognate_trunk()
    assert leaves(1, capsys, caught).endswith("part.py was edited since the pipeline was started; start it again")


def test_equal_runs_give_equal_bytes(prepared: Path) -> None:
    train_cognate_trunk()
    first = {p: p.read_bytes() for p in Path("models").rglob("*") if p.is_file()}
    time.sleep(0.01)
    train_cognate_trunk()
    assert {p: p.read_bytes() for p in Path("models").rglob("*") if p.is_file()} == first


def test_a_branch_has_its_own_seed_place_and_parent(prepared: Path) -> None:
    train_cognate_trunk()
    with stage_lifecycle("cognate", "memory_integration") as run:
        assert run.seed == 1337
        assert run.inputs.parents == [read_json("models/trunk/metadata.json")["model_id"]]
        run.log(0, **{"train/loss": 1.0})
        fill_model(run)
        run.publish({"specialization": "memory_integration"})
    metadata = read_json("models/cognate/memory_integration/metadata.json")
    assert metadata["parents"] == [read_json("models/trunk/metadata.json")["model_id"]]
    assert Path("results/cognate/memory_integration/metrics.json").is_file()
    kept = read_json("results/cognate/memory_integration/all_metrics.json")
    assert kept["cognate/model_2/train/loss"] == 1.0


def leaves(code: int, capsys: pytest.CaptureFixture[str], caught: pytest.ExceptionInfo[SystemExit]) -> str:
    assert caught.value.code == code
    lines = [line for line in capsys.readouterr().err.splitlines() if line]
    assert len(lines) == 1, lines
    return lines[0]


@pytest.mark.parametrize(
    ("name", "branch", "message"),
    [
        ("nope", None, "nope: no stage named 'nope'"),
        ("cognate", "nope", "cognate@nope: cognate: no branch 'nope'; known: reasoning"),
        ("trunk", "reasoning", "trunk@reasoning: trunk: no branch 'reasoning'; known: None"),
        ("evomerge", None, "evomerge: handoff cognate -> evomerge: "),
        ("cognate", "reasoning", "cognate@reasoning: models/trunk/manifest.json: no such file"),
    ],
)
def test_refused_before_any_work(
    prepared: Path, capsys: pytest.CaptureFixture[str], name: str, branch: str | None, message: str
) -> None:
    with pytest.raises(SystemExit) as caught, stage_lifecycle(name, branch):
        pytest.fail("the block must not run")
    assert leaves(1, capsys, caught).startswith(message)


def test_bad_parameters_are_one_line(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("\nseed: 0\n", "\nseed: zero\n"))
    with pytest.raises(SystemExit) as caught, stage_lifecycle("data"):
        pytest.fail("the block must not run")
    assert "params.yaml: seed: " in leaves(1, capsys, caught)


FAULTS: list[tuple[Any, str]] = [
    (lambda run: run.load("cognate", "reasoning"), "trunk does not declare models/cognate as an input"),
    (lambda run: run.building("data/prepared"), "trunk does not declare data/prepared as an output"),
    (lambda run: run.log(0, loss=float("nan")), "metric 'loss' is not a finite number"),
    (lambda run: run.log(0, loss="low"), "metric 'loss' is not a finite number"),
    (lambda run: run.publish({}), "nothing to publish"),
    (lambda run: None, "the series 'train/loss' was never logged"),
    (lambda run: run.log(0, **{"train/loss": 1.0}), "trunk ended without writing models/trunk"),
    (lambda run: run.record(headline={"a": 1, "a/b": 2}), "cannot be nested under the value 'a'"),
    (lambda run: run.record(headline={"a/b": 1, "a": 2}), "metric 'a' is already a group"),
    (lambda run: (_ for _ in ()).throw(ForgeError("no luck")), "no luck"),
]


@pytest.mark.parametrize(("act", "message"), FAULTS)
def test_faults_leave_one_line_and_no_model(
    prepared: Path, capsys: pytest.CaptureFixture[str], act: Any, message: str
) -> None:
    with pytest.raises(SystemExit) as caught, stage_lifecycle("trunk") as run:
        act(run)
    assert message in leaves(1, capsys, caught)
    assert not list(Path("models").rglob("*.json"))
    status = read_recorded_status(Path(".forge/runs/trunk"))
    assert status is not None
    assert status["state"] == "failed"
    assert message in status["note"]


def test_publishing_twice_is_refused(prepared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught, stage_lifecycle("trunk") as run:
        fill_model(run)
        run.publish({})
        run.publish({})
    assert "trunk has published already" in leaves(1, capsys, caught)


def test_a_bug_keeps_its_traceback_and_gives_the_lock_back(prepared: Path) -> None:
    with pytest.raises(ZeroDivisionError), stage_lifecycle("trunk") as run:
        assert run.out_dir.is_dir()
        _ = 1 / 0
    assert not list(Path("models").iterdir())
    assert read_recorded_status(Path(".forge/runs/trunk"))["note"] == "ZeroDivisionError: division by zero"  # type: ignore[index]
    train_cognate_trunk()


def test_tampered_data_is_found_before_any_work(prepared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with stage_lifecycle("trunk") as run:
        assert run.workspace_dir == WORKSPACE
        run.log(1, **{"train/loss": 1.0})
        fill_model(run)
        run.publish({})
    Path("data/prepared/f.txt").write_text("y")
    with pytest.raises(SystemExit) as caught, stage_lifecycle("trunk"):
        pytest.fail("the block must not run")
    assert "data/prepared/f.txt: changed" in leaves(1, capsys, caught)


def test_an_interrupted_stage_saves_and_resumes(prepared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught, stage_lifecycle("trunk") as run:
        for step in range(4):
            run.log(step, **{"train/loss": float(step)})
            run.progress(step + 1, 10)
        os.kill(os.getpid(), signal.SIGTERM)
        assert run.stop_requested
        atomic_write_json(run.checkpoint_dir / "state.json", {"step": 3})
        raise Interrupted(3, 10)
    assert leaves(130, capsys, caught) == "trunk: paused at step 3 of 10; go on with: agent-forge run"
    assert read_recorded_status(Path(".forge/runs/trunk"))["state"] == "paused"  # type: ignore[index]
    assert not Path("results/trunk/metrics.json").exists()
    with open(".forge/runs/trunk/metrics.jsonl", "a") as stream:
        stream.write('{"step": 4, "train/lo')  # what a SIGKILL would leave
    with stage_lifecycle("trunk") as run:
        first = read_json(run.checkpoint_dir / "state.json")["step"]
        for step in range(first, 6):
            run.log(step, **{"train/loss": float(step)})
        fill_model(run)
        run.publish({})
    rows = Path("results/trunk/plots/metrics/train/loss.tsv").read_text().split("\n")[1:-1]
    assert rows == [f"{n}\t{float(n)}" for n in range(6)], "the curve must be that of an uninterrupted run"


def test_other_parameters_do_not_resume(prepared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit), stage_lifecycle("trunk") as run:
        atomic_write_json(run.checkpoint_dir / "state.json", {})
        raise Interrupted(1, 2)
    before = Path("params.yaml").read_text()
    set_param("params.yaml", "cognate.clip", 123.5)
    with pytest.raises(SystemExit), stage_lifecycle("trunk") as run:
        assert not (run.checkpoint_dir / "state.json").exists()
        raise Interrupted(0, 2)
    Path("params.yaml").write_text(before)
    set_param("params.yaml", "edge.prune_ratio", 0.123)
    with pytest.raises(SystemExit), stage_lifecycle("trunk") as run:
        assert (run.checkpoint_dir / "state.json").exists(), "edge is nothing to the trunk"
        raise Interrupted(0, 2)


def test_other_parameters_in_between_do_not_cost_the_curve(prepared: Path) -> None:
    """Each set of parameters has its own series as it has its own checkpoints."""
    before = Path("params.yaml").read_text()
    for clip, steps in ((None, (1, 2)), (123.5, (7, 8)), (None, (3, 4))):
        Path("params.yaml").write_text(before)
        if clip is not None:
            set_param("params.yaml", "cognate.clip", clip)
        with pytest.raises(SystemExit), stage_lifecycle("trunk") as run:
            for step in steps:
                run.log(step, **{"train/loss": float(step)})
            atomic_write_json(run.checkpoint_dir / "state.json", {})
            raise Interrupted(steps[-1], 9)
    with stage_lifecycle("trunk") as run:
        fill_model(run)
        run.publish({})
    rows = Path("results/trunk/plots/metrics/train/loss.tsv").read_text().split("\n")[1:-1]
    assert rows == [f"{n}\t{float(n)}" for n in (1, 2, 3, 4)]
    assert len(Path(".forge/runs/trunk/metrics.jsonl").read_text().splitlines()) == 4


def test_work_that_never_looks_is_left_after_the_grace(
    prepared: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage_module, "stop_on_signals", lambda: stop_on_signals(grace=0.1))
    began = time.monotonic()
    with pytest.raises(SystemExit) as caught, stage_lifecycle("trunk") as run:
        run.progress(2, 9)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(30)
    assert leaves(130, capsys, caught).startswith("trunk: paused at step 2 of 9")
    assert time.monotonic() - began < 20


def test_handlers_are_given_back() -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
    before = [signal.getsignal(number) for number in numbers]
    with stop_on_signals() as stop:
        assert [signal.getsignal(number) for number in numbers] != before
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.requested
    assert [signal.getsignal(number) for number in numbers] == before
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_an_orphan_that_has_published_keeps_its_checkpoints(
    prepared: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is left to write the result into dvc.lock, so the stage will run again."""
    with pytest.raises(SystemExit) as caught, stage_lifecycle("trunk") as run:
        atomic_write_json(run.checkpoint_dir / "state.json", {"step": 9})
        run.log(9, **{"train/loss": 1.0})
        run.progress(9, 9)
        fill_model(run)
        run.publish({})
        monkeypatch.setattr(os, "getppid", lambda: 1)
    assert leaves(130, capsys, caught) == "trunk: paused at step 9 of 9; go on with: agent-forge run"
    assert list(Path(".forge/checkpoints/trunk").glob("*/state.json"))


def test_what_a_killed_writer_left_is_swept_up(prepared: Path) -> None:
    stray = [Path("results/trunk/.claims.json.k3x9.tmp"), Path("results/trunk/.hidden"), Path("results/data/.x.tmp")]
    for path in stray:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("half")
    with stage_lifecycle("trunk") as run:
        run.log(1, **{"train/loss": 1.0})
        fill_model(run)
        run.publish({})
    assert [path.exists() for path in stray] == [False, True, True]


def test_a_second_writer_waits_and_is_then_refused(project: Path) -> None:
    first, second = CheckpointHome("s", "ab" * 32), CheckpointHome("s", "ab" * 32, wait=0.3)
    other = CheckpointHome("s", "cd" * 32, wait=0.0)
    first.open()
    other.open()
    with pytest.raises(ForgeError, match=f"process {os.getpid()} is already working"):
        second.open()
    (first.path / "kept").touch()
    first.close()
    assert second.open() == first.path
    assert (second.path / "kept").exists()
    second.discard()
    other.close()
    assert list(Path(".forge/checkpoints/s").iterdir()) == []


def test_a_lock_file_removed_by_its_holder_excludes_nobody(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A waiter may open the file just before the holder unlinks it; it must then try again on the new one."""
    home = CheckpointHome("s", "ab" * 32)
    real_stat, calls = os.stat, []

    def stat(path: Any, *args: Any, **options: Any) -> os.stat_result:
        if str(path).endswith(".lock") and not calls:
            calls.append(path)
            os.unlink(path)
        return real_stat(path, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", stat)
        home.open()
    assert calls
    assert home.path.with_suffix(".lock").exists()
    home.close()


def test_fingerprints_see_names_contents_and_parameters(project: Path) -> None:
    publish_directory("m", "one")
    Path("code").mkdir()
    Path("code/a.py").write_text("1")
    base = stage_fingerprint("s", {"a": 1}, ["m", "code"])
    assert stage_fingerprint("s", {"a": 1}, ["code", "m"]) == base
    assert stage_fingerprint("t", {"a": 1}, ["m", "code"]) != base
    assert stage_fingerprint("s", {"a": 2}, ["m", "code"]) != base
    assert digest_stage_input(Path("gone")) != digest_stage_input(Path("code"))
    (Path("code") / "__pycache__").mkdir()
    (Path("code") / "__pycache__" / "a.pyc").write_text("x")
    assert stage_fingerprint("s", {"a": 1}, ["m", "code"]) == base
    Path("code/a.py").rename("code/b.py")
    moved = stage_fingerprint("s", {"a": 1}, ["m", "code"])
    assert moved != base
    publish_directory("m", "two")
    assert stage_fingerprint("s", {"a": 1}, ["m", "code"]) != moved


def test_a_half_built_directory_never_shows(project: Path) -> None:
    target = Path("out/d")
    (target.parent / ".d.building").mkdir(parents=True)
    (target.parent / ".d.building" / "leftover").touch()
    with publishing_directory(target) as draft:
        (draft / "f").write_text("1")
    assert sorted(p.name for p in target.iterdir()) == ["f", "manifest.json"]
    with pytest.raises(RuntimeError), publishing_directory(target) as draft:
        (draft / "f").write_text("2")
        raise RuntimeError
    assert (target / "f").read_text() == "1"
    assert [p.name for p in target.parent.iterdir()] == ["d"]


def test_state_goes_to_the_main_repository(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = project / ".dvc" / "tmp" / "exps" / "copy"
    copy.mkdir(parents=True)
    assert locate.layout_run_dir("edge") == project / ".forge/runs/edge"
    monkeypatch.setenv("DVC_ROOT", str(project))
    assert locate.layout_run_dir("edge") == project / ".forge/runs/edge"
    monkeypatch.chdir(copy)
    monkeypatch.setenv("DVC_EXP_NAME", "wide")
    assert locate.layout_run_dir("edge") == project / ".forge/experiments/wide/edge"
    home = CheckpointHome("edge", "ab" * 32)
    assert home.open().is_relative_to(project / ".forge/checkpoints")
    home.close()
    assert declared_model_path("edge") == Path("models/edge")


def test_phases_know_their_stages() -> None:
    assert stage_names()[:4] == ["data", "tools", "trunk", "cognate@reasoning"]
    assert len(stage_names()) == 15
    assert [stage.name for stage in STAGES][-1] == "report"
    assert [last_stage(name) for name in ("cognate", "edge", "cognate@reasoning")] == [
        "branches",
        "edge",
        "cognate@reasoning",
    ]
    assert layout_input_paths(find_stage_in_layout("tools")) == ("${data.tools}",)
    assert layout_input_files(find_stage_in_layout("tools"), "home.yaml") == ("home.yaml",)
    assert layout_input_paths(find_stage_in_layout("compress")) == (
        "data/own_tools",
        "data/prepared",
        "data/workspace",
        "models/baking",
        "models/edge",
        "models/trunk",
    )
    with pytest.raises(ForgeError, match="no stage named 'x'"):
        find_stage_in_layout("x")
    with pytest.raises(ForgeError, match="no phase named 'x'"):
        phase_in_layout("x")


def test_only_the_stage_that_closes_a_phase_writes_its_row(prepared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught, stage_lifecycle("trunk") as run:
        run.ledger(None, None, Path("models/trunk"))  # type: ignore[arg-type]
    assert "trunk does not close the phase cognate" in leaves(1, capsys, caught)


def test_a_phase_of_several_stages_is_recorded_as_one(prepared: Path) -> None:
    assert recorded_name_prefix(find_stage_in_layout("branches"), None) == "cognate"
    assert recorded_name_prefix(find_stage_in_layout("cognate"), "memory_integration") == "cognate/model_2"
    assert "results/cognate/ledger.json" in find_stage_in_layout("branches").records()
    assert not any("ledger" in path for path in find_stage_in_layout("trunk").records())


def test_comparisons_take_the_seed_and_the_resamples_of_the_run(prepared: Path) -> None:
    with stage_lifecycle("trunk") as run:
        pair = [1.0, 0.0, 1.0], [0.0, 0.0, 1.0]
        claim = run.compare("c", "m", *pair, control_name="k")
        assert claim == compare_for_claim("c", "m", *pair, control_name="k", n_boot=BOOT, seed=run.seed)
        run.log(0, **{"train/loss": 1.0})
        fill_model(run)
        run.publish({})


def test_seconds_of_earlier_stages_add_up(project: Path) -> None:
    branches = {"cognate/reasoning": 1, "cognate/memory_integration": 2, "cognate/adaptive_computation": 3}
    for name, seconds in {"trunk": 1.5, **branches}.items():
        atomic_write_json(f"results/{name}/run.json", {"seconds": seconds})
    publish_directory("data/own")
    with stage_lifecycle("report") as run:
        assert run.recorded_seconds("trunk", "cognate") == 7.5
        for name in ("headline.json", "ladder.json", "ladder.svg", "report.json", "report.md"):
            atomic_write_text(run.recording.results / name, "x")
    assert not Path("results/report").exists()
