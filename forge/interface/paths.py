"""Where a run's inputs and outputs are, relative to the workspace: the directory that a stage runs in."""

from __future__ import annotations

from pathlib import Path

PREPARED = Path("data/prepared")
WORKSPACE = Path("data/workspace")
OWN = Path("data/own")
TOOLS_FOLDER = Path("data/tools")  # where own tools are declared unless data.tools says otherwise
OWN_TOOLS = Path("data/own_tools")
FREE_QUESTIONS = Path("forge/evals/questions/report.jsonl")  # that phases 6 to 8 are asked
CODE = Path("data/code")
RESULTS = Path("results")
MODELS = Path("models")
SETTLED = "settled.safetensors"  # beside the trunk's weights: those of phase 1 without branches, its rate decayed
AGENT_FILE = MODELS / "compress" / "agent.forge"
FULL_WEIGHTS, PACKED_WEIGHTS = "model.safetensors", "packed.safetensors"


def weights_of_model_directory(directory: Path) -> Path:
    """The weights that a model directory is loaded from: those that are trained on, or, where someone copied only what
    is deployed, the packed ones. Where neither is there, the path of the former."""
    full, packed = directory / FULL_WEIGHTS, directory / PACKED_WEIGHTS
    return packed if packed.is_file() and not full.exists() else full


def declared_stage_name(stage: str, branch: str | None = None) -> str:
    """DVC's name of a stage: `evomerge`, `cognate@reasoning`."""
    return f"{stage}@{branch}" if branch else stage


def declared_model_path(stage: str, branch: str | None = None) -> Path:
    """`models/<stage>[/<branch>]`."""
    return MODELS / stage / branch if branch else MODELS / stage


def declared_results_path(stage: str, branch: str | None = None) -> Path:
    """`results/<stage>[/<branch>]`."""
    return RESULTS / stage / branch if branch else RESULTS / stage
