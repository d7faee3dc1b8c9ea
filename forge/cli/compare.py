"""`agent-forge compare`: two experiments side by side, or all of them in one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forge.cli.output import JSON, emit_command_json, on_terminal, say
from forge.errors import ForgeError, printable

if TYPE_CHECKING:
    from rich.console import Console

PIPED_WIDTH = 120
_HEADLINE = {  # of results/headline.json: short titles, so that the parameters have room
    "bytes": "bytes",
    "compression": "smaller",
    "bpb": "BPB",
    "accuracy_thoughts": "thoughts",
    "accuracy_tools": "tools",
    "claims_passed": "claims",
    "minutes": "min",
}
_NAME = "An experiment, a revision, a tag, or the word workspace."


def compare_command(
    a: Annotated[str | None, typer.Argument(help=_NAME)] = None,
    b: Annotated[str | None, typer.Argument(help="What to compare it with.")] = None,
    every: Annotated[
        bool, typer.Option("--all", help="HEAD, the workspace and every experiment in one table.")
    ] = False,
    as_json: JSON = False,
) -> None:
    """Put two experiments, revisions or tags side by side: ledger, claims, metrics and parameters that differ.

    Examples:

      agent-forge compare HEAD workspace

      agent-forge compare fewer-codes more-steps

      agent-forge compare --all
    """
    from forge.pipeline.report.compare import compare_report_snapshots, report_all_experiments, snapshot_to_compare

    if every:
        if a is not None:
            raise ForgeError("compare: give two names, or --all, not both")
        _print_terminal_answer({"experiments": report_all_experiments(Path())}, as_json, _show_all)
        return
    if a is None or b is None:
        raise ForgeError("compare: two names are needed, for example: agent-forge compare HEAD workspace; or --all")
    _print_terminal_answer(
        compare_report_snapshots(snapshot_to_compare(Path(), a), snapshot_to_compare(Path(), b)), as_json, _show
    )


def _print_terminal_answer(facts: dict[str, Any], as_json: bool, show: Callable[[dict[str, Any]], None]) -> None:
    if as_json:
        emit_command_json(facts)
    else:
        show(facts)


def _terminal_figure_text(value: Any) -> str:
    """A figure for a person; "-" for one that is not there."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _terminal_change(a: Any, b: Any) -> str:
    """One figure when both are equal, else "0.5 -> 0.6"; metrics that only look equal are written out."""
    if a == b:
        return _terminal_figure_text(a)
    return (
        f"{_terminal_figure_text(a)} -> {_terminal_figure_text(b)}"
        if _terminal_figure_text(a) != _terminal_figure_text(b)
        else f"{a!r} -> {b!r}"
    )


def _console() -> Console:
    """As wide as the terminal; a pipe gets a fixed width."""
    from rich.console import Console

    return Console(width=None if on_terminal() else PIPED_WIDTH, highlight=False)


def _print_fitted_terminal_table(
    console: Console,
    title: str,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    none: str = "",
    one_line: bool = False,
) -> None:
    """A table fitted to the width: it wraps its cells, or with `one_line` cuts off the last one. `none` is said when it
    has no rows.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    if not rows:
        say(none)
        return
    drawn = Table(*header, title=title, title_justify="left", box=box.SIMPLE)
    for place, column in enumerate(drawn.columns):
        column.overflow = "ellipsis" if one_line else "fold"
        column.no_wrap = one_line or place == 0
        if one_line and place < len(header) - 1:
            column.min_width = max(len(row[place]) for row in [header, *rows])
    if one_line:  # else a long cell would take the room of all columns before it; a column has 3 characters around it
        taken = sum(3 + (column.min_width or 0) for column in drawn.columns)
        drawn.columns[-1].max_width = max(len(header[-1]), console.width - taken - 1)
    for row in rows:
        drawn.add_row(*(Text(printable(cell)) for cell in row))
    console.print(drawn)


def _show(both: Mapping[str, Any]) -> None:
    for side in ("a", "b"):
        facts = both[side]
        where = f" ({facts['commit'][:7]})" if facts["commit"] else ""
        say(f"{side}: {facts['name']}{where}, scale {facts['scale']}, seed {facts['seed']}")
    rows = [*both["ledger"], *both["claims"]]
    if not both["parameters"] and not both["metrics"] and all(row["a"] == row["b"] for row in rows):
        say("nothing differs: parameters, ledger, claims and metrics are the same")
        return
    console = _console()
    changed = [
        (row["key"], _terminal_figure_text(row["a"]), _terminal_figure_text(row["b"])) for row in both["parameters"]
    ]
    _print_fitted_terminal_table(console, "parameters that differ", ("key", "a", "b"), changed, "no parameter differs")
    _show_ledger(console, both["ledger"])
    _show_claims(console, both["claims"])
    metrics = [
        (
            row["place"],
            row["metric"],
            _terminal_figure_text(row["a"]),
            _terminal_figure_text(row["b"]),
            _terminal_gap(row),
        )
        for row in both["metrics"]
    ]
    header = ("of", "metric", "a", "b", "b - a")
    _print_fitted_terminal_table(console, "metrics that differ", header, metrics, "no metric differs")


def _show_ledger(console: Console, ledger: Sequence[Mapping[str, Any]]) -> None:
    from forge.evals.ledger import COLUMNS, TITLES

    keys = ("bytes", "parameters", *(column.key for column in COLUMNS))
    rows = [
        (row["phase"], *(_terminal_change((row["a"] or {}).get(key), (row["b"] or {}).get(key)) for key in keys))
        for row in ledger
    ]
    header = TITLES[:-1]
    _print_fitted_terminal_table(console, "ledger, a -> b where they differ", header, rows, "neither has a ledger")


def _show_claims(console: Console, claims: Sequence[Mapping[str, Any]]) -> None:
    def verdict(claim: Mapping[str, Any] | None) -> str:
        if claim is None:
            return "-"
        value, control = (_terminal_figure_text(claim[key]) for key in ("value", "control_value"))
        return f"{value} : {control} {'pass' if claim['passed'] else 'FAIL'}"

    rows = [
        (row["place"], row["claim"], verdict(row["a"]), "the same" if row["a"] == row["b"] else verdict(row["b"]))
        for row in claims
    ]
    _print_fitted_terminal_table(
        console, "claims, value : control", ("of", "claim", "a", "b"), rows, "neither has a claim"
    )
    for side in ("a", "b"):
        given = [row[side] for row in claims if row[side] is not None]
        say(f"{side}: {sum(claim['passed'] for claim in given)} of {len(given)} claims passed")


def _terminal_gap(row: Mapping[str, Any]) -> str:
    a, b = row["a"], row["b"]
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (a, b))
    return f"{b - a:+.4g}" if numbers else ""


def _show_all(facts: Mapping[str, Any]) -> None:
    rows = [
        (
            row["name"],
            (row["commit"] or "")[:7],
            *(_terminal_figure_text(row["headline"].get(key)) for key in _HEADLINE),
            row.get("unreadable")
            or ", ".join(f"{key}={_terminal_figure_text(value)}" for key, value in row["parameters"].items()),
        )
        for row in facts["experiments"]
    ]
    header = ("name", "commit", *_HEADLINE.values(), "parameters unlike HEAD's")
    _print_fitted_terminal_table(_console(), "", header, rows, one_line=True)
