"""What all pages share: panes that refresh themselves, tables that can be read, and text that stays as it is."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import streamlit as st

from forge.errors import ForgeError, printable
from forge.interface.paths import RESULTS
from forge.pipeline.metrics.recorded import metric_value_text

REFRESH_SECONDS = 2
_REWRITTEN = {RESULTS.name, "runs"}  # folders whose files go when a stage starts
_MARKDOWN = re.compile(r"([\\`*_$\[\]~<>:#|])")


def escape_streamlit_markdown(text: str) -> str:
    """Text whose characters do not mean anything to Markdown, and none of which hides or turns around what it says."""
    return _MARKDOWN.sub(r"\\\1", printable(text))


def draw_or_tell_fault(draw: Callable[..., None], *arguments: Any) -> None:
    """Draw a part of a page; a fault is one line in its place.

    That a file is gone which was there a moment ago is none: a stage that starts has removed what it is to write.
    """
    try:
        draw(*arguments)
    except (ForgeError, OSError) as error:
        gone = error if isinstance(error, OSError) else error.__cause__
        if isinstance(gone, FileNotFoundError) and _REWRITTEN & set(Path(str(gone.filename)).parts):
            name = Path(gone.filename).name
            st.info(escape_streamlit_markdown(f"{name} was removed just now by the stage that is to write it anew."))
        else:
            st.error(escape_streamlit_markdown(str(error)))


def live_dashboard_pane(pane: Callable[..., None]) -> Callable[..., None]:
    """A pane of a page that is drawn anew every two seconds; a fault is one line in its place."""

    @st.fragment(run_every=REFRESH_SECONDS)
    @wraps(pane)
    def guarded(*arguments: Any) -> None:
        draw_or_tell_fault(pane, *arguments)

    return guarded


def readable_dashboard_rows(rows: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows as a table shows them, and how it writes their numbers.

    A column that holds nothing in any row is left out. Numbers get separators; where some are missing the column is
    text, because a table of Streamlit writes "None" for a number that is not there.
    """
    filled = {name: None for row in rows for name, value in row.items() if value not in (None, "")}
    shown = [{name: readable_dashboard_value(row.get(name)) for name in row if name in filled} for row in rows]
    settings: dict[str, Any] = {}
    for name in filled:
        values = [row.get(name) for row in shown]
        numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
        if numbers and len(numbers) == len(values):
            settings[name] = st.column_config.NumberColumn(format="localized")
        elif numbers:
            settings[name] = st.column_config.TextColumn(alignment="right")
        if None in values:
            for row in shown:
                row[name] = metric_value_text(row.get(name))
    return shown, settings


def readable_dashboard_value(value: Any) -> Any:
    """A value whose texts, whoever wrote them, neither hide nor turn around what they say."""
    if isinstance(value, Mapping):
        return {readable_dashboard_value(key): readable_dashboard_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [readable_dashboard_value(item) for item in value]
    return printable(value) if isinstance(value, str) else value


def draw_dashboard_table(
    rows: Sequence[Mapping[str, Any]], columns: Mapping[str, Any] | None = None, *, height: Any = "auto"
) -> None:
    """A table of `readable_dashboard_rows`.

    columns: Streamlit's configuration of those that need another one. height: as Streamlit's tables have it.
    """
    shown, settings = readable_dashboard_rows(rows)
    st.dataframe(shown, hide_index=True, height=height, column_config={**settings, **(columns or {})})
