"""`agent-forge models`: what models there are, where they came from, and whether they are still whole.

`list`, `show` and `sessions` read the registry alone; the others ask Git, DVC and the files.
"""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from forge.cli.output import JSON, emit_command_json, fail_on_terminal, on_terminal, print_terminal_table, say
from forge.cli.project import command_line_ref, given_path, in_project
from forge.errors import ForgeError, printable

if TYPE_CHECKING:
    from rich.tree import Tree

_ENDLESS = 100_000

models_app = typer.Typer(no_args_is_help=True, help="Find, register, trace and check models.")


def _command_help_examples(*lines: str) -> str:
    return "\b\nExamples:\n" + "\n".join(f"  agent-forge models {line}" for line in lines)


REF = Annotated[str, typer.Argument(metavar="REF", help="edge@v0.0.1, edge#prod, edge, models/edge or an agent.forge.")]


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def _terminal_versions_text(versions: list[dict[str, Any]]) -> str:
    """ "v0.0.1 (prod), v0.0.2"."""
    return ", ".join(v["version"] + (f" ({', '.join(v['stages'])})" if v["stages"] else "") for v in versions)


@models_app.command(
    "list", epilog=_command_help_examples("list --phase edge", "list --tag prod", "list --query reasoning --json")
)
@in_project
def list_command(
    phase: Annotated[str | None, typer.Option(help="Only models of this phase.")] = None,
    tag: Annotated[str | None, typer.Option(help="A tag of its metadata, a version (edge@v0.0.1) or a stage.")] = None,
    query: Annotated[str | None, typer.Option(help="Text in a name, a tag or a headline metric.")] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Also what earlier runs and experiments have made; --json lists all anyway.")
    ] = False,
    as_json: JSON = False,
) -> None:
    """List the models that lie in models/ or are registered, the newest first.

    `where` is models/ for what lies there now, or the name of the experiment that made it. Bytes are those of the files
    that someone must copy, as in the ledger.
    """
    from forge.pipeline.registry.models import list_models

    found = list_models(phase, tag, query)
    if as_json:
        emit_command_json({"models": found})
        return
    shown = [model for model in found if every or model["present"] or model["versions"]]
    header = ("model", "where", "scale", "versions", "id", "parameters", "bytes", "made")
    print_terminal_table(header, map(_terminal_model_row, shown))
    if hidden := len(found) - len(shown):
        say(f"not shown: {hidden} that earlier runs and experiments have made (agent-forge models list --all)")
    if not found:
        say("no models like that; after a run or in a fresh clone: agent-forge models reindex")


def _terminal_model_row(model: dict[str, Any]) -> tuple[str, ...]:
    return (
        model["artifact"] or model["path"],
        "models/" if model["present"] else model["experiment"] or "",
        model["scale"] or "",
        _terminal_versions_text(model["versions"]),
        model["model_id"],
        f"{model['parameters']:,}",
        f"{model['bytes']:,}",
        _when(model["recorded"]),
    )


@models_app.command("show", epilog=_command_help_examples("show edge", "show edge@v0.0.1 --json", "show models/edge"))
@in_project
def show_command(
    ref: Annotated[str, typer.Argument(metavar="NAME|ID|PATH", help="A name, version, model id or directory.")],
    as_json: JSON = False,
) -> None:
    """Show one model: metadata, metrics, parents, versions, and the handoffs that it passed."""
    from forge.pipeline.metrics.recorded import metric_value_text
    from forge.pipeline.registry.models import find_model

    model = find_model(command_line_ref(ref))
    if as_json:
        emit_command_json(model)
        return
    for key in ("model_id", "artifact", "path", "scale", "experiment", "phase", "specialization", "session_id"):
        if model[key] is not None:
            say(f"{key}: {model[key]}")
    say(f"in models/ now: {'yes' if model['present'] else 'no'}")
    for key in ("parameters", "bytes"):
        say(f"{key}: {model[key]:,}")
    say(f"manifest_sha256: {model['manifest_sha256']}")
    say(f"made: {_when(model['recorded'])}")
    say(f"tags: {', '.join(model['tags'])}")
    say(f"parents: {', '.join(model['parents']) or 'none'}")
    say(f"versions: {', '.join(version['tag'] for version in model['versions']) or 'none registered'}")
    for name, value in _dotted_rows_for_terminal(model["metrics"]):
        say(f"  {name}: {metric_value_text(value)}")
    for handoff in model["handoffs"]:
        outcome = "passed" if handoff["passed"] else f"refused: {handoff['breach']}"
        say(f"handoff to {handoff['target']}, {_when(handoff['time'])}: {outcome}")


def _dotted_rows_for_terminal(tree: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Leaves of nested mappings as ("a.b", value)."""
    found: list[tuple[str, Any]] = []
    for key, value in tree.items():
        if isinstance(value, dict):
            found += _dotted_rows_for_terminal(value, f"{prefix}{key}.")
        else:
            found.append((f"{prefix}{key}", value))
    return found


@models_app.command(
    "sessions", epilog=_command_help_examples("sessions --phase cognate", "sessions --status failed --json")
)
@in_project
def sessions_command(
    phase: Annotated[str | None, typer.Option(help="Only this phase, or one branch: cognate@reasoning.")] = None,
    status: Annotated[
        Literal["running", "paused", "failed", "killed", "done"] | None, typer.Option(help="Only runs in this state.")
    ] = None,
    as_json: JSON = False,
) -> None:
    """List the runs of stages that are remembered, with the outcome of their handoff checks."""
    from forge.pipeline.registry.sessions import list_sessions

    found = list_sessions(phase, status)
    if as_json:
        emit_command_json({"sessions": found})
        return
    rows = []
    for session in found:
        steps = f"{session['step']}/{session['total']}" if session["total"] else ""
        rows.append((session["stage"], session["status"], steps, _when(session["started"]), session["note"][:90]))
    print_terminal_table(("stage", "status", "steps", "started", "note"), rows)
    if not found:
        say("no runs like that are remembered")


@models_app.command(
    "register", epilog=_command_help_examples("register edge", "register cognate@reasoning --bump minor --push")
)
@in_project
def register_command(
    phase: Annotated[str, typer.Argument(metavar="PHASE", help="A phase, or a name under artifacts in dvc.yaml.")],
    bump: Annotated[
        Literal["major", "minor", "patch"], typer.Option(help="Which part of the version number goes up.")
    ] = "patch",
    push: Annotated[bool, typer.Option("--push", help="Push models and data (DVC) and the tag (Git) as well.")] = False,
    as_json: JSON = False,
) -> None:
    """Register a phase's model as a version: an annotated Git tag that says what it is and where it came from.

    Refused when something that decides the model is not committed, or when workspace, manifest, dvc.lock and DVC's
    cache do not agree.
    """
    from forge.pipeline.registry.versions import register

    version = register(Path(), phase, bump=bump, push=push)
    _index_registry_after_command()
    if as_json:
        emit_command_json({"tag": version.tag, "version": version.version, "commit": version.commit, **version.facts})
        return
    say(f"registered {version.tag} ({version.facts['model']['model_id']})")
    if not push:
        say(f"to share it: dvc push && git push origin {version.tag}")


def _index_registry_after_command() -> None:
    """Bring the registry up to date. The tag is made, so a registry that cannot be written is no failure."""
    from forge.pipeline.registry.index import index_in_registry

    try:
        index_in_registry(Path())
    except ForgeError as error:
        fail_on_terminal(str(error))


@models_app.command("promote", epilog=_command_help_examples("promote edge v0.0.1 prod"))
@in_project
def promote_command(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The model's name under artifacts.")],
    version: Annotated[str, typer.Argument(metavar="VERSION", help="A registered version: v0.0.1.")],
    stage: Annotated[str, typer.Argument(metavar="STAGE", help="Where it is in use from now on: dev, prod.")],
    as_json: JSON = False,
) -> None:
    """Put a registered version in use for a stage; the tag NAME#STAGE#N records it."""
    from forge.pipeline.registry.versions import promote

    found = promote(Path(), name, version, stage)
    _index_registry_after_command()
    if as_json:
        emit_command_json({"tag": found.tag, "stages": list(found.stages), "commit": found.commit})
        return
    say(f"{found.tag} is in use as: {', '.join(found.stages)}")


@models_app.command(
    "lineage", epilog=_command_help_examples("lineage edge@v0.0.1", "lineage models/compress/agent.forge --json")
)
@in_project
def lineage_command(
    ref: REF,
    params: Annotated[bool, typer.Option("--params", help="Show each stage's parameters in the tree.")] = False,
    as_json: JSON = False,
) -> None:
    """Show all that a model was made from: models, data, parameters. A clone of the repository is enough."""
    from rich.console import Console

    from forge.pipeline.registry.lineage import lineage

    found = lineage(Path(), command_line_ref(ref))
    if as_json:
        emit_command_json(found)
        return
    tree = _terminal_lineage_tree(found, params)
    if on_terminal():
        Console().print(tree, highlight=False)
        return
    # A pipe has no width: whole lines, as long as they are.
    console = Console(file=io.StringIO(), width=_ENDLESS)
    with console.capture() as captured:
        console.print(tree, highlight=False)
    say("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _terminal_lineage_tree(found: dict[str, Any], params: bool) -> Tree:
    """The ancestry as a tree; what several descendants share is written out once."""
    from rich.text import Text
    from rich.tree import Tree

    nodes = {node["path"]: node for node in found["nodes"]}
    shown: set[str] = set()

    def grow(tree: Tree, path: str) -> None:
        node = nodes[path]
        if path in shown and node["parents"]:
            tree.add(Text(printable(f"{path}, see above")))
            return
        label = " ".join(filter(None, (path, *node.get("versions", []), node.get("model_id"))))
        twig = tree.add(Text(printable(f"{label} [{node['kind']}, md5 {node['md5'].removesuffix('.dir')[:12]}]")))
        if params and node.get("params") and node["stage"] not in shown:
            values = ", ".join(f"{key}={value}" for key, value in _dotted_rows_for_terminal(node["params"]))
            twig.add(Text(printable(f"parameters of {node['stage']}: {values}"), style="dim"))
        shown.update(filter(None, (path, node.get("stage"))))
        for parent in node["parents"]:
            grow(twig, parent)

    place = f"{found['tag']}, commit {found['commit'][:12]}" if found["tag"] else "dvc.lock of the workspace"
    root = Tree(Text(printable(f"{found['ref']} ({place})")))
    grow(root, found["path"])
    return root


@models_app.command("verify", epilog=_command_help_examples("verify", "verify --json"))
@in_project
def verify_command(as_json: JSON = False) -> None:
    """Hash models, data, DVC's cache and the registry again; tell what is damaged and how to fix it.

    Exit code 1 if anything is damaged. What dvc.lock names and is not here (a fresh clone) is no damage.
    """
    from forge.pipeline.upkeep.integrity import verify_integrity

    found = verify_integrity(Path())
    if as_json:
        emit_command_json(found)
    else:
        for damage in found["damaged"]:
            say(f"damaged: {damage['path']}\n  {damage['what']}\n  fix: {damage['fix']}")
        for path in found["absent"]:
            say(f"not here: {path} (dvc checkout {path}, or dvc pull {path})")
        counts = ", ".join(f"{count} {name}" for name, count in found["checked"].items())
        say(f"checked {counts}: {len(found['damaged'])} damaged")
    if found["damaged"]:
        raise typer.Exit(1)


@models_app.command("get", epilog=_command_help_examples("get edge@v0.0.1 -o /tmp/edge", "get compress#prod -o agent"))
@in_project
def get_command(
    ref: Annotated[str, typer.Argument(metavar="REF", help="edge@v0.0.1, edge#prod, or edge for the highest version.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="A directory that does not exist yet.")],
    as_json: JSON = False,
) -> None:
    """Fetch a registered model into a directory, checked, without touching the workspace."""
    from forge.pipeline.registry.versions import fetch_registered_model

    version = fetch_registered_model(Path(), ref, given_path(output))
    if as_json:
        facts = {key: version.facts.get(key) for key in ("manifest_sha256", "model")}
        emit_command_json({"tag": version.tag, "directory": output.as_posix(), **facts})
        return
    say(f"{version.tag} is in {output}")


@models_app.command("reindex", epilog=_command_help_examples("reindex", "reindex --json"))
@in_project
def reindex_command(as_json: JSON = False) -> None:
    """Rebuild the registry's models from Git's tags, dvc.lock and the manifests; fixes a damaged registry."""
    from forge.pipeline.registry.index import reindex

    found = reindex(Path())
    if as_json:
        emit_command_json(found)
        return
    if found["damaged"]:
        saved = ", ".join(f"{count} {name}" for name, count in found["saved"].items())
        say(f"the registry was damaged; it is now {found['damaged']}, and these were saved from it: {saved}")
    dropped = f"; {len(found['dropped'])} dropped that nothing names any more" if found["dropped"] else ""
    say(f"registry: {found['models']} models, {found['versions']} versions{dropped}")
