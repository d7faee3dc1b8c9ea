"""The dashboard: every page on a project that is empty, finished, running or damaged; what it saves."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import psutil
import pytest
from streamlit.testing.v1 import AppTest

from forge.cli.main import main
from forge.config import load_params
from forge.files import atomic_write_json
from forge.host import sampling
from forge.host.machine import process_age
from forge.host.sampling import SystemSampler
from forge.monitor import app as dashboard
from forge.monitor.app import PAGES
from forge.monitor.views.models import _dashboard_model_row
from forge.pipeline.dvc import states
from forge.pipeline.dvc.lockfile import md5_path
from forge.pipeline.dvc.states import StageState
from forge.pipeline.records.curves import Curves, read_recorded_curves
from forge.pipeline.registry.index import reindex
from forge.pipeline.registry.models import list_models
from forge.pipeline.registry.versions import register
from forge.pipeline.report import overview as watching
from tests.attacks.yaml_texts import REFUSED
from tests.support.rot import flip
from tests.support.toy_project import build_project, outside_stages

pytestmark = pytest.mark.long

for name in PAGES:
    # Streamlit runs a page as `__main__`; coverage must have met it under its own name first.
    import_module(f"forge.monitor.views.{name}")


@pytest.fixture
def two_stages(project: Path) -> Path:
    """The real parameters and two stages that are fresh: one reads the seed, the other the evolution's block."""
    stages: dict[str, Any] = {"one": ["seed"], "two": ["scales.smoke.evomerge"]}
    tree = states.read_yaml_as_dvc(project / "params.yaml")
    values = {"seed": tree["seed"], "scales.smoke.evomerge": tree["scales"]["smoke"]["evomerge"]}
    locked: dict[str, Any] = {}
    for name, keys in stages.items():
        (project / name).write_text("made\n")
        out = {"path": name, "hash": "md5", "md5": md5_path(project / name, {}), "size": 5}
        locked[name] = {"cmd": "true", "params": {"params.yaml": {key: values[key] for key in keys}}, "outs": [out]}
    wanted = {name: {"cmd": "true", "params": keys, "outs": [name]} for name, keys in stages.items()}
    atomic_write_json(project / "dvc.yaml", {"stages": wanted})
    (project / "dvc.lock").write_text(f"schema: '2.0'\nstages: {json.dumps(locked)}\n")
    assert {state.state for state in states.stage_states()} == {"fresh"}
    return project


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A small project that was run, with `trunk@v0.0.1` registered."""
    place = tmp_path_factory.mktemp("toy")
    with outside_stages(place) as patch:
        folder = build_project(place)
        patch.chdir(folder)
        register(Path(), "trunk")
        reindex(Path())
        yield folder


def running(stage: str, **facts: Any) -> Path:
    """What a stage of this process would have written by now."""
    directory = Path(".forge/runs") / stage
    status = {
        "stage": stage, "state": "running", "step": 30, "total": 40, "note": "loss 2.5", "pid": os.getpid(),
        "started": time.time(), "updated": time.time(), "seconds_left": 20.0, **facts,
    }  # fmt: skip
    atomic_write_json(directory / "status.json", status)
    rows = [{"step": n, "time": 1.0, "train/loss": 9.0 / n, "val/loss": 8.0 / n} for n in (1, 2, 3)]
    (directory / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return directory


def opened(page: str = "overview") -> AppTest:
    """A page of the dashboard, drawn without an exception."""
    app = AppTest.from_file(dashboard.__file__, default_timeout=60).run()
    return shown(app if page == "overview" else app.switch_page(f"views/{page}.py").run())


def shown(app: AppTest) -> AppTest:
    assert not app.exception, app.exception[0].value
    return app


def said(app: AppTest) -> str:
    """All that stands on a page outside tables, without Markdown's escapes."""
    kinds = (app.title, app.subheader, app.caption, app.info, app.error, app.warning, app.success)
    lines = [str(element.value) for kind in kinds for element in kind]
    lines += [f"{metric.label}: {metric.value}" for metric in app.metric]
    return "\n".join(lines).replace("\\", "")


def tables(app: AppTest) -> list[list[dict[str, Any]]]:
    return [table.value.to_dict("records") for table in app.dataframe]


def charts(app: AppTest) -> int:
    return len(app.get("vega_lite_chart")) + len(app.get("arrow_vega_lite_chart"))


# ---- pages ----


@pytest.mark.parametrize("page", PAGES)
def test_every_page_of_an_empty_project_says_what_is_absent(empty: Path, page: str) -> None:
    app = opened(page)
    words = {
        "overview": "No phase has results yet",
        "phase": "No series: this stage draws none, or has not run",
        "models": "The registry knows no model",
        "system": "No run is remembered here",
        "configuration": "comments stay",
    }
    assert words[page] in said(app)
    assert [title.value for title in app.title] == [PAGES[page]]
    assert not app.error


def test_the_overview_of_results_has_the_ledger_and_its_picture(finished: Path) -> None:
    app = opened()
    stages, ledger = tables(app)
    assert [row["stage"] for row in stages[:5]] == ["code", "data", "tools", "trunk", "cognate@reasoning"]
    assert {row["state"] for row in stages} == {"new"}
    report = json.loads(Path("results/report.json").read_text())
    assert [(row["phase"], row["bytes"]) for row in ledger] == [(r["phase"], r["bytes"]) for r in report["ledger"]]
    assert f"{report['claims_passed']} passed, {report['claims_failed']} failed" in said(app)
    assert "Of the last finished run: scale tiny, seed" in said(app)
    assert set(stages[0]) == {"stage", "state", "why"}  # no column without a value
    assert len(app.get("image")) == 1
    assert "time left: unknown" in said(app)  # the results are of another scale


def test_a_running_stage_is_seen_with_its_progress_and_a_dead_one_is_told_from_it(empty: Path) -> None:
    running("trunk")
    running("edge", state="paused", step=5, total=10, note="interrupted")
    running("forge", pid=2**22 + 1)  # no such process
    running("bitnet", process_started=0.5)  # a later process of the same number
    app = opened()
    rows = {row["stage"]: row for row in tables(app)[0]}
    assert {name: rows[name]["state"] for name in ("trunk", "edge", "forge", "bitnet", "data")} == {
        "trunk": "running", "edge": "paused", "forge": "killed", "bitnet": "killed", "data": "new",
    }  # fmt: skip
    trunk, edge = rows["trunk"], rows["edge"]
    assert (trunk["steps"], trunk["time left"]) == ("30 of 40", "20 s")
    assert (edge["steps"], edge["time left"], edge["note"]) == ("5 of 10", "", "interrupted")
    bars = [bar.proto.text.replace("\\", "") for bar in app.get("progress")]
    assert "trunk: 30 of 40 loss 2.5" in bars


def test_a_phase_shows_curves_claims_and_metrics_of_its_results(finished: Path) -> None:
    app = opened("phase")
    shown(app.selectbox(key="phase").set_value("bitnet").run())
    assert "From results/bitnet/plots/metrics" in said(app)
    recorded = json.loads(Path("results/bitnet/claims.json").read_text())
    assert charts(app) == 1 + len(recorded)
    verdicts = [line.value.startswith("**:green[pass]**") for line in app.markdown if line.value.startswith("**:")]
    assert verdicts == [claim["passed"] for claim in recorded]
    claim = recorded[0]
    low, high = claim["ci95"]
    told = f"{claim['metric']}: {claim['value']:g} against {claim['control_value']:g} ({claim['control']});"
    assert f"{told} difference {low:g} to {high:g};" in said(app)
    assert "Results: scale tiny (params.yaml is at scale smoke), begun 2" in said(app)
    (metrics,) = tables(app)
    assert len(metrics) >= 19
    assert all(row["description"] for row in metrics)
    shown(app.text_input(key="metrics of bitnet").set_value("no such metric").run())
    assert "0 of " in said(app)
    kept = Path("results/bitnet/plots/metrics/train/loss_avg_100.tsv")
    kept.write_text(kept.read_text() + "many\tfew\n")
    assert "loss_avg_100.tsv: expected a column of steps and one of numbers" in said(shown(app.run()))
    shown(app.selectbox(key="phase").set_value("cognate").run())
    shown(app.selectbox(key="branch").set_value("adaptive_computation").run())
    assert "results/cognate/adaptive_computation/run.json" in said(app)
    own = json.loads(Path("results/cognate/adaptive_computation/claims.json").read_text())
    assert sum(line.value.startswith("**:") for line in app.markdown) == len(own)  # no other branch's
    shown(app.selectbox(key="phase").set_value("data").run())
    assert [head.value for head in app.subheader] == ["Metrics"]  # it trains nothing and claims nothing


def test_a_phase_that_runs_draws_the_series_that_are_chosen(empty: Path) -> None:
    series = running("trunk") / "metrics.jsonl"
    app = opened("phase")
    shown(app.selectbox(key="phase").set_value("trunk").run())
    assert "Latest run here: running, step 30 of 40, about 20 s left, loss 2.5" in said(app)
    assert app.multiselect(key="series of trunk").value == ["train/loss"]
    shown(app.multiselect(key="series of trunk").set_value(["train/loss", "val/loss"]).run())
    assert charts(app) == 2
    with open(series, "a") as stream:
        stream.write('{"step": 4, "time": 1.0, "train/loss": 2.0, "train/loss_avg_100": 2.5}\n')
    assert opened("phase").multiselect(key="series of trunk").value == ["train/loss_avg_100"]
    series.write_text(series.read_text() + '{"step": 4, "ti')
    assert "its last line is not whole yet" in said(shown(app.run()))


def test_models_are_listed_traced_and_checked(toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(toy, copy, symlinks=True)
    monkeypatch.chdir(copy)
    (known,) = list_models(query="trunk")
    assert _dashboard_model_row({**known, "scale": "smoke"})["scale"] == "smoke"  # a column that is empty is not drawn
    assert read_recorded_curves("edge") == Curves(None, {})
    app = opened("models")
    rows = {row["model"]: row for row in tables(app)[0]}
    assert set(rows) == {"trunk", "edge"}
    assert rows["trunk"]["versions"] == "trunk@v0.0.1"
    assert len(rows["edge"]["manifest SHA-256"]) == 64
    details = next(name for name in app.selectbox(key="details").options if name.startswith("edge "))
    shown(app.selectbox(key="details").set_value(details).run())
    assert f"Parents: {rows['trunk']['id']}" in said(app)
    assert tables(app)[1] == [{"metric": "quality/value", "value": "2"}]
    shown(app.selectbox(key="lineage").set_value("edge").run())
    graph = app.get("graphviz_chart")[0].proto.spec
    assert '"models/trunk" -> "models/edge"' in graph
    assert '"data/prepared" -> "models/trunk"' in graph
    shown(app.selectbox(key="parameters").set_value("models/trunk").run())
    assert '"value"' in app.json[0].value
    shown(app.selectbox(key="lineage").set_value("gone").run())
    assert "no model 'gone'" in said(app)
    shown(app.button(key="verify").click().run())
    assert "none damaged" in said(app)
    flip(copy / "models" / "edge" / "model.safetensors")
    shown(app.button(key="verify").click().run())
    assert "models/edge" in {row["path"] for row in tables(app)[-1]}
    shown(app.text_input(key="query").set_value("no such model").run())
    assert "No model like that." in said(app)


def test_the_system_now_and_while_a_stage_ran(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = running("trunk", scale="smoke")
    sampler = SystemSampler(directory, interval=0.01)
    sampler.start()
    time.sleep(0.2)
    sampler.stop()
    running("edge", state="done", updated=1.0)
    app = opened("system")
    assert f"of {psutil.cpu_count()} cores" in said(app)
    assert "GPU: none found" in said(app)
    assert app.selectbox(key="stage").value == "trunk"
    assert "trunk at scale smoke, running; the last sample is of" in said(app)
    assert charts(app) == 4
    shown(app.selectbox(key="stage").set_value("edge").run())
    assert "This run left no samples" in said(app)
    card = {"gpu_utilization": 50.0, "vram_used_gb": 3.0}
    monkeypatch.setattr(sampling, "find_host_probes", lambda: [sampling.HostProbe(), lambda: card])
    import streamlit

    streamlit.cache_resource.clear()
    assert "GPU: 50 %, 3.0 GB in use" in said(opened("system"))
    streamlit.cache_resource.clear()


@pytest.mark.parametrize("page", ["overview", "phase", "models", "configuration"])
def test_a_damaged_file_is_one_line_on_the_page(finished: Path, page: str) -> None:
    Path("results/report.json").write_text("{")
    Path("results/trunk/run.json").write_text("{")
    Path("params.yaml").write_bytes(b"scale: \xff\n" if page == "configuration" else Path("params.yaml").read_bytes())
    Path(".forge").mkdir()
    Path(".forge/registry.db").write_bytes(b"no database" * 99)
    app = opened(page)
    assert len(app.error) == 1
    named = {"models": "registry.db", "configuration": "params.yaml", "phase": "results/trunk/run.json"}
    assert named.get(page, "results/report.json") in said(app)


# ---- while a run goes on ----


@pytest.mark.parametrize("page", ["overview", "phase"])
def test_files_that_vanish_between_a_look_and_a_read_leave_the_page_whole(
    finished: Path, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    Path("results/report.json").unlink()
    gone: list[str] = []

    def vanishing(real: Any) -> Any:
        def opening(path: Any, *arguments: Any, **named: Any) -> Any:
            if "results/" in str(path) and Path(path).is_file():
                gone.append(str(path))
                Path(path).unlink()
            return real(path, *arguments, **named)

        return opening

    monkeypatch.setattr(os, "open", vanishing(os.open))
    monkeypatch.setattr("builtins.open", vanishing(open))
    app = opened(page)
    assert gone
    assert not app.error


def test_one_run_is_shown_at_a_time(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [state.name for state in states.stage_states()]
    done = names[: names.index("evomerge")]
    told = [StageState(name, "fresh" if name in done else "stale") for name in names]
    monkeypatch.setattr(watching, "stage_states", lambda *_, **__: told)
    before = watching.overview()
    assert (before["runs"], before["shown"]) == (
        ["finished", "unfinished"],
        {"run": "finished", "scale": "tiny", "seed": json.loads(Path("results/report.json").read_text())["seed"]},
    )
    running("evomerge", scale="smoke")
    now = watching.overview()
    assert (now["runs"], now["shown"]["scale"]) == (["unfinished", "finished"], "smoke")
    assert [row["phase"] for row in now["ledger"]] == ["cognate"]
    claims = [json.loads(path.read_text()) for path in Path("results/cognate").rglob("claims.json")]
    assert now["claims_passed"] + now["claims_failed"] == sum(map(len, claims))
    assert len(watching.overview(run="finished")["ledger"]) == 8
    Path("results/evomerge/run.json").unlink()
    assert watching.overview_last_stage_seconds(Path(), "tiny")["evomerge"] > 0  # as the last report has it
    app = opened()
    assert "Of this run so far: scale smoke, seed 0, 1 of 8 phases." in said(app)
    assert [row["phase"] for row in tables(app)[1]] == ["cognate"]
    shown(app.segmented_control(key="run").set_value("finished").run())
    assert "Of the last finished run: scale tiny" in said(app)
    assert len(tables(app)[1]) == 8
    Path("results/report.json").unlink()  # as the stage `report` does when it starts
    assert "Of this run so far" in said(shown(app.run()))


# ---- configuration ----


def field(app: AppTest, key: str) -> Any:
    return next(each for each in app.text_input if each.key and each.key.startswith(f"{key} #"))


def press(app: AppTest, label: str) -> AppTest:
    return shown(next(button for button in app.button if button.label == label).click().run())


def test_a_value_is_saved_with_comments_kept_and_its_stages_named(two_stages: Path) -> None:
    before = Path("params.yaml").read_text()
    app = opened("configuration")
    assert app.selectbox(key="block").options[:2] == ["scale and seed", "data"]
    field(app, "seed").set_value("7")
    press(app, "Check")
    assert "Valid, not saved. Would be stale: one (parameter seed changed)." in said(app)
    assert Path("params.yaml").read_text() == before
    press(app, "Save")
    assert "Saved. Stale now: one (parameter seed changed)." in said(app)
    assert Path("params.yaml").read_text() == before.replace("\nseed: 0\n", "\nseed: 7\n")
    assert field(app, "seed").value == "7"
    shown(app.selectbox(key="block").set_value("evomerge").run())
    field(app, "evomerge.patience").set_value("3")
    press(app, "Save")
    assert "Saved. No fresh stage becomes stale." in said(app)
    assert load_params().file.evomerge.patience == 3
    press(app, "Save")
    assert "Nothing was changed." in said(app)


@pytest.mark.parametrize(
    ("block", "key", "value", "words"),
    [
        ("evomerge", "evomerge.elites", "two", "params.yaml: evomerge.elites: "),
        ("scales.smoke.edge", "scales.smoke.edge.steps", "0", "params.yaml: scales.smoke.edge.steps: "),
        ("scale and seed", "scale", "vast", "params.yaml: scale: 'vast' is not one of"),
        ("scale and seed", "seed", "[1", "params.yaml: seed"),
    ],
)
def test_a_bad_value_is_refused_by_its_key(two_stages: Path, block: str, key: str, value: str, words: str) -> None:
    before = Path("params.yaml").read_bytes()
    app = opened("configuration")
    shown(app.selectbox(key="block").set_value(block).run())
    field(app, key).set_value(value)
    press(app, "Save")
    assert words in said(app)
    assert "The file is as it was." in said(app)
    assert not app.success
    assert Path("params.yaml").read_bytes() == before


def test_the_text_is_saved_as_it_is_and_never_over_somebody_elses(two_stages: Path) -> None:
    before = Path("params.yaml").read_text()
    app = opened("configuration")
    shown(app.segmented_control(key="way").set_value("text").run())
    app.text_area[0].set_value(before.replace("seed: 0", "seed: many"))
    press(app, "Save")
    assert "params.yaml: seed: " in said(app)
    assert Path("params.yaml").read_text() == before
    mine = before.replace("seed: 0", "seed: 5  # mine")
    app.text_area[0].set_value(mine)
    press(app, "Save")
    assert Path("params.yaml").read_text() == mine
    theirs = mine + "# theirs\n"
    Path("params.yaml").write_text(theirs)
    app.text_area[0].set_value(before)
    press(app, "Save")
    assert "was changed by somebody else" in said(app)
    assert Path("params.yaml").read_text() == theirs
    press(app, "Open it again")
    assert app.text_area[0].value == theirs
    assert not app.warning


@pytest.mark.parametrize("path", ["/dev/zero", ".", "gone.jsonl"])
def test_own_data_that_cannot_be_read_are_refused_and_not_saved(two_stages: Path, path: str) -> None:
    before = Path("params.yaml").read_text()
    app = opened("configuration")
    shown(app.segmented_control(key="way").set_value("text").run())
    for button in ("Check", "Save"):
        app.text_area[0].set_value(before.replace("\n  own_data: []\n", f"\n  own_data: [{path}]\n"))
        assert path in said(press(app, button))
    assert Path("params.yaml").read_text() == before


@pytest.mark.parametrize("attack", ["merge bomb", "alias bomb", "brackets", "integer"])
def test_an_attack_on_the_page_is_one_line_and_changes_nothing(two_stages: Path, attack: str) -> None:
    text, words = REFUSED[attack]
    before = Path("params.yaml").read_bytes()
    app = opened("configuration")
    shown(app.segmented_control(key="way").set_value("text").run())
    for button in ("Check", "Save"):
        app.text_area[0].set_value(text)
        press(app, button)
        assert words in said(app)
    assert not app.success
    assert Path("params.yaml").read_bytes() == before
    Path("params.yaml").write_text(text)
    assert words in said(opened("configuration"))


@pytest.mark.parametrize("value", ["[" * 3000, "{a: " * 3000, "9" * 5000, "*x", "&x 1"])
def test_an_attack_in_a_value_is_one_line_and_changes_nothing(two_stages: Path, value: str) -> None:
    before = Path("params.yaml").read_bytes()
    app = opened("configuration")
    field(app, "seed").set_value(value)
    press(app, "Save")
    assert "params.yaml" in said(app)
    assert "The file is as it was." in said(app)
    assert Path("params.yaml").read_bytes() == before


def test_a_broken_file_is_mended_as_text(two_stages: Path) -> None:
    before = Path("params.yaml").read_text()
    Path("params.yaml").write_text(before.replace("seed: 0", "seed: [0"))
    app = opened("configuration")
    assert "not valid YAML" in said(app)
    shown(app.segmented_control(key="way").set_value("text").run())
    assert not app.error
    app.text_area[0].set_value(before)
    press(app, "Save")
    assert "Saved. Which stages become stale is not known: params.yaml" in said(app)
    assert Path("params.yaml").read_text() == before
    Path("params.yaml").write_text("- a list\n")
    assert "must be a mapping" in said(opened("configuration"))
    Path("params.yaml").unlink()
    assert "params.yaml: no such file" in said(opened("configuration"))


# ---- the overview as data ----


def test_json_is_one_look_at_the_overview(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    running("trunk")
    assert main(["monitor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert found["scale"] == "smoke"
    by_name = {row["stage"]: row for row in found["stages"]}
    assert by_name["trunk"]["state"] == "running"
    assert by_name["trunk"]["run"]["step"] == 30
    assert by_name["data"] == {"stage": "data", "state": "new", "why": "never ran here", "run": None}
    assert len(found["ledger"]) == 8
    assert (found["runs"], found["shown"]["scale"]) == (["finished"], "tiny")
    assert found["seconds_left"] is None
    assert found["agent"] is None


def test_time_spent_follows_no_clock_that_may_be_set(finished: Path) -> None:
    assert finished.is_dir()
    running("trunk", started=time.time() + 86400)  # the clock was set back by a day meanwhile
    by_name = {row["stage"]: row["run"] for row in watching.overview()["stages"]}
    assert 0 < by_name["trunk"]["seconds"] <= (process_age(os.getpid()) or 0)
    running("trunk", state="paused")
    latest = watching.report_latest_run("trunk")
    assert latest is not None
    assert latest["seconds"] is None


def test_time_left_is_of_earlier_runs_less_what_was_spent() -> None:
    assert watching.overview_seconds_left({"a": 4.0, "b": 0.0, "report": 0.0}, {"a": 10.0, "b": 5.0, "c": 99.0}) == 11.0
    assert watching.overview_seconds_left({"a": 40.0}, {"a": 10.0}) == 0.0
    assert watching.overview_seconds_left({"a": 0.0, "b": 0.0}, {"a": 10.0}) is None
    assert watching.overview_seconds_left({}, {}) == 0.0
