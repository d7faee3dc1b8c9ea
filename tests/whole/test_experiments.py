"""docs/experiments.md, run: its commands in their order, on a copy of a finished run."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from forge.files import read_json
from forge.pipeline.dvc.runner import dvc_process_environment
from tests.support.smoke_runs import ROOT, Ran

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("untraced")]
NAMES = ("four-bits", "softer", "fewer-codes", "fewest-codes")
WIDTH = 160
DEADLINE_SECONDS = 300.0


@dataclass
class Page:
    """The copy in which the page was run, and what each command printed."""

    root: Path
    environment: dict[str, str]
    printed: dict[str, str]

    def run(self, command: str) -> str:
        """Run a command as a user's shell would; it must succeed."""
        done = subprocess.run(
            ["bash", "-c", command], cwd=self.root, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stdout[-1000:]}{done.stderr[-1000:]}"
        return done.stdout

    def wait_for_the_queue(self) -> None:
        """Until no task waits or runs."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while re.search(r"\b(Queued|Running)\b", self.run("dvc queue status")):
            assert time.monotonic() < deadline, "the queue never came to an end"
            time.sleep(4)  # to ask takes as long as a stage, of the same two cores

    def processes(self) -> list[psutil.Process]:
        """Processes that this copy has started and that still run."""
        found = []
        for process in psutil.process_iter():
            try:
                if Path(process.cwd()).is_relative_to(self.root) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.Error, OSError):
                continue  # gone meanwhile, or another user's
        return found


def commands() -> list[str]:
    """Every line of the page's bash blocks."""
    text = (ROOT / "docs/experiments.md").read_text(encoding="utf-8")
    return [line for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]


@pytest.fixture(scope="module")
def page(pristine: Ran, tmp_path_factory: pytest.TempPathFactory) -> Page:
    """A copy of the finished clone after the whole page."""
    place = tmp_path_factory.mktemp("experiments")
    root, programs = place / "clone", place / "bin"
    shutil.copytree(pristine.root, root, symlinks=True)
    programs.mkdir()
    # the installed command may belong to another checkout
    (programs / "agent-forge").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m forge.cli.main "$@"\n')
    (programs / "agent-forge").chmod(0o755)
    environment = {k: v for k, v in dvc_process_environment().items() if not k.startswith("COVERAGE_")}
    environment |= {"PATH": f"{programs}{os.pathsep}{environment['PATH']}", "WANDB_MODE": "disabled"}
    for role in ("AUTHOR", "COMMITTER"):
        environment |= {f"GIT_{role}_NAME": "smoke", f"GIT_{role}_EMAIL": "smoke@example.org"}
    page = Page(root, environment, {})
    for command in commands():
        page.printed[command] = page.run(command)
        if command.startswith("dvc queue start"):
            page.wait_for_the_queue()
    return page


def printed(page: Page, start: str) -> str:
    """What the page's command that starts so has printed."""
    return next(text for command, text in page.printed.items() if command.startswith(start))


def test_all_experiments_end_and_are_kept(page: Page) -> None:
    assert {name for name in NAMES if f"-n {name} " in " ".join(commands())} == set(NAMES)
    listed = page.run("dvc exp list --name-only").split()
    assert set(NAMES) <= set(listed)
    assert printed(page, "dvc queue status").count("Success") == 2
    assert "Running stage 'compress'" in printed(page, "dvc queue logs fewer-codes")
    assert "Running stage 'edge'" not in printed(page, "dvc queue logs fewer-codes")


def test_dvcs_table_fits_a_terminal(page: Page) -> None:
    shown = printed(page, "dvc exp show --md")
    lines = [line for line in shown.splitlines() if line]
    assert max(map(len, lines)) <= WIDTH, shown
    for name in NAMES:
        assert sum(f"[{name}]" in line for line in lines) == 1
    for column in ("bytes", "bpb", "compression", "minutes", "compress.embed_bits", "compress.vq_codebook"):
        assert f" {column} " in lines[0]


def test_dvcs_table_would_fit_if_every_headline_metric_varied(page: Page) -> None:
    shown = printed(page, "dvc exp show --md")
    columns = [column.strip() for column in shown.splitlines()[0].strip("|").split("|")]
    command = next(command for command in commands() if command.startswith("dvc exp show --md"))
    dropped = re.compile(shlex.split(command)[-1])
    headline = {name for name in read_json(page.root / "results/headline.json") if not dropped.match(name)}
    missing = headline - set(columns)
    assert len(shown.splitlines()[0]) + sum(len(name) + 3 for name in missing) <= WIDTH, columns


def test_compare_shows_how_two_experiments_differ(page: Page) -> None:
    facts = json.loads(page.run("agent-forge compare fewer-codes fewest-codes --json").splitlines()[-1])
    assert facts["parameters"] == [{"key": "compress.vq_codebook", "a": 128, "b": 64}]
    by_phase = {row["phase"]: row for row in facts["ledger"]}
    assert by_phase["edge"]["a"] == by_phase["edge"]["b"]
    size = {side: by_phase["compress"][side]["bytes"] for side in "ab"}
    assert size["a"] != size["b"]
    assert {row["place"] for row in facts["metrics"]} == {"compress"}
    claims = [row for row in facts["claims"] if "times smaller" in row["claim"]]
    assert (claims[0]["a"]["value"] < claims[0]["b"]["value"]) == (size["a"] > size["b"])
    shown = printed(page, "agent-forge compare fewer-codes fewest-codes")
    assert max(map(len, shown.splitlines())) <= 120
    assert "compress.vq_codebook" in shown


def test_compare_lists_all_experiments(page: Page) -> None:
    shown = printed(page, "agent-forge compare --all")
    assert max(map(len, shown.splitlines())) <= 120
    changed = {"four-bits": "compress.embed_bits=4", "softer": "compress.kd_weight=0.2"}
    changed |= {"fewer-codes": "compress.vq_codebook=128", "fewest-codes": "compress.vq_codebook=64"}
    for name, parameter in changed.items():
        (line,) = [line for line in shown.splitlines() if line.split()[:1] == [name]]
        assert parameter in line


def test_dvcs_differences_are_short(page: Page) -> None:
    for start in ("dvc exp diff", "dvc metrics diff", "dvc params diff"):
        lines = printed(page, start).strip().splitlines()
        assert 2 < len(lines) < 30, lines
        assert max(map(len, lines)) <= WIDTH
    assert "compress.vq_codebook" in printed(page, "dvc params diff")
    assert "results/headline.json" in printed(page, "dvc metrics diff")


def test_plots_are_drawn_for_every_phase(page: Page) -> None:
    plots = json.loads(printed(page, "dvc plots show --json"))
    assert not plots.get("errors")
    drawn = {name for name, renderers in plots["data"].items() if renderers}
    assert {"bytes against quality", "loss of the branches", "fitness of evomerge", "results/ladder.svg"} <= drawn
    for phase in ("quietstar", "bitnet", "forge", "baking", "edge", "compress"):
        assert f"results/{phase}/plots/metrics/train/loss_avg_100.tsv" in drawn
        assert f"results/{phase}/claims.json" in drawn
    assert not any(name.endswith("all_metrics.json") for name in drawn)
    html = (page.root / "dvc_plots/index.html").read_text(encoding="utf-8")
    assert "jsdelivr" not in html
    assert all(name in html for name in ("HEAD", "four-bits", "fewer-codes", "verdict"))


def test_a_branch_holds_the_experiment_and_the_workspace_is_back(page: Page) -> None:
    kept = page.run("git show smaller-agent:params.yaml")
    assert re.search(r"^  vq_codebook: 128\b", kept, re.MULTILINE)
    assert page.run("git status --porcelain") == ""
    assert page.run("dvc status").strip() == "Data and pipelines are up to date."
    assert read_json(page.root / "results/headline.json") == json.loads(page.run("git show HEAD:results/headline.json"))


def test_seeds_queue_and_leave_the_queue(page: Page) -> None:
    assert printed(page, "dvc exp run --queue -S 'seed=range(1,4)'").count("Queued experiment") == 3
    assert not re.search(r"\b(Queued|Running)\b", page.run("dvc queue status"))


def test_no_process_is_left(page: Page) -> None:
    """Workers leave some ten seconds after their last task."""
    deadline = time.monotonic() + 60
    while left := page.processes():
        assert time.monotonic() < deadline, [process.cmdline() for process in left]
        time.sleep(0.2)
