"""Starting the dashboard's server: on this machine only, telling nobody, and as the process that was started."""

from __future__ import annotations

import errno
import os
import socket
import sys
from importlib.util import find_spec
from pathlib import Path

from forge.errors import ForgeError

ADDRESS = "127.0.0.1"
APP = Path(__file__).with_name("app.py")
# Streamlit listens on all interfaces, reports usage, watches files and asks for an e-mail address unless it is told
# otherwise. Arguments beat any configuration file.
_SETTINGS = {
    "server.address": ADDRESS,
    "server.allowedHosts": [ADDRESS, "localhost"],  # against other sites whose name resolves to this machine
    "server.fileWatcherType": "none",
    "server.runOnSave": "false",
    "server.showEmailPrompt": "false",
    "browser.serverAddress": ADDRESS,
    "browser.gatherUsageStats": "false",
    "client.toolbarMode": "minimal",
    "logger.hideWelcomeMessage": "true",
    "logger.level": "warning",
}


def check_dashboard_port(port: int) -> None:
    """Refuse a port that cannot be listened on.

    Raises:
        ForgeError: it is in use, or not for this user.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, port))
            probe.listen()
        except OSError as error:
            why = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
            raise ForgeError(f"port {port} {why}; choose another one: agent-forge monitor --port N") from error


def streamlit_server_arguments(port: int, *, open_browser: bool) -> list[str]:
    """The server's command line."""
    settings = {**_SETTINGS, "server.port": str(port), "server.headless": str(not open_browser).lower()}
    options: list[str] = []
    for name, value in settings.items():
        for each in value if isinstance(value, list) else [value]:
            options += [f"--{name}", str(each)]
    # -P: a project's directory must not stand in for the installed packages.
    return [sys.executable, "-P", "-m", "streamlit", "run", str(APP), *options]


def become_dashboard_server(port: int, *, open_browser: bool) -> None:
    """Turn this process into the server: signals reach it as they are sent, and there is no child to outlive it.

    Raises:
        ForgeError: Streamlit is not installed.
    """
    if find_spec("streamlit") is None:
        raise ForgeError("the dashboard needs Streamlit; install what requirements.lock names")
    # The same code as the command's own, wherever it was started.
    path = os.pathsep.join(filter(None, (str(APP.resolve().parents[2]), os.environ.get("PYTHONPATH"))))
    line = streamlit_server_arguments(port, open_browser=open_browser)
    sys.stdout.flush()
    os.execve(line[0], line, {**os.environ, "PYTHONPATH": path})
