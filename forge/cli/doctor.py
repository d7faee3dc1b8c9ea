"""`agent-forge doctor`: what is wrong here, what it means, how to mend it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from forge.cli.output import JSON, emit_json, say


def doctor_command(
    fix: Annotated[bool, typer.Option("--fix", help="Mend what can be mended without losing anything.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Do not re-hash DVC's cache.")] = False,
    as_json: JSON = False,
) -> None:
    """Examine versions, device, disk, DVC's files, cache, checkpoints and registry.

    Each fault is told with what it means and how to mend it. The exit code is 1 while something is wrong.

    \b
    Examples:
      agent-forge doctor
      agent-forge doctor --fix
      agent-forge doctor --quick --json
    """
    from forge.pipeline.doctor import examine, mend

    found = examine(Path.cwd(), quick=quick)
    if fix:
        found = mend(found)
    wrong = sum(finding.state == "wrong" for finding in found)
    if as_json:
        emit_json({"wrong": wrong, "findings": [finding.to_dict() for finding in found]})
    else:
        for finding in found:
            say(f"{finding.state:<6}  {finding.check}: {finding.what}")
            if finding.state != "ok":
                for label, text in (("means", finding.meaning), ("mend", finding.mend)):
                    if text:
                        say(f"        {'done' if finding.state == 'mended' and label == 'mend' else label}: {text}")
        fixable = sum(finding.state == "wrong" and finding.fix is not None for finding in found)
        hint = f", {fixable} of them can be mended with: agent-forge doctor --fix" if fixable else ""
        say(f"{wrong} wrong{hint}" if wrong else "nothing is wrong")
    if wrong:
        raise typer.Exit(1)
