"""Overview: the stages as they are at this moment, the ledger, the ladder."""

from __future__ import annotations

import json
from typing import Any

import streamlit as st

from forge.evals.ledger import COLUMNS, LedgerRow
from forge.host.units import human_seconds
from forge.monitor.frame import escape_streamlit_markdown, live_dashboard_pane
from forge.pipeline.report.overview import overview
from forge.pipeline.report.plot import plot_ladder_svg


@live_dashboard_pane
def draw_dashboard_overview() -> None:
    """All of the page: one look at the project, so that its parts agree."""
    found = overview()
    _draw_dashboard_headline(found)
    st.dataframe(
        [_dashboard_stage_row(row) for row in found["stages"]],
        height="content",
        hide_index=True,
        column_config={
            "stage": st.column_config.Column(width=230),  # pixels: the longest name, cognate@memory_integration
            "progress": st.column_config.ProgressColumn(min_value=0.0, max_value=1.0, format="percent"),
        },
    )
    st.subheader("Ledger")
    if not found["ledger"]:
        st.info("No phase has results yet; a run makes them: agent-forge run")
        return
    st.dataframe([_dashboard_ledger_row(row) for row in found["ledger"]], hide_index=True)
    st.caption(f"Claims: {found['claims_passed']} passed, {found['claims_failed']} failed.")
    st.image(_dashboard_ladder_svg(json.dumps(found["ledger"])), width="stretch")


def _draw_dashboard_headline(found: dict[str, Any]) -> None:
    states = [row["state"] for row in found["stages"]]
    fresh = states.count("fresh")
    left = found["seconds_left"]
    outlook = "unknown" if left is None else human_seconds(left)
    scale, seed, done, rest = st.columns(4)
    scale.metric("scale", found["scale"])
    seed.metric("seed", str(found["seed"]))
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
    return f"{run['step']} of {run['total']}" if run is not None and run["total"] else ""


def _dashboard_stage_row(row: dict[str, Any]) -> dict[str, Any]:
    """Progress and time left are those of the latest run, as long as its end is not reached."""
    run = row["run"] if row["state"] in ("running", "paused", "failed", "killed") else None
    left = run["seconds_left"] if run is not None else None
    return {
        "stage": row["stage"],
        "state": row["state"],
        "progress": run["step"] / run["total"] if run is not None and run["total"] else None,
        "steps": _dashboard_steps_text(run),
        "time left": "" if left is None else human_seconds(left),
        "note": run["note"] if run is not None else "",
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
