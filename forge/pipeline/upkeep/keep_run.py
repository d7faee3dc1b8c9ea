"""Keep a run that ended: `python -m forge.pipeline.upkeep.keep_run PROJECT` copies what docs and tests refer to.

A run at the scale that this project's params.yaml names becomes results/, dvc.lock and agents/<scale>.forge; a run at
another scale becomes docs/runs/<scale>/ and agents/<scale>.forge. Then `make reference`.
"""

from __future__ import annotations

import sys
from pathlib import Path

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
        ForgeError: the run has no report, or its report names another agent.forge than the one there. Nothing is
            written then.
    """
    report = read_json(project / "results" / "report.json")
    agent, row = project / AGENT_FILE, report["ledger"][-1]
    if not agent.is_file() or row["sha256"] != {AGENT_FILE.as_posix(): sha256_file(agent)}:
        raise ForgeError(
            f"{agent}: not the file that {project / 'results' / 'report.json'} names; run the stage report"
        )
    copies = {agent: Path("agents") / f"{report['scale']}.forge"}
    if report["scale"] == load_params(root / "params.yaml").scale:
        results = project / "results"
        copies |= {path: path.relative_to(project) for path in sorted(results.rglob("*")) if path.is_file()}
        copies[project / "dvc.lock"] = Path("dvc.lock")
    else:
        folder = RUNS / report["scale"]
        copies |= {project / "results" / name: folder / name for name in REPORT_FILES}
        copies |= {project / name: folder / name for name in ("params.yaml", "dvc.lock")}
        curve = project / "curve" / "results"
        copies |= {curve / name: folder / name for name in CURVE_FILES if (curve / name).is_file()}
    for source, target in copies.items():
        atomic_write_bytes(root / target, source.read_bytes())
    for path in (root / "results").rglob("*") if Path("dvc.lock") in copies.values() else ():
        if path.is_file() and path.relative_to(root) not in copies.values():
            path.unlink()  # of a phase that the run did not have
    return sorted(copies.values())


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
