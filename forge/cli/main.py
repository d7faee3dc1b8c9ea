"""`agent-forge`: the entry point, and the one place where an exception becomes a line and an exit code."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

import forge
from forge.cli import edit, info, use
from forge.cli.clean import clean_command
from forge.cli.compare import compare_command
from forge.cli.doctor import doctor_command
from forge.cli.logs import logs_command
from forge.cli.merge import merge_command
from forge.cli.metrics import metrics_command
from forge.cli.models import models_app
from forge.cli.monitor import monitor_command
from forge.cli.output import fail_on_terminal, say
from forge.cli.project import in_project, in_project_if_any
from forge.cli.run import run_command
from forge.cli.serve import serve_command
from forge.cli.tools import tools_app
from forge.errors import ForgeError, Interrupted
from forge.host.disk import storage_fault_note

INTERRUPTED = 130  # 128 + SIGINT, as shells do it
WRONG_USAGE = 2
# Typer carries its own copy of click and exports only some of its exceptions; this is the parent of all
# wrong usage.
UsageError: Any = typer.BadParameter.__bases__[0]
NO_COMMAND = "NoArgsIsHelpError"  # its wrong usage for a command, or a group of commands, without a word after it

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Forge a small agent in eight measured phases, and talk to it.",
)
app.command("run")(in_project(run_command))
app.command("status")(in_project(info.status_command))
app.command("phases")(in_project(info.phases_command))
info.config_app.command("edit")(in_project_if_any(edit.config_edit))
app.add_typer(info.config_app, name="config")
app.add_typer(models_app, name="models")
app.add_typer(tools_app, name="tools")
app.command("eval")(use.eval_command)
app.command("generate", cls=use.PromptCommand)(use.generate_command)
app.command("chat")(use.chat_command)
app.command("serve")(serve_command)
app.command("bench")(use.bench_command)
app.command("size")(use.size_command)
app.command("merge")(merge_command)
app.command("report")(in_project(info.report_command))
app.command("metrics")(in_project(metrics_command))
app.command("compare")(in_project(compare_command))
app.command("monitor")(in_project(monitor_command))
app.command("logs")(in_project(logs_command))
app.command("doctor")(in_project_if_any(doctor_command))
app.command("clean")(in_project(clean_command))


def _tell_version(wanted: bool) -> None:
    if wanted:
        say(f"agent-forge {forge.__version__}")
        raise typer.Exit


@app.callback()
def _command_line_options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of a fault; may stand anywhere.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", is_eager=True, callback=_tell_version)
    ] = False,
) -> None:
    """Forge a small agent in eight measured phases, and talk to it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 well, 1 fault, 2 wrong usage, 130 interrupted."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = _take_command_line_debug(given)
    try:
        outcome = app(given, prog_name="agent-forge", standalone_mode=False)
    except BrokenPipeError:
        # The reader (head, less) has left: give the interpreter's last flush somewhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except typer.Abort:
        return INTERRUPTED
    except Interrupted as stop:
        fail_on_terminal(str(stop))
        return INTERRUPTED
    except UsageError as error:
        if type(error).__name__ == NO_COMMAND:
            say(error.format_message())
            return 0
        fail_on_terminal(f"{error.format_message()} (agent-forge --help lists the commands)")
        return WRONG_USAGE
    except ForgeError as error:
        if debug:
            raise
        fail_on_terminal(str(error))
        return 1
    except Exception as error:
        if debug:
            raise
        fault = f"{type(error).__name__}: {error} (a fault of the program; --debug shows where)"
        fail_on_terminal(storage_fault_note(error) or fault)
        return 1
    return outcome if isinstance(outcome, int) else 0


def _take_command_line_debug(arguments: list[str]) -> bool:
    """Remove --debug from the arguments, wherever it stands before a bare `--`, and tell whether it was
    there.
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)
    places = [i for i in range(end) if arguments[i] == "--debug"]
    for place in reversed(places):
        del arguments[place]
    return bool(places)


def cli() -> None:
    """The console script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # closed streams are None
            stream.reconfigure(errors="backslashreplace")  # a terminal that is not UTF-8 lacks most characters
    sys.exit(main())


if __name__ == "__main__":
    cli()
