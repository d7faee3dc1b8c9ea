"""`agent-forge compare`: states of a project read from Git, differences told, unknown names refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from forge.cli.main import main
from forge.errors import ForgeError
from forge.pipeline.report.compare import (
    compare_report_snapshots,
    experiments_to_compare,
    parameters_to_compare,
    report_all_experiments,
    resolve_commit_to_compare,
    snapshot_to_compare,
)

pytestmark = pytest.mark.long

PARAMS = """scale: {scale}
seed: 0
edge: {{prune_ratio: {ratio}, rates: [0.1, 1e-05]}}
scales:
  smoke: {{edge: {{steps: {steps}}}}}
  tiny: {{edge: {{steps: 100, lr: 0.5}}}}
"""
CLAIM = {
    "claim": "it [still] works",
    "metric": "exact match",
    "value": 0.5,
    "control": "before",
    "control_value": 0.25,
    "ci95": [0.125, 0.375],
    "n": 40,
    "passed": True,
    "note": "",
    "seed": 0,
}


def git(*arguments: str, cwd: Path | None = None) -> str:
    who = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false")
    return subprocess.run(["git", *who, *arguments], cwd=cwd, check=True, capture_output=True, text=True).stdout.strip()


def write(path: str, content: Any) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(content if isinstance(content, str) else json.dumps(content))


def state(scale: str = "smoke", ratio: float = 0.5, steps: int = 6, size: int = 1000, passed: bool = True) -> None:
    """Write one state of a project into the current directory."""
    write("params.yaml", PARAMS.format(scale=scale, ratio=ratio, steps=steps))
    row = {"phase": "edge", "bytes": size, "parameters": 10, "bpb": 2.5, "accuracy_no_tools": 0.0}
    write("results/edge/ledger.json", {**row, "accuracy_tools": 0.75, "seconds": 1.5, "files": ["x"]})
    write("results/edge/claims.json", [{**CLAIM, "passed": passed}])
    write("results/cognate/reasoning/claims.json", [CLAIM])
    write("results/edge/metrics.json", {"size": {"bytes": size}, "best": True, "curve": [1, 2]})
    write("results/headline.json", {"bytes": size, "bpb": 2.5})
    write("results/edge/run.json", {"seconds": size})


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three commits: `base` on main, a tag `small`, an experiment `fewer` over base; the workspace is base's."""
    monkeypatch.chdir(tmp_path)
    git("init", "-q", "-b", "main")
    state()
    git("add", "-A")
    git("commit", "-q", "-m", "base")
    base = git("rev-parse", "HEAD")
    for name, reference, change in (
        ("small", "refs/tags/small", {"ratio": 0.25, "size": 800}),
        ("fewer", f"refs/exps/{base[:2]}/{base[2:]}/fewer", {"steps": 3, "size": 900, "passed": False}),
    ):
        state(**change)  # type: ignore[arg-type]
        git("commit", "-q", "-a", "-m", name)
        git("update-ref", reference, "HEAD")
        git("reset", "-q", "--hard", base)
    return tmp_path


def test_names_of_all_kinds_are_found(repository: Path) -> None:
    base = git("rev-parse", "HEAD")
    assert resolve_commit_to_compare(repository, "workspace") is None
    assert (
        resolve_commit_to_compare(repository, "main")
        == resolve_commit_to_compare(repository, "HEAD")
        == resolve_commit_to_compare(repository, base[:8])
        == base
    )
    assert resolve_commit_to_compare(repository, "small") == git("rev-parse", "small")
    assert list(experiments_to_compare(repository)) == ["fewer"]
    assert resolve_commit_to_compare(repository, "fewer") == experiments_to_compare(repository)["fewer"][base]
    git("update-ref", "refs/exps/exec/EXEC_HEAD", base)  # DVC's own references are nobody's experiment
    assert list(experiments_to_compare(repository)) == ["fewer"]


def test_unknown_names_are_refused_with_near_ones(repository: Path) -> None:
    with pytest.raises(ForgeError, match=r"no experiment, revision or tag named 'fewr'; did you mean fewer\?"):
        resolve_commit_to_compare(repository, "fewr")
    with pytest.raises(ForgeError, match="did you mean small"):
        resolve_commit_to_compare(repository, "smal")
    with pytest.raises(ForgeError, match="dvc exp list names the experiments"):
        resolve_commit_to_compare(repository, "--zzz")


def test_a_name_over_two_baselines(repository: Path) -> None:
    """The one over HEAD counts; from elsewhere the name says too little."""
    first = resolve_commit_to_compare(repository, "fewer")
    git("update-ref", "refs/exps/11/" + "2" * 38 + "/fewer", "small")
    assert resolve_commit_to_compare(repository, "fewer") == first
    git("commit", "-q", "--allow-empty", "-m", "later")
    with pytest.raises(ForgeError, match="several experiments are named 'fewer'; name one by its commit"):
        resolve_commit_to_compare(repository, "fewer")


def test_what_differs_is_told_and_nothing_else(repository: Path) -> None:
    both = compare_report_snapshots(snapshot_to_compare(repository, "small"), snapshot_to_compare(repository, "fewer"))
    assert both["a"] == {"name": "small", "commit": git("rev-parse", "small"), "scale": "smoke", "seed": 0}
    assert both["parameters"] == [
        {"key": "edge.prune_ratio", "a": 0.25, "b": 0.5},
        {"key": "scales.smoke.edge.steps", "a": 6, "b": 3},
    ]
    (row,) = both["ledger"]
    assert (row["phase"], row["a"]["bytes"], row["b"]["bytes"]) == ("edge", 800, 900)
    assert [(c["place"], c["a"]["passed"], c["b"]["passed"]) for c in both["claims"]] == [
        ("cognate/reasoning", True, True),
        ("edge", True, False),
    ]
    assert both["metrics"] == [{"place": "edge", "metric": "size/bytes", "a": 800, "b": 900}]


def test_a_state_equals_itself(repository: Path) -> None:
    both = compare_report_snapshots(
        snapshot_to_compare(repository, "HEAD"), snapshot_to_compare(repository, "workspace")
    )
    assert (both["parameters"], both["metrics"]) == ([], [])
    assert all(row["a"] == row["b"] for row in both["ledger"] + both["claims"])


def test_inactive_scales_do_not_count_and_active_ones_are_compared_across_names(repository: Path) -> None:
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("steps: 100", "steps: 200"))
    assert (
        compare_report_snapshots(snapshot_to_compare(repository, "HEAD"), snapshot_to_compare(repository, "workspace"))[
            "parameters"
        ]
        == []
    )
    Path("params.yaml").write_text(text.replace("scale: smoke", "scale: tiny"))
    assert compare_report_snapshots(
        snapshot_to_compare(repository, "HEAD"), snapshot_to_compare(repository, "workspace")
    )["parameters"] == [
        {"key": "scale", "a": "smoke", "b": "tiny"},
        {"key": "scales.*.edge.steps", "a": 6, "b": 100},
        {"key": "scales.*.edge.lr", "a": None, "b": 0.5},
    ]


def test_parameters_are_what_minus_s_takes() -> None:
    tree = {"scale": "a", "edge": {"x": {"y": 1}, "empty": {}}, "scales": {"a": {"edge": {"n": 2}}, "b": {}}}
    assert parameters_to_compare(tree) == {"scale": "a", "edge.x.y": 1, "edge.empty": {}, "scales.a.edge.n": 2}


def test_a_phase_that_one_side_lacks(repository: Path) -> None:
    Path("results/edge/ledger.json").unlink()
    Path("results/edge/claims.json").unlink()
    both = compare_report_snapshots(
        snapshot_to_compare(repository, "HEAD"), snapshot_to_compare(repository, "workspace")
    )
    assert both["ledger"][0]["a"]["bytes"] == 1000
    assert both["ledger"][0]["b"] is None
    assert [claim["b"] is None for claim in both["claims"]] == [False, True]
    assert main(["compare", "HEAD", "workspace"]) == 0


def test_files_that_are_not_what_they_should_be_are_named(repository: Path) -> None:
    write("results/edge/claims.json", [{"claim": "half"}])
    with pytest.raises(ForgeError, match=r"workspace:results/edge/claims\.json: not what it should be"):
        snapshot_to_compare(repository, "workspace")
    write("results/edge/claims.json", [{**CLAIM, "passed": None}])
    with pytest.raises(ForgeError, match="'passed' must be true or false"):
        snapshot_to_compare(repository, "workspace")
    write("results/edge/claims.json", "[" * 100_000)
    with pytest.raises(ForgeError, match=r"claims\.json: not what it should be \(RecursionError"):
        snapshot_to_compare(repository, "workspace")
    write("params.yaml", "a: [1")
    with pytest.raises(ForgeError, match=r"workspace:params\.yaml, line 2: not valid YAML"):
        snapshot_to_compare(repository, "workspace")
    git("rm", "-q", "-f", "params.yaml")
    git("commit", "-q", "-m", "nothing")
    with pytest.raises(ForgeError, match=r"HEAD: has no params\.yaml"):
        snapshot_to_compare(repository, "HEAD")


def test_a_file_that_goes_while_it_is_looked_for_is_not_there(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Path.read_bytes

    def gone(path: Path) -> bytes:
        if path.name == "claims.json":
            path.unlink()
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", gone)
    state = snapshot_to_compare(repository, "workspace")
    assert (state.claims, list(state.ledger)) == ({}, ["edge"])


def test_a_project_may_lie_deeper_in_its_repository(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = repository / "deep er"
    inner.mkdir()
    monkeypatch.chdir(inner)
    state(size=77)
    git("add", "-A")
    git("commit", "-q", "-m", "inner")
    assert snapshot_to_compare(inner, "HEAD").ledger["edge"]["bytes"] == 77
    assert snapshot_to_compare(repository, "HEAD").ledger["edge"]["bytes"] == 1000


def test_no_repository_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    state()
    with pytest.raises(ForgeError, match=r"^git for-each-ref: .*not a git repository"):
        snapshot_to_compare(tmp_path, "HEAD")
    assert snapshot_to_compare(tmp_path, "workspace").headline["bytes"] == 1000


def test_the_overview_has_head_the_workspace_and_every_experiment(repository: Path) -> None:
    Path("params.yaml").write_text(PARAMS.format(scale="smoke", ratio=0.75, steps=6))
    rows = {row["name"]: row for row in report_all_experiments(repository)}
    assert list(rows) == ["HEAD", "workspace", "fewer"]
    assert rows["HEAD"]["parameters"] == {}
    assert rows["workspace"]["parameters"] == {"edge.prune_ratio": 0.75}
    assert rows["fewer"]["parameters"] == {"scales.smoke.edge.steps": 3}
    assert [row["headline"]["bytes"] for row in rows.values()] == [1000, 1000, 900]


def test_an_experiment_at_another_scale_is_one_line(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = PARAMS.format(scale="tiny", ratio=0.75, steps=6)
    added = "".join(f"a{i:0200}: {i}\n" for i in range(99))
    Path("params.yaml").write_text(text.replace("steps: 100", "steps: 50") + added)
    (_, workspace, _) = report_all_experiments(repository)
    changed = workspace["parameters"]
    assert list(changed.items())[:2] == [("scale", "tiny"), ("edge.prune_ratio", 0.75)]
    assert (changed["scales.tiny.edge.steps"], len(changed)) == (50, 102)
    assert main(["compare", "--all"]) == 0
    lines = capsys.readouterr().out.strip().splitlines()
    assert lines[0].split()[2:9] == ["bytes", "smaller", "BPB", "thoughts", "tools", "claims", "min"]
    assert [line.split()[0] for line in lines[2:]] == ["HEAD", "workspace", "fewer"]
    assert "scale=tiny, edge.prune_ratio=0.75" in lines[3]


def test_an_experiment_that_cannot_be_read_does_not_hide_the_others(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = git("rev-parse", "HEAD")
    write("params.yaml", "a: [1")
    git("commit", "-q", "-a", "-m", "torn")
    git("update-ref", f"refs/exps/{base[:2]}/{base[2:]}/a-torn", "HEAD")
    git("reset", "-q", "--hard", base)
    rows = {row["name"]: row for row in report_all_experiments(repository)}
    assert list(rows) == ["HEAD", "workspace", "fewer", "a-torn"]
    assert "not valid YAML" in rows["a-torn"]["unreadable"]
    assert main(["compare", "--all"]) == 0
    assert "params.yaml, line 2" in capsys.readouterr().out


@pytest.mark.usefixtures("repository")
def test_a_metric_that_is_no_number_is_equal_to_itself(capsys: pytest.CaptureFixture[str]) -> None:
    write("results/edge/metrics.json", '{"loss": NaN, "best": Infinity}')
    assert main(["compare", "workspace", "workspace"]) == 0
    assert "nothing differs" in capsys.readouterr().out
    assert main(["compare", "HEAD", "workspace", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["metrics"]
    assert {row["metric"]: row["b"] for row in told if row["b"]} == {"loss": "NaN", "best": "Infinity"}


@pytest.mark.usefixtures("repository")
def test_two_equal_states_are_told_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "HEAD", "workspace"]) == 0
    assert capsys.readouterr().out.splitlines()[2:] == [
        "nothing differs: parameters, ledger, claims and metrics are the same"
    ]
    write("results/edge/metrics.json", {"size": {"bytes": 7}})
    assert main(["compare", "HEAD", "workspace"]) == 0
    assert "nothing differs" not in capsys.readouterr().out


@pytest.mark.usefixtures("repository")
def test_the_command_prints_tables_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "small", "fewer"]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 120
    for text in ("800 -> 900", "edge.prune_ratio", "it [still] works", "0.5 : 0.25 FAIL", "the same", "+100"):
        assert text in shown
    assert "a: 2 of 2 claims passed" in shown
    assert "b: 1 of 2 claims passed" in shown
    assert main(["compare", "--all"]) == 0
    assert "scales.smoke.edge.steps=3" in capsys.readouterr().out
    assert main(["compare", "small", "workspace", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["b"]["name"] == "workspace"
    assert main(["compare", "--all", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["experiments"]) == 3


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["small"], "two names are needed"),
        ([], "two names are needed"),
        (["small", "fewer", "--all"], "not both"),
        (["small", "nothing-like-it"], "no experiment, revision or tag named 'nothing-like-it'"),
    ],
)
def test_faults_are_one_line(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *arguments]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_figures_that_look_equal_are_written_out() -> None:
    from forge.cli.compare import _terminal_change

    assert _terminal_change(0.50001, 0.50002) == "0.50001 -> 0.50002"
    assert _terminal_change(None, 5000) == "- -> 5,000"
    assert _terminal_change(True, True) == "yes"


@pytest.mark.usefixtures("repository")
def test_no_library_of_learning_is_started() -> None:
    code = (
        "import sys; from forge.cli.main import main; assert main(['compare', 'small', 'fewer']) == 0;"
        "sys.exit(bool({'torch', 'transformers', 'numpy', 'dvc', 'wandb'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
