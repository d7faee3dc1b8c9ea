"""The dashboard's pages. `agent-forge monitor` has Streamlit run this file in the project's directory."""

from __future__ import annotations

import streamlit as st

from forge.monitor.frame import draw_or_tell_fault

PAGES = {
    "overview": "Overview",
    "phase": "Phase details",
    "models": "Models",
    "system": "System",
    "configuration": "Configuration",
}


def main() -> None:
    """Draw the page that is asked for; a fault is one line on it."""
    st.set_page_config(page_title="Agent Forge", layout="wide")
    pages = [st.Page(f"views/{name}.py", title=title, url_path=name) for name, title in PAGES.items()]
    page = st.navigation(pages)
    draw_or_tell_fault(page.run)


if __name__ == "__main__":
    main()
