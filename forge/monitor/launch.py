"""Starting the dashboard's server as the process that was started, without anybody else's settings for Streamlit."""

from __future__ import annotations

import errno
import os
import socket
import sys
from importlib.util import find_spec
from pathlib import Path

from forge.errors import ForgeError

ADDRESS = "127.0.0.1"
_PACKAGES = Path(__file__).resolve().parents[2]


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


def dashboard_server_command(port: int, *, open_browser: bool) -> list[str]:
    """The server's command line. No secret is in it: everybody on the machine can read it."""
    # -P: a project's directory must not stand in for the installed packages.
    line = [sys.executable, "-P", "-m", "forge.monitor.server", str(port)]
    return [*line, "--open"] if open_browser else line


def dashboard_server_environment() -> dict[str, str]:
    """This process's environment without what would set Streamlit up otherwise, and with the command's own code."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith("STREAMLIT_")}
    path = os.pathsep.join(filter(None, (str(_PACKAGES), os.environ.get("PYTHONPATH"))))
    return {**kept, "PYTHONPATH": path}


def become_dashboard_server(port: int, *, open_browser: bool) -> None:
    """Turn this process into the server: signals reach it as they are sent, and there is no child to outlive it.

    Raises:
        ForgeError: Streamlit is not installed.
    """
    if find_spec("streamlit") is None:
        raise ForgeError("the dashboard needs Streamlit; install what requirements.lock names")
    line = dashboard_server_command(port, open_browser=open_browser)
    sys.stdout.flush()
    os.execve(line[0], line, dashboard_server_environment())
