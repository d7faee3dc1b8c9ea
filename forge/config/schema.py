"""The shape of `params.yaml`, derived from the phases.

Every phase has two halves: `<phase>` (what does not depend on the scale) and `scales.<name>.<phase>` (sizes and
budgets), declared in its folder's `params.py` as `Base` and `Scale`; `Params` is both together, which is what its
stages work with, and `Bounds` what its handoff may demand at a scale (`scales.<name>.contracts.<phase>`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from types import ModuleType
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationInfo, create_model, field_validator

from forge.interface.fields import Seed, Strict
from forge.interface.params import (
    DataBase,
    DataParams,
    DataScale,
    EvaluationBase,
    EvaluationParams,
    EvaluationScale,
    OwnToolsScale,
    RegistryParams,
    TrainingParams,
)
from forge.phases import ORDER, PHASES

_DECLARED: dict[str, ModuleType] = {name: import_module(f"forge.phases.{name}.params") for name in ORDER}
# Both halves of each block, as the stages see it.
BLOCKS: dict[str, type[BaseModel]] = {
    "data": DataParams,
    "own_tools": OwnToolsScale,
    **{name: module.Params for name, module in _DECLARED.items()},
    "evaluation": EvaluationParams,
}


def _required_params_fields(models: dict[str, Any]) -> Any:
    """Fields without a default, for `create_model`."""
    return {name: (model, ...) for name, model in models.items()}


class _ScaleChecks(Strict):
    """What blocks of one scale must agree on."""

    @field_validator("compress", check_fields=False)
    @classmethod
    def _vocabulary_shrinks(cls, value: Any, info: ValidationInfo) -> Any:
        data = info.data.get("data")
        if data and value.vocab_size > data.vocab_size:
            raise ValueError(f"vocab_size ({value.vocab_size}) exceeds data.vocab_size ({data.vocab_size})")
        return value


class _FileChecks(Strict):
    """What the two halves must agree on."""

    @field_validator("scales", check_fields=False)
    @classmethod
    def _elites_fit(cls, value: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        evomerge = info.data.get("evomerge")
        for name, scale in value.items():
            if evomerge and evomerge.elites >= scale.evomerge.population:
                raise ValueError(
                    f"{name}.evomerge.population ({scale.evomerge.population}) must exceed"
                    f" evomerge.elites ({evomerge.elites})"
                )
        return value


_BOUNDS = {phase.name: _DECLARED[phase.name].Bounds for phase in PHASES if phase.contract is not None}
ContractThresholds = create_model(
    "ContractThresholds",
    __base__=Strict,
    __doc__="Bounds of the handoff contracts, by the stage that receives: what a small scale may miss.",
    **_required_params_fields(_BOUNDS),
)
Scale = create_model(
    "Scale",
    __base__=_ScaleChecks,
    __doc__="One scale: sizes, budgets and bounds of all phases.",
    **_required_params_fields(
        {
            "data": DataScale,
            "own_tools": OwnToolsScale,
            **{name: module.Scale for name, module in _DECLARED.items()},
            "evaluation": EvaluationScale,
            "contracts": ContractThresholds,
        }
    ),
)


class _Head(_FileChecks):
    scale: str
    """The active scale: one of those under `scales`."""
    seed: Seed
    """The seed that everything starts from."""


ParamsFile = create_model(
    "ParamsFile",
    __base__=_Head,
    __doc__="`params.yaml` as a whole.",
    **_required_params_fields(
        {
            "data": DataBase,
            **{name: module.Base for name, module in _DECLARED.items()},
            "training": TrainingParams,
            "evaluation": EvaluationBase,
            "registry": RegistryParams,
            "scales": Annotated[dict[str, Scale], Field(min_length=1)],  # type: ignore[valid-type]
        }
    ),
)


def list_params_leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys of a part of params.yaml with their values; `curriculum[0].share` where a list holds mappings."""
    for name, value in tree.items():
        parts = value if isinstance(value, list) else []
        if isinstance(value, Mapping):
            yield from list_params_leaves(value, f"{prefix}{name}.")
        elif parts and all(isinstance(part, Mapping) for part in parts):
            for number, part in enumerate(parts):
                yield from list_params_leaves(part, f"{prefix}{name}[{number}].")
        else:
            yield f"{prefix}{name}", value


def explain_params_key(key: str) -> str:
    """What a dotted key of params.yaml means, from its field's docstring; empty where there is no such key. An element
    of a list is explained as the list, a field of one as such."""
    model: Any = ParamsFile
    words = ""
    for part in re.sub(r"\[\d+\]", "", key).split("."):
        if getattr(model, "__origin__", None) is list:
            model = model.__args__[0]
        if isinstance(model, type) and issubclass(model, BaseModel):
            if part not in model.model_fields:
                return ""
            field = model.model_fields[part]
            words, model = field.description or (getattr(field.annotation, "__doc__", "") or ""), field.annotation
        elif getattr(model, "__origin__", None) is dict:
            model = model.__args__[1]
            words = getattr(model, "__doc__", "") or ""
        else:
            return ""
    return " ".join(words.split())
