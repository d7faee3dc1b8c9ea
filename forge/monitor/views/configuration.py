"""Configuration: params.yaml, value by value or as text; what is not valid is not put in place."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

from forge.config import ParamsChanged, edited, parse_params, parse_params_yaml, read_params_bytes, replace_params
from forge.config.schema import explain_params_key
from forge.data.own import find_own_data
from forge.errors import ForgeError, printable
from forge.files import decode_utf8
from forge.monitor.frame import escape_streamlit_markdown
from forge.pipeline.dvc import lockfile
from forge.pipeline.dvc.states import made_stale

FILE = Path("params.yaml")
TOP = "scale and seed"


def _dashboard_editor_state() -> Any:
    """This session's copy of the file: `opened`, its bytes; `edition`, which new widgets are named by."""
    state = st.session_state
    if "opened" not in state:
        _open_params_in_dashboard()
    return state


def _open_params_in_dashboard() -> None:
    st.session_state["opened"] = read_params_bytes(FILE)
    st.session_state["edition"] = st.session_state.get("edition", 0) + 1


def _dashboard_params_text() -> str:
    return decode_utf8(_dashboard_editor_state()["opened"], str(FILE))


def _dashboard_edit_outcome(after: str) -> str:
    """Which stages another text of the file makes stale, in a sentence. Raises ForgeError when it is not valid."""
    find_own_data(parse_params(after, FILE).file.data.own_data)
    try:
        stale = made_stale(lockfile.parse_yaml_as_dvc(after, str(FILE)))
    except ForgeError as error:  # of the file as it is, say, which this text fixes
        return f"Which stages become stale is not known: {error}."
    if not stale:
        return "No fresh stage becomes stale."
    return f"Stale now: {'; '.join(f'{stage.name} ({stage.why})' for stage in stale)}."


def _act_on_dashboard_edit(after: Callable[[], str], *, save: bool) -> None:
    """Check or save, and tell what came of it."""
    try:
        text = after()
        told = _dashboard_edit_outcome(text)
        if not save:
            st.info(escape_streamlit_markdown(f"Valid, not saved. {told.replace('Stale now', 'Would be stale')}"))
            return
        changed = replace_params(FILE, _dashboard_editor_state()["opened"], text.encode("utf-8"))
    except ParamsChanged as error:
        st.error(escape_streamlit_markdown(f"{error}. Nothing was saved."))
        return
    except ForgeError as error:
        st.error(escape_streamlit_markdown(f"{error}. The file is as it was."))
        return
    st.session_state["told"] = f"Saved. {told}" if changed else "Nothing was changed."
    _open_params_in_dashboard()
    st.rerun()


def _buttons() -> tuple[bool, bool]:
    check, save = st.columns([1, 8])
    return check.form_submit_button("Check"), save.form_submit_button("Save")


# ---- value by value ----------------------------------------------------------------------------------------


def dashboard_parameter_blocks(tree: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The leaves of each block of params.yaml by dotted key; the active scale's blocks come first."""
    found: dict[str, dict[str, Any]] = {TOP: {k: v for k, v in tree.items() if not isinstance(v, dict)}}
    scales = tree.get("scales") or {}
    for scale in sorted(scales, key=lambda name: name != tree.get("scale")):
        for name, block in scales[scale].items():
            found[f"scales.{scale}.{name}"] = _dashboard_block_leaves(block, f"scales.{scale}.{name}")
    own = {
        name: _dashboard_block_leaves(block, name)
        for name, block in tree.items()
        if isinstance(block, dict) and name != "scales"
    }
    return {TOP: found.pop(TOP), **own, **found}


def _dashboard_block_leaves(node: Any, key: str) -> dict[str, Any]:
    if not isinstance(node, dict):
        return {key: node}
    return {
        leaf: value
        for name, child in node.items()
        for leaf, value in _dashboard_block_leaves(child, f"{key}.{name}").items()
    }


def _dashboard_value_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _parse_dashboard_input(key: str, text: str, old: Any) -> Any:
    """What a person typed, as a YAML value; text stays text where text was."""
    return text if isinstance(old, str) else parse_params_yaml(text, f"{FILE}: {key}")


def _draw_dashboard_values_form() -> None:
    text, edition = _dashboard_params_text(), _dashboard_editor_state()["edition"]
    tree = parse_params_yaml(text, FILE)
    if not isinstance(tree, dict):
        raise ForgeError(f"{FILE}: must be a mapping of parameters")
    known = dashboard_parameter_blocks(tree)
    block = str(st.selectbox("block", list(known), key="block", format_func=printable))
    with st.form("values"):
        typed: dict[str, Any] = {}
        columns = st.columns(2)
        for place, (key, value) in enumerate(known[block].items()):
            column, name = columns[place % 2], f"{key} #{edition}"
            label = escape_streamlit_markdown(key.removeprefix(f"{block}."))
            words = escape_streamlit_markdown(explain_params_key(key)) or None
            if isinstance(value, bool):
                typed[key] = column.checkbox(label, value, key=name, help=words)
            else:
                typed[key] = column.text_input(label, _dashboard_value_text(value), key=name, help=words)
        check, save = _buttons()
    if check or save:

        def after() -> str:
            changes = {
                key: given if isinstance(given, bool) else _parse_dashboard_input(key, given, known[block][key])
                for key, given in typed.items()
                if given != known[block][key] and given != _dashboard_value_text(known[block][key])
            }
            return edited(text, changes) if changes else text

        _act_on_dashboard_edit(after, save=save)


# ---- as text -----------------------------------------------------------------------------------------------


def _draw_dashboard_text_form() -> None:
    with st.form("text"):
        after = str(
            st.text_area(
                str(FILE), _dashboard_params_text(), height=600, key=f"text #{_dashboard_editor_state()['edition']}"
            )
        )
        check, save = _buttons()
    if check or save:
        _act_on_dashboard_edit(lambda: after, save=save)


def page() -> None:
    """Two ways to edit, one way to save."""
    st.title("Configuration")
    st.caption("Only what is valid is saved, as agent-forge config edit does; comments stay.")
    if told := st.session_state.pop("told", None):
        st.success(escape_streamlit_markdown(told))
    if _dashboard_editor_state()["opened"] != read_params_bytes(FILE):
        st.warning(
            escape_streamlit_markdown(
                f"{FILE} was changed by somebody else since it was opened here; what you save is refused."
            )
        )
        st.button("Open it again", on_click=_open_params_in_dashboard, key="open")
    way = st.segmented_control("edit", ["values", "text"], default="values", key="way")
    if way == "text":
        _draw_dashboard_text_form()
    else:
        _draw_dashboard_values_form()


if __name__ == "__main__":
    page()
