"""Models: what the registry knows, what a model was made from, and whether all is still whole."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import streamlit as st

from forge.errors import ForgeError, printable
from forge.monitor.frame import draw_dashboard_table, escape_streamlit_markdown, readable_dashboard_value
from forge.pipeline.metrics.recorded import metric_value_text
from forge.pipeline.records.tracking import flatten_recorded_values
from forge.pipeline.registry.lineage import lineage
from forge.pipeline.registry.models import list_models, registry_artifact_names
from forge.pipeline.upkeep.integrity import verify_integrity

_SHAPES = {"model": "box", "data": "cylinder", "source": "note"}


def _dashboard_model_row(model: dict[str, Any]) -> dict[str, Any]:
    return {
        "model": model["artifact"] or model["path"],
        "where": "models/" if model["present"] else model["experiment"],
        "scale": model["scale"],
        "phase": model["phase"],
        "versions": ", ".join(version["tag"] for version in model["versions"]),
        "in use as": ", ".join(stage for version in model["versions"] for stage in version["stages"]),
        "parameters": model["parameters"],
        "bytes": model["bytes"],
        "made": time.strftime("%Y-%m-%d %H:%M", time.localtime(model["recorded"])),
        "id": model["model_id"],
        "manifest SHA-256": model["manifest_sha256"],
    }


def _draw_dashboard_model_list() -> list[dict[str, Any]]:
    query = st.text_input("text in a name, a tag or a headline metric", key="query")
    every = st.checkbox("also what earlier runs and experiments have made", key="every")
    found = list_models(query=query or None)
    models = [model for model in found if every or model["present"] or model["versions"]]
    if models:
        wide = {"model": st.column_config.Column(width=230)}
        draw_dashboard_table([_dashboard_model_row(model) for model in models], wide)
        st.caption("Bytes of the files that someone must copy, as in the ledger.")
    elif found:
        st.info(f"None of these lies in models/ or is registered; earlier runs have made {len(found):,}.")
    elif query:
        st.info("No model like that.")
    else:
        st.info("The registry knows no model; after a run or in a fresh clone: agent-forge models reindex")
    return models


def _draw_dashboard_model_details(models: list[dict[str, Any]]) -> None:
    names = {f"{model['artifact'] or model['path']} {model['model_id']}": model for model in models}
    chosen = st.selectbox("details of", list(names), index=None, key="details", format_func=printable)
    if chosen is None:
        return
    model = names[chosen]
    st.caption(
        escape_streamlit_markdown(
            f"Parents: {', '.join(model['parents']) or 'none'}. Tags: {', '.join(model['tags']) or 'none'}."
        )
    )
    metrics = flatten_recorded_values(model["metrics"])
    if metrics:
        draw_dashboard_table([{"metric": name, "value": metric_value_text(value)} for name, value in metrics.items()])
    else:
        st.info("No headline metrics were recorded with it.")


def dashboard_lineage_dot(found: dict[str, Any]) -> str:
    """An ancestry in Graphviz's language, parents above their descendants."""
    lines = ["digraph {", "node [fontsize=10 fontname=sans]"]
    for node in found["nodes"]:
        names = [node["path"], *node.get("versions", []), node.get("model_id") or ""]
        label = "\n".join([*filter(None, names), f"md5 {node['md5'].removesuffix('.dir')[:12]}"])
        lines.append(f"{json.dumps(node['path'])} [shape={_SHAPES[node['kind']]} label={json.dumps(label)}]")
        lines += [f"{json.dumps(parent)} -> {json.dumps(node['path'])}" for parent in node["parents"]]
    return "\n".join([*lines, "}"])


def _draw_dashboard_lineage(models: list[dict[str, Any]]) -> None:
    st.subheader("Lineage")
    tags = [version["tag"] for model in models for version in model["versions"]]
    refs = list(dict.fromkeys([*registry_artifact_names(Path()).values(), *tags]))
    ref = st.selectbox("of a model or a version", refs, index=None, key="lineage", format_func=printable)
    if ref is None:
        return
    try:
        found = lineage(Path(), ref)
    except ForgeError as error:
        st.error(escape_streamlit_markdown(str(error)))
        return
    st.caption(
        escape_streamlit_markdown(
            f"As {'commit ' + found['commit'][:12] if found['tag'] else 'dvc.lock of the workspace'} has it."
        )
    )
    st.graphviz_chart(dashboard_lineage_dot(found))
    with_parameters = [node for node in found["nodes"] if node.get("params")]
    node = st.selectbox("parameters of", [node["path"] for node in with_parameters], index=None, key="parameters")
    if node is not None:
        chosen = next(each["params"] for each in with_parameters if each["path"] == node)
        st.json(readable_dashboard_value(chosen))


def _draw_dashboard_checksums() -> None:
    st.subheader("Checksums")
    st.caption("Hashes models, data, DVC's cache and the registry again, as agent-forge models verify does.")
    if not st.button("Verify now", key="verify"):
        return
    with st.spinner("hashing"):
        found = verify_integrity(Path())
    counts = ", ".join(f"{count} {name}" for name, count in found["checked"].items())
    if found["damaged"]:
        st.error(f"Checked {counts}: {len(found['damaged'])} damaged.")
        draw_dashboard_table(found["damaged"])
    else:
        st.success(f"Checked {counts}: none damaged.")
    if found["absent"]:
        st.info(escape_streamlit_markdown(f"Named in dvc.lock and not here: {', '.join(found['absent'])}"))


def draw_dashboard_models_page() -> None:
    """The list, one model's details, a lineage, and the checksums on demand."""
    st.title("Models")
    models = _draw_dashboard_model_list()
    _draw_dashboard_model_details(models)
    _draw_dashboard_lineage(models)
    _draw_dashboard_checksums()


if __name__ == "__main__":
    draw_dashboard_models_page()
