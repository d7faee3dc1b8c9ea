"""The stages of dvc.yaml in order, as the phases declare them, with what comes before and after them."""

from __future__ import annotations

from forge.errors import ForgeError
from forge.interface.paths import OWN, declared_results_path
from forge.interface.phase import TOOLS_PATH, Contract, Phase, Stage
from forge.phases import PHASES

STAGES: tuple[Stage, ...] = (
    Stage(
        "data",
        "draw problems and dialogues, train the tokenizer",
        "data",
        ("seed", "data.own_data", "data.own_share", "data.talk_share", "data.fact_share", "scales.{scale}.data"),
        data=(OWN.as_posix(),),
        curve=None,
    ),
    Stage(
        "tools",
        "draw rows of your own tools",
        "own_tools",
        ("seed", "data.tools", "scales.{scale}.own_tools"),
        data=(TOOLS_PATH,),
        curve=None,
    ),
    *(stage for phase in PHASES for stage in phase.stages),
    Stage(
        "report", "gather ledger, claims and metrics", "evaluation", ("seed", "scale"), data=(), curve=None, results="."
    ),
)
_SOURCES = {OWN.as_posix(), TOOLS_PATH}  # what no stage has made
CONTRACTS: tuple[Contract, ...] = tuple(phase.contract for phase in PHASES if phase.contract is not None)


def find_stage_in_layout(name: str) -> Stage:
    """Look a stage up.

    Raises:
        ForgeError: there is none of that name.
    """
    for stage in STAGES:
        if stage.name == name:
            return stage
    raise ForgeError(f"no stage named {name!r}; known: {', '.join(stage.name for stage in STAGES)}")


def phase_in_layout(name: str) -> Phase:
    """Look a phase up.

    Raises:
        ForgeError: there is none of that name.
    """
    for phase in PHASES:
        if phase.name == name:
            return phase
    raise ForgeError(f"no phase named {name!r}; known: {', '.join(phase.name for phase in PHASES)}")


def last_stage(name: str) -> str:
    """The stage that ends what a user calls by a phase's name, a stage's, or `stage@branch`."""
    return next((phase.stages[-1].name for phase in PHASES if phase.name == name), name)


def stage_names() -> list[str]:
    """Every run of a stage in order, as DVC names them."""
    return [name for stage in STAGES for name in stage.names()]


def layout_contract_for_stage(target: str) -> Contract | None:
    """The contract that a stage receives under; None before the first handoff and for the report."""
    return next((contract for contract in CONTRACTS if contract.target == target), None)


def layout_input_paths(stage: Stage) -> tuple[str, ...]:
    """Data, models and results that a stage depends on, as dvc.yaml names them."""
    if stage.name == "report":
        return tuple(
            sorted({declared_results_path(s.results or s.name).as_posix() for s in STAGES if s.name != "report"})
        )
    models = [
        out
        for name in stage.inputs
        for source in (find_stage_in_layout(name),)
        for b in source.branches
        for out in source.outputs(b)
    ]
    return tuple(sorted((*stage.data, *models)))


def stage_reads(stage: Stage) -> tuple[str, ...]:
    """The same, and what its model is asked: all but code."""
    return (*layout_input_paths(stage), *stage.asks)


def layout_input_files(stage: Stage, tools: str) -> tuple[str, ...]:
    """The same as paths; ``tools``: the value of `data.tools`."""
    return tuple(tools if path == TOOLS_PATH else path for path in layout_input_paths(stage))


def layout_published_inputs(stage: Stage) -> tuple[str, ...]:
    """Of these, what stages have made."""
    return tuple(path for path in layout_input_paths(stage) if path not in _SOURCES)
