"""`agent-forge doctor`: what is wrong here, what it means, how to fix it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from forge.cli.output import JSON, emit_command_json, say


def doctor_command(
    fix: Annotated[bool, typer.Option("--fix", help="Fix what can be fixed without losing anything.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Do not re-hash DVC's cache, nor look for devices.")] = False,
    as_json: JSON = False,
) -> None:
    """Examine versions, device, disk, DVC's files, cache, checkpoints and registry.

    Each fault is told with what it means and how to fix it. The exit code is 1 while something is wrong.

    \b
    Examples:
      agent-forge doctor
      agent-forge doctor --fix
      agent-forge doctor --quick --json
    """
    from forge.pipeline.upkeep.doctor import apply_fixes, examine

    found = examine(Path.cwd(), quick=quick)
    if fix:
        found = apply_fixes(found)
    wrong = sum(finding.state == "wrong" for finding in found)
    if as_json:
        emit_command_json({"wrong": wrong, "findings": [finding.to_dict() for finding in found]})
    else:
        for finding in found:
            say(f"{finding.state:<6}  {finding.check}: {finding.what}")
            if finding.state != "ok":
                for label, text in (("means", finding.meaning), ("fix", finding.fix)):
                    if text:
                        say(f"        {'done' if finding.state == 'fixed' and label == 'fix' else label}: {text}")
        fixable = sum(finding.state == "wrong" and finding.apply is not None for finding in found)
        hint = f", {fixable} of them can be fixed with: agent-forge doctor --fix" if fixable else ""
        say(f"{wrong} wrong{hint}" if wrong else "nothing is wrong")
    if wrong:
        raise typer.Exit(1)
