"""`agent-forge monitor`: the dashboard, in a browser on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from forge.cli.output import JSON, emit_command_json, on_terminal
from forge.cli.project import in_project
from forge.errors import ForgeError


@in_project
def monitor_command(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where to listen, on 127.0.0.1 only.")] = 8501,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the browser as well; on a terminal only.")] = False,
    as_json: JSON = False,
) -> None:
    """Show stages, phases, models, system and parameters in a browser, live, until Ctrl-C.

    The address that is printed holds a token; without it nobody gets in.
    With --json the overview is printed once, and no server starts.

    \b
    Examples:
      agent-forge monitor
      agent-forge monitor --port 8600 --open
      agent-forge monitor --json
    """
    for name in ("params.yaml", "dvc.yaml"):
        if not Path(name).is_file():
            raise ForgeError(f"this is no project: there is no {name} here; run this command in the project's folder")
    if as_json:
        from forge.pipeline.report.overview import overview

        emit_command_json(overview())
        return
    if open_browser and not on_terminal():
        raise ForgeError("--open is for a terminal; leave it out and open the address yourself")
    from forge.monitor.launch import become_dashboard_server, check_dashboard_port

    check_dashboard_port(port)
    become_dashboard_server(port, open_browser=open_browser)
