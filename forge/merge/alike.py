"""Whether models can be merged: one architecture, the same tensors, tokens that mean the same; and what to say of the
rest.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from forge.errors import ForgeError
from forge.merge.folder import ModelFolder
from forge.merge.tokens import check_tokens_alike

Tensors = dict[str, Tensor]

_HEAD = re.compile(r"(.*\.)?(lm_head|embed_out|output)\.weight")
_EMBEDDING = re.compile(
    r"(.*\.)?(embed_tokens|wte|embed_in|word_embeddings|tok_embeddings|embeddings?|shared|embed)\.weight"
)
TIED = "tie_word_embeddings"
# What no forward pass of a finished model depends on, or what is checked elsewhere.
_OF_NO_EFFECT = re.compile(
    r"_name_or_path|name_or_path|transformers_version|torch_dtype|dtype|architectures|model_type|auto_map|use_cache"
    r"|initializer_range|return_dict|output_\w+|gradient_checkpointing|id2label.*|label2id.*|tie_word_embeddings"
    r"|\w*dropout|\w*_pdrop|pretraining_tp|_attn_implementation\w*|attn_implementation"
)
_NAMED = 6  # fields of a configuration that a note names


@dataclass
class LikeModels:
    """Models that may be merged.

    Attributes:
        folders: their directories; the first is that of the base, if there is one.
        tensors: of each, with the same names and shapes in all.
        untied: the result has a head of its own, though the first model's is its embedding.
        notes: what is worth saying, a line each.
    """

    folders: Sequence[ModelFolder]
    tensors: list[Tensors]
    untied: bool = False
    notes: list[str] = field(default_factory=list)


def check_models_alike(folders: Sequence[ModelFolder], tensors: Sequence[Tensors]) -> LikeModels:
    """Compare models with the first of them.

    Raises:
        ForgeError: another architecture, other tensors, tokens that mean something else, or a configuration of
            quantized weights; one line.
    """
    found = LikeModels(folders, [dict(each) for each in tensors])
    configs = [folder.table("config.json") for folder in folders]
    for folder, config in zip(folders, configs, strict=True):
        if config.get("quantization_config"):
            raise ForgeError(f"{folder.path}: its weights are quantized (quantization_config); merge those before that")
        if _architecture_to_merge(config) != _architecture_to_merge(configs[0]):
            raise ForgeError(
                f"{folder.path}: its architecture is {_architecture_to_merge(config)}, that of {folders[0].path} is"
                f" {_architecture_to_merge(configs[0])}"
            )
    _give_all_heads(found, configs)
    for folder, config, model in list(zip(folders, configs, found.tensors, strict=True))[1:]:
        _check_same_tensors(folders[0], found.tensors[0], folder, model)
        found.notes += check_tokens_alike(folders[0], folder)
        found.notes += _differing_settings(folders[0], configs[0], folder, config)
    return found


def _architecture_to_merge(config: dict[str, Any]) -> str:
    names = config.get("architectures")
    return str(names[0] if isinstance(names, list) and names else config.get("model_type", "unnamed"))[:80]


def _check_same_tensors(first: ModelFolder, wanted: Tensors, folder: ModelFolder, model: Tensors) -> None:
    odd = wanted.keys() ^ model.keys()
    if odd:
        raise ForgeError(f"{folder.path}: tensor '{min(odd)}' is not in both it and {first.path}")
    for name, tensor in model.items():
        if tensor.shape != wanted[name].shape:
            raise ForgeError(
                f"{folder.path}: '{name}' is {tuple(tensor.shape)}, in {first.path} it is {tuple(wanted[name].shape)}"
            )


# ---- tied heads ----------------------------------------------------------------------------------------------------


def _give_all_heads(found: LikeModels, configs: Sequence[dict[str, Any]]) -> None:
    """Where some models have a head of their own and others use their embedding, copy it as theirs (as mergekit does).

    Where all use their embedding, a copy of it that some files hold as the head is left out.
    """
    heads = {name for model in found.tensors for name in model if _HEAD.fullmatch(name)}
    for head in heads:
        tied = [_is_tied(config, head in model) for config, model in zip(configs, found.tensors, strict=True)]
        stored = [head in model for model in found.tensors]
        if all(tied):
            if not all(stored):
                for model in found.tensors:
                    model.pop(head, None)
            continue
        for place, model in enumerate(found.tensors):
            embedding = _embedding_for(head, model, found.tensors) if tied[place] else None
            if embedding is not None:
                model[head] = model[embedding]
                found.untied |= place == 0
                where = found.folders[place].path
                found.notes.append(f"{where}: its head is its embedding; copied, for the result has a head of its own")


def _is_tied(config: dict[str, Any], stored: bool) -> bool:
    """Whether a model's head is its embedding: as its configuration says or, if that is silent, if it stores none."""
    nested = config.get("text_config")
    stated = config.get(TIED, nested.get(TIED) if isinstance(nested, dict) else None)
    return stated if isinstance(stated, bool) else not stored


def _embedding_for(head: str, model: Tensors, models: Sequence[Tensors]) -> str | None:
    shapes = {each[head].shape for each in models if head in each}
    names = [name for name, tensor in model.items() if _EMBEDDING.fullmatch(name) and tensor.shape in shapes]
    return names[0] if len(names) == 1 else None


def merge_untied_config(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration of a model whose head is its own."""
    nested = config.get("text_config")
    inner = {"text_config": {**nested, TIED: False}} if isinstance(nested, dict) and TIED in nested else {}
    return {**config, **inner, TIED: False}


# ---- settings ------------------------------------------------------------------------------------------------------


def _differing_settings(
    first: ModelFolder, wanted: dict[str, Any], folder: ModelFolder, config: dict[str, Any]
) -> list[str]:
    """A line on the fields of a configuration that change what a model computes and differ from the first's."""
    ours, theirs = _effective_settings(wanted), _effective_settings(config)
    names = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
    if not names:
        return []
    told = [f"{name} is {_show_setting(theirs, name)}, there {_show_setting(ours, name)}" for name in names[:_NAMED]]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return [f"{folder.path}: differs from {first.path}, whose settings the result has: {', '.join(told)}{more}"]


def _effective_settings(config: dict[str, Any]) -> dict[str, Any]:
    """Fields that are set, those of tables within under dotted names; where rope's are, older files have none."""
    found: dict[str, Any] = {}
    waiting = list(config.items())
    while waiting:
        name, value = waiting.pop()
        if _OF_NO_EFFECT.fullmatch(name.rpartition(".")[2]) or value is None:
            continue
        if isinstance(value, dict):
            waiting += [(f"{name}.{key}", inner) for key, inner in value.items()]
        else:
            found[name.removeprefix("rope_parameters.")] = value
    return found


def _show_setting(settings: dict[str, Any], name: str) -> str:
    return repr(settings[name])[:40] if name in settings else "not set"
