"""`agent-forge logs`: what the runs had to say."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from forge.cli.output import JSON, emit_command_json, say
from forge.errors import ForgeError

MAX_LINES = 1_000_000


def logs_command(
    phase: Annotated[str | None, typer.Option(help="Only this phase, or one branch such as cognate@reasoning.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new lines until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, max=MAX_LINES, help="How many lines of the past.")] = 40,
    as_json: JSON = False,
) -> None:
    """Show the log of the latest runs: what started, how far it came, warnings, how it ended.

    \b
    Examples:
      agent-forge logs --lines 100
      agent-forge logs --phase quietstar
      agent-forge logs --phase cognate@reasoning --follow
      agent-forge logs --json
    """
    from forge.pipeline.layout.phases import find_stage_in_layout
    from forge.pipeline.records import logs

    if phase is not None and phase != "run":
        known = find_stage_in_layout(phase.partition("@")[0])
        if "@" in phase and phase not in known.names():
            raise ForgeError(f"no stage named {phase!r}")
    directory = logs.recorded_run_logs_dir()
    past = logs.latest_lines(directory, lines, phase) if lines else []
    if as_json and not follow:
        emit_command_json({"lines": past})
        return
    show = emit_command_json if as_json else _show
    for line in past:
        show(line)
    if lines and not past and not follow:
        say(f"no log{' of ' + phase if phase else ''} yet; a run makes one: agent-forge run")
    if follow:
        for line in logs.follow_run_logs(directory, phase):
            show(line)


def _show(line: dict[str, Any]) -> None:
    moment = str(line["time"]).replace("T", " ")[:19]
    step = f" [{line['step']}]" if "step" in line else ""
    say(f"{moment}  {line['level']:<7}  {line['stage']}{step}: {line['message']}")
