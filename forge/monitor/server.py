"""The dashboard's server: Streamlit behind the gate, with the settings that stand here and no others.

Started by `forge.monitor.launch` in the project's directory: `python -P -m forge.monitor.server PORT [--open]`.
"""

from __future__ import annotations

import logging
import secrets
import signal
import sys
import threading
import webbrowser
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NoReturn

import streamlit as st
from starlette.middleware import Middleware
from streamlit import config

from forge.monitor.gate import DashboardGate, dashboard_origin
from forge.monitor.launch import ADDRESS
from forge.tools.scratch import ScratchFolder

APP = Path(__file__).with_name("app.py")


def dashboard_settings(port: int, token: str) -> dict[str, Any]:
    """Every setting of Streamlit that the dashboard's promises depend on, its defaults included.

    It listens on this machine alone, under an address with a token; answers no other page and no program that it did
    not make; tells nobody anything; runs no code but its own. They beat every file and variable.
    """
    return {
        "global.developmentMode": False,
        "server.address": ADDRESS,
        "server.port": port,
        "server.baseUrlPath": token,
        "server.allowedHosts": [ADDRESS],  # against other sites whose name resolves to this machine
        "server.enableCORS": True,
        "server.corsAllowedOrigins": [],
        "server.enableXsrfProtection": True,
        "server.xsrfCookieSameSite": "strict",
        "server.enableAgentApi": False,
        "server.enableStaticServing": False,
        "server.customComponentBaseUrlPath": "",
        "server.trustedUserHeaders": {},
        "server.unsafeMetricsUserAttributes": [],
        "server.scriptHealthCheckEnabled": False,
        "server.sslCertFile": None,
        "server.sslKeyFile": None,
        "server.headless": True,
        "server.fileWatcherType": "none",
        "server.folderWatchList": [],
        "server.runOnSave": False,
        "server.allowRunOnSave": False,
        "server.showEmailPrompt": False,
        "browser.serverAddress": ADDRESS,
        "browser.serverPort": port,
        "browser.gatherUsageStats": False,
        "client.allowedOrigins": [],
        "client.showErrorLinks": False,
        "client.toolbarMode": "minimal",
        "logger.hideWelcomeMessage": True,
        "logger.level": "warning",
        "secrets.files": [],  # their values would become variables of this process, and turn on logins
    }


def leave_streamlit_files_unread() -> None:
    """Have Streamlit know no configuration file: neither the user's nor the project's is for this program.

    What they can set goes beyond a list of settings: a theme may be fetched from the internet.
    """
    config.get_config_files = lambda file_name: []


def open_dashboard_in_browser(address: str, stack: ExitStack) -> None:
    """Open the browser by a page that leads to the address: others can read a program's arguments, not this file."""
    folder = ScratchFolder("dashboard")
    stack.callback(folder.close)
    page = folder.path / "dashboard.html"
    page.write_text(f'<!doctype html><meta http-equiv="refresh" content="0; url={address}">', encoding="ascii")
    # Beside the server: a browser that runs in the terminal comes back only when it is closed.
    threading.Thread(target=webbrowser.open, args=(page.as_uri(),), daemon=True).start()


def dashboard_application(port: int, token: str, *, open_browser: bool) -> st.App:
    """The pages behind the gate; the address is told when they can be asked for."""
    origin = dashboard_origin(ADDRESS, port)

    @asynccontextmanager
    async def announced(app: st.App) -> AsyncIterator[dict[str, Any] | None]:
        print(f"{origin}/{token}/ (Ctrl-C ends it)", flush=True)
        with ExitStack() as stack:
            if open_browser:
                open_dashboard_in_browser(f"{origin}/{token}/", stack)
            yield None

    gate = Middleware(DashboardGate, origin=origin, token=token)
    return st.App(APP, middleware=[gate], lifespan=announced)


def _end_dashboard(number: int, frame: object) -> NoReturn:
    sys.exit(0)


def serve_dashboard(port: int, *, open_browser: bool) -> None:
    """Serve until a signal ends it, which is no fault."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end_dashboard)
    logging.disable(logging.INFO)  # when the server of the pages starts and ends is told above
    leave_streamlit_files_unread()
    token = secrets.token_hex(16)
    application = dashboard_application(port, token, open_browser=open_browser)
    application.run(config=dashboard_settings(port, token))


if __name__ == "__main__":
    serve_dashboard(int(sys.argv[1]), open_browser="--open" in sys.argv[2:])
