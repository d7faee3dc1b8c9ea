"""Phase details: curves, claims and metrics of one stage, and of which run they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from forge.config import load_params
from forge.errors import printable
from forge.evals.claims import read_claims
from forge.files import read_optional_json
from forge.host.units import human_seconds
from forge.interface.paths import declared_stage_name
from forge.monitor.charts import dashboard_claim_chart, dashboard_curve_chart
from forge.monitor.frame import draw_dashboard_table, escape_streamlit_markdown, live_dashboard_pane
from forge.phases import ORDER
from forge.pipeline.layout.phases import STAGES, find_stage_in_layout, stage_reads
from forge.pipeline.metrics.recorded import metric_catalog_rows, metric_value_text, observed_metric_values
from forge.pipeline.records.curves import read_recorded_curves
from forge.pipeline.report.overview import report_latest_run

FIRST = "trunk"  # the data stage draws no curve and claims nothing


@live_dashboard_pane
def draw_dashboard_latest_run(stage: str, results: Path, drawn: list[int | None]) -> None:
    """How the stage's latest run here is doing, or how it ended; when its results change, the page is drawn anew.

    drawn: when each of the files below was written that the page shows.
    """
    run = report_latest_run(stage)
    if run is None:
        st.caption("No run of this stage is remembered here.")
    else:
        scale = f" at scale {run['scale']}" if run["scale"] is not None else ""
        steps = f", step {run['step']:,} of {run['total']:,}" if run["total"] else ""
        left = f", about {human_seconds(run['seconds_left'])} left" if run["seconds_left"] is not None else ""
        note = f", {run['note']}" if run["note"] else ""
        st.caption(escape_streamlit_markdown(f"Latest run here: {run['state']}{scale}{steps}{left}{note}"))
    if drawn != _dashboard_results_written(results):
        st.rerun()


def _dashboard_results_written(results: Path) -> list[int | None]:
    """When each file that a stage leaves was written; None for one that is not there."""
    written: list[int | None] = []
    for name in ("run.json", "claims.json", "all_metrics.json"):
        try:
            written.append((results / name).stat().st_mtime_ns)
        except FileNotFoundError:
            written.append(None)
    return written


@live_dashboard_pane
def draw_dashboard_curves(stage: str, *preferred: str | None) -> None:
    """The chosen series of the stage; at first the first of the preferred ones that was recorded."""
    found = read_recorded_curves(stage)
    if not found.series:
        st.info("No series: this stage draws none, or has not run.")
        return
    names = list(found.series)
    first = next((name for name in preferred if name in names), names[0])
    chosen = st.multiselect("series", names, default=[first], key=f"series of {stage}", format_func=printable)
    for place, column in zip(chosen, st.columns(max(1, min(2, len(chosen)))) * len(chosen), strict=False):
        column.caption(escape_streamlit_markdown(place))
        column.vega_lite_chart(dashboard_curve_chart(*found.series[place]), width="stretch")
    st.caption(escape_streamlit_markdown(f"From {found.source}"))


def _draw_dashboard_claims(file: Path) -> None:
    st.subheader("Claims")
    claims = [claim.model_dump(mode="json") for claim in read_claims(file)] if file.is_file() else []
    if not claims:
        st.info("No claim of this stage is on record.")
        return
    for claim in claims:
        words, picture = st.columns([5, 6], vertical_alignment="center")
        verdict = ":green[pass]" if claim["passed"] else ":red[FAIL]"
        words.markdown(f"**{verdict}** {escape_streamlit_markdown(claim['claim'])}")
        words.caption(escape_streamlit_markdown(dashboard_claim_sentence(claim)))
        picture.vega_lite_chart(dashboard_claim_chart(claim), width="stretch")
    st.caption(
        "Point: value. Upright line: control. Bar: 95 % interval of the difference, from the control on. A claim passes"
        f" when the whole interval lies beyond its margin. From {escape_streamlit_markdown(file.as_posix())}"
    )


def dashboard_claim_sentence(claim: dict[str, Any]) -> str:
    """Metric, value, control and interval of a claim in words."""
    low, high = claim["ci95"] or (None, None)
    gap = "not sampled" if low is None else f"difference {metric_value_text(low)} to {metric_value_text(high)}"
    value, control = metric_value_text(claim["value"]), metric_value_text(claim["control_value"])
    note = f". {claim['note']}" if claim["note"] else ""
    return f"{claim['metric']}: {value} against {control} ({claim['control']}); {gap}; n = {claim['n']:,}{note}"


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
    draw_dashboard_table(shown)


def dashboard_results_sentence(results: Path, scale: str) -> str:
    """Of which run the results of a stage are. scale: the active one."""
    run = read_optional_json(results / "run.json")
    if not isinstance(run, dict) or "scale" not in run:
        return "No results: this stage has not run, or runs just now."
    facts = [f"scale {run['scale']}" + ("" if run["scale"] == scale else f" (params.yaml is at scale {scale})")]
    if "created_at" in run:
        facts.append(f"begun {run['created_at']}")
    if isinstance(run.get("seconds"), int | float):
        facts.append(f"took {human_seconds(run['seconds'])}")
    if isinstance(run.get("peak_memory_mb"), int | float):
        facts.append(f"{run['peak_memory_mb']:,.0f} MB at most")
    return f"Results: {', '.join(facts)} ({(results / 'run.json').as_posix()})"


def page() -> None:
    """Choose a stage, and a branch where it has several."""
    st.title("Phase details")
    names = [stage.name for stage in STAGES if stage.name != "report"]
    name = st.selectbox("stage", names, index=names.index(FIRST), key="phase")
    declared = find_stage_in_layout(str(name))
    branch = st.selectbox("branch", list(declared.branches), key="branch") if declared.branched else None
    stage, results = declared_stage_name(declared.name, branch), Path(declared.results_dir(branch))
    inputs = escape_streamlit_markdown(", ".join(stage_reads(declared)))
    st.caption(f"{declared.title[0].upper()}{declared.title[1:]}. Reads: {inputs}.")
    draw_dashboard_latest_run(stage, results, _dashboard_results_written(results))
    st.caption(escape_streamlit_markdown(dashboard_results_sentence(results, load_params().scale)))
    records = declared.records(branch)
    if declared.curve is not None:
        st.subheader("Curves")
        draw_dashboard_curves(stage, declared.drawn, declared.curve)
    if (claims := results / "claims.json").as_posix() in records:
        _draw_dashboard_claims(claims)
    _draw_dashboard_metrics(declared.phase)


if __name__ == "__main__":
    page()
