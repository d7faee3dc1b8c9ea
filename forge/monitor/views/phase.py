"""Phase details: curves, claims and metrics of one phase."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from forge.config import load_params
from forge.host.units import human_seconds
from forge.interface.paths import RESULTS, declared_stage_name
from forge.monitor.frame import escape_streamlit_markdown, live_dashboard_pane
from forge.phases import ORDER
from forge.pipeline.layout.phases import STAGES, find_stage_in_layout, stage_input_paths
from forge.pipeline.metrics.recorded import metric_catalog_rows, metric_value_text, observed_metric_values
from forge.pipeline.records.curves import read_recorded_curves
from forge.pipeline.report.gather import gather
from forge.pipeline.report.overview import report_latest_run


@live_dashboard_pane
def draw_dashboard_latest_run(stage: str) -> None:
    """How the stage's latest run here is doing, or how it ended."""
    run = report_latest_run(stage)
    if run is None:
        st.caption("No run of this stage is remembered here.")
        return
    steps = f", step {run['step']} of {run['total']}" if run["total"] else ""
    left = f", about {human_seconds(run['seconds_left'])} left" if run["seconds_left"] is not None else ""
    st.caption(
        escape_streamlit_markdown(
            f"Latest run here: {run['state']}{steps}{left}{', ' if run['note'] else ''}{run['note']}"
        )
    )


@live_dashboard_pane
def draw_dashboard_curves(stage: str, preferred: str | None) -> None:
    """The chosen series of the stage."""
    found = read_recorded_curves(stage)
    if not found.series:
        st.info("No series: this stage draws none, or has not run.")
        return
    names = list(found.series)
    first = preferred if preferred in names else names[0]
    chosen = st.multiselect("series", names, default=[first], key=f"series of {stage}")
    for place, column in zip(chosen, st.columns(max(1, min(2, len(chosen)))) * len(chosen), strict=False):
        steps, values = found.series[place]
        column.caption(escape_streamlit_markdown(place))
        chart = column.line_chart if len(steps) > 1 else column.scatter_chart  # one point makes no line
        chart({"step": steps, "value": values}, x="step", y="value")
    st.caption(escape_streamlit_markdown(f"From {found.source}"))


def _draw_dashboard_claims(report: dict[str, Any], phase: str) -> None:
    st.subheader("Claims")
    claims = [claim for claim in report["claims"] if claim["phase"] == phase]
    if not claims:
        st.info("No claim of this phase is on record.")
        return
    rows = []
    for claim in claims:
        low, high = claim["ci95"] or (None, None)
        rows.append(
            {
                "verdict": "pass" if claim["passed"] else "FAIL",
                "claim": claim["claim"],
                "metric": claim["metric"],
                "value": claim["value"],
                "control": claim["control"],
                "its value": claim["control_value"],
                "difference, low": low,
                "difference, high": high,
                "n": claim["n"],
                "note": claim["note"],
                "file": claim["file"],
            }
        )
    st.dataframe(rows, hide_index=True)
    st.caption("A claim passes when the whole 95 % interval lies beyond its margin; no interval: not sampled.")


def _draw_dashboard_metrics(phase: str) -> None:
    st.subheader("Metrics")
    declared: list[dict[str, Any]] = metric_catalog_rows(phase)[1] if phase in ORDER else []
    known = {row["metric"] for row in declared}
    others = [
        {"metric": name, "unit": "", "observed": True, "value": value, "description": "recorded, not in the catalog"}
        for name, value in observed_metric_values().items()
        if name.partition("/")[0] == phase and name not in known
    ]
    rows = [*declared, *others]
    if not rows:
        st.info("No metric of this phase is declared or on record.")
        return
    words = st.text_input("containing", key=f"metrics of {phase}").lower().split()
    shown = [
        {**row, "value": metric_value_text(row["value"])}
        for row in rows
        if all(word in f"{row['metric']} {row['description']}".lower() for word in words)
    ]
    missing = sum(not row["observed"] for row in declared)
    st.caption(f"{len(shown)} of {len(rows)} shown; {len(declared)} declared, {missing} of them not observed.")
    st.dataframe(shown, hide_index=True)


def page() -> None:
    """Choose a phase, and a branch where it has several."""
    st.title("Phase details")
    name = st.selectbox("stage", [stage.name for stage in STAGES if stage.name != "report"], key="phase")
    declared = find_stage_in_layout(str(name))
    branch = st.selectbox("branch", list(declared.branches), key="branch") if declared.branched else None
    stage = declared_stage_name(declared.name, branch)
    inputs = escape_streamlit_markdown(", ".join(stage_input_paths(declared)))
    st.caption(f"{declared.title[0].upper()}{declared.title[1:]}. Reads: {inputs}.")
    draw_dashboard_latest_run(stage)
    params = load_params()
    report = gather(RESULTS, scale=params.scale, seed=params.seed, partial=True)
    for run in (run for run in report["runs"] if run["stage"] == stage):
        took = f"{human_seconds(run['seconds'])}, {run['peak_memory_mb']:,.0f} MB at most"
        st.caption(escape_streamlit_markdown(f"Last completed run: {took} ({Path(run['file']).as_posix()})"))
    st.subheader("Curves")
    draw_dashboard_curves(stage, declared.curve)
    _draw_dashboard_claims(report, declared.phase)
    _draw_dashboard_metrics(declared.phase)


if __name__ == "__main__":
    page()
