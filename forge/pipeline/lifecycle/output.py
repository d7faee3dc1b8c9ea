"""What a run publishes: a model's directory, put in place in one rename."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forge.errors import ForgeError
from forge.interface.paths import declared_model_path
from forge.interface.phase import Stage
from forge.pipeline.handoff.publish import (
    describe_published_model,
    open_publishing_draft,
    publishing_directory,
    seal_published_directory,
    write_published_extras,
)
from forge.pipeline.records.tracking import finite_recorded_numbers

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from forge.model import TinyTitanForCausalLM


class Output:
    """The model of one run of a stage, from its draft to its place."""

    def __init__(self, stage: Stage, branch: str | None, session: str) -> None:
        self._stage, self._branch, self._session = stage, branch, session
        self._draft: Path | None = None
        self.published = False

    @property
    def target(self) -> Path:
        """Where the model will be."""
        return declared_model_path(self._stage.name, self._branch)

    @property
    def directory(self) -> Path:
        """The model's directory while it is built."""
        if self._draft is None:
            self._draft = open_publishing_draft(self.target)
        return self._draft

    def building(self, target: str | Path) -> AbstractContextManager[Path]:
        """A directory that is no model (`data/prepared`), to fill; put in place when the block ends."""
        if Path(target).as_posix() not in self._stage.outputs(self._branch):
            raise ForgeError(f"{self._stage.name} does not declare {target} as an output")
        return publishing_directory(Path(target))

    def save(self, model: TinyTitanForCausalLM, tokenizer: PreTrainedTokenizerFast, *, packed: bool = False) -> Path:
        """See `forge.interface.run.PhaseRun.save`."""
        from forge.model import save_model

        save_model(model, self.directory)
        tokenizer.save_pretrained(str(self.directory))
        if packed:
            from forge.model.packed import PACKED, pack_model

            pack_model(model, self.directory / PACKED)
        return self.directory

    def publish(
        self, metadata: Mapping[str, Any], files: Mapping[str, bytes | str | Path] | None, parents: list[str]
    ) -> Path:
        """See `forge.interface.run.PhaseRun.publish`."""
        if self.published:
            raise ForgeError(f"{self._stage.name} has published already")
        write_published_extras(self.directory, files or {})
        describe_published_model(
            self.directory,
            phase=self._stage.name,
            branch=self._branch,
            session=self._session,
            parents=parents,
            facts=finite_stage_output_facts(metadata),
        )
        seal_published_directory(self.directory, self.target)
        self._draft = None
        self.published = True
        return self.target

    def discard(self) -> None:
        """Remove a half-built directory."""
        if self._draft is not None:
            shutil.rmtree(self._draft, ignore_errors=True)


def finite_stage_output_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata with its numbers checked to be finite and turned into plain ones; other values are kept."""
    return {
        key: finite_recorded_numbers({key: value})[key] if hasattr(value, "item") or isinstance(value, float) else value
        for key, value in facts.items()
    }
