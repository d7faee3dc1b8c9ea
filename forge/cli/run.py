"""`agent-forge run`: the pipeline, with what is skipped and why, how far it is, and how long it will take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forge.cli.output import JSON, emit_command_json, fail_on_terminal, on_terminal, say
from forge.errors import ForgeError, printable
from forge.interface.paths import AGENT_FILE

if TYPE_CHECKING:
    from forge.cli.run_progress import Watcher
    from forge.pipeline.dvc.runner import RunResult
    from forge.pipeline.dvc.states import StageState

TRIAL_SCALE = "smoke"  # every phase at toy size


def _run_on_terminal(target: str | None, scale: str | None, watcher: Watcher, shown: str) -> RunResult:
    from rich.console import Console
    from rich.live import Live

    from forge.cli.run_progress import terminal_progress_line
    from forge.pipeline.dvc.runner import run_pipeline

    console = Console()
    with Live(console=console, get_renderable=lambda: terminal_progress_line(watcher, shown), transient=True):
        watcher._print = lambda line: console.print(printable(line), markup=False, highlight=False)
        return run_pipeline(target, scale, watcher.on_event)


def run_command(
    phase: Annotated[str | None, typer.Option(help="Stop after this phase; what it needs is run as well.")] = None,
    scale: Annotated[str | None, typer.Option(help="smoke, tiny or spec; written to params.yaml.")] = None,
    as_json: JSON = False,
) -> None:
    """Run what is stale, and nothing else.

    Ctrl-C saves and pauses; the same command goes on from there.

    \b
    Examples:
      agent-forge run
      agent-forge run --phase edge
      agent-forge run --scale smoke
    """
    from forge.cli.run_progress import Watcher
    from forge.pipeline.dvc.runner import run_pipeline
    from forge.pipeline.dvc.states import read_yaml_as_dvc, stage_states
    from forge.pipeline.layout.phases import last_stage
    from forge.pipeline.report.overview import overview_last_stage_seconds

    target = None if phase is None else last_stage(phase)
    shown = str(scale or read_yaml_as_dvc(Path("params.yaml")).get("scale"))
    states = _stages_planned_by_command(stage_states(scale=scale), target)
    watcher = Watcher(states, overview_last_stage_seconds(Path(), shown), say)
    if on_terminal() and not as_json:
        result = _run_on_terminal(target, scale, watcher, shown)
    else:
        result = run_pipeline(target, scale, watcher.on_event)
    agent = AGENT_FILE.as_posix() if AGENT_FILE.is_file() and _run_command_reached_agent(result) else None
    if as_json:
        emit_command_json(_run_command_facts(result, agent))
    if result.exit_code != 0:
        fail_on_terminal(result.message or "the run failed")
        raise typer.Exit(result.exit_code)
    if not as_json:
        _run_command_farewell(result, agent, shown)


def _stages_planned_by_command(states: list[StageState], phase: str | None) -> list[StageState]:
    """The stages of the run: all, or those up to a phase. Raises ForgeError when there is no such phase."""
    if phase is None:
        return states
    ends = [i for i, state in enumerate(states) if phase in (state.name, state.name.partition("@")[0])]
    if not ends:
        known = dict.fromkeys(state.name.partition("@")[0] for state in states)
        raise ForgeError(f"no phase {phase!r}; known: {', '.join(known)}")
    return states[: ends[-1] + 1]


def _run_command_reached_agent(result: RunResult) -> bool:
    """Whether the agent on the disk is this run's: one that stopped before the last phase leaves an older one."""
    return result.exit_code == 0 and AGENT_FILE.parent.name in {*result.ran, *result.skipped, *result.cached}


def _run_command_facts(result: RunResult, agent: str | None) -> dict[str, Any]:
    return {
        "ran": result.ran,
        "skipped": [*result.skipped, *result.cached],
        "failed": result.failed,
        "seconds": round(result.seconds, 3),
        "agent": agent,
    }


def _run_command_farewell(result: RunResult, agent: str | None, scale: str) -> None:
    from forge.host.units import human_seconds

    done = f"{len(result.ran)} stages ran" if result.ran else "everything was up to date"
    say(f"{done}, {human_seconds(result.seconds)}")
    if Path("results/report.md").is_file():
        say("what each phase did: results/report.md")
    if agent is not None and scale == TRIAL_SCALE:
        say(f"{agent} is of scale {scale} and cannot answer; for one that can: agent-forge run --scale tiny")
    elif agent is not None:
        say(f"talk to the agent: agent-forge chat {agent}")
