"""Commands that look after a project: logs, clean, doctor, config edit; help and completion of all."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from forge.cli.main import app
from forge.config import load_params
from forge.files import atomic_write_json, atomic_write_text
from forge.pipeline.layout.phases import find_stage_in_layout
from forge.pipeline.lifecycle.checkpoints import CheckpointHome, stage_checkpoint_key
from forge.pipeline.upkeep import doctor
from forge.pipeline.upkeep.findings import Finding
from forge.pipeline.upkeep.retention import parse_retention_age
from tests.cli.conftest import Outcome

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[2]
Call = Callable[..., Outcome]


# ---- logs --------------------------------------------------------------------------------------------------


def test_logs_shows_what_runs_said(project: Path, call: Call) -> None:
    assert "no log yet" in call("logs").out
    rows = [
        {"time": f"2025-01-01T00:00:0{i}.123Z", "level": "info", "stage": stage, "message": f"m{i}", "step": i}
        for i, stage in enumerate(("data", "cognate@reasoning", "cognate@memory_integration"))
    ]
    del rows[0]["step"]
    atomic_write_text(".forge/logs/a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    assert call("logs").out.splitlines() == [
        "2025-01-01 00:00:00  info     data: m0",
        "2025-01-01 00:00:01  info     cognate@reasoning [1]: m1",
        "2025-01-01 00:00:02  info     cognate@memory_integration [2]: m2",
    ]
    assert call("logs", "--json", "--lines", "1").json == {"lines": rows[2:]}
    assert call("logs", "--json", "--phase", "cognate").json == {"lines": rows[1:]}
    assert call("logs", "--json", "--phase", "cognate@reasoning").json == {"lines": rows[1:2]}
    for wrong in ("nope", "cognate@nope"):
        refused = call("logs", "--phase", wrong)
        assert (refused.code, refused.err.count("\n")) == (1, 1)


def test_logs_follows_until_it_is_interrupted(project: Path) -> None:
    atomic_write_text(".forge/logs/a.jsonl", "")
    process = subprocess.Popen(
        [sys.executable, "-m", "forge.cli.main", "logs", "--follow", "--json"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    stop, told = False, ""
    deadline = time.monotonic() + 60
    os.set_blocking(process.stdout.fileno(), False)
    while not told and not stop:  # it may not be watching yet: go on writing until it tells
        with open(".forge/logs/a.jsonl", "a") as stream:
            stream.write('{"time": "2025-01-01T00:00:00.000Z", "level": "info", "stage": "data", "message": "new"}\n')
        time.sleep(0.1)
        told = process.stdout.readline()
        stop = time.monotonic() > deadline
    assert json.loads(told)["message"] == "new"
    process.send_signal(2)
    assert process.wait(timeout=60) == 130
    process.stdout.close()


# ---- clean -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "seconds"), [("7d", 604800), ("12h", 43200), ("1.5m", 90), ("2w", 1209600)])
def test_ages_are_numbers_with_a_unit(text: str, seconds: float) -> None:
    assert parse_retention_age(text) == seconds


def old(path: Path) -> Path:
    """Make a file, or all files of a folder, ten days old."""
    for file in [path, *path.rglob("*")]:
        os.utime(file, (time.time() - 864000,) * 2)
    return path


def leave(stage: str, key: str) -> Path:
    home = CheckpointHome(stage, key)
    atomic_write_text(home.open() / "state.json", "x" * 100)
    home.close()
    return old(home.path)


def test_clean_removes_what_is_old_and_of_no_use(
    project: Path, call: Call, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    # agents that other tests kill leave folders in the common one
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("temporary")))
    assert call("clean").out == "nothing is older than 7d\n"
    live = leave("bitnet", stage_checkpoint_key(find_stage_in_layout("bitnet"), None, load_params()))
    orphan, busy = leave("bitnet", "ab" * 32), leave("edge", "cd" * 32)
    held = CheckpointHome("edge", "cd" * 32)
    held.open()
    for name, state in (("trunk", "paused"), ("edge", "done")):
        atomic_write_json(f".forge/runs/{name}/status.json", {"state": state, "pid": os.getpid()})
        old(Path(f".forge/runs/{name}"))
    for name in ("logs/x.jsonl", "experiments/wide/edge/status.json", "wandb/offline-run-1/f"):
        atomic_write_text(f".forge/{name}", "y")
    old(Path(".forge/logs/x.jsonl"))
    atomic_write_text(".forge/logs/young.jsonl", "y")

    listed = call("clean", "--dry-run", "--json").json
    assert {Path(row["path"]).name for row in listed["would_remove"]} == {orphan.name, busy.name, "edge", "x.jsonl"}
    assert listed["removed"] == []
    assert orphan.exists()
    done = call("clean", "--json").json
    assert {row["path"] for row in done["removed"]} == {
        f".forge/checkpoints/bitnet/{orphan.name}",
        ".forge/logs/x.jsonl",
        ".forge/runs/edge",
    }
    assert done["in_use"] == [f".forge/checkpoints/edge/{busy.name}"]
    held.close()
    assert not orphan.with_suffix(".lock").exists()
    text = call("clean", "--older-than", "0s").out
    assert "orphan checkpoint" in text
    assert text.splitlines()[-1].endswith(" freed")
    assert live.exists()
    assert Path(".forge/runs/trunk").exists()
    assert sorted(p.name for p in Path(".forge").rglob("*") if p.is_file()) == [
        f"{live.name}.lock",
        "state.json",
        "status.json",
    ]
    assert "'soon' is no age" in call("clean", "--older-than", "soon").err


# ---- doctor ------------------------------------------------------------------------------------------------


def test_doctor_tells_and_mends(project: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    state = {"wrong": True}

    def fix() -> str:
        state["wrong"] = False
        return "fixed it"

    def check(root: Path) -> Any:
        if state["wrong"]:
            yield Finding("thing", "wrong", "it is broken", "nothing works", "hit it", fix)
        yield Finding("other", "ok", "fine")

    monkeypatch.setattr(doctor, "CHECKS", (check,))
    told = call("doctor", "--quick")
    assert told.code == 1
    assert told.out.splitlines() == [
        "wrong   thing: it is broken",
        "        means: nothing works",
        "        fix: hit it",
        "ok      other: fine",
        "1 wrong, 1 of them can be fixed with: agent-forge doctor --fix",
    ]
    listed = call("doctor", "--quick", "--json")
    assert listed.code == 1
    assert listed.json["wrong"] == 1
    assert listed.json["findings"][0] == {
        "check": "thing",
        "state": "wrong",
        "what": "it is broken",
        "meaning": "nothing works",
        "fix": "hit it",
        "fixable": True,
    }
    fixed = call("doctor", "--quick", "--fix")
    assert fixed.code == 0
    assert "done: fixed it" in fixed.out
    assert call("doctor", "--quick").out == "ok      other: fine\nnothing is wrong\n"


def test_damage_is_told_in_one_line_at_the_start_of_a_run(project: Path, call: Call) -> None:
    (project / "dvc.yaml").write_bytes((ROOT / "dvc.yaml").read_bytes())
    whole = (ROOT / "dvc.lock").read_bytes()
    last_outs = whole.rindex(b"    outs:")
    for command, kept in (("run", last_outs), ("status", last_outs + 20), ("status", last_outs // 2)):
        (project / "dvc.lock").write_bytes(whole[:kept].rstrip(b"\n") if kept != last_outs else whole[:kept])
        told = call(command)
        assert told.code == 1
        assert told.err.startswith("agent-forge: dvc.lock is damaged, ")
        assert told.err.endswith("fix it with: agent-forge doctor --fix\n")
        assert told.err.count("\n") == 1


# ---- config edit -------------------------------------------------------------------------------------------


def editor(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """An editor that runs Python with the text of the file as `t` and writes back what `t` is then."""
    program = f"import sys; p = sys.argv[1]; t = open(p).read(); {code}; open(p, 'w').write(t)"
    monkeypatch.setenv("EDITOR", shlex.join([sys.executable, "-c", program]))
    monkeypatch.delenv("VISUAL", raising=False)


def test_an_edit_is_put_in_place_if_it_is_valid(
    project: Path,
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = Path("params.yaml").read_text()
    editor(monkeypatch, "pass")
    assert call("config", "edit", "--json").json["changed"] is False
    editor(monkeypatch, "t = t.replace('seed: 0', 'seed: 5')")
    assert call("config", "edit").out == "params.yaml: changed and valid (scale smoke)\n"
    assert Path("params.yaml").read_text() == before.replace("seed: 0", "seed: 5")

    editor(monkeypatch, "t = t.replace('seed: 5', 'seed: many')")
    refused = call("config", "edit")
    assert refused.code == 1
    assert "params.yaml: seed: " in refused.err
    assert "your edit is kept in params.draft.yaml" in refused.err
    assert load_params().seed == 5
    with monkeypatch.context() as closed:
        closed.setattr("sys.stdin", None)
        assert "your edit is kept in params.draft.yaml" in call("config", "edit").err
    editor(monkeypatch, "t = t.replace('seed: many', 'seed: 6')")
    assert "going on with params.draft.yaml" in call("config", "edit").out
    assert load_params().seed == 6
    assert not Path("params.draft.yaml").exists()


def test_an_edit_does_not_undo_somebody_elses(
    project: Path,
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    editor(monkeypatch, "o = open('params.yaml').read(); open('params.yaml', 'w').write(o + '\\n# theirs\\n')")
    told = call("config", "edit")
    assert told.code == 1
    assert "was changed by somebody else meanwhile" in told.err
    assert Path("params.yaml").read_text().endswith("# theirs\n")
    (kept,) = Path().glob("params.late-*.yaml")
    assert kept.name in told.err
    assert "# theirs" not in kept.read_text()
    editor(monkeypatch, "t = t.replace('seed: 0', 'seed: 5')")
    assert call("config", "edit").code == 0  # a new edit begins with what is there
    assert Path("params.yaml").read_text().endswith("# theirs\n")


def test_what_an_edit_left_is_not_put_over_a_newer_file(
    project: Path,
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    editor(monkeypatch, "t = t.replace('seed: 0', 'seed: many')")
    assert call("config", "edit").code == 1
    left = Path("params.draft.yaml").stat().st_mtime_ns
    os.utime("params.yaml", ns=(left + 10**9, left + 10**9))
    before = Path("params.yaml").read_bytes()
    told = call("config", "edit")
    assert told.code == 1
    assert "params.draft.yaml, which an earlier edit left, is older than params.yaml" in told.err
    assert Path("params.yaml").read_bytes() == before
    assert "seed: many" in Path("params.draft.yaml").read_text()


@pytest.mark.parametrize(
    ("command", "message"), [("no-such-editor", "cannot be started"), ("false", "ended with code 1")]
)
def test_an_editor_that_fails_changes_nothing(
    project: Path,
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    message: str,
) -> None:
    before = Path("params.yaml").read_bytes()
    monkeypatch.setenv("VISUAL", command)
    told = call("config", "edit")
    assert (told.code, Path("params.yaml").read_bytes()) == (1, before)
    assert message in told.err
    assert "no such file" in call("config", "edit", "gone.yaml").err


# ---- help and completion -----------------------------------------------------------------------------------


def commands() -> list[list[str]]:
    """Every command, those of groups too."""
    own = [[str(command.name)] for command in app.registered_commands]
    for group in app.registered_groups:
        assert group.typer_instance is not None
        own += [[str(group.name), str(command.name)] for command in group.typer_instance.registered_commands]
    return own


@pytest.mark.parametrize("path", commands(), ids=" ".join)
def test_every_command_explains_itself_with_an_example(path: list[str], call: Call) -> None:
    text = call(*path, "--help").out
    assert "Examples:\n" in text
    assert f"agent-forge {' '.join(path)}" in text.partition("Examples:\n")[2]
    assert "--json" in text


def test_completion_knows_commands_and_options(project: Path) -> None:
    def complete(words: str, position: int) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-m", "forge.cli.main"],
            capture_output=True,
            text=True,
            check=True,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "_AGENT_FORGE_COMPLETE": "complete_bash",
                "COMP_WORDS": words,
                "COMP_CWORD": str(position),
            },
        )
        return done.stdout.split()

    assert complete("agent-forge do", 1) == ["doctor"]
    assert "--older-than" in complete("agent-forge clean --", 2)
