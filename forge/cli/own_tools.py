"""`agent-forge eval MODEL --own-tools PATH`: which calls a model makes of your own tools, beside a matcher of words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from forge.cli.output import emit_command_json, print_terminal_table, say, whisper

if TYPE_CHECKING:
    from forge.evals.own_tools import OwnToolScore
    from forge.runtime.agent import Agent

OWN_ROWS = 400  # where nothing is said


def eval_own_tools_command(agent: Agent, path: Path, *, n: int, seed: int, as_json: bool) -> None:
    """Draw held-out rows of the tools of a file or folder, score the model and the control on them, and print both.

    Raises:
        ForgeError: the files are no tools files, or declare other tools than those that the model was trained on.
    """
    from forge.data.declared.rows import own_tool_rows
    from forge.evals.answering import MAX_NEW_TOKENS
    from forge.evals.own_tools import score_own_tools, score_word_matcher
    from forge.runtime.own_tools import read_agent_tools_to_run
    from forge.tools.declared.reading import list_tools_files, read_own_tool_files

    trained = bool(agent.declared)
    if trained:
        files = read_agent_tools_to_run(path, agent.declared, str(agent.path))
    else:  # what a model makes of them that never saw them
        files = read_own_tool_files(list_tools_files(path))
    tools = [tool for file in files for tool in file.tools]
    rows = own_tool_rows(tools, {"train": 0, "val": 0, "test": n}, seed)["test"]
    score = score_own_tools(agent.model, agent.tokenizer, tools, rows, max_new_tokens=MAX_NEW_TOKENS)
    control = score_word_matcher(tools, rows)
    if as_json:
        sizes = {"tools": [tool.name for tool in tools], "n": len(rows), "seed": seed, "trained": trained}
        emit_command_json({**sizes, "model": _own_tool_json(score), "word_matcher": _own_tool_json(control)})
        return
    if not trained:
        whisper("note: this model was not trained on tools of your own")
    table = []
    for name in (*score.categories, "calls", "idle"):
        made, by_words = _own_tool_part(score, name), _own_tool_part(control, name)
        if made is not None and by_words is not None:
            interval = f"{made['low']:.3f} to {made['high']:.3f}"
            table.append((name, f"{made['n']}", f"{made['right']:.3f}", interval, f"{by_words['right']:.3f}"))
    print_terminal_table(("kind", "n", "right", "95 % interval", "word matcher"), table)
    say(f"{len(tools)} tools, {len(rows)} held-out rows, seed {seed}; calls: rows that want one or more; idle: none")


def _own_tool_part(score: OwnToolScore, name: str) -> dict[str, float] | None:
    return {"calls": score.calls, "idle": score.idle}.get(name) or score.categories.get(name)


def _own_tool_json(score: OwnToolScore) -> dict[str, Any]:
    return {"categories": score.categories, "calls": score.calls, "idle": score.idle}
