"""How a phase is declared: `PHASE = Phase(...)` in its folder's `phase.py`.

All else that needs to know what a phase is (the schema of params.yaml, dvc.yaml, the handoff contracts, the catalog of
metrics, the order of stages, the ledger, the reference pages) is derived from these declarations. They import nothing
heavy, so that commands that only look answer at once. By convention a phase's folder also holds `params.py` (the
models of its parameters), `metrics.txt` (its metrics) and `run.py` (what its stages do).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from forge.interface.paths import (
    CODE,
    FREE_QUESTIONS,
    FULL_WEIGHTS,
    OWN_TOOLS,
    PACKED_WEIGHTS,
    PREPARED,
    RESULTS,
    WORKSPACE,
    declared_model_path,
    declared_results_path,
    declared_stage_name,
)

DATA = (PREPARED.as_posix(), WORKSPACE.as_posix())
TOOLS_PATH = "${data.tools}"  # stands for the value of that parameter, as in dvc.yaml
EVALUATION = ("evaluation", "scales.{scale}.evaluation")


@dataclass(frozen=True)
class Rule:
    """One bound on one value of a handoff.

    The value under `key` is taken from metadata.json (its fields or its metrics) or from the headline metrics
    under results/ (where timings are: they may not be in a model's directory). It is compared with `bound`,
    the threshold of params.yaml named `bound_from`, or the metadata's value `than`, which the threshold named
    `margin_from` loosens. `present` only asks that the value is there, `count` that it lists so many different names
    at least: a tool of yours among the built-in ones is one more.
    """

    key: str
    op: Literal["present", "finite", ">=", "<=", ">", "count"]
    source: Literal["metadata", "results"] = "metadata"
    bound: float | None = None
    bound_from: str | None = None
    than: str | None = None
    margin_from: str | None = None


def declare_present_values(*keys: str) -> tuple[Rule, ...]:
    """Rules that ask only that values are there."""
    return tuple(Rule(key=key, op="present") for key in keys)


@dataclass(frozen=True)
class Contract:
    """What the stage `target` may expect of the model or models of the stage `source`."""

    source: str
    target: str
    models: int = 1
    same_shapes: bool = False
    same_tokenizer: bool = False
    same_parents: bool = False
    parameters_near_target: bool = False
    parameters_as_parents: bool = False
    ternary: bool = False
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True)
class Stage:
    """One stage of dvc.yaml; most phases have one.

    Attributes:
        name: the stage; its module is `stages/<name>.py`.
        title: what it does, for a person.
        phase: the phase that it belongs to, whose parameters it works with.
        params: dotted keys of params.yaml that it depends on; `{scale}` and `{branch}` stand for the active ones.
        inputs: stages whose models it reads; the first is the one that the handoff contract binds.
        data: data directories that it reads; `TOOLS_PATH` for where own tools are declared.
        asks: files of questions that its model is asked in the end; no training reads them.
        branches: names of its runs (DVC's `matrix`); a single None for a stage that runs once.
        publishes: what its model is, for `artifacts` of dvc.yaml; `{branch}` stands for the words of `titles`. Empty
            for a stage that publishes no model.
        titles: words for each branch.
        curve: the series that its plot must show; None for a stage that trains nothing.
        average: the running mean of that series, if the stage logs one.
        closes: it is the last of its phase, and writes the phase's row of the ledger.
        results: its results directory below results/, if it is not the stage's name.
        function: what it does, of its phase's `run.py`.
    """

    name: str
    title: str
    phase: str
    params: tuple[str, ...]
    inputs: tuple[str, ...] = ()
    data: tuple[str, ...] = DATA
    asks: tuple[str, ...] = ()
    branches: tuple[str | None, ...] = (None,)
    publishes: str = ""
    titles: tuple[str, ...] = ()
    curve: str | None = "train/loss"
    average: str | None = "train/loss_avg_100"
    closes: bool = False
    results: str | None = None
    function: str = "run"

    @property
    def branched(self) -> bool:
        """One run for each branch."""
        return self.branches != (None,)

    @property
    def code(self) -> str:
        """The file that stands for the code that it reaches; see `forge.pipeline.dvc.code`."""
        return (CODE / f"{self.name}.json").as_posix()

    @property
    def drawn(self) -> str | None:
        """The series that tells best how it went: not the loss of single batches, where there is a mean of many."""
        return (self.average or self.curve) if self.curve else None

    def names(self) -> tuple[str, ...]:
        """Its runs, as DVC names them."""
        return tuple(declared_stage_name(self.name, branch) for branch in self.branches)

    def results_dir(self, branch: str | None = None) -> str:
        """Where its small results go."""
        return declared_results_path(self.results or self.name, branch).as_posix()

    def outputs(self, branch: str | None = None) -> tuple[str, ...]:
        """Directories that DVC caches."""
        if self.name == "data":
            return DATA
        if self.name == "tools":
            return (OWN_TOOLS.as_posix(),)
        return (declared_model_path(self.name, branch).as_posix(),) if self.publishes else ()

    def records(self, branch: str | None = None) -> tuple[str, ...]:
        """Small files and plots that Git tracks."""
        if self.name == "report":
            files = ("headline.json", "ladder.json", "ladder.svg", "report.json", "report.md")
            return tuple((RESULTS / name).as_posix() for name in files)
        measures = self.name not in ("data", "tools")
        optional = {"claims.json": measures, "plots": bool(self.curve), "ledger.json": self.closes}
        names = ["all_metrics.json", "metrics.json", "run.json", *(name for name, there in optional.items() if there)]
        return tuple(sorted(f"{self.results_dir(branch)}/{name}" for name in names))


@dataclass(frozen=True)
class Phase:
    """One of the eight phases.

    Attributes:
        name: its folder below forge/phases.
        title: what it does, for a person.
        stages: its stages of dvc.yaml in order, the last of which closes it.
        contract: what its first stage after a handoff expects; None for the first phase.
        deployed: the files that someone must copy to run its model; those marked `?` only where they are.
        weight_copies: models' weights in float32 that one of its stages has on the disk at its fullest: three
            checkpoints (two that are kept and the one being written) of weights and up to three values of optimizer
            state; the draft of the output, the output before it, DVC's copy of the new one, and a packed form of each.
    """

    name: str
    title: str
    stages: tuple[Stage, ...]
    deployed: tuple[str, ...]
    contract: Contract | None = None
    weight_copies: int = 3 * 4 + 6


def declare_single_stage(
    name: str,
    title: str,
    *,
    inputs: tuple[str, ...],
    publishes: str,
    own_tools: bool = False,
    free_questions: bool = False,
) -> tuple[Stage, ...]:
    """The one stage of a phase that takes a model, trains it further and hands it on. own_tools: it reads rows of the
    user's own tools too. free_questions: its model is asked what people type."""
    own = (name, f"scales.{{scale}}.{name}", f"scales.{{scale}}.contracts.{name}")
    return (
        Stage(
            name,
            title,
            name,
            ("seed", *own, "training", *EVALUATION),
            inputs,
            (*DATA, OWN_TOOLS.as_posix()) if own_tools else DATA,
            (FREE_QUESTIONS.as_posix(),) if free_questions else (),
            publishes=publishes,
            closes=True,
        ),
    )


_COMPANIONS = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json?",
    "special_tokens_map.json?",
    "think_gate.safetensors?",
)
FULL_PRECISION = (FULL_WEIGHTS, *_COMPANIONS)
PACKED = (PACKED_WEIGHTS, *_COMPANIONS)
