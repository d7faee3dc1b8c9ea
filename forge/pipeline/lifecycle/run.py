"""One run of one stage, as its phase sees it (`forge.interface.run.PhaseRun`) and as the lifecycle drives it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from forge.config import Params
from forge.config.schema import BLOCKS
from forge.errors import ForgeError, Interrupted
from forge.files import atomic_write_json, remove_temporary_files
from forge.host.disk import check_host_disk_room
from forge.host.signals import StopRequest
from forge.interface.params import EvaluationParams, TrainingParams
from forge.interface.paths import declared_stage_name
from forge.interface.phase import Stage
from forge.interface.run import B, Published
from forge.pipeline.layout.disk import stage_bytes
from forge.pipeline.layout.paths import layout_state_dir
from forge.pipeline.layout.phases import layout_input_files, phase_in_layout
from forge.pipeline.lifecycle.checkpoints import CheckpointHome, stage_checkpoint_key, stage_fingerprint
from forge.pipeline.lifecycle.inputs import Inputs, wall_clock_of_stage_lifecycles
from forge.pipeline.lifecycle.output import Output
from forge.pipeline.lifecycle.recording import Recording
from forge.pipeline.records.logs import JsonLinesHandler
from forge.pipeline.records.tracking import SERIES
from forge.pipeline.registry.sessions import Session

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from forge.data.build import Row
    from forge.data.dataset import EncodedSet
    from forge.data.declared.own_set import OwnTools
    from forge.evals.claims import Claim
    from forge.evals.evaluator import Evaluator
    from forge.evals.ledger import LedgerScores
    from forge.evals.shared import MeasurementTable
    from forge.model import TinyTitanForCausalLM


class Run:
    """What a stage may read, where it writes, what it records. Made by `forge.pipeline.lifecycle.stage`."""

    def __init__(
        self, stage: Stage, branch: str | None, params: Params, stop: StopRequest, log: JsonLinesHandler
    ) -> None:
        self._log, self._stop, self._all = log, stop, params
        self.stage, self.branch = stage, branch
        self.name = declared_stage_name(stage.name, branch)
        self.scale = params.scale
        self.params: Any = params.block(stage.phase)
        self.training: TrainingParams = params.file.training
        self.evaluation: EvaluationParams = params.block("evaluation")
        self.seed: int = params.seed + (self.params.branches[branch].seed if branch else 0)
        self._started = time.monotonic()
        self._decisive = params.select([key.format(scale=params.scale, branch=branch) for key in stage.params])
        self.session = stage_fingerprint(self.name, self._decisive, layout_input_files(stage, params.file.data.tools))
        self.inputs = Inputs(stage, params)
        self.output = Output(stage, branch, self.session)
        self.recording = Recording(stage, branch)
        self._entry = Session(self.name, self.session, params.scale)
        self._checkpoints = CheckpointHome(self.name, stage_checkpoint_key(stage, branch, params))

    # ---- what it reads ----

    def parameters_of(self, block: type[B]) -> B:
        """See `forge.interface.run.PhaseRun`, as for all methods that follow but those of the lifecycle."""
        found: B = self._all.block(next(name for name, model in BLOCKS.items() if model is block))
        return found

    def load(self, stage: str, branch: str | None = None) -> Published:
        found = self.inputs.load(stage, branch)
        self._measured.read(found.directory)
        return found

    def load_branches(self, stage: str) -> dict[str, Published]:
        found = self.inputs.load_branches(stage)
        for branch in found.values():
            self._measured.read(branch.directory)
        return found

    def split(self, name: str) -> EncodedSet:
        return self.inputs.split(name)

    def rows(self, name: str) -> list[Row]:
        return self.inputs.rows(name)

    def tokenizer(self) -> PreTrainedTokenizerFast:
        return self.inputs.tokenizer()

    @property
    def own_tools(self) -> OwnTools:
        return self.inputs.own_tools

    @property
    def workspace_dir(self) -> Path:
        return self.inputs.workspace_dir

    # ---- interruption ----

    @property
    def stop_requested(self) -> bool:
        return self._stop.requested

    @property
    def orphaned(self) -> bool:
        """Whether DVC is dead, so that nobody waits for this run."""
        return self._stop.orphaned

    @property
    def checkpoint_dir(self) -> Path:
        return self._checkpoints.path

    def progress(self, step: int, total: int, note: str = "") -> None:
        self._stop.step, self._stop.total = step, total
        self.recording.tracker.status("running", step, total, note, throttle=True)
        self._entry.progress(step, total, note)

    # ---- what it measures and records ----

    @cached_property
    def _measured(self) -> MeasurementTable:
        from forge.evals.shared import MeasurementTable

        return MeasurementTable()

    def log(self, step: int, **metrics: Any) -> None:
        self.recording.tracker.log(step, metrics)

    def evaluator(self, tokenizer: PreTrainedTokenizerFast) -> Evaluator:
        from forge.evals.evaluator import Evaluator

        return Evaluator(tokenizer, self.evaluation, self.workspace_dir, self.rows, self._measured, self.own_tools)

    def compare(
        self, claim: str, metric: str, treatment: Sequence[float], control: Sequence[float], **options: Any
    ) -> Claim:
        from forge.evals.claims import compare_for_claim

        given = {"n_boot": self.evaluation.bootstrap, "seed": self.seed, **options}
        return compare_for_claim(claim, metric, treatment, control, **given)

    def record(
        self,
        metrics: Mapping[str, Any] | None = None,
        *,
        headline: Mapping[str, Any] | None = None,
        claims: Sequence[BaseModel] = (),
    ) -> None:
        self.recording.add(metrics, headline, claims)

    def ledger(
        self, model: TinyTitanForCausalLM, scores: LedgerScores, directory: Path, seconds: float | None = None
    ) -> None:
        from forge.evals.ledger import ledger_deployable_files, ledger_row

        if not self.stage.closes:
            raise ForgeError(f"{self.name} does not close the phase {self.stage.phase}")
        files = ledger_deployable_files(phase_in_layout(self.stage.phase).deployed, directory)
        spent = self.seconds if seconds is None else seconds
        row = ledger_row(self.stage.phase, files, model.num_parameters(), scores, spent)
        atomic_write_json(self.recording.results / "ledger.json", row.model_dump(mode="json"))

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    def recorded_seconds(self, *stages: str) -> float:
        return wall_clock_of_stage_lifecycles(*stages)

    # ---- what it publishes ----

    @property
    def out_dir(self) -> Path:
        return self.output.directory

    def building(self, target: str | Path) -> AbstractContextManager[Path]:
        """A directory that is no model (`data/prepared`), to fill; put in place when the block ends."""
        return self.output.building(target)

    def save(self, model: TinyTitanForCausalLM, tokenizer: PreTrainedTokenizerFast, *, packed: bool = False) -> Path:
        directory = self.output.save(model, tokenizer, packed=packed)
        self._measured.write(directory)
        return directory

    def publish(self, metadata: Mapping[str, Any], files: Mapping[str, bytes | str | Path] | None = None) -> Path:
        return self.output.publish(metadata, files, self.inputs.parents)

    # ---- the lifecycle, driven by `forge.pipeline.lifecycle.stage` ----

    def begin(self) -> bool:
        """Take the lock, sweep up after a killed run, check disk and handoff, open the records; whether it resumes."""
        self._checkpoints.open()
        resumed = any(self.checkpoint_dir.iterdir())
        self._entry.start(self._all.file.registry, resumed=resumed)
        check_host_disk_room(stage_bytes(self.stage, self._all), self.name, Path.cwd(), layout_state_dir())
        for folder in {Path(path).parent for path in self.stage.records(self.branch)}:
            remove_temporary_files(folder)
        self.inputs.check(self._entry.handoff)
        if self.stage.name != "report":
            self.recording.open({"scale": self.scale, **self._decisive}, self.checkpoint_dir, resumed=resumed)
        return resumed

    def complete(self) -> None:
        """Write what DVC expects and clear the checkpoints.

        Raises:
            ForgeError: a declared output is missing.
            Interrupted: DVC is dead. It will have this stage run again, which the checkpoints, kept, make short.
        """
        self._stop.settle()
        facts = {"scale": self.scale, "session_id": self.session, "warnings": self._log.warnings}
        self.recording.write(self.seconds, facts)
        for path in (*self.stage.outputs(self.branch), *self.stage.records(self.branch)):
            if not Path(path).exists():
                raise ForgeError(f"{self.name} ended without writing {path}")
        if self.orphaned:
            raise Interrupted(self._stop.step, self._stop.total)
        self.recording.done()
        if self.output.published:
            self._entry.published(self.output.target)
        self._entry.end("done", self._stop.step, self._stop.total, "")
        self._checkpoints.discard()

    def give_up(self, state: str, note: str) -> OSError | None:
        """Close the records of a run that did not complete; checkpoints stay. What could not be written, if so."""
        self._entry.end(state, self._stop.step, self._stop.total, note)
        return self.recording.abandon(state, self._stop.step, self._stop.total, note, wait=not self.orphaned)

    def release(self) -> None:
        """Let go of the lock, of the thread that samples, and of a half-built directory."""
        self.recording.close()
        self.output.discard()
        kept = self.checkpoint_dir / SERIES
        if self.checkpoint_dir.is_dir() and list(self.checkpoint_dir.iterdir()) == [kept]:
            kept.unlink()  # points without a checkpoint are points of nothing
        self._checkpoints.close()
