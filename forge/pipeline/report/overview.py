"""What a project looks like from outside, a run that is under way included; read from small files only."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from forge.errors import ForgeError
from forge.files import read_optional_json
from forge.host.machine import process_age, process_started
from forge.interface.paths import AGENT_FILE, declared_stage_name
from forge.pipeline.dvc.states import look_up_dvc_param, read_yaml_as_dvc, stage_states
from forge.pipeline.layout.paths import layout_run_dir
from forge.pipeline.layout.phases import STAGES
from forge.pipeline.records.tracking import read_recorded_status

_SHOWN = ("scale", "seed", "ledger", "claims_passed", "claims_failed")
_UNTIMED = {"code", "report"}  # leaves no record of its time, which is seconds


def overview_last_stage_seconds(root: Path, scale: str) -> dict[str, float]:
    """Seconds that each stage took when it last ran at this scale, from results/**/run.json.

    A stage that runs has removed its own; then those of the last report count, if it is of this scale.
    """
    report = read_optional_json(root / "results" / "report.json")
    runs = report.get("runs") if isinstance(report, dict) and report.get("scale") == scale else None
    told = [run for run in runs if isinstance(run, dict)] if isinstance(runs, list) else []
    for path in sorted((root / "results").glob("**/run.json")):
        run = read_optional_json(path)
        if isinstance(run, dict) and run.get("scale") == scale:
            told.append(run)
    return {
        str(run["stage"]): float(run["seconds"])
        for run in told
        if "stage" in run and isinstance(run.get("seconds"), int | float)
    }


def overview_seconds_left(spent: Mapping[str, float], expected: Mapping[str, float]) -> float | None:
    """Seconds until stages are done that took `expected` seconds when they last ran.

    spent: what each of them has had so far, 0 for one that has not begun. None when one of them has never run.
    """
    timed = spent.keys() - _UNTIMED
    if not timed <= expected.keys():
        return None
    return sum((max(0.0, expected[name] - spent[name]) for name in timed), 0.0)


def report_latest_run(stage: str) -> dict[str, Any] | None:
    """What a stage's latest run in this workspace said last; None if there was none.

    Returns:
        state (running, paused, failed, killed or done), scale (None where it was not noted), step, total, note,
        started, updated; seconds (that its process has run) and seconds_left, both None unless it runs. A run that
        says that it runs, though its process does not live any more, was killed.
    """
    status = read_recorded_status(layout_run_dir(stage))
    if status is None:
        return None
    state = status["state"]
    if state == "running":
        begun = process_started(status["pid"])
        if begun is None or status["process_started"] not in (None, begun):  # a later process with the same number
            state = "killed"
    facts = {key: status[key] for key in ("step", "total", "note", "started", "updated")}
    facts |= {"seconds": process_age(status["pid"]), "seconds_left": status["seconds_left"]}
    if state != "running":
        facts |= {"seconds": None, "seconds_left": None}
    return {"state": state, "scale": status["scale"], **facts}


def read_run_report(folder: Path) -> dict[str, Any] | None:
    """The report of the last run that reached its end; None if there is none.

    Raises:
        ForgeError: the report is damaged.
    """
    from pydantic import ValidationError

    from forge.evals.ledger import LedgerRow

    path = folder / "results" / "report.json"
    report = read_optional_json(path)
    if report is None:
        return None
    try:
        for row in report["ledger"]:
            LedgerRow.model_validate({key: value for key, value in row.items() if key != "file"})
        return {**report, **{key: report[key] for key in _SHOWN}}
    except (AttributeError, KeyError, TypeError, ValidationError) as error:
        raise ForgeError(f"{path}: not a report of a run; make it anew with: agent-forge run") from error


def _unfinished_run_results(folder: Path, scale: str, seed: int, fresh: Collection[str]) -> dict[str, Any] | None:
    """What the stages that are fresh, and so belong to one run, have left so far; None if no phase is done."""
    from forge.pipeline.report.gather import gather

    folders = {declared_stage_name(s.name, b): s.results_dir(b) for s in STAGES for b in s.branches}
    own = {folders.get(name) for name in fresh}
    report = gather(folder / "results", scale=scale, seed=seed, partial=True)

    def belonging(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        return [row for row in rows if Path(row["file"]).relative_to(folder).parent.as_posix() in own]

    ledger, claims = belonging(report["ledger"]), belonging(report["claims"])
    if not ledger and not claims:
        return None
    passed = sum(claim["passed"] for claim in claims)
    return {
        "scale": scale,
        "seed": seed,
        "ledger": ledger,
        "claims_passed": passed,
        "claims_failed": len(claims) - passed,
    }


def overview_results(
    root: Path | str, rows: Sequence[Mapping[str, Any]], *, scale: str, seed: int
) -> dict[str, dict[str, Any]]:
    """Ledger and claims by the run that they are of, never of two at once; the one to show first comes first.

    rows: the stages, see `overview`. `finished` is the last run that reached its report. `unfinished` is what is done
    by the parameters of this moment, while stages are still to run; it comes first while one runs or has stopped
    midway. Each holds scale, seed, ledger, claims_passed and claims_failed.
    """
    folder = Path(root)
    states = {row["stage"]: row["state"] for row in rows}
    report = read_run_report(folder)
    finished = None if report is None else {key: report[key] for key in _SHOWN}
    found = {} if finished is None else {"finished": finished}
    fresh = [name for name, state in states.items() if state == "fresh"]
    if finished is not None and len(fresh) == len(states):
        return found
    unfinished = _unfinished_run_results(folder, scale, seed, fresh)
    if unfinished is None:
        return found
    under_way = any(state in ("running", "paused", "failed", "killed") for state in states.values())
    return {"unfinished": unfinished, **found} if under_way else {**found, "unfinished": unfinished}


def overview(root: Path | str = ".", *, run: str | None = None) -> dict[str, Any]:
    """The state of a project at this moment, ready for JSON.

    run: whose results are shown, `finished` or `unfinished`.

    Returns:
        `scale`, `seed`. `stages`: stage, state, why, and `run`, see `report_latest_run`. A state is `running`; `fresh`;
        `paused`, `failed` or `killed`, when that is how the latest run of a stage ended that is not fresh; `stale`; or
        `new`. `seconds_left` until nothing is stale, by earlier runs at this scale; None where one is missing.
        `agent`: its path or None. `runs`: names of those that have results, see `overview_results`. `shown`: name,
        scale and seed of the one that `ledger`, `claims_passed` and `claims_failed` are of, `run` or else the first;
        None where no phase has results.

    Raises:
        ForgeError: no project, or a file in it is damaged.
    """
    folder = Path(root)
    parameters = read_yaml_as_dvc(folder / "params.yaml")
    scale, seed = str(look_up_dvc_param(parameters, "scale")), look_up_dvc_param(parameters, "seed")
    rows: list[dict[str, Any]] = []
    spent: dict[str, float] = {}
    for stage in stage_states(folder, parameters=parameters):
        latest = report_latest_run(stage.name)
        ended = latest["state"] if latest is not None else "done"
        running = ended == "running"
        told = ended if running or (ended != "done" and stage.state != "fresh") else stage.state
        if running or stage.state != "fresh":
            spent[stage.name] = (latest["seconds"] or 0.0) if latest is not None and running else 0.0
        rows.append({"stage": stage.name, "state": told, "why": stage.why, "run": latest})
    results = overview_results(folder, rows, scale=scale, seed=seed)
    name = run if run in results else next(iter(results), None)
    shown = {"ledger": [], "claims_passed": 0, "claims_failed": 0} if name is None else results[name]
    return {
        "scale": scale,
        "seed": seed,
        "stages": rows,
        "seconds_left": overview_seconds_left(spent, overview_last_stage_seconds(folder, scale)),
        "agent": AGENT_FILE.as_posix() if (folder / AGENT_FILE).is_file() else None,
        "runs": list(results),
        "shown": None if name is None else {"run": name, "scale": shown["scale"], "seed": shown["seed"]},
        **{key: shown[key] for key in ("ledger", "claims_passed", "claims_failed")},
    }
