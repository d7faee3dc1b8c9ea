"""What all pages share: panes that refresh themselves, and text that stays as it is."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from typing import Any

import streamlit as st

from forge.errors import ForgeError

REFRESH_SECONDS = 2
_MARKDOWN = re.compile(r"([\\`*_$\[\]~<>:#|])")


def escape_streamlit_markdown(text: str) -> str:
    """Text whose characters do not mean anything to Markdown."""
    return _MARKDOWN.sub(r"\\\1", text)


def live_dashboard_pane(pane: Callable[..., None]) -> Callable[..., None]:
    """A pane of a page that is drawn anew every two seconds; a fault is one line in its place."""

    @st.fragment(run_every=REFRESH_SECONDS)
    @wraps(pane)
    def guarded(*arguments: Any) -> None:
        try:
            pane(*arguments)
        except ForgeError as error:
            st.error(escape_streamlit_markdown(str(error)))

    return guarded
