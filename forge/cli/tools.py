"""The commands about tools of your own."""

from __future__ import annotations

import typer

from forge.cli.tools_import import tools_import_command

tools_app = typer.Typer(no_args_is_help=True, help="Declare tools of your own.")
tools_app.command("import")(tools_import_command)
