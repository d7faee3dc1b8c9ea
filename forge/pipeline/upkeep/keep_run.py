"""Keep a run that ended: `python -m forge.pipeline.upkeep.keep_run PROJECT` copies what docs and tests refer to.

A run at the scale that this project's params.yaml names becomes results/, dvc.lock and agents/<scale>.forge; a run at
another scale becomes docs/runs/<scale>/ and agents/<scale>.forge. Then `make reference`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from forge.config import load_params
from forge.errors import ForgeError
from forge.files import atomic_write_bytes, read_json, sha256_file
from forge.interface.paths import AGENT_FILE

RUNS = Path("docs/runs")
REPORT_FILES = ("report.md", "report.json", "ladder.svg")
CURVE_FILES = ("curve.md", "curve.svg")  # of a project of its own, which need not have run


def keep_run(project: Path, root: Path = Path()) -> list[Path]:
    """Copy the results of ``project``; the places written to, from ``root``.

    Raises:
        ForgeError: the run has no report, its report names another agent.forge than the one there, a file is missing,
            or it has the scale of this project and other parameters. Nothing is written then.
    """
    report = read_json(project / "results" / "report.json")
    if not (isinstance(report, dict) and report.get("ledger") and report.get("scale")):
        raise ForgeError(f"{project / 'results' / 'report.json'}: not the report of a run that ended")
    agent, row = project / AGENT_FILE, report["ledger"][-1]
    if not agent.is_file() or row["sha256"] != {AGENT_FILE.as_posix(): sha256_file(agent)}:
        raise ForgeError(
            f"{agent}: not the file that {project / 'results' / 'report.json'} names; run the stage report"
        )
    here = load_params(root / "params.yaml")
    committed = report["scale"] == here.scale
    if committed and here.file != load_params(project / "params.yaml").file:
        raise ForgeError(f"{project / 'params.yaml'}: other parameters than here; results/ would not be theirs")
    copies = {agent: Path("agents") / f"{report['scale']}.forge"}
    copies |= _whole(project) if committed else _beside(project, report)
    try:
        contents = {target: source.read_bytes() for source, target in copies.items()}
    except OSError as error:
        raise ForgeError(f"{error.filename}: {error.strerror}; nothing was kept") from error
    for target, content in contents.items():
        atomic_write_bytes(root / target, content)
    for path in (root / ("results" if committed else RUNS / report["scale"])).rglob("*"):
        if path.is_file() and path.relative_to(root) not in contents:
            path.unlink()  # of another run
    return sorted(contents)


def _whole(project: Path) -> dict[Path, Path]:
    """results/ and dvc.lock. The curve is a project of its own, whose results are not committed."""
    results = [path for path in sorted((project / "results").rglob("*")) if path.is_file()]
    return {path: path.relative_to(project) for path in (*results, project / "dvc.lock")}


def _beside(project: Path, report: Mapping[str, Any]) -> dict[Path, Path]:
    """What docs/runs/ has of a run."""
    folder, curve = RUNS / report["scale"], project / "curve" / "results"
    copies = {project / "results" / name: folder / name for name in REPORT_FILES}
    copies |= {project / name: folder / name for name in ("params.yaml", "dvc.lock")}
    return copies | {curve / name: folder / name for name in CURVE_FILES if (curve / name).is_file()}


def main() -> None:
    """Keep the run of the project that the command line names."""
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m forge.pipeline.upkeep.keep_run PROJECT")
    try:
        kept = keep_run(Path(sys.argv[1]))
    except ForgeError as error:
        raise SystemExit(f"error: {error}") from error
    print(f"{len(kept)} files kept; now `make reference`")


if __name__ == "__main__":
    main()
