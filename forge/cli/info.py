"""Light commands: status, phases, config, report. They read small files and start no library of learning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from forge.cli.output import JSON, emit_command_json, print_terminal_table, say
from forge.cli.project import given_file, in_project, in_project_if_any
from forge.errors import ForgeError
from forge.files import read_optional_json
from forge.interface.paths import AGENT_FILE

config_app = typer.Typer(no_args_is_help=True, help="Show, check or edit params.yaml.")


def status_command(as_json: JSON = False) -> None:
    """Tell which stages are fresh, which are stale and why.

    \b
    Examples:
      agent-forge status
      agent-forge status --json
    """
    from forge.pipeline.dvc.states import look_up_dvc_param, read_yaml_as_dvc, stage_states

    states = stage_states()
    scale = str(look_up_dvc_param(read_yaml_as_dvc(Path("params.yaml")), "scale"))
    agent = AGENT_FILE.as_posix() if AGENT_FILE.is_file() else None
    if as_json:
        rows = [{"stage": s.name, "state": s.state, "why": s.why} for s in states]
        emit_command_json({"scale": scale, "stages": rows, "agent": agent})
        return
    print_terminal_table(("stage", "state", "why"), [(s.name, s.state, s.why) for s in states])
    waiting = sum(s.state != "fresh" for s in states)
    say(
        f"scale {scale}: {len(states) - waiting} of {len(states)} stages fresh"
        + (", nothing to do" if not waiting else "")
    )
    if agent is None:
        say("agent: none yet; make one with: agent-forge run")
    else:
        fresh = any(s.name == AGENT_FILE.parent.name and s.state == "fresh" for s in states)
        say(f"agent: {agent}" if fresh else f"agent: {agent}, of an earlier run; what is stale would change it")


def phases_command(as_json: JSON = False) -> None:
    """List the phases, what each does, and what it reached when it last ran.

    \b
    Examples:
      agent-forge phases
    """
    from forge.interface.paths import RESULTS
    from forge.phases import PHASES
    from forge.pipeline.layout.phases import stage_reads

    rows: list[dict[str, Any]] = []
    for phase in PHASES:
        stages = [name for stage in phase.stages for name in stage.names()]
        ledger = read_optional_json(RESULTS / phase.name / "ledger.json")
        run = read_optional_json(RESULTS / phase.name / "run.json")
        row = {
            "phase": phase.name,
            "title": phase.title,
            "stages": stages,
            "reads": list(stage_reads(phase.stages[0])),
            "scale": run.get("scale") if isinstance(run, dict) else None,
        }
        rows.append({**row, "ledger": ledger})
    if as_json:
        emit_command_json({"phases": rows})
        return
    print_terminal_table(
        ("phase", "what it does", "scale", "bytes", "thoughts", "tools"),
        [(row["phase"], row["title"], row["scale"] or "", *_terminal_ledger_cells(row)) for row in rows],
    )


def _terminal_ledger_cells(row: dict[str, Any]) -> tuple[str, ...]:
    ledger = row["ledger"]
    if not isinstance(ledger, dict):
        return "", "", ""
    figures = [ledger.get(key) for key in ("bytes", "accuracy_thoughts", "accuracy_tools")]
    if not all(isinstance(value, int | float | None) for value in figures):
        raise ForgeError(f"results/{row['phase']}/ledger.json: bytes and shares must be numbers")
    size, *shares = figures
    return "" if size is None else f"{size:,}", *("" if share is None else f"{share:.3f}" for share in shares)


@config_app.command("show")
@in_project
def config_show(
    phase: Annotated[str | None, typer.Option(help="Only this phase.")] = None,
    scale: Annotated[str | None, typer.Option(help="Another scale than the active one.")] = None,
    as_json: JSON = False,
) -> None:
    """Show the parameters that a run would use, each with its meaning: the active scale merged into each phase's block.

    \b
    Examples:
      agent-forge config show
      agent-forge config show --phase bitnet --scale spec
    """
    from forge.config import load_params
    from forge.pipeline.dvc.states import dvc_scaled_parameters, read_yaml_as_dvc

    tree = read_yaml_as_dvc(Path("params.yaml"))
    load_params()  # what a run would refuse is no parameter that it would use
    active, blocks = dvc_scaled_parameters(tree, scale)
    if phase not in (None, *blocks):
        raise ForgeError(f"params.yaml: no phase {phase!r}; known: {', '.join(blocks)}")
    merged = {name: block for name, block in blocks.items() if phase in (None, name)}
    if as_json:
        emit_command_json({"scale": active, "seed": tree.get("seed"), "phases": merged})
        return
    say(f"scale: {active}\nseed: {tree.get('seed')}")
    from forge.config.schema import explain_params_key, list_params_leaves

    for name, values in merged.items():
        say(f"{name}:")
        for key, value in list_params_leaves(values):
            words = explain_params_key(f"{name}.{key}") or explain_params_key(f"scales.{active}.{name}.{key}")
            say(f"  {key}: {json.dumps(value, ensure_ascii=False)}" + (f"  # {words}" if words else ""))


@config_app.command("validate")
@in_project_if_any
def config_validate(
    file: Annotated[Path, typer.Argument(help="The file to check.")] = Path("params.yaml"),
    as_json: JSON = False,
) -> None:
    """Check every block of params.yaml, the scales that are not active too, every row of your own data, and your tools.

    \b
    Examples:
      agent-forge config validate
      agent-forge config validate other.yaml
    """
    from forge.config import load_params

    file = given_file(file)
    params = load_params(file)
    own = None
    if params.file.data.own_data:
        from forge.data.own import read_own_data

        own = read_own_data(params.file.data.own_data)
    tools = _count_declared_tools(params.file.data.tools)
    if as_json:
        told: dict[str, Any] = {"valid": True, "file": file.as_posix(), "scale": params.scale, "seed": params.seed}
        told |= {} if own is None else {"own_data": own.counts()}
        emit_command_json(told | ({"own_tools": tools} if tools["files"] else {}))
        return
    say(f"{file}: valid (scale {params.scale}, seed {params.seed})")
    if own is not None:
        say(f"own data: {own.summary()}")
    if tools["files"]:
        say(f"own tools: {tools['tools']}, personas: {tools['personas']}, files read: {tools['files']}")


def _count_declared_tools(path: str) -> dict[str, int]:
    """Files, tools and personas at `data.tools`. Raises ForgeError, in one line, for an error in one of them."""
    from forge.tools.declared.checking import read_sound_tools

    read = read_sound_tools(path)
    sums = {kind: sum(len(getattr(file, kind)) for file in read) for kind in ("tools", "personas")}
    return {"files": len(read), **sums}


def report_command(
    rebuild: Annotated[bool, typer.Option(help="Gather again from results/, as far as the phases have run.")] = False,
    as_json: JSON = False,
) -> None:
    """Show the report of the last run, and where it is.

    \b
    Examples:
      agent-forge report
      agent-forge report --rebuild
    """
    results = Path("results")
    if rebuild:
        from forge.config import load_params
        from forge.pipeline.report.gather import write_report

        params = load_params()
        write_report(results, scale=params.scale, seed=params.seed, partial=True)
    from forge.pipeline.report.overview import read_run_report

    report = read_run_report(Path())
    if report is None:
        raise ForgeError("results/report.json: no such file; make it with: agent-forge run")
    if as_json:
        emit_command_json(report)
        return
    from forge.evals.ledger import TITLES, ledger_row_cells

    print_terminal_table(TITLES, [ledger_row_cells(row) for row in report["ledger"]])
    say(f"scale {report['scale']}, seed {report['seed']}")
    if others := report.get("other_scales"):
        say(f"left out, of another scale: {', '.join(f'{place} ({name})' for place, name in others.items())}")
    say(f"claims: {report['claims_passed']} passed, {report['claims_failed']} failed")
    say(f"all metrics and their files: {results / 'report.md'}")
