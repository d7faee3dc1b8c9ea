"""Killing one stage again and again, and holding what is left against what must hold.

After every run, however it ended: no process of it is alive after five seconds; its outputs are absent or those of an
uninterrupted run, byte by byte; of each loop the newest two checkpoints are there (and the one that it was killed while
writing), none after publication. The next run begins each loop where the newest whole checkpoint says, evaluates no
merge and samples no trajectory that is in one.
"""

from __future__ import annotations

import json
import random
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from glob import glob
from pathlib import Path

from safetensors import SafetensorError, safe_open

from forge.errors import ForgeError
from forge.files import verify_manifest
from forge.interface.paths import declared_stage_name
from forge.pipeline.layout.phases import find_stage_in_layout
from tests.faults.lab import MICRO, SIGNALS, STAGES, TARGETS, Lab, Running, Trap, digests, make_project

# SIGINT to DVC alone is missing: it waits for its stage and goes on (a test of its own).
BLOWS = [(name, target) for name in SIGNALS for target in TARGETS if (name, target) != ("SIGINT", "dvc")]
SHORT_GRACE = (None, 0.05, 0.002)  # seconds; the shortest leaves nearly always in the middle of something
OUTCOMES = {0, 130, 137, -2, -9, -15}  # done, paused, stage killed; dvc itself dead of a signal


@dataclass
class Reference:
    """An uninterrupted run of a stage: bytes of its outputs by path, seconds, events."""

    outputs: dict[str, dict[str, str]]
    seconds: float
    events: int


@dataclass
class Blow:
    """One signal and what came of it. ``grace``: seconds, where it was cut. ``faults``: what should not be, in words.
    ``skipped``: work not repeated.
    """

    stage: str
    moment: str
    signal: str
    target: str
    grace: float | None = None
    code: int | None = None
    delivered: bool = False
    skipped: int = 0
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        faults = "; ".join(self.faults) or "ok"
        return f"{self.stage}: {self.signal} to {self.target} {self.moment}: code {self.code}, {faults}"


def _folders(project: Path, stage: str, pattern: str) -> list[Path]:
    # Path.glob stumbles where a running stage removes a folder that it is about to enter.
    root = project / ".forge" / "checkpoints" / stage
    return [root / found for found in sorted(glob(pattern, root_dir=root))]


def checkpoints(project: Path, stage: str) -> dict[str, dict[int, bool]]:
    """Checkpoints of an unfinished stage: by loop, step and whether they are whole.

    Those that a stage was about to remove when it was killed, its outputs published, are none any more.
    """
    found: dict[str, dict[int, bool]] = {}
    for folder in _folders(project, stage, "*/*/step-*"):
        if folder.parents[1].suffix == ".discarded":
            continue
        try:
            verify_manifest(folder)
            whole = True
        except ForgeError:
            whole = False
        found.setdefault(folder.parent.name, {})[int(folder.name.removeprefix("step-"))] = whole
    return found


def evaluated(project: Path, stage: str) -> set[str]:
    """Merges whose evaluation is in the newest whole checkpoint."""
    for folder in reversed(_folders(project, stage, "*/evolution/step-*")):
        if folder.parents[1].suffix == ".discarded":
            continue
        try:
            verify_manifest(folder)
            with safe_open(folder / "state.safetensors", framework="np") as file:
                return set(json.loads(file.metadata()["scalars"])["records"])
        except (ForgeError, SafetensorError, OSError):
            continue
    return set()


class Victim:
    """A stage in a project whose inputs are there, and the outputs that it must arrive at."""

    def __init__(self, lab: Lab, project: Path, phase: str, branch: str | None, reference: Reference) -> None:
        self.lab, self.project, self.branch, self.reference = lab, project, branch, reference
        self.phase = find_stage_in_layout(phase)
        self.name = declared_stage_name(phase, branch)

    def clear(self) -> None:
        """Remove the outputs and records, as DVC does before every run."""
        for path in (*self.phase.outputs(self.branch), *self.phase.records(self.branch)):
            target = self.project / path
            if target.is_dir():
                shutil.rmtree(target)
            else:
                target.unlink(missing_ok=True)

    def strike(self, rng: random.Random, first: bool = False) -> Blow:
        """One run with one signal at a random moment: an event of it, or a time. The first is SIGKILL past the
        middle, when there is something to resume.
        """
        name, target = rng.choice(BLOWS) if not first else ("SIGKILL", rng.choice(TARGETS))
        grace = rng.choice(SHORT_GRACE)
        event = rng.randint(int(0.6 * self.reference.events) if first else 1, self.reference.events)
        seconds = rng.uniform(0.0, self.reference.seconds)
        timed = not first and rng.random() < 0.3
        moment = f"after {seconds:.2f} s" if timed else f"at event {event}"
        blow = Blow(self.name, moment, name, target, grace)
        before = checkpoints(self.project, self.name), evaluated(self.project, self.name)
        self.clear()
        run = self.lab.start(
            self.project, self.phase.name, self.branch, None if timed else Trap(event, name, target), grace=grace
        )
        if timed:
            time.sleep(seconds)
            blow.delivered = run.send(name, target)
        blow.code = run.wait()
        self.inspect(run, blow, *before)
        if not timed:
            blow.delivered = bool(run.lines("kill"))
        return blow

    def finish(self) -> Blow:
        """A run that nothing disturbs."""
        blow = Blow(self.name, "", "nothing", "nobody")
        before = checkpoints(self.project, self.name), evaluated(self.project, self.name)
        self.clear()
        run = self.lab.start(self.project, self.phase.name, self.branch)
        blow.code = run.wait()
        self.inspect(run, blow, *before)
        if blow.code != 0:
            blow.faults.append(f"an undisturbed run ends with {blow.code}: {run.output()[-300:]}")
        return blow

    def inspect(self, run: Running, blow: Blow, saved: dict[str, dict[int, bool]], known: set[str]) -> None:
        """Everything that must hold after a run."""
        if left := self.lab.living():
            blow.faults.append(f"still alive: {left}")
        output = run.output()
        if blow.code not in OUTCOMES or "Traceback" in output:
            blow.faults.append(f"code {blow.code}: {output[-600:]}")
        published = self.outputs()
        for path, expected in self.reference.outputs.items():
            if path in published and published[path] != expected:
                differing = sorted(
                    k for k in expected.keys() | published[path].keys() if expected.get(k) != published[path].get(k)
                )
                blow.faults.append(f"{path} is there and differs in {differing}")
        if blow.code == 0 and published.keys() != self.reference.outputs.keys():
            blow.faults.append(f"it ended well without {sorted(self.reference.outputs.keys() - published.keys())}")
        if blow.code == 0 and (left := leftovers(self.project)):
            blow.faults.append(f"left lying about: {left}")
        self.inspect_retention(blow)
        self.inspect_resumption(run, blow, saved, known)

    def outputs(self) -> dict[str, dict[str, str]]:
        """Digests of the outputs that are there, by path, plots among them."""
        return outputs(self.project, self.phase.name, self.branch)

    def inspect_retention(self, blow: Blow) -> None:
        """Two checkpoints a loop, a third one while it is written (a stage whose grace is over stops there as well);
        none once the stage is done.
        """
        cut_short = blow.grace is not None and blow.code not in (0, 130)
        killed = blow.signal == "SIGKILL" or cut_short
        for loop, steps in checkpoints(self.project, self.name).items():
            if len(steps) > 2 + killed:
                blow.faults.append(f"{loop} keeps checkpoints {sorted(steps)}")
        home = self.project / ".forge" / "checkpoints" / self.name
        if blow.code == 0 and (left := [p.name for p in home.rglob("*")]):
            blow.faults.append(f"left in the checkpoints: {left}")

    def inspect_resumption(self, run: Running, blow: Blow, saved: dict[str, dict[int, bool]], known: set[str]) -> None:
        """Every loop that the run came to began at the newest whole checkpoint that was there."""
        for name, begin, _ in run.lines("loop"):
            newest = max((step for step, whole in saved.get(name, {}).items() if whole), default=0)
            if int(begin) != newest:
                blow.faults.append(f"{name} began at {begin}, the newest whole checkpoint is {newest}")
            blow.skipped += int(begin)
        repeated = known & {key for (key,) in run.lines("merge")}
        if repeated:
            blow.faults.append(f"{len(repeated)} merges evaluated again")
        if run.lines("merge"):
            blow.skipped += len(known)
        newest = max((step for step, whole in saved.get("trajectories", {}).items() if whole), default=0)
        sampled = sum(int(count) for (count,) in run.lines("sample"))
        if newest + sampled > MICRO["baking"]["trajectories"]:
            blow.faults.append(f"{sampled} trajectories sampled, though there were {newest}")
        blow.skipped += newest


def leftovers(project: Path) -> list[str]:
    """Drafts and temporary files where users and DVC look."""
    found = [path for place in ("data", "models", "results") for path in (project / place).rglob(".*")]
    return sorted(str(path.relative_to(project)) for path in found)


def outputs(project: Path, phase: str, branch: str | None) -> dict[str, dict[str, str]]:
    """Digests of a stage's outputs and plots that are there, by path."""
    stage = find_stage_in_layout(phase)
    curves = [path for path in stage.records(branch) if path.endswith("plots")]
    return {path: digests(project / path) for path in (*stage.outputs(branch), *curves) if (project / path).is_dir()}


def uninterrupted(lab: Lab, project: Path, phase: str, branch: str | None) -> Reference:
    """Run a stage in peace."""
    began = time.monotonic()
    run = lab.start(project, phase, branch)
    assert run.wait() == 0, run.output()[-2000:]
    seconds = time.monotonic() - began
    assert lab.living() == []
    ((count,),) = run.lines("events")
    return Reference(outputs(project, phase, branch), seconds, int(count))


def prepare(lab: Lab, project: Path) -> dict[str, Reference]:
    """Run every stage of a new project once, in peace."""
    make_project(project)
    return {declared_stage_name(phase, branch): uninterrupted(lab, project, phase, branch) for phase, branch in STAGES}


def torture(victim: Victim, kills: int, rng: random.Random) -> Iterator[Blow]:
    """Strike until ``kills`` signals have been delivered, then let it finish."""
    delivered = 0
    done = False
    for number in range(3 * kills):
        if delivered >= kills:
            break
        blow = victim.strike(rng, first=number == 0)
        delivered += blow.delivered
        done = blow.code == 0
        yield blow
    if not done:
        yield victim.finish()
