"""What a run reads: declared inputs only, each verified once."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from forge.config import Params
from forge.errors import ForgeError
from forge.files import read_json, verify_manifest
from forge.interface.paths import OWN_TOOLS, PREPARED, WORKSPACE, declared_model_path
from forge.interface.phase import Stage
from forge.interface.run import Published
from forge.pipeline.dvc.code import ProjectCode
from forge.pipeline.handoff.contracts import Record, check_handoff
from forge.pipeline.handoff.publish import read_published_metadata
from forge.pipeline.layout.phases import find_stage_in_layout, layout_contract_for_stage, layout_published_inputs

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from forge.data.build import Row
    from forge.data.dataset import EncodedSet
    from forge.data.declared.own_set import OwnTools


class Inputs:
    """Data and models of one run of a stage.

    parents: ids of the models that the handoff is about; known after `check`.
    """

    def __init__(self, stage: Stage, params: Params) -> None:
        self._stage, self._params = stage, params
        self._verified: set[Path] = set()
        self.parents: list[str] = []

    def check(self, record: Record) -> None:
        """Verify all that the stage reads before it spends hours on it: the handoff by its contract, its code by what
        was noted of it, the rest by manifest.

        Raises:
            ForgeError: naming the first fault.
        """
        if Path("stages").is_dir():
            self._check_code()
        if self._stage.inputs:
            self._check_handoff(record)
        if self._stage.data:
            for path in layout_published_inputs(self._stage):
                self.verified(Path(path))

    def _check_code(self) -> None:
        """What runs now is what DVC will record: somebody may have edited it while an earlier stage ran."""
        if changed := ProjectCode(remembered=True).changed_module(self._stage):
            raise ForgeError(f"{self._stage.name}: {changed} was edited since the pipeline was started; start it again")

    def _check_handoff(self, record: Record) -> None:
        source = find_stage_in_layout(self._stage.inputs[0])
        directories = {str(branch): declared_model_path(source.name, branch) for branch in source.branches}
        contract = layout_contract_for_stage(self._stage.name)
        if contract is None:
            found = [read_published_metadata(self.verified(directory)) for directory in directories.values()]
        else:
            found = check_handoff(
                contract,
                directories,
                thresholds=self._params.contracts,
                parameters_target=self._params.block("cognate").parameters_target,
                results=Path(source.results_dir()),
                record=record,
            )
            self._verified.update(directories.values())
        self.parents = [metadata.model_id for metadata in found]

    def verified(self, directory: Path) -> Path:
        """A published directory whose manifest holds. Raises ForgeError otherwise."""
        if directory not in self._verified:
            verify_manifest(directory)
            self._verified.add(directory)
        return directory

    def load(self, stage: str, branch: str | None = None) -> Published:
        """See `forge.interface.run.PhaseRun.load`."""
        from forge.model import load_model, load_titan_tokenizer

        if stage not in self._stage.inputs:
            raise ForgeError(f"{self._stage.name} does not declare models/{stage} as an input")
        directory = self.verified(declared_model_path(stage, branch))
        return Published(load_model(directory), load_titan_tokenizer(directory), directory)

    def load_branches(self, stage: str) -> dict[str, Published]:
        """See `forge.interface.run.PhaseRun.load_branches`."""
        return {str(branch): self.load(stage, branch) for branch in find_stage_in_layout(stage).branches}

    def split(self, name: str) -> EncodedSet:
        """See `forge.interface.run.PhaseRun.split`."""
        from forge.data.dataset import EncodedSet

        return EncodedSet.load(self.verified(PREPARED) / f"{name}.safetensors")

    def rows(self, name: str) -> list[Row]:
        """See `forge.interface.run.PhaseRun.rows`."""
        from forge.data.build import read_dataset_rows

        return read_dataset_rows(self.verified(PREPARED) / f"{name}.jsonl")

    def tokenizer(self) -> PreTrainedTokenizerFast:
        """See `forge.interface.run.PhaseRun.tokenizer`."""
        from forge.model import load_titan_tokenizer

        return load_titan_tokenizer(self.verified(PREPARED) / "tokenizer")

    @cached_property
    def own_tools(self) -> OwnTools:
        """See `forge.interface.run.PhaseRun.own_tools`."""
        from forge.data.declared.own_set import OwnTools, load_own_tool_rows

        reads = OWN_TOOLS.as_posix() in self._stage.data
        return load_own_tool_rows(self.verified(OWN_TOOLS)) if reads else OwnTools()

    @cached_property
    def workspace_dir(self) -> Path:
        """The tools' documents, files and database."""
        return self.verified(WORKSPACE)


def wall_clock_of_stage_lifecycles(*stages: str) -> float:
    """Wall clock of the latest runs of stages, from their `run.json`, branches added up."""
    files = [
        Path(stage.results_dir(branch)) / "run.json"
        for stage in map(find_stage_in_layout, stages)
        for branch in stage.branches
    ]
    return float(sum(read_json(file)["seconds"] for file in files))
