"""What a project looks like from outside, a run that is under way included; read from small files only."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from forge.files import read_optional_json
from forge.interface.paths import AGENT_FILE
from forge.pipeline.dvc.states import look_up_dvc_param, read_yaml_as_dvc, stage_states
from forge.pipeline.layout.paths import layout_run_dir
from forge.pipeline.records.tracking import read_recorded_status
from forge.pipeline.registry.sessions import session_process_started

_UNTIMED = {"code", "report"}  # leaves no record of its time, which is seconds
_ROUNDING = 2.0  # seconds; a process's start is known to a hundredth, the clock may have been set a little


def overview_last_stage_seconds(root: Path, scale: str) -> dict[str, float]:
    """Seconds that each stage took when it last ran at this scale, from results/**/run.json."""
    found: dict[str, float] = {}
    for path in sorted((root / "results").glob("**/run.json")):
        run = read_optional_json(path)
        if isinstance(run, dict) and run.get("scale") == scale and "stage" in run and "seconds" in run:
            found[str(run["stage"])] = float(run["seconds"])
    return found


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
        state (running, paused, failed, killed or done), step, total, note, started, updated, seconds_left. A run that
        says that it runs, though its process does not live any more, was killed.
    """
    status = read_recorded_status(layout_run_dir(stage))
    if status is None:
        return None
    state = status["state"]
    if state == "running":
        begun = session_process_started(status["pid"])
        if begun is None or begun > status["started"] + _ROUNDING:  # a later process with the same number
            state = "killed"
    facts = {key: status[key] for key in ("step", "total", "note", "started", "updated")}
    return {"state": state, **facts, "seconds_left": status["seconds_left"] if state == "running" else None}


def overview(root: Path | str = ".") -> dict[str, Any]:
    """The state of a project at this moment, ready for JSON.

    Returns:
        `scale`, `seed`. `stages`: stage, state, why, and `run`, see `report_latest_run`. A state is `running`; `fresh`;
        `paused`, `failed` or `killed`, when that is how the latest run of a stage ended that is not fresh; `stale`; or
        `new`. `seconds_left` until nothing is stale, by earlier runs at this scale; None where one is missing.
        `agent`: its path or None. `ledger`, `claims_passed`, `claims_failed`: of the phases that have results.

    Raises:
        ForgeError: no project, or a file in it is damaged.
    """
    from forge.pipeline.report.gather import gather

    folder = Path(root)
    parameters = read_yaml_as_dvc(folder / "params.yaml")
    scale, seed = str(look_up_dvc_param(parameters, "scale")), look_up_dvc_param(parameters, "seed")
    rows: list[dict[str, Any]] = []
    spent: dict[str, float] = {}
    for stage in stage_states(folder):
        run = report_latest_run(stage.name)
        ended = run["state"] if run is not None else "done"
        running = ended == "running"
        told = ended if running or (ended != "done" and stage.state != "fresh") else stage.state
        if running or stage.state != "fresh":
            spent[stage.name] = max(0.0, time.time() - run["started"]) if run is not None and running else 0.0
        rows.append({"stage": stage.name, "state": told, "why": stage.why, "run": run})
    report = gather(folder / "results", scale=scale, seed=seed, partial=True)
    return {
        "scale": scale,
        "seed": seed,
        "stages": rows,
        "seconds_left": overview_seconds_left(spent, overview_last_stage_seconds(folder, scale)),
        "agent": AGENT_FILE.as_posix() if (folder / AGENT_FILE).is_file() else None,
        "ledger": report["ledger"],
        "claims_passed": report["claims_passed"],
        "claims_failed": report["claims_failed"],
    }
