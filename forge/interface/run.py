"""What a run offers the phase that runs: the only way in which a phase touches the world.

Made by `forge.pipeline.lifecycle`; tests make their own (`tests/support/stub_run.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from pydantic import BaseModel

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from forge.data.build import Row
    from forge.data.dataset import EncodedSet
    from forge.data.declared.own_set import OwnTools
    from forge.evals.claims import Claim
    from forge.evals.evaluator import Evaluator
    from forge.evals.ledger import LedgerScores
    from forge.interface.params import EvaluationParams, TrainingParams
    from forge.model import TinyTitanForCausalLM

P_co = TypeVar("P_co", covariant=True)
B = TypeVar("B", bound=BaseModel)


class LoopRun(Protocol):
    """What a training loop needs: a seed, a place for its state, listeners, and the word to stop."""

    @property
    def seed(self) -> int:
        """Seed of this run; a branch's own is added in."""

    @property
    def checkpoint_dir(self) -> Path:
        """Where the loop keeps its state; this process holds the lock, and publication empties it."""

    @property
    def stop_requested(self) -> bool:
        """A signal came: save, then raise `forge.errors.Interrupted`."""

    def log(self, step: int, **metrics: Any) -> None:
        """One point of each series. Names with a slash go in as `run.log(3, **{"train/loss": 0.5})`."""

    def progress(self, step: int, total: int, note: str = "") -> None:
        """Tell watchers how far the work is; cheap enough to be called every step."""


class Published(NamedTuple):
    """A model that an earlier stage published, loaded, and its directory."""

    model: TinyTitanForCausalLM
    tokenizer: PreTrainedTokenizerFast
    directory: Path


class PhaseRun(LoopRun, Protocol[P_co]):
    """A run as its phase sees it. `P_co`: the model of the phase's parameters."""

    @property
    def params(self) -> P_co:
        """The phase's parameters at the active scale."""

    def parameters_of(self, block: type[B]) -> B:
        """The parameters of another phase, by the model that is its `Params`; the stage must depend on their keys."""

    @property
    def branch(self) -> str | None:
        """Which run of a branched stage this is."""

    @property
    def training(self) -> TrainingParams:
        """What phases 3 to 8 have in common."""

    @property
    def evaluation(self) -> EvaluationParams:
        """How much of the test split is measured on."""

    @property
    def seconds(self) -> float:
        """Wall clock since the stage began; for results only, never for a model's directory."""

    def recorded_seconds(self, *stages: str) -> float:
        """Wall clock of the latest runs of earlier stages, branches added up."""

    # ---- what it reads ----

    def load(self, stage: str, branch: str | None = None) -> Published:
        """The model that a declared input has published, its manifest verified.

        Raises:
            ForgeError: not declared, missing, or changed.
        """

    def load_branches(self, stage: str) -> dict[str, Published]:
        """All branches of a branched stage by name, in the order of declaration."""

    def split(self, name: str) -> EncodedSet:
        """The tokenized rows of `train`, `val` or `test`."""

    def rows(self, name: str) -> list[Row]:
        """The same rows as conversations."""

    def tokenizer(self) -> PreTrainedTokenizerFast:
        """The tokenizer that the data was prepared with."""

    @property
    def own_tools(self) -> OwnTools:
        """What the user has declared, with its rows; empty where that is nothing, or the stage reads none of it."""

    @property
    def workspace_dir(self) -> Path:
        """The tools' documents, files and database."""

    # ---- what it measures and records ----

    def evaluator(self, tokenizer: PreTrainedTokenizerFast) -> Evaluator:
        """Scores models on the test split with the run's sizes and seeds."""

    def compare(
        self,
        claim: str,
        metric: str,
        treatment: Sequence[float],
        control: Sequence[float],
        *,
        control_name: str,
        margin: float = 0.0,
        note: str = "",
        higher_is_better: bool = True,
    ) -> Claim:
        """`forge.evals.claims.compare_for_claim` with the run's seed and number of resamples."""

    def record(
        self,
        metrics: Mapping[str, Any] | None = None,
        *,
        headline: Mapping[str, Any] | None = None,
        claims: Sequence[Claim] = (),
    ) -> None:
        """What was measured; may be called again to add more.

        Args:
            metrics: everything, for W&B and results/<phase>/all_metrics.json.
            headline: the 10 to 25 that `dvc metrics show` prints; numbers, text or lists. They are metrics too.
            claims: for results/<phase>/claims.json.
        """

    def ledger(
        self, model: TinyTitanForCausalLM, scores: LedgerScores, directory: Path, seconds: float | None = None
    ) -> None:
        """Write the phase's row of the ledger: the bytes of its deployable files as they are on disk.

        Raises:
            ForgeError: this stage does not close its phase, or a deployable file is missing.
        """

    # ---- what it publishes ----

    @property
    def out_dir(self) -> Path:
        """The model's directory while it is built; `publish` puts it in place."""

    def save(self, model: TinyTitanForCausalLM, tokenizer: PreTrainedTokenizerFast, *, packed: bool = False) -> Path:
        """Write weights and tokenizer, and the packed weights of a ternary model, into `out_dir`; beside them what the
        run has measured so far, for later stages (`forge.evals.shared`)."""

    def publish(self, metadata: Mapping[str, Any], files: Mapping[str, bytes | str | Path] | None = None) -> Path:
        """Put what was saved in place, with extra files, metadata.json and manifest.json, in one rename.

        Args:
            metadata: facts for the next handoff; none may depend on time or machine.
            files: extra files by relative name: bytes, text or a file to copy.

        Returns:
            The published directory.
        """


class DataRun(Protocol[P_co]):
    """A run of a stage that draws rows, and has no model."""

    @property
    def params(self) -> P_co:
        """The stage's block at the active scale."""

    def parameters_of(self, block: type[B]) -> B:
        """As in `PhaseRun`."""

    @property
    def seed(self) -> int:
        """Seed of this run."""

    def building(self, target: str | Path) -> AbstractContextManager[Path]:
        """A directory that is no model, to fill; put in place when the block ends."""

    def record(self, metrics: Mapping[str, Any] | None = None, *, headline: Mapping[str, Any] | None = None) -> None:
        """As in `PhaseRun`."""


class ReportRun(Protocol):
    """A run of the report, which measures nothing."""

    scale: str
    seed: int
