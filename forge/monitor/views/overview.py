"""Overview: the stages as they are at this moment, the ledger, the ladder."""

from __future__ import annotations

import json
from typing import Any

import streamlit as st

from forge.evals.ledger import COLUMNS, LedgerRow
from forge.host.units import human_seconds
from forge.monitor.frame import draw_dashboard_table, escape_streamlit_markdown, live_dashboard_pane
from forge.phases import ORDER
from forge.pipeline.report.overview import overview
from forge.pipeline.report.plot import plot_ladder_svg

RUNS = {"finished": "the last finished run", "unfinished": "this run so far"}


@live_dashboard_pane
def draw_dashboard_overview() -> None:
    """All of the page: one look at the project, so that its parts agree."""
    state = st.session_state
    found = overview(run=state.get("run"))
    if state.get("runs") != found["runs"]:  # one began or ended: what was chosen before is not meant any more
        found = overview()
        state["runs"], state["run"] = found["runs"], next(iter(found["runs"]), None)
    _draw_dashboard_headline(found)
    draw_dashboard_table(
        [_dashboard_stage_row(row, found["scale"]) for row in found["stages"]],
        {
            "stage": st.column_config.Column(width=230),  # pixels: the longest name, cognate@memory_integration
            "state": st.column_config.Column(width=80),
            "steps": st.column_config.Column(width=150),
            "time left": st.column_config.Column(width=90),
            "note": st.column_config.Column(width=120),
            "why": st.column_config.Column(width=250),
        },
        height="content",
    )
    st.subheader("Results")
    if found["shown"] is None:
        st.info("No phase has results yet; a run makes them: agent-forge run")
    else:
        _draw_dashboard_results(found)


def _draw_dashboard_results(found: dict[str, Any]) -> None:
    """Ledger, claims and ladder of one run."""
    if len(found["runs"]) > 1:
        st.segmented_control("of", found["runs"], format_func=RUNS.__getitem__, key="run", required=True)
    shown = found["shown"]
    st.caption(
        escape_streamlit_markdown(
            f"Of {RUNS[shown['run']]}: scale {shown['scale']}, seed {shown['seed']}, {len(found['ledger'])} of"
            f" {len(ORDER)} phases. Claims: {found['claims_passed']} passed, {found['claims_failed']} failed."
        )
    )
    if found["ledger"]:
        draw_dashboard_table([_dashboard_ledger_row(row) for row in found["ledger"]])
        st.image(_dashboard_ladder_svg(json.dumps(found["ledger"])), width="stretch")


def _draw_dashboard_headline(found: dict[str, Any]) -> None:
    states = [row["state"] for row in found["stages"]]
    fresh = states.count("fresh")
    left = found["seconds_left"]
    outlook = "unknown" if left is None else human_seconds(left)
    scale, seed, done, rest = st.columns(4)
    scale.metric("scale in params.yaml", found["scale"])
    seed.metric("seed in params.yaml", str(found["seed"]))
    done.metric("stages fresh", f"{fresh} of {len(states)}")
    rest.metric("time left", "none" if fresh == len(states) else outlook)
    if left is None:
        st.caption("Time left is unknown as long as a stage that is to run has never run at this scale.")
    st.caption(escape_streamlit_markdown(f"Agent: {found['agent'] or 'none yet; make one with: agent-forge run'}"))
    if states:
        st.progress(fresh / len(states))
    for row in found["stages"]:
        if row["state"] == "running":
            run = row["run"]
            share = min(1.0, run["step"] / run["total"]) if run["total"] else 0.0
            st.progress(
                share,
                escape_streamlit_markdown(
                    f"{row['stage']}: {_dashboard_steps_text(run) or 'starting'} {run['note']}".strip()
                ),
            )


def _dashboard_steps_text(run: dict[str, Any] | None) -> str:
    return f"{run['step']:,} of {run['total']:,}" if run is not None and run["total"] else ""


def _dashboard_stage_row(row: dict[str, Any], scale: str) -> dict[str, Any]:
    """Progress and time left are those of the latest run, as long as its end is not reached."""
    run = row["run"] if row["state"] in ("running", "paused", "failed", "killed") else None
    left = run["seconds_left"] if run is not None else None
    other = f"at scale {run['scale']}" if run is not None and run["scale"] not in (None, scale) else ""
    return {
        "stage": row["stage"],
        "state": row["state"],
        "steps": _dashboard_steps_text(run),
        "time left": "" if left is None else human_seconds(left),
        "note": ", ".join(filter(None, (other, run["note"]))) if run is not None else "",
        "why": row["why"],
    }


def _dashboard_ledger_row(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "phase": row["phase"],
        "bytes": row["bytes"],
        "parameters": row["parameters"],
        **{column.title: None if (v := row.get(column.key)) is None else round(v, 3) for column in COLUMNS},
        "minutes": round(row["seconds"] / 60, 1),
        "file": row["file"],
    }


@st.cache_data(max_entries=4, show_spinner=False)
def _dashboard_ladder_svg(ledger: str) -> str:
    """The report's picture, of the rows of this moment."""
    rows = [LedgerRow.model_validate({k: v for k, v in row.items() if k != "file"}) for row in json.loads(ledger)]
    return plot_ladder_svg(rows)


if __name__ == "__main__":
    st.title("Overview")
    draw_dashboard_overview()
