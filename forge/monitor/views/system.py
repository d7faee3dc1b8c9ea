"""System: the machine at this moment, and while a stage ran."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import streamlit as st

from forge.host.sampling import Probe, find_host_probes
from forge.monitor.frame import escape_streamlit_markdown, live_dashboard_pane
from forge.pipeline.layout.phases import stage_names
from forge.pipeline.records.curves import read_recorded_samples
from forge.pipeline.report.overview import report_latest_run

FIGURES = {
    "cpu_percent": "processor, % of all cores",
    "process_cpu_percent": "processor, % of one core, of the stage",
    "ram_used_gb": "memory in use, GB",
    "rss_gb": "memory of the stage, GB",
    "gpu_utilization": "GPU, %",
    "vram_used_gb": "GPU memory, GB",
}
_SETTLE = 0.2  # seconds; a percentage counts from the question before


@st.cache_resource(show_spinner=False)
def _dashboard_system_probes() -> list[Probe]:
    found = find_host_probes()
    time.sleep(_SETTLE)
    return found


@live_dashboard_pane
def draw_dashboard_system_now() -> None:
    """What the probes of a run find when they are asked here."""
    import psutil

    metrics = {name: value for probe in _dashboard_system_probes() for name, value in probe().items()}
    memory, disk = psutil.virtual_memory().total, shutil.disk_usage(Path.cwd())
    processor, ram, storage, gpu = st.columns(4)
    processor.metric(f"processor, % of {psutil.cpu_count()} cores", f"{metrics['cpu_percent']:.0f}")
    ram.metric("memory in use, GB", f"{metrics['ram_used_gb']:.1f} of {memory / 1e9:.1f}")
    storage.metric("disk free here, GB", f"{disk.free / 1e9:.0f} of {disk.total / 1e9:.0f}")
    if "gpu_utilization" in metrics:
        gpu.metric("GPU", f"{metrics['gpu_utilization']:.0f} %, {metrics['vram_used_gb']:.1f} GB in use")
    else:
        gpu.metric("GPU", "none found")


@live_dashboard_pane
def draw_dashboard_run_samples() -> None:
    """The samples that a stage's latest run left."""
    st.subheader("While a stage ran")
    runs = {name: run for name in stage_names() if (run := report_latest_run(name)) is not None}
    if not runs:
        st.info("No run is remembered here.")
        return
    names = sorted(runs, key=lambda name: -runs[name]["updated"])
    stage = str(st.selectbox("stage", names, key="stage", format_func=lambda name: _run_in_words(name, runs[name])))
    rows = read_recorded_samples(stage)
    if not rows:
        st.info("This run left no samples.")
        return
    _draw_dashboard_sample_charts(rows)
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(rows[-1]["time"]))
    st.caption(escape_streamlit_markdown(f"{_run_in_words(stage, runs[stage])}; the last sample is of {when}."))


def _run_in_words(stage: str, run: dict[str, Any]) -> str:
    """`trunk at scale tiny, done`; without a scale where none was noted."""
    scale = "" if run["scale"] is None else f" at scale {run['scale']}"
    return f"{stage}{scale}, {run['state']}"


def _draw_dashboard_sample_charts(rows: list[dict[str, Any]]) -> None:
    seconds = [row["time"] - rows[0]["time"] for row in rows]
    known = [name for name in FIGURES if any(name in row for row in rows)]
    columns = st.columns(2)
    for place, name in enumerate(known):
        column = columns[place % 2]
        column.caption(FIGURES[name])
        column.line_chart({"seconds": seconds, name: [row.get(name) for row in rows]}, x="seconds", y=name, height=200)


if __name__ == "__main__":
    st.title("System")
    draw_dashboard_system_now()
    draw_dashboard_run_samples()
