"""One point of the curve: phase 8 at one size, its student taught by phase 7's model or trained from scratch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerFast

from forge.config import Params
from forge.data.build import Row
from forge.data.dataset import EncodedSet
from forge.data.declared.own_set import OwnTools
from forge.data.views import dataset_without_prompts
from forge.errors import ForgeError
from forge.evals.evaluator import Evaluator
from forge.evals.ledger import ledger_deployable_files
from forge.host.signals import StopRequest
from forge.interface.phase import FULL_PRECISION
from forge.interface.run import Published
from forge.model import TinyTitanConfig
from forge.phases.compress.chain import compress_into_file
from forge.phases.compress.student import (
    StudentShape,
    choose_compression_student_shape,
    compression_config_with_vocabulary,
    count_compression_student_bytes,
)
from forge.pipeline.layout.phases import find_stage_in_layout
from forge.pipeline.lifecycle.inputs import Inputs
from forge.train.flops import training_flops

ARMS = ("taught", "scratch")
STATE = Path(".forge/curve")


class PointRun:
    """The stage `compress` as its phase sees it (`forge.interface.run.PhaseRun`), as far as a point needs it: it reads
    what the stage reads, resumes, and publishes nothing."""

    def __init__(self, params: Params, name: str, stop: StopRequest) -> None:
        self._stop = stop
        self._inputs = Inputs(find_stage_in_layout("compress"), params)
        self.params: Any = params.block("compress")
        self.training, self.evaluation = params.file.training, params.block("evaluation")
        self.seed = params.seed
        self.folder = STATE / name
        self.checkpoint_dir = self.folder / "checkpoints"
        self.checkpoint_dir.mkdir(parents=True, exist_ok=True)

    @property
    def stop_requested(self) -> bool:
        return self._stop.requested

    @property
    def own_tools(self) -> OwnTools:
        return self._inputs.own_tools

    @property
    def workspace_dir(self) -> Path:
        return self._inputs.workspace_dir

    @cached_property
    def edge(self) -> Published:
        """Phase 7's model."""
        return self._inputs.load("edge")

    @cached_property
    def original(self) -> int:
        """Bytes of phase 1's model."""
        directory = self._inputs.load("trunk").directory
        return sum(file.stat().st_size for file in ledger_deployable_files(FULL_PRECISION, directory))

    def rows(self, name: str) -> list[Row]:
        return self._inputs.rows(name)

    def evaluator(self, tokenizer: PreTrainedTokenizerFast) -> Evaluator:
        return Evaluator(tokenizer, self.evaluation, self.workspace_dir, self.rows, own=self.own_tools)

    def log(self, step: int, **metrics: Any) -> None:
        """The curve keeps no series."""

    def progress(self, step: int, total: int, note: str = "") -> None:
        self._stop.step, self._stop.total = step, total


@dataclass(frozen=True)
class Plan:
    """What a point trains: the student, or None where phase 7's own weights fit, and the phase's parameters."""

    student: StudentShape | None
    params: Any


def plan_curve_point(run: PointRun, rows: list[Row], budget: int, arm: str) -> Plan:
    """A student of the budget's shape, or its control: the same shape, from scratch, on labels, for as many training
    FLOPs as recovering the teacher, asking it and training the student take.

    Raises:
        ForgeError: there is no such arm.
    """
    if arm not in ARMS:
        raise ForgeError(f"no arm '{arm}' of the curve; there are {', '.join(ARMS)}")
    p, edge = run.params, run.edge.model.config
    student = choose_compression_student_shape(edge, p, budget)
    if arm == "taught":
        return Plan(student, p)
    teacher = compression_config_with_vocabulary(edge, p.vocab_size if student is None else student.tokens)
    shape = student or StudentShape(p.vocab_size, teacher, count_compression_student_bytes(teacher, p))
    data = dataset_without_prompts(run.edge.tokenizer, rows)
    teaching, learning = (curve_flops_per_row(config, data) for config in (teacher, shape.config))
    spent = int(p.steps * p.vocabulary_steps) * teaching
    if student is not None:
        spent += p.student_steps * (learning + teaching / 3)  # a forward pass is a third of both passes
    alone = replace(shape, taught=False, steps=max(1, round(spent / learning)))
    return Plan(alone, p.model_copy(update={"vocabulary_steps": 0.0}))


def curve_flops_per_row(config: TinyTitanConfig, data: EncodedSet) -> float:
    """FLOPs of training on a row, in the mean; batches of both arms have as many tokens."""
    supervised = np.add.reduceat(data.mask.astype(np.int64), data.offsets[:-1])
    return training_flops(config, data.lengths, supervised) / len(data)


def measure_curve_point(run: PointRun, times: float, arm: str) -> dict[str, Any]:
    """Make the file of one point and measure it; every problem of the suite right (1) or not (0), so that points can be
    paired."""
    rows = [*run.rows("train"), *run.own_tools.rows("train")]
    plan = plan_curve_point(run, rows, int(run.original / times), arm)
    run.params = plan.params
    path = run.folder / "agent.forge"
    made = compress_into_file(
        run,  # type: ignore[arg-type]  # as much of a run as the chain uses
        run.edge.model,
        run.edge.tokenizer,
        rows,
        path,
        plan.student,
    )
    found = run.evaluator(made.tokenizer).measure(made.final, prompted=False)
    size = path.stat().st_size
    return {
        "times": times,
        "arm": arm,
        "bytes": size,
        "ratio": run.original / size,
        "parameters": made.final.num_parameters(),
        "steps": plan.student.steps or run.params.student_steps if plan.student else 0,
        "tools": found.tools.correct,
        "thoughts": found.thoughts.correct,
    }
