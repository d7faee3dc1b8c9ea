"""The stages in order, and what each one reads.

This is the code's side of `dvc.yaml`; a test holds the two equal. Two rules shape the lists:

- A stage declares the code that can change the bytes it publishes. Code that can only refuse a run
  (`forge/config`, the contracts) or say where things are is not declared, so that fixing a message does not
  retrain a model.
- The command line, the report and the documentation are nobody's input but the report's.
"""

from __future__ import annotations

from dataclasses import dataclass

from forge.errors import ForgeError
from forge.pipeline.layout.paths import OWN, PREPARED, WORKSPACE, model_path, results_path, stage_name

BRANCHES = ("reasoning", "memory_integration", "adaptive_computation")

_LIFECYCLE = (
    "forge/errors.py",
    "forge/files.py",
    "forge/pipeline/handoff/publish.py",
    "forge/pipeline/records/recorder.py",
    "forge/pipeline/lifecycle/stage.py",
    "forge/pipeline/records/tracking.py",
)
_LEARNING = ("forge/data", "forge/evals", "forge/model", "forge/tools", "forge/train")
_DATA = (PREPARED.as_posix(), WORKSPACE.as_posix())


@dataclass(frozen=True)
class Phase:
    """One stage definition of `dvc.yaml`.

    Attributes:
        name: the stage; its module is `stages/<name>.py`.
        title: what it does, for a person.
        inputs: stages whose models it reads; the first is the one that the handoff contract binds.
        data: data directories it reads.
        rooms: code that can change its output, beside the lifecycle and its own stage file.
        params: dotted keys of params.yaml; `{scale}` and `{branch}` stand for the active ones.
        curve: the series that its plot must show; None for a stage that trains nothing.
        ledger: phases whose ledger row it writes.
    """

    name: str
    title: str
    inputs: tuple[str, ...] = ()
    data: tuple[str, ...] = _DATA
    rooms: tuple[str, ...] = ()
    params: tuple[str, ...] = ()
    curve: str | None = "train/loss"
    ledger: tuple[str, ...] = ()

    @property
    def branched(self) -> bool:
        """One run for each branch (DVC's `matrix`)."""
        return self.name == "cognate"

    @property
    def branches(self) -> tuple[str | None, ...]:
        """The names of its runs; a single None for a stage that is not branched."""
        return BRANCHES if self.branched else (None,)

    def outputs(self, branch: str | None = None) -> tuple[str, ...]:
        """Directories that DVC caches."""
        if self.name == "data":
            return _DATA
        return () if self.name == "report" else (model_path(self.name, branch).as_posix(),)

    def records(self, branch: str | None = None) -> tuple[str, ...]:
        """Small files and plots that Git tracks."""
        if self.name == "report":
            names = ["headline.json", "ladder.json", "ladder.svg", "report.json", "report.md"]
            return tuple(results_path(name).as_posix() for name in names)
        results = results_path(self.name, branch)
        names = ["all_metrics.json", "metrics.json", "run.json"]
        if self.name != "data":
            names += ["claims.json", "plots"]
        paths = {results / name for name in names} | {results_path(phase) / "ledger.json" for phase in self.ledger}
        # The phase that measures another one as a whole also writes that one's metrics.
        paths |= {results_path(phase) / "all_metrics.json" for phase in self.ledger}
        return tuple(sorted(path.as_posix() for path in paths))

    def code(self) -> tuple[str, ...]:
        """Files and directories of code that it depends on."""
        return tuple(sorted((f"stages/{self.name}.py", *_LIFECYCLE, *self.rooms)))

    def reads(self) -> tuple[str, ...]:
        """Data and models that it depends on."""
        if self.name == "report":
            return tuple(results_path(phase.name).as_posix() for phase in PHASES if phase.name != "report")
        paths = list(self.data)
        for name in self.inputs:
            paths += [model_path(name, branch).as_posix() for branch in phase_named(name).branches]
        return tuple(sorted(paths))


def _keys(phase: str, *extra: str, measured: bool = True) -> tuple[str, ...]:
    """The keys of a phase's block at both halves, and of the evaluation if it measures on the test split."""
    keys = ["seed", phase, f"scales.{{scale}}.{phase}", *extra]
    if measured:
        keys += ["evaluation", "scales.{scale}.evaluation"]
    return tuple(keys)


def _training(name: str, title: str, previous: str, *rooms: str, more: tuple[str, ...] = ()) -> Phase:
    """A phase that takes one model and hands on one model."""
    return Phase(
        name,
        title,
        inputs=(previous, *more),
        rooms=(*_LEARNING, *rooms),
        params=_keys(name, f"scales.{{scale}}.contracts.{name}"),
        ledger=(name,),
    )


_COGNATE_COMMON = tuple(
    f"cognate.{key}"
    for key in (
        "adam_lr",
        "checkpoint_every",
        "clip",
        "decay_fraction",
        "halt_weight",
        "muon_lr",
        "warmup_fraction",
        "weight_decay",
    )
)
# All but `backend`, which says where merges are evaluated and cannot change a byte of the result.
_EVOMERGE = tuple(
    f"evomerge.{key}"
    for key in (
        "archive",
        "checkpoint_every",
        "crossover_rate",
        "diversity_threshold",
        "elites",
        "fitness",
        "grouping",
        "mutation_sigma",
        "patience",
        "reseed",
        "search",
    )
)
_COGNATE_SCALED = ("scales.{scale}.cognate", "evaluation", "scales.{scale}.evaluation")

PHASES: tuple[Phase, ...] = (
    Phase(
        "data",
        "draw problems and dialogues, train the tokenizer",
        data=(OWN.as_posix(),),
        rooms=("forge/data", "forge/tools"),
        params=_keys("data", measured=False),
        curve=None,
    ),
    Phase(
        "trunk",
        "train the trunk that the branches share",
        rooms=(*_LEARNING, "forge/pretrain"),
        params=("seed", *_COGNATE_COMMON, "cognate.trunk_mix", *_COGNATE_SCALED),
    ),
    Phase(
        "cognate",
        "train a branch that specializes",
        inputs=("trunk",),
        rooms=(*_LEARNING, "forge/pretrain"),
        params=("seed", *_COGNATE_COMMON, "cognate.branches.{branch}", *_COGNATE_SCALED),
    ),
    Phase(
        "evomerge",
        "evolve one model out of three",
        inputs=("cognate", "trunk"),
        rooms=(*_LEARNING, "forge/merge", "forge/pretrain"),
        # Its control trains the best parent further, with phase 1's settings.
        params=(
            "seed",
            *_EVOMERGE,
            "scales.{scale}.evomerge",
            "scales.{scale}.contracts.evomerge",
            *_COGNATE_COMMON,
            "scales.{scale}.cognate",
            "evaluation",
            "scales.{scale}.evaluation",
        ),
        curve="fitness/best",
        # It is the first to hold all three branches, so it also measures phase 1 for the ledger.
        ledger=("cognate", "evomerge"),
    ),
    _training("quietstar", "teach it to think before it answers", "evomerge", "forge/thought"),
    _training("bitnet", "make its weights ternary", "quietstar", "forge/quant"),
    _training("forge", "train the ternary model for long", "bitnet", "forge/quant"),
    _training("baking", "bake tools and personas into the weights", "forge", "forge/bake", "forge/quant"),
    _training(
        "edge",
        "prune, fuse and time it",
        "baking",
        "forge/bake",
        "forge/edge",
        "forge/quant",
        "forge/runtime",
    ),
    _training(
        "compress",
        "squeeze it into one file",
        "edge",
        "forge/bake",
        "forge/compress",
        more=("baking", "trunk"),
    ),
    Phase(
        "report",
        "gather ledger, claims and metrics",
        data=(),
        rooms=(*_LEARNING, "forge/pipeline/report/gather.py", "forge/pipeline/report/plot.py", "forge/runtime"),
        params=("seed", "scale"),
        curve=None,
    ),
)


def phase_named(name: str) -> Phase:
    """Look a stage up.

    Raises:
        ForgeError: there is none of that name.
    """
    for phase in PHASES:
        if phase.name == name:
            return phase
    raise ForgeError(f"no phase named {name!r}; known: {', '.join(p.name for p in PHASES)}")


def stage_names() -> list[str]:
    """Every stage instance in order, as DVC names them."""
    return [stage_name(phase.name, branch) for phase in PHASES for branch in phase.branches]
