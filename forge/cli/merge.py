"""The command `merge`: models of one architecture into one, by the methods of phase 2."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from forge.cli.output import JSON, emit_command_json, say
from forge.errors import ForgeError
from forge.interface.limits import LARGEST_SEED

DIRECTORY = "directory in Hugging Face format with safetensors weights"


def merge_command(
    method: Annotated[str, typer.Option(help="linear, slerp, ties or dare.")],
    out: Annotated[Path, typer.Option("--output", "-o", help="Where the merged model goes; must not exist.")],
    model: Annotated[list[Path], typer.Option(help=f"A model to merge: a {DIRECTORY}. Give it several times.")],
    base: Annotated[
        Path | None, typer.Option(help="The model that the others were trained from; slerp starts at it.")
    ] = None,
    weight: Annotated[
        list[float] | None, typer.Option(help="One a model, in their order; default: equal parts.")
    ] = None,
    density: Annotated[
        float | None, typer.Option(help="ties, dare: share of each task vector that is kept, default 0.5.")
    ] = None,
    t: Annotated[
        float | None, typer.Option("--t", help="slerp: from the base or first model (0) to the other (1), default 0.5.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=LARGEST_SEED, help="dare: which entries are dropped, default 0.")
    ] = None,
    align: Annotated[
        bool, typer.Option("--align", help="Reorder heads and units to match the first; TinyTitans only.")
    ] = False,
    as_json: JSON = False,
) -> None:
    """Merge models of one architecture into one.

    \b
    Examples:
      agent-forge merge --method linear --model A --model B --weight 0.6 --weight 0.4 -o OUT
      agent-forge merge --method ties --base TRUNK --model A --model B --density 0.5 -o OUT
    """
    if os.path.lexists(out):
        raise ForgeError(f"{out}: exists already; name a new directory")
    for directory in (*model, *([] if base is None else [base])):
        if not directory.is_dir():
            raise ForgeError(f"{directory}: no such model directory")
    from forge.host.disk import check_host_disk_room
    from forge.merge.directories import Recipe, merge_directories, write_merged
    from forge.merge.methods import is_merge_finite
    from forge.pipeline.handoff.publish import publishing_new_directory

    weights = tuple(weight) if weight else None
    recipe = Recipe(method, tuple(model), base, weights, density, t, seed, align)
    merged = merge_directories(recipe)
    if not is_merge_finite(merged.state):
        raise ForgeError("merge: the merged weights are not finite; nothing was written")
    check_host_disk_room(
        sum(tensor.nbytes for tensor in merged.state.values()), "the merged model", out.absolute().parent
    )
    with publishing_new_directory(out) as draft:
        metrics = write_merged(recipe, merged, draft)
    if as_json:
        emit_command_json({"out": str(out), "method": method, **metrics, "notes": merged.notes})
        return
    for note in merged.notes:
        say(f"note: {note}")
    say(f"{out}: {len(model)} models merged by {method}, {metrics['parameters']:,} parameters")
