"""Merging of models on disk: Hugging Face directories of one architecture, whole or in shards, in and out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from forge.errors import ForgeError
from forge.files import atomic_write_json, read_json, sha256_file
from forge.merge.align import align
from forge.merge.methods import StateDict, dare, merge_linear, slerp, ties

METHODS = ("linear", "slerp", "ties", "dare")
SHARD = "5GB"  # the largest weight file, as transformers writes them
_WEIGHTS, _INDEX = "model.safetensors", "model.safetensors.index.json"
# What is copied beside the weights: configuration, tokenizer, chat template, code of the architecture.
_COPIED = ("*.json", "*.jinja", "*.txt", "*.model", "*.py")
_NOT_COPIED = (_INDEX, "manifest.json", "metadata.json", "merge.json")


@dataclass(frozen=True)
class Recipe:
    """What to merge and how; checked when it is made.

    Attributes:
        method: one of `METHODS`.
        models: directories to merge.
        base: directory that TIES and DARE merge onto, and that SLERP starts at.
        weights: one a model in their order; None: equal parts.
        density: share of the task vectors' entries that TIES and DARE keep.
        t: how far SLERP goes from the base, or the first model, to the other.
        seed: of DARE's masks.
        align: reorder the parts of every model but the first to match it (`forge.merge.align`).
    """

    method: str
    models: tuple[Path, ...]
    base: Path | None = None
    weights: tuple[float, ...] | None = None
    density: float | None = None
    t: float | None = None
    seed: int | None = None
    align: bool = False

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ForgeError(f"merge: '{self.method}' is not a method, there are {', '.join(METHODS)}")
        self._refuse_what_has_no_effect()
        if self.method in ("ties", "dare") and self.base is None:
            raise ForgeError(f"merge: {self.method} needs --base, the model that the others were trained from")
        if not self.models:
            raise ForgeError("merge: no --model given")
        if self.method == "slerp" and len(self.directories) != 2:
            raise ForgeError(
                f"merge: slerp goes from one model to one other; give two --model, or --base and one --model"
                f" ({len(self.directories)} given)"
            )
        if self.weights is not None and len(self.weights) != len(self.models):
            raise ForgeError(f"merge: {len(self.weights)} weights given for {len(self.models)} models")

    def _refuse_what_has_no_effect(self) -> None:
        takes = {
            "linear": {"weights"},
            "slerp": {"base", "t"},
            "ties": {"base", "weights", "density"},
            "dare": {"base", "weights", "density", "seed"},
        }[self.method]
        for name in ("base", "weights", "density", "t", "seed"):
            if getattr(self, name) is not None and name not in takes:
                raise ForgeError(f"merge: {self.method} has no use for --{name.removesuffix('s')}")

    @property
    def directories(self) -> tuple[Path, ...]:
        """The base, if there is one, and the models."""
        return self.models if self.base is None else (self.base, *self.models)

    @property
    def shares(self) -> list[float]:
        """The weights, equal ones if none are given."""
        return [1.0 / len(self.models)] * len(self.models) if self.weights is None else list(self.weights)


def merge_directories(recipe: Recipe) -> StateDict:
    """Read the models of a recipe and merge them. The result has the names, shapes and types of the first directory.

    Raises:
        ForgeError: a directory without safetensors weights or configuration, or models that do not match; one line.
    """
    states = {directory: read_weights_to_merge(directory) for directory in recipe.directories}
    _check_alike(states)
    if recipe.align:
        states = _aligned(states)
    models = [states[directory] for directory in recipe.models]
    base = None if recipe.base is None else states[recipe.base]
    density = 0.5 if recipe.density is None else recipe.density
    if recipe.method == "linear":
        return merge_linear(models, recipe.shares)
    if base is None or recipe.method == "slerp":
        start, end = models if base is None else (base, models[0])
        return slerp(start, end, 0.5 if recipe.t is None else recipe.t)
    if recipe.method == "ties":
        return ties(base, models, recipe.shares, density)
    return dare(base, models, recipe.shares, density, recipe.seed or 0)


def weight_files_to_merge(directory: Path) -> list[Path]:
    """The safetensors files that hold a model's weights; `ForgeError` if one is missing or there are none."""
    if not (directory / "config.json").is_file():
        raise ForgeError(f"{directory}: no config.json; this is not a model directory")
    if (directory / _WEIGHTS).is_file():
        return [directory / _WEIGHTS]
    if not (directory / _INDEX).is_file():
        raise ForgeError(f"{directory}: neither {_WEIGHTS} nor {_INDEX}")
    index = read_json(directory / _INDEX)
    named = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(named, dict) or not named:
        raise ForgeError(f"{directory / _INDEX}: has no weight_map")
    files = [directory / Path(str(name)).name for name in sorted(set(named.values()))]
    for file in files:
        if not file.is_file():
            raise ForgeError(f"{file}: missing, though the index names it")
    return files


def read_weights_to_merge(directory: Path) -> dict[str, Tensor]:
    """All tensors of a model directory; files are mapped into memory, not read at once."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    tensors: dict[str, Tensor] = {}
    for file in weight_files_to_merge(directory):
        try:
            tensors |= load_file(file)
        except (OSError, SafetensorError) as error:
            raise ForgeError(f"{file}: not readable as safetensors ({error})") from error
    return tensors


def _check_alike(states: Mapping[Path, Mapping[str, Tensor]]) -> None:
    """Refuse models of another architecture, with other tensors, or whose tokens mean something else."""
    (first, wanted), *others = states.items()
    kind, words = _architecture_to_merge(first), _vocabulary_to_merge(first)
    for directory, tensors in others:
        if _architecture_to_merge(directory) != kind:
            raise ForgeError(
                f"{directory}: its architecture is {_architecture_to_merge(directory)}, that of {first} is {kind}"
            )
        odd = wanted.keys() ^ tensors.keys()
        if odd:
            raise ForgeError(f"{directory}: tensor '{min(odd)}' is not in both it and {first}")
        for name, tensor in tensors.items():
            if tensor.shape != wanted[name].shape:
                raise ForgeError(
                    f"{directory}: '{name}' is {tuple(tensor.shape)}, in {first} it is {tuple(wanted[name].shape)}"
                )
        theirs = _vocabulary_to_merge(directory)
        if words is not None and theirs is not None and theirs != words:
            raise ForgeError(f"{directory}: its tokenizer has another vocabulary than that of {first}")


def _aligned(states: dict[Path, dict[str, Tensor]]) -> dict[Path, dict[str, Tensor]]:
    """Every model aligned to the first, which stays as it is."""
    (first, reference), *others = states.items()
    head_dim = read_json(first / "config.json").get("head_dim")
    if not isinstance(head_dim, int):
        raise ForgeError(f"{first / 'config.json'}: has no head_dim, which aligning needs")
    return {first: reference, **{directory: align(model, reference, head_dim) for directory, model in others}}


def _architecture_to_merge(directory: Path) -> str:
    config = read_json(directory / "config.json")
    if not isinstance(config, dict):
        raise ForgeError(f"{directory / 'config.json'}: is not a table")
    names = config.get("architectures")
    return str(names[0] if isinstance(names, list) and names else config.get("model_type", "unnamed"))


def _vocabulary_to_merge(directory: Path) -> Any:
    """The tokens and their numbers, None where tokenizer.json does not say."""
    file = directory / "tokenizer.json"
    if not file.is_file():
        return None
    tokenizer = read_json(file)
    return tokenizer.get("model", {}).get("vocab") if isinstance(tokenizer, dict) else None


def write_merged(recipe: Recipe, merged: StateDict, target: Path) -> dict[str, Any]:
    """Write a merged model into the empty directory ``target``: weights (in shards of 5 GB), the first directory's
    configuration and tokenizer, and ``merge.json``, which says how it was made.

    Returns:
        Figures: parameters, tensors, bytes of the weights.
    """
    from huggingface_hub import split_torch_state_dict_into_shards
    from safetensors.torch import save_file

    split = split_torch_state_dict_into_shards(merged, max_shard_size=SHARD)
    for name, names in split.filename_to_tensors.items():
        save_file({tensor: merged[tensor].contiguous() for tensor in names}, target / name, {"format": "pt"})
    if split.is_sharded:
        atomic_write_json(target / _INDEX, {"metadata": split.metadata, "weight_map": split.tensor_to_filename})
    source = recipe.directories[0]
    for file in sorted({file for pattern in _COPIED for file in source.glob(pattern)}):
        if file.name not in _NOT_COPIED:
            shutil.copyfile(file, target / file.name)
    atomic_write_json(target / "merge.json", merge_recipe_with_checksums(recipe))
    return {
        "parameters": sum(tensor.numel() for tensor in merged.values()),
        "tensors": len(merged),
        "bytes": sum((target / name).stat().st_size for name in split.filename_to_tensors),
    }


def merge_recipe_with_checksums(recipe: Recipe) -> dict[str, Any]:
    """The recipe with its inputs as checksums of their weights, so that equal inputs give equal bytes."""
    settings = {key: value for key, value in asdict(recipe).items() if key not in ("models", "base")}
    known: Sequence[tuple[str, list[Path]]] = [
        ("models", list(recipe.models)),
        ("base", [] if recipe.base is None else [recipe.base]),
    ]
    inputs = {
        name: [
            {
                "name": directory.resolve().name,
                "sha256": {f.name: sha256_file(f) for f in weight_files_to_merge(directory)},
            }
            for directory in directories
        ]
        for name, directories in known
    }
    document: dict[str, Any] = json.loads(json.dumps({**settings, **inputs}))
    return document
