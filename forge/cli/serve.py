"""`agent-forge serve`: an agent behind OpenAI's API, on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from forge.cli.options import ASK_BELOW
from forge.cli.output import JSON, emit_command_json, say
from forge.cli.project import model_in_project
from forge.errors import ForgeError
from forge.serve.bounds import LOOPBACK, MOST_PROMPT_TOKENS, MOST_WAITING, PROMPT_TOKENS, SHORTEST_KEY, WAITING

TOOLS_FILE = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        help="With --run-tools: how calls of your own tools are run, a tools file or a folder of such files.",
    ),
]


def serve_command(
    model: Annotated[
        str, typer.Argument(help="A directory of models/, or an agent.forge file.", callback=model_in_project)
    ],
    host: Annotated[str, typer.Option(help="Address to listen on; others than loopback need a key.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8080,
    api_key: Annotated[
        str | None,
        typer.Option(
            envvar="AGENT_FORGE_API_KEY", help="Requests must bear this key. Others see options, not variables."
        ),
    ] = None,
    run_tools: Annotated[
        bool, typer.Option("--run-tools", help="Execute calls here; otherwise they are the client's to run.")
    ] = False,
    ask_below: ASK_BELOW = 0.0,
    workspace: Annotated[
        Path | None, typer.Option(help="Folder that the tools may see; default: the one built into the package.")
    ] = None,
    tools_file: TOOLS_FILE = None,
    max_prompt_tokens: Annotated[
        int, typer.Option(min=1, max=MOST_PROMPT_TOKENS, help="Longest prompt that is read, in tokens.")
    ] = PROMPT_TOKENS,
    max_waiting: Annotated[
        int, typer.Option(min=0, max=MOST_WAITING, help="Requests that may wait for the one that is answered.")
    ] = WAITING,
    as_json: JSON = False,
) -> None:
    """Serve a model to OpenAI's clients until Ctrl-C.

    \b
    Examples:
      agent-forge serve models/compress/agent.forge
      agent-forge serve models/compress/agent.forge --port 8600 --run-tools
      agent-forge serve models/compress/agent.forge --run-tools --tools-file examples/home/tools.yaml
      AGENT_FORGE_API_KEY=... agent-forge serve models/baking --host 0.0.0.0
    """
    if api_key is not None and (len(api_key) < SHORTEST_KEY or not api_key.isascii() or not api_key.isprintable()):
        raise ForgeError(f"the API key is to be at least {SHORTEST_KEY} printable ASCII characters")
    if host not in LOOPBACK and api_key is None:
        raise ForgeError(f"{host} can be reached from other machines: that needs a key (AGENT_FORGE_API_KEY)")
    if tools_file is not None and not run_tools:
        raise typer.BadParameter("--tools-file goes with --run-tools")
    from forge.runtime.load import load_agent
    from forge.serve.launch import listen_for_api, serve_agent_api
    from forge.serve.service import AgentService, ServiceBounds

    with listen_for_api(host, port) as listening, load_agent(model, workspace=workspace, tools=tools_file) as agent:
        bounds = ServiceBounds(max_prompt_tokens, max_waiting)
        service = AgentService(agent, bounds, run_tools=run_tools, ask_below=ask_below)

        def ready(address: str) -> None:
            if as_json:
                emit_command_json({"address": address, "model": service.name, "tools": list(agent.tools)})
            else:
                say(f"{service.name}: {address} (Ctrl-C ends it)")

        serve_agent_api(service, listening, host=host, key=api_key, ready=ready)
