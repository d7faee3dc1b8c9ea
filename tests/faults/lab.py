"""What the tests of faults and the soak share: a small project, runs of its stages, and kills at chosen moments."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from forge.config.load import _params_yaml_editor
from forge.pipeline.dvc.runner import dvc_process_environment
from forge.pipeline.layout.phases import STAGES

ROOT = Path(__file__).resolve().parents[2]
ORPHAN_SECONDS = 5.0
RUN_SECONDS = 120.0
SIGNALS = {"SIGINT": signal.SIGINT, "SIGTERM": signal.SIGTERM, "SIGKILL": signal.SIGKILL}
TARGETS = ("stage", "dvc", "group")
STAGES = tuple((phase.name, branch) for phase in STAGES[:-1] for branch in phase.branches)

# As small as it goes with every loop of every phase left in: several steps, several checkpoints, two generations.
MICRO: dict[str, dict[str, Any]] = {
    "data": {
        "train_direct": 12,
        "train_tooled": 12,
        "train_worked": 12,
        "train_tool": 60,
        "train_persona": 40,
        "train_recall": 24,
        "train_text": 24,
        "eval_per_family": 4,
        "val_per_family": 4,
    },
    "cognate": {"trunk_steps": 6, "branch_steps": 5, "batch_tokens": 256},
    "evomerge": {"generations": 3, "population": 4, "fitness_samples": 4},
    "quietstar": {"steps": 4, "validation_n": 1},
    "bitnet": {"steps": 5, "batch_tokens": 256},
    "forge": {"steps": 6, "batch_tokens": 256, "eval_every": 2},
    "baking": {"trajectories": 8, "steps": 5, "batch_tokens": 256},
    "edge": {"steps": 5, "batch_tokens": 256, "latency_repeats": 1},
    "compress": {"steps": 4, "batch_tokens": 256},
    "evaluation": {"suite_n": 1, "tool_n": 1, "persona_n": 1, "answer_tokens": 8, "text_chars": 300},
}
CHECKPOINT_EVERY = {
    "cognate": 2,
    "evomerge": 1,
    "quietstar": 1,
    "bitnet": 2,
    "forge": 2,
    "baking": 1,
    "edge": 2,
    "compress": 1,
}


def shrink(params: Path) -> None:
    """Set a parameter file to scale smoke and far below its sizes, and let every loop save itself all the time."""
    editor = _params_yaml_editor()
    tree = editor.load(params.read_text(encoding="utf-8"))
    tree["scale"] = "smoke"
    for phase, values in MICRO.items():
        tree["scales"]["smoke"][phase].update(values)
    for phase, steps in CHECKPOINT_EVERY.items():
        tree[phase]["checkpoint_every"] = steps
    tree["evomerge"]["elites"] = 1
    tree["evaluation"]["bootstrap"] = 100
    with open(params, "w", encoding="utf-8") as stream:
        editor.dump(tree, stream)


def make_project(directory: Path) -> Path:
    """A project for stages that run without DVC: parameters and nothing else."""
    (directory / "data" / "own").mkdir(parents=True)
    shutil.copy(ROOT / "params.yaml", directory / "params.yaml")
    shrink(directory / "params.yaml")
    return directory


def link_project(source: Path, target: Path) -> Path:
    """A second project that shares the published files of the first by hard links: files are replaced, never
    rewritten.
    """
    names = ["params.yaml", "data", "models", "results"]
    target.mkdir(parents=True)
    for name in names:
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name, copy_function=os.link)
        else:
            shutil.copy2(source / name, target / name)
    return target


def flip(path: Path, place: float = 0.5) -> None:
    """Change one bit of a file at a relative place, as a rotten disk does; the file's links keep the old bytes."""
    data = bytearray(path.read_bytes())
    data[min(len(data) - 1, int(place * len(data)))] ^= 4
    mode = path.stat().st_mode
    path.unlink()
    path.write_bytes(data)
    path.chmod(mode)


def digests(directory: Path) -> dict[str, str]:
    """SHA-256 of every file under a directory, by relative path."""
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    return {p.relative_to(directory).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@dataclass
class Trap:
    """A signal to a target at an event, counted from the stage's first line."""

    event: int
    signal: str
    target: str

    def __str__(self) -> str:
        return f"{self.signal} to {self.target} at event {self.event}"


class Lab:
    """The fork server and its runs. A context manager: nothing survives it."""

    def __init__(self) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("COVERAGE_", "DVC_"))}
        environment |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled"}
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.server"],
            cwd=ROOT,
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        import psutil

        for process in psutil.Process(self._server.pid).children(recursive=True):
            process.kill()
        self._server.communicate()

    def _answer(self) -> dict[str, Any]:
        assert self._server.stdout is not None
        line = self._server.stdout.readline()
        assert line, "the fork server has died"
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _ask(self, **request: Any) -> dict[str, Any]:
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        return self._answer()

    def start(
        self, project: Path, phase: str, branch: str | None = None, trap: Trap | None = None, **options: Any
    ) -> Running:
        """Fork a stage. Options: `grace` (seconds), `file_limit` (bytes a file), `small_disk` (`directory`, `kib`),
        `environment`.
        """
        name = f"{phase}@{branch}" if branch else phase
        environment = {"DVC_ROOT": str(project), "DVC_STAGE": name, **options.pop("environment", {})}
        log, trace = project / ".stage.log", project / ".stage.trace"
        for path in (log, trace):
            path.unlink(missing_ok=True)
        request = {
            "phase": phase,
            "branch": branch,
            "directory": str(project),
            "environment": environment,
            "log": str(log),
            "trace": str(trace),
            "trap": None if trap is None else {**vars(trap), "signal": int(SIGNALS[trap.signal])},
            "grace": None,
            "file_limit": None,
            "small_disk": None,
            **options,
        }
        return Running(self, log, trace, **self._ask(do="start", **request))

    def command(self, project: Path, command: list[str], **environment: str) -> Running:
        """Run any command in a session of its own."""
        log = project / ".command.log"
        log.unlink(missing_ok=True)
        settings = {k: v for k, v in dvc_process_environment().items() if not k.startswith("COVERAGE_")}
        settings |= environment
        started = self._ask(do="start", command=command, directory=str(project), log=str(log), environment=settings)
        return Running(self, log, project / ".stage.trace", **started)

    def wait(self, leader: int, seconds: float) -> int | None:
        """Exit code of a run's leader (negative: killed by that signal), None if it still lives."""
        code: int | None = self._ask(do="wait", leader=leader, seconds=seconds)["code"]
        return code

    def living(self, seconds: float = ORPHAN_SECONDS) -> list[str]:
        """Command lines of what is alive of any run, after so many seconds at most."""
        return list(self._ask(do="living", seconds=seconds)["living"].values())


@dataclass
class Running:
    """One run: process ids of its leader and (of a forked one) its stage."""

    lab: Lab
    log: Path
    trace: Path
    leader: int
    stage: int | None

    def send(self, name: str, target: str) -> bool:
        """Send a signal now; False if there is nobody left."""
        assert self.stage is not None or target != "stage"
        pid = {"stage": self.stage, "dvc": self.leader, "group": -self.leader}[target]
        try:
            os.kill(int(pid or 0), SIGNALS[name])
        except ProcessLookupError:
            return False
        return True

    def wait(self, seconds: float = RUN_SECONDS) -> int:
        """Exit code of the leader."""
        code = self.lab.wait(self.leader, seconds)
        assert code is not None, f"still running after {seconds} s: {self.log.read_text()[-500:]}"
        return code

    def output(self) -> str:
        """What it has printed so far."""
        return self.log.read_text(encoding="utf-8") if self.log.exists() else ""

    def lines(self, kind: str) -> list[list[str]]:
        """Words of the trace's lines of a kind, without the kind."""
        text = self.trace.read_text(encoding="utf-8") if self.trace.exists() else ""
        return [line.split()[1:] for line in text.splitlines() if line.startswith(kind + " ")]
