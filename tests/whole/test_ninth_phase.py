"""A phase more, made as CONTRIBUTING says: its folder, its blocks in params.yaml, its place in the order. It runs."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from forge.files import atomic_write_json, read_json
from tests.support.smoke_runs import GIT, ROOT, Ran, python_in

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("untraced")]
FILES = {
    "__init__.py": "",
    "phase.py": '''"""Phase 9, polish: round the weights of phase 7."""

from __future__ import annotations

from forge.interface.phase import EVALUATION, FULL_PRECISION, Phase, Stage

OWN = ("seed", "polish", "scales.{scale}.polish")
STAGE = Stage(
    "polish", "round it", "polish", (*OWN, *EVALUATION), ("edge",), publishes="phase 9", curve=None, closes=True
)
PHASE = Phase("polish", "round the weights", stages=(STAGE,), deployed=FULL_PRECISION)
''',
    "params.py": '''"""Parameters of phase 9."""

from __future__ import annotations

from forge.interface.fields import Positive, Strict


class Base(Strict):
    """How to round."""

    digits: Positive
    """Decimal digits that are kept."""


class Scale(Strict):
    """Nothing yet."""


class Params(Base, Scale):
    """Phase 9."""
''',
    "run.py": '''"""Phase 9."""

from __future__ import annotations

import torch

from forge.evals.ledger import LedgerScores
from forge.interface.run import PhaseRun
from forge.phases.polish.claims import kept_claim
from forge.phases.polish.metrics import polish_metrics
from forge.phases.polish.params import Params


def run(run: PhaseRun[Params]) -> None:
    """Round, measure, publish."""
    model, tokenizer, _ = run.load("edge")
    evaluator = run.evaluator(tokenizer)
    before = evaluator.measure(model, prompted=False)
    model.load_state_dict({k: torch.round(v, decimals=run.params.digits) for k, v in model.state_dict().items()})
    after = evaluator.measure(model, prompted=False)
    run.record(claims=[kept_claim(run, before, after)])
    run.record(polish_metrics(model, run.params.digits), headline=after.headline())
    run.save(model, tokenizer)
    run.ledger(model, LedgerScores(after), run.publish({"digits": run.params.digits}))
''',
    "claims.py": '''"""What phase 9 claims."""

from __future__ import annotations

from forge.evals.claims import Claim
from forge.evals.measure import Measurement
from forge.interface.run import PhaseRun
from forge.phases.polish.params import Params


def kept_claim(run: PhaseRun[Params], before: Measurement, after: Measurement) -> Claim:
    """Nothing is lost."""
    given, control = after.tools.correct, before.tools.correct
    return run.compare("rounding loses nothing", "suite", given, control, control_name="phase 7", margin=-0.05)
''',
    "metrics.py": '''"""What phase 9 measures."""

from __future__ import annotations

from forge.model import TinyTitanForCausalLM


def polish_metrics(model: TinyTitanForCausalLM, digits: int) -> dict[str, float]:
    """Digits and parameters."""
    return {"digits": digits, "parameters": model.num_parameters()}
''',
    "metrics.txt": "digits | digits | decimal digits that are kept\nparameters | parameters | of the model\n",
}


def add_phase(root: Path) -> None:
    """What CONTRIBUTING says, and no more."""
    for name, text in FILES.items():
        (root / "forge/phases/polish" / name).parent.mkdir(exist_ok=True)
        (root / "forge/phases/polish" / name).write_text(text)
    with (root / "README.md").open("a") as readme:
        readme.write("\nPhase 9, polish, rounds the weights.\n")
    order, params = root / "forge/phases/__init__.py", root / "params.yaml"
    order.write_text(order.read_text().replace('"compress")', '"compress", "polish")'))
    text = params.read_text().replace("\nevaluation:\n", "\npolish:\n  digits: 3\n\nevaluation:\n", 1)
    params.write_text(text.replace("\n    evaluation:\n", "\n    polish: {}\n    evaluation:\n"))


def _changed(root: Path) -> set[str]:
    """What differs from the last commit."""
    said = [*GIT, "status", "--porcelain", "-uall"]
    changed = subprocess.run(said, cwd=root, capture_output=True, text=True, check=True)
    return {line[3:] for line in changed.stdout.splitlines()}


def test_a_ninth_phase_is_its_folder_its_parameters_and_its_place(pristine: Ran, tmp_path: Path) -> None:
    root = tmp_path / "clone"
    shutil.copytree(pristine.root, root, symlinks=True)
    ran_before = _changed(root)
    add_phase(root)
    by_hand = _changed(root) - ran_before
    made = python_in(root, "-m", "forge.pipeline.upkeep.reference").split()
    assert "stages/polish.py" in made
    assert "dvc.yaml" in made
    folder = {f"forge/phases/polish/{name}" for name in FILES}
    assert by_hand == {"params.yaml", "forge/phases/__init__.py", "README.md", *folder}
    assert _changed(root) <= {*ran_before, *by_hand, *made}
    ran = json.loads(python_in(root, "-m", "forge.cli.main", "run", "--json").splitlines()[-1])["ran"]
    assert [name for name in ran if name != "code"] == ["polish", "report"], "nothing else became stale"
    assert read_json(root / "models/polish/metadata.json")["metrics"] == {"digits": 3}
    report = read_json(root / "results/report.json")
    assert report["ledger"][-1]["phase"] == "polish"
    assert any(claim["phase"] == "polish" for claim in report["claims"])
    found = json.loads(
        python_in(root, "-m", "forge.cli.main", "metrics", "--phase", "polish", "--json").splitlines()[-1]
    )
    assert {row["metric"]: row["value"] for row in found["metrics"]}["polish/digits"] == 3
    shown = python_in(root, "-m", "forge.cli.main", "config", "show", "--phase", "polish")
    assert "digits: 3  # Decimal digits that are kept." in shown


def test_a_ledger_column_is_one_line(tmp_path: Path) -> None:
    """Report and ladder follow it."""
    for name in ("forge", "results"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    ledger, row = tmp_path / "forge/evals/ledger.py", tmp_path / "results/compress/ledger.json"
    line = 'Column("letters", "letters", lambda s: None, None, "of an answer", True),'
    ledger.write_text(ledger.read_text().replace("\nCOLUMNS = (\n", f"\nCOLUMNS = (\n    {line}\n"))
    atomic_write_json(row, {**read_json(row), "letters": 12.5})
    code = "from forge.pipeline.report.gather import write_report; write_report('results', scale='tiny', seed=0)"
    python_in(tmp_path, "-c", code)
    lines = (tmp_path / "results/report.md").read_text().splitlines()
    assert any(line.startswith("| phase |") and "| letters |" in line for line in lines)
    assert [point["letters"] for point in read_json(tmp_path / "results/ladder.json")] == [None] * 7 + [12.5]
