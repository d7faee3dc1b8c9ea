"""The report: what each phase did, gathered from what the phases wrote, with the file behind every figure.

Nothing is measured here. A figure that no phase wrote down does not appear.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from forge.errors import ForgeError
from forge.evals.claims import read_claims
from forge.evals.ledger import COLUMNS, TITLES, LedgerRow, ledger_row_cells, read_ledger
from forge.files import atomic_write_json, atomic_write_text, read_json
from forge.host.machine import machine_environment
from forge.interface.paths import AGENT_FILE, RESULTS
from forge.interface.run import ReportRun
from forge.phases import ORDER
from forge.pipeline.records.tracking import flatten_recorded_values

_Found = TypeVar("_Found")
# Of the ledger: what an agent is used for.
_HEADLINE_SHARES = ("accuracy_thoughts", "accuracy_tools", "questions_right")


def _report_phase_of(path: Path, results: Path) -> str:
    return path.relative_to(results).parts[0]


def _order_report_files(paths: Iterable[Path], results: Path) -> list[Path]:
    """Files in the order of the pipeline, then by name."""
    rank = {name: index for index, name in enumerate(("data", "tools", "trunk", *ORDER))}
    return sorted(paths, key=lambda p: (rank.get(_report_phase_of(p, results), len(rank)), p.as_posix()))


def _read_those_present(paths: Iterable[Path], read: Callable[[Path], _Found]) -> Iterator[tuple[Path, _Found]]:
    """Each file with what `read` makes of it; one that is not there, or that a stage has removed since, is left out."""
    for path in paths:
        try:
            yield path, read(path)
        except ForgeError as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                raise


def _gather_ledger(results: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for path, row in _read_those_present((results / phase / "ledger.json" for phase in ORDER), read_ledger):
        if row.phase != (phase := _report_phase_of(path, results)):
            raise ForgeError(f"{path}: holds the row of {row.phase!r}, not of {phase!r}")
        rows.append({**row.model_dump(mode="json"), "file": path.as_posix()})
    return rows


def _gather_claims(results: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for path, claims in _read_those_present(_order_report_files(results.glob("**/claims.json"), results), read_claims):
        for claim in claims:
            found.append(
                {"phase": _report_phase_of(path, results), "file": path.as_posix(), **claim.model_dump(mode="json")}
            )
    return found


def _gather_metrics(results: Path) -> list[dict[str, Any]]:
    tables: list[dict[str, Any]] = []
    for path, raw in _read_those_present(_order_report_files(results.glob("**/metrics.json"), results), read_json):
        if not isinstance(raw, dict):
            raise ForgeError(f"{path}: a metrics file holds an object")
        tables.append(
            {"phase": _report_phase_of(path, results), "file": path.as_posix(), "values": flatten_recorded_values(raw)}
        )
    return tables


def _gather_runs(results: Path) -> list[dict[str, Any]]:
    """Time and memory of each stage's latest run, from the run.json that the stage left."""
    runs: list[dict[str, Any]] = []
    for path, raw in _read_those_present(_order_report_files(results.glob("**/run.json"), results), read_json):
        try:
            facts = {"seconds": float(raw["seconds"]), "peak_memory_mb": float(raw["peak_memory_mb"])}
            runs.append({"stage": str(raw["stage"]), **facts, "file": path.as_posix()})
        except (KeyError, TypeError, ValueError) as error:
            raise ForgeError(f"{path}: needs stage, seconds and peak_memory_mb") from error
    return runs


def _places_of_other_scales(results: Path, scale: str) -> dict[str, str]:
    """The folders whose stage ran last at another scale, with that scale."""
    told = _read_those_present(_order_report_files(results.glob("**/run.json"), results), read_json)
    scales = {
        path.parent.relative_to(results).as_posix(): run["scale"]
        for path, run in told
        if isinstance(run, dict) and isinstance(run.get("scale"), str)
    }
    return {place: other for place, other in scales.items() if other != scale}


def _own_data_summary(metrics: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """What the last phase that was asked about own data made of it; None without own data."""
    for table in reversed(metrics):
        if "own/rows" in (values := table["values"]):
            asked = {"rows": values["own/rows"], "held_out": values["own/held_out"]}
            return {"value": values.get("own/exact_match"), **asked, "files": [table["file"]]}
    return None


def _report_summary(ledger: Sequence[Mapping[str, Any]], runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Figures that follow from the ledger and the runs; each names the files that it is made of."""
    rows = {row["phase"]: row for row in ledger}
    summary: dict[str, Any] = {}
    if runs:
        files = [run["file"] for run in runs]
        summary["seconds_in_all"] = {"value": sum(run["seconds"] for run in runs), "files": files}
        summary["peak_memory_mb"] = {"value": max(run["peak_memory_mb"] for run in runs), "files": files}
    if "compress" not in rows:
        return summary
    last = rows["compress"]
    for phase, name, key in (
        ("cognate", "times_smaller_than_phase_1", "bytes"),
        ("baking", "accuracy_of_phase_6_kept", "accuracy_tools"),
        ("quietstar", "thoughts_of_phase_3_kept", "accuracy_thoughts"),
    ):
        if phase in rows and rows[phase].get(key) and last.get(key):
            ratio = rows[phase][key] / last[key] if key == "bytes" else last[key] / rows[phase][key]
            summary[name] = {"value": ratio, "files": [rows[phase]["file"], last["file"]]}
    return summary


def gather(
    results: Path | str = "results", *, scale: str, seed: int, partial: bool = False, one_scale: bool = False
) -> dict[str, Any]:
    """Collect ledger, claims, metrics and environment into one JSON-ready object.

    partial: as far as the phases have run. one_scale: what they left at another scale is of another run; it is left
    out, and `other_scales` says where it is.

    Raises ForgeError when a phase has no ledger row or no claim, unless `partial`, or when a file is
    malformed.
    """
    folder = Path(results)
    others = _places_of_other_scales(folder, scale) if one_scale else {}

    def own(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [row for row in rows if Path(row["file"]).parent.relative_to(folder).as_posix() not in others]

    ledger, claims, runs = own(_gather_ledger(folder)), own(_gather_claims(folder)), own(_gather_runs(folder))
    if not partial:
        for phase in ORDER:
            if all(row["phase"] != phase for row in ledger):
                raise ForgeError(f"report: phase {phase} has no ledger row ({folder / phase / 'ledger.json'})")
            if all(claim["phase"] != phase for claim in claims):
                raise ForgeError(f"report: phase {phase} has no claim ({folder / phase / 'claims.json'})")
    metrics = own(_gather_metrics(folder))
    data = _own_data_summary(metrics)
    return {
        "scale": scale,
        "seed": seed,
        "summary": _report_summary(ledger, runs) | ({} if data is None else {"own_data": data}),
        "ledger": ledger,
        "claims": claims,
        "claims_passed": sum(claim["passed"] for claim in claims),
        "claims_failed": sum(not claim["passed"] for claim in claims),
        "metrics": metrics,
        "runs": runs,
        "environment": machine_environment(),
        **({"other_scales": others} if others else {}),
    }


def report_headline_figures(report: Mapping[str, Any]) -> dict[str, float | int]:
    """The few metrics that stand for a whole run; the only file that DVC tabulates, so that `dvc exp show` can be read.

    bytes, bpb and accuracies are the last phase's; compression is over phase 1. Empty until that phase ran.
    """
    last = next((row for row in report["ledger"] if row["phase"] == "compress"), None)
    summary = report["summary"]
    if last is None or "times_smaller_than_phase_1" not in summary:
        return {}
    return {
        "bytes": last["bytes"],
        "compression": round(summary["times_smaller_than_phase_1"]["value"], 2),
        "bpb": round(last["bpb"], 4),
        **{key: last[key] for key in _HEADLINE_SHARES if last.get(key) is not None},
        "claims_passed": report["claims_passed"],
        "minutes": round(sum(run["seconds"] for run in report["runs"]) / 60, 2),
    }


def report_ladder_points(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The ledger as points to plot, phases numbered so that a plot keeps their order."""
    return [
        {"phase": f"{place} {row['phase']}", **{key: row.get(key) for key in ("bytes", *(c.key for c in COLUMNS))}}
        for place, row in enumerate(report["ledger"], start=1)
    ]


def report_number(value: Any) -> str:
    """A value as tables of results have it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        if value == 0 or not math.isfinite(value):
            return f"{value:g}"
        return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"
    return _report_table_cell(str(value))


def _report_table_cell(text: str) -> str:
    """Text that cannot break a table row."""
    return " ".join(text.split()).replace("|", "\\|")


def report_table_lines(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table of Markdown."""
    lines = [f"| {' | '.join(header)} |", f"|{'|'.join('---' for _ in header)}|"]
    return lines + [f"| {' | '.join(row)} |" for row in rows]


def _report_ledger_lines(report: Mapping[str, Any]) -> list[str]:
    return report_table_lines(
        (*TITLES, "file"), [(*ledger_row_cells(row), f"`{row['file']}`") for row in report["ledger"]]
    )


def report_claim_interval(interval: Sequence[float] | None) -> str:
    """The interval of a claim in words."""
    return "not sampled" if interval is None else f"{report_number(interval[0])} to {report_number(interval[1])}"


def _report_claim_lines(claims: Sequence[Mapping[str, Any]]) -> list[str]:
    header = (
        "phase",
        "claim",
        "metric",
        "value",
        "control",
        "its value",
        "difference, 95 % interval",
        "n",
        "verdict",
        "file",
    )
    rows = []
    for claim in claims:
        note = f" ({_report_table_cell(claim['note'])})" if claim["note"] else ""
        rows.append(
            (
                claim["phase"],
                _report_table_cell(claim["claim"]) + note,
                _report_table_cell(claim["metric"]),
                report_number(claim["value"]),
                _report_table_cell(claim["control"]),
                report_number(claim["control_value"]),
                report_claim_interval(claim["ci95"]),
                str(claim["n"]),
                "pass" if claim["passed"] else "**FAIL**",
                f"`{claim['file']}`",
            )
        )
    return report_table_lines(header, rows)


def _report_run_rows(runs: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    return [(run["stage"], f"{run['seconds']:.1f}", f"{run['peak_memory_mb']:.0f}", f"`{run['file']}`") for run in runs]


def _report_summary_lines(report: Mapping[str, Any]) -> list[str]:
    summary = report["summary"]
    lines = [f"Scale `{report['scale']}`, seed {report['seed']}."]
    lines.append(f"Claims: {report['claims_passed']} passed, {report['claims_failed']} failed.")
    if others := report.get("other_scales"):
        lines.append(f"Left out, of another scale: {', '.join(f'{place} ({name})' for place, name in others.items())}.")
    titles = {
        "seconds_in_all": "Seconds that all stages took, one after another",
        "peak_memory_mb": "Largest memory of a stage, in MB",
        "times_smaller_than_phase_1": "Times smaller than the fp32 model of phase 1",
        "accuracy_of_phase_6_kept": "Share of phase 6's suite accuracy (with tools) that is kept",
        "thoughts_of_phase_3_kept": "Share of phase 3's suite accuracy (thoughts, no tools) that is kept",
    }
    for name, title in titles.items():
        if name in summary:
            files = summary[name]["files"]
            source = "the runs below" if len(files) > 2 else " and ".join(f"`{file}`" for file in files)
            lines.append(f"{title}: {report_number(summary[name]['value'])} (from {source}).")
    if own := summary.get("own_data"):
        exact = "not asked" if own["value"] is None else f"exact match {report_number(own['value'])}"
        lines.append(f"own: {own['rows']:,} rows, {exact} on held-out {own['held_out']:,} (from `{own['files'][0]}`).")
    for row in report["ledger"]:
        for file in row["files"]:
            if Path(file).name == AGENT_FILE.name and file in row["sha256"]:
                lines.append(
                    f"`{file}`: {row['bytes']:,} bytes, SHA-256 `{row['sha256'][file]}` (from `{row['file']}`)."
                )
    return [f"- {line}" for line in lines]


def report_to_markdown(report: Mapping[str, Any]) -> str:
    """The report as Markdown; the same facts as report.json."""
    lines = ["# What each phase did", "", *_report_summary_lines(report), "", "![ladder](ladder.svg)", ""]
    lines += ["## Ledger", "", *_report_ledger_lines(report), ""]
    lines += [
        "Bytes are those of the files that someone must copy to run the model (`files` in the row's file).",
        "",
    ]
    lines += [
        "BPB: bits per UTF-8 byte of held-out text, lower is better. Suite: exact match on unseen problems. Shares: "
        + "; ".join(f"*{column.title.removeprefix('suite, ')}*: {column.says}" for column in COLUMNS[1:])
        + ". The rows' files hold each share's 95 % interval.",
        "",
    ]
    lines += ["## Claims", "", "A claim passes when the whole interval lies beyond its margin.", ""]
    lines += [*_report_claim_lines(report["claims"]), "", "## Headline metrics", ""]
    for table in report["metrics"]:
        lines += [f"### {table['phase']}: `{table['file']}`", ""]
        lines += [
            *report_table_lines(
                ("metric", "value"), [(f"`{k}`", report_number(v)) for k, v in table["values"].items()]
            ),
            "",
        ]
    lines += [
        "## Runs",
        "",
        *report_table_lines(("stage", "seconds", "peak memory, MB", "file"), _report_run_rows(report["runs"])),
        "",
    ]
    facts = {k: v for k, v in report["environment"].items() if k != "libraries"} | report["environment"]["libraries"]
    lines += [
        "## Environment",
        "",
        *report_table_lines(("what", "value"), [(k, report_number(v)) for k, v in facts.items()]),
    ]
    return "\n".join(lines) + "\n"


def write_report(results: Path | str = "results", *, scale: str, seed: int, partial: bool = False) -> dict[str, Any]:
    """Write report.json, report.md, headline.json and the ladder (json, svg) into `results` and return the report.
    Errors as in `gather`.
    """
    folder = Path(results)
    report = gather(folder, scale=scale, seed=seed, partial=partial, one_scale=partial)
    if report["ledger"]:
        from forge.pipeline.report.plot import plot_ladder_svg

        rows = [LedgerRow.model_validate({k: v for k, v in row.items() if k != "file"}) for row in report["ledger"]]
        atomic_write_text(folder / "ladder.svg", plot_ladder_svg(rows))
    atomic_write_text(folder / "report.md", report_to_markdown(report))
    atomic_write_json(folder / "report.json", report)
    atomic_write_json(folder / "headline.json", report_headline_figures(report))
    atomic_write_json(folder / "ladder.json", report_ladder_points(report))
    return report


def run(run: ReportRun) -> None:
    """What the stage `report` does."""
    write_report(RESULTS, scale=run.scale, seed=run.seed)
