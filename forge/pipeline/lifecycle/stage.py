"""The life of a stage: `with stage("bitnet") as run:` around the call of one function.

On entry: parameters are checked, the handoff contract is checked, signals are caught, seeds are set, records
are opened. On exit: what DVC expects is there, or the process leaves with one line on stderr (1: refused or
failed, 130: interrupted after saving). See `forge.pipeline.layout.paths` for the two roots.
"""

from __future__ import annotations

import logging
import os
import platform
import random
import resource
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from forge.config import Params, load_params
from forge.config.schema import EvaluationParams
from forge.errors import ForgeError, Interrupted
from forge.files import atomic_write_json, read_json, remove_leftovers, verify_manifest
from forge.host.disk import check_room, disk_full_note, is_disk_full, stage_bytes
from forge.host.sampling import SystemSampler
from forge.host.signals import StopRequest, stop_on_signals
from forge.pipeline.handoff.contracts import check_handoff, contract_into
from forge.pipeline.handoff.publish import building, describe, open_draft, read_metadata, seal, write_extra
from forge.pipeline.layout.paths import (
    OWN,
    PREPARED,
    RESULTS,
    WORKSPACE,
    model_path,
    results_path,
    run_dir,
    stage_name,
    state_dir,
)
from forge.pipeline.layout.phases import Phase, phase_named
from forge.pipeline.lifecycle.checkpoints import CheckpointHome, checkpoint_key, fingerprint
from forge.pipeline.records.logs import JsonLinesHandler, logging_to
from forge.pipeline.records.tracking import (
    ALL_METRICS,
    SERIES,
    Tracker,
    finite_numbers,
    stay_offline,
    write_all_metrics,
)
from forge.pipeline.registry.sessions import Session

LOG = logging.getLogger(__name__)


class Run:
    """One run of one stage: what it may read, where it writes, what it records. Made by `stage`."""

    def __init__(
        self, phase: Phase, branch: str | None, params: Params, stop: StopRequest, log: JsonLinesHandler
    ) -> None:
        self._log = log
        self.phase = phase
        self.branch = branch
        self.name = stage_name(phase.name, branch)
        self.all_params = params
        self.params = params.phase(phase.name)
        self.evaluation: EvaluationParams = params.phase("evaluation")
        own_seed = self.params.branches[branch].seed if branch else 0
        self.seed: int = params.seed + own_seed
        self.results_dir = RESULTS if phase.name == "report" else results_path(phase.name, branch)
        self._stop = stop
        self._started = time.monotonic()
        self._parents: list[str] = []
        self._verified: set[Path] = set()
        self._draft: Path | None = None
        self._published = False
        self._summary: dict[str, Any] = {}
        self._headline: dict[str, Any] = {}
        self._claims: list[dict[str, Any]] = []
        self._tracker: Tracker | None = None
        self._sampler: SystemSampler | None = None
        self._system: dict[str, float] = {}
        keys = [key.format(scale=params.scale, branch=branch) for key in phase.params]
        self._decisive = params.select(keys)
        self.session = fingerprint(self.name, self._decisive, phase.reads())
        self._entry = Session(self.name, self.session, params.scale)
        self._checkpoints = CheckpointHome(self.name, checkpoint_key(phase, branch, params))

    # ---- what it reads ----

    def model_dir(self, phase: str, branch: str | None = None) -> Path:
        """A model that this stage declares as input, its manifest verified.

        Raises:
            ForgeError: not declared in `forge/pipeline/layout/phases.py` (and so unknown to DVC), missing, or
                changed.
        """
        if phase not in self.phase.inputs:
            raise ForgeError(f"{self.name} does not declare models/{phase} as an input")
        return self._verify(model_path(phase, branch))

    def model_dirs(self, phase: str) -> dict[str, Path]:
        """All branches of a branched phase by name, in the order of declaration."""
        return {str(name): self.model_dir(phase, name) for name in phase_named(phase).branches}

    @property
    def data_dir(self) -> Path:
        """`data/prepared`, its manifest verified when the stage began."""
        return self._verify(PREPARED)

    @property
    def workspace_dir(self) -> Path:
        """`data/workspace` (the tools' documents, files and database), verified when the stage began."""
        return self._verify(WORKSPACE)

    def _verify(self, directory: Path) -> Path:
        if directory not in self._verified:
            verify_manifest(directory)
            self._verified.add(directory)
        return directory

    # ---- interruption ----

    @property
    def stop_requested(self) -> bool:
        """A signal came: save, then raise `Interrupted`."""
        return self._stop.requested

    @property
    def checkpoint_dir(self) -> Path:
        """Where the loop keeps its state; this process holds the lock, and publication empties it."""
        return self._checkpoints.path

    def progress(self, step: int, total: int, note: str = "") -> None:
        """Tell watchers how far the work is; cheap enough to be called every step."""
        self._stop.step, self._stop.total = step, total
        self._tracking.status("running", step, total, note, throttle=True)
        self._entry.progress(step, total, note)

    # ---- what it records ----

    @property
    def _tracking(self) -> Tracker:
        if self._tracker is None:
            raise ForgeError(f"{self.name} keeps no records")
        return self._tracker

    def log(self, step: int, **metrics: Any) -> None:
        """One point of each series. Names with a slash go in as `run.log(3, **{"train/loss": 0.5})`."""
        self._tracking.log(step, metrics)

    def summary(self, values: Mapping[str, Any], headline: Mapping[str, Any] | None = None) -> None:
        """Summary values; may be called again to add more.

        Args:
            values: everything that the phase measured; goes to W&B and `.forge/runs/<stage>/summary.json`.
            headline: the 10 to 25 of them that `dvc metrics show` prints; numbers, text or lists.
        """
        self._summary.update(values)
        self._headline.update(headline or {})
        self._summary.update(headline or {})

    def phase_metrics(self, phase: str, values: Mapping[str, Any]) -> None:
        """Write the metrics of a phase that no stage of its own measures as a whole, as phase 1 with its branches.

        Raises:
            ForgeError: this stage does not declare that phase's row of the ledger, or a number is not finite.
        """
        if phase not in self.phase.ledger:
            raise ForgeError(f"{self.name} does not declare the metrics of {phase!r}")
        write_all_metrics(results_path(phase) / ALL_METRICS, phase, values)

    def claims(self, claims: Sequence[BaseModel | Mapping[str, Any]]) -> None:
        """Claims for `results/<phase>/claims.json`; may be called again to add more."""
        for claim in claims:
            self._claims.append(claim.model_dump(mode="json") if isinstance(claim, BaseModel) else dict(claim))

    def ledger(self, row: BaseModel) -> None:
        """Write a phase's row to `results/<phase>/ledger.json`.

        Raises:
            ForgeError: this stage does not declare that phase's row.
        """
        values = row.model_dump(mode="json")
        if values["phase"] not in self.phase.ledger:
            raise ForgeError(f"{self.name} does not declare the ledger row of {values['phase']!r}")
        atomic_write_json(results_path(values["phase"]) / "ledger.json", values)

    @property
    def seconds(self) -> float:
        """Wall clock since the stage began; for results only, never for a model's directory."""
        return time.monotonic() - self._started

    def recorded_seconds(self, *phases: str) -> float:
        """Wall clock of the latest runs of earlier stages, from their `run.json`, branches added up."""
        files = [results_path(name, branch) / "run.json" for name in phases for branch in phase_named(name).branches]
        return float(sum(read_json(file)["seconds"] for file in files))

    # ---- what it publishes ----

    @property
    def out_dir(self) -> Path:
        """The model's directory while it is built; `publish` puts it in place."""
        if self._draft is None:
            self._draft = open_draft(model_path(self.phase.name, self.branch))
        return self._draft

    def building(self, target: str | Path) -> AbstractContextManager[Path]:
        """A directory that is no model (`data/prepared`), to fill; put in place when the block ends."""
        if Path(target).as_posix() not in self.phase.outputs(self.branch):
            raise ForgeError(f"{self.name} does not declare {target} as an output")
        return building(Path(target))

    def publish(
        self,
        model: Any = None,
        tokenizer: Any = None,
        *,
        metadata: Mapping[str, Any],
        files: Mapping[str, bytes | str | Path] | None = None,
    ) -> Path:
        """Put the model in place: weights, tokenizer, extra files, metadata.json, manifest.json, in one
        rename.

        Args:
            model: saved by `forge.model.save_model`; None if the files are in `out_dir` already.
            tokenizer: saved by its own `save_pretrained`; None if there is none to save.
            metadata: facts for the next handoff, see `forge.pipeline.handoff.publish.describe`.
            files: extra files by relative name: bytes, text or a file to copy.

        Returns:
            The published directory.
        """
        if self._published:
            raise ForgeError(f"{self.name} has published already")
        if model is not None:
            from forge.model import save_model

            save_model(model, self.out_dir)
        if tokenizer is not None:
            tokenizer.save_pretrained(str(self.out_dir))
        write_extra(self.out_dir, files or {})
        describe(
            self.out_dir,
            phase=self.phase.name,
            branch=self.branch,
            session=self.session,
            parents=self._parents,
            facts=finite_facts(metadata),
        )
        target = model_path(self.phase.name, self.branch)
        seal(self.out_dir, target)
        self._draft = None
        self._published = True
        return target

    # ---- the lifecycle, driven by `stage` ----

    def begin(self) -> None:
        """Take the lock, sweep up after a killed run, check disk and handoff, seed everything, open the records."""
        self._checkpoints.open()
        resumed = any(self.checkpoint_dir.iterdir())
        self._entry.start(self.all_params.file.registry, resumed=resumed)
        check_room(stage_bytes(self.phase.name, self.all_params), self.name, Path.cwd(), state_dir())
        for folder in {Path(path).parent for path in self.phase.records(self.branch)}:
            remove_leftovers(folder)
        self._check_inputs()
        _seed_everything(self.seed, torch_too=self.phase.name not in ("data", "report"))
        if self.phase.name != "report":
            config = {"scale": self.all_params.scale, **self._decisive}
            self._tracker = Tracker(
                self.name,
                run_dir(self.name),
                config=config,
                resumed=resumed,
                prefix=metric_prefix(self.phase, self.branch),
                kept=self.checkpoint_dir / SERIES,
            )
            self._sampler = SystemSampler(run_dir(self.name), resumed=resumed)
            self._sampler.start()
            LOG.info("%s at scale %s", "resumed" if resumed else "started", self.all_params.scale)

    def _check_inputs(self) -> None:
        """Verify all that the stage reads before it spends hours on it: the handoff by its contract, the rest by
        manifest.
        """
        if self.phase.inputs:
            self._check_handoff()
        if self.phase.outputs(self.branch) and self.phase.data != (OWN.as_posix(),):
            for path in self.phase.reads():
                self._verify(Path(path))

    def _check_handoff(self) -> None:
        source = self.phase.inputs[0]
        directories = {str(name): model_path(source, name) for name in phase_named(source).branches}
        contract = contract_into(self.phase.name)
        if contract is None:
            found = [read_metadata(self._verify(directory)) for directory in directories.values()]
        else:
            found = check_handoff(
                contract,
                directories,
                thresholds=self.all_params.contracts,
                parameters_target=self.all_params.phase("cognate").parameters_target,
                results=results_path(source),
                record=self._entry.handoff,
            )
            self._verified.update(directories.values())
        self._parents = [metadata.model_id for metadata in found]

    def complete(self) -> None:
        """Write what DVC expects and clear the checkpoints.

        Raises:
            ForgeError: a declared output is missing.
            Interrupted: DVC is dead. It will have this stage run again, which the checkpoints, kept, make short.
        """
        self._stop.settle()
        if self._tracker is not None:
            self._headline["phase/duration_seconds"] = round(self.seconds, 3)
            self._summary["phase/duration_seconds"] = round(self.seconds, 3)
            self._system = self._sampler.stop() if self._sampler is not None else {}
            self._summary |= {f"system/{name}": value for name, value in self._system.items()}
            if "claims.json" in {Path(path).name for path in self.phase.records(self.branch)}:
                atomic_write_json(self.results_dir / "claims.json", self._claims)
            atomic_write_json(self.results_dir / "run.json", self._run_facts())
            self._tracker.finish(self._summary, self._headline, self.results_dir, self.phase.curve)
        for path in (*self.phase.outputs(self.branch), *self.phase.records(self.branch)):
            if not Path(path).exists():
                raise ForgeError(f"{self.name} ended without writing {path}")
        if self._stop.orphaned:
            raise Interrupted(self._stop.step, self._stop.total)
        if self._tracker is not None:
            self._tracker.status("done")
        if self._published:
            self._entry.published(model_path(self.phase.name, self.branch))
        self._entry.end("done", self._stop.step, self._stop.total, "")
        LOG.info("done in %.1f s", self.seconds)
        self._checkpoints.discard()

    def _run_facts(self) -> dict[str, Any]:
        """What differs between two equal runs: time, machine, memory."""
        started = time.time() - self.seconds
        return {
            "stage": self.name,
            "scale": self.all_params.scale,
            "session_id": self.session,
            "created_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
            "seconds": round(self.seconds, 3),
            "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "torch": version("torch"),
            "system": self._system,
            "warnings": self._log.warnings,
        }

    def give_up(self, state: str, note: str) -> None:
        """Close the records of a run that did not complete; checkpoints stay."""
        self._entry.end(state, self._stop.step, self._stop.total, note)
        if self._tracker is not None:
            try:
                self._tracker.abandon(state, self._stop.step, self._stop.total, note)
            except OSError as error:  # on a full disk the reason is still to be told
                LOG.warning("the records of this run are not whole: %s", error)

    def release(self) -> None:
        """Let go of the lock, of the thread that samples, and of a half-built directory."""
        if self._sampler is not None:
            self._sampler.stop()
        if self._draft is not None:
            shutil.rmtree(self._draft, ignore_errors=True)
        kept = self.checkpoint_dir / SERIES
        if self.checkpoint_dir.is_dir() and list(self.checkpoint_dir.iterdir()) == [kept]:
            kept.unlink()  # points without a checkpoint are points of nothing
        self._checkpoints.close()


def metric_prefix(phase: Phase, branch: str | None) -> str:
    """What the names of a stage's metrics begin with: `forge`, and `cognate/model_2` for the second branch."""
    return f"{phase.name}/model_{phase.branches.index(branch) + 1}" if branch else phase.name


def finite_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata with its numbers checked to be finite and turned into plain ones; other values are kept."""
    return {
        key: finite_numbers({key: value})[key] if hasattr(value, "item") or isinstance(value, float) else value
        for key, value in facts.items()
    }


def _seed_everything(seed: int, *, torch_too: bool) -> None:
    """Seed the global generators (libraries use them; our code has its own) and forbid nondeterministic
    kernels.
    """
    random.seed(seed)
    if not torch_too:
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    import numpy as np
    import torch

    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    # The same flag as use_deterministic_algorithms, which imports torch's compiler besides: a second or two, for
    # nothing in a stage without an optimizer (torch.optim imports it too).
    torch.set_deterministic_debug_mode("error")
    # Filling fresh memory with NaN would find reads of uninitialized values, at the cost of a pass a tensor.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    if threads := os.environ.get("AGENT_FORGE_THREADS"):
        torch.set_num_threads(int(threads))


@contextmanager
def stage(name: str, branch: str | None = None, *, params: str | Path = "params.yaml") -> Iterator[Run]:
    """Run the block as a stage of the pipeline.

    Args:
        name: a stage of `forge.pipeline.layout.phases.PHASES`.
        branch: which one, for a branched stage.
        params: parameter file of the workspace.

    Raises:
        SystemExit: 1 on a `ForgeError`, 130 on `Interrupted`; one line is on stderr then.
    """
    stay_offline()
    label = stage_name(name, branch)
    with logging_to(label) as log, stop_on_signals() as stop:
        run: Run | None = None
        try:
            phase = phase_named(name)
            if branch not in phase.branches:
                known = ", ".join(str(b) for b in phase.branches)
                raise ForgeError(f"{name}: no branch {branch!r}; known: {known}")
            run = Run(phase, branch, load_params(params), stop, log)
            run.begin()
            yield run
            run.complete()
        except BaseException as error:
            stop.settle()
            state, note, code = _ending(stop.cause(error))
            if run is not None:
                run.give_up(state, note)
            LOG.log(logging.INFO if state == "paused" else logging.ERROR, "%s", note)
            if code is None:
                raise
            if state == "paused":
                print(f"{label}: {note}", file=sys.stderr)
            raise SystemExit(code) from error
        finally:
            if run is not None:
                run.release()


def _ending(error: BaseException) -> tuple[str, str, int | None]:
    """How a stage ends that does not complete: its state, a line for the user, and the exit code; None for a fault of
    the program, whose traceback is wanted."""
    if isinstance(error, Interrupted):
        return "paused", str(error), 130
    if isinstance(error, ForgeError):
        return "failed", str(error), 1
    if is_disk_full(error):
        return "failed", disk_full_note(error), 1
    return "failed", f"{type(error).__name__}: {error}", None
