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
from forge.files import atomic_write_json, sha256_file
from forge.interface.limits import LARGEST_SEED
from forge.merge.align import align
from forge.merge.alike import check_models_alike, merge_untied_config
from forge.merge.folder import COPIED, INDEX, ModelFolder
from forge.merge.methods import StateDict, dare, merge_linear, slerp, ties

METHODS = ("linear", "slerp", "ties", "dare")
SHARD = "5GB"  # the largest weight file, as transformers writes them
_FLOATS = ("F64", "F32", "F16", "BF16")  # as safetensors writes them
_MERGED_TYPES = {*_FLOATS, "BOOL", "U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64"}  # what is no float must agree
_LARGEST_WEIGHT = 1e3
_FARTHEST = 10.0  # that SLERP may go beyond its ends


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
        self._refuse_what_is_out_of_bounds()

    def _refuse_what_is_out_of_bounds(self) -> None:
        for weight in self.weights or ():
            if not abs(weight) <= _LARGEST_WEIGHT:  # NaN is not
                raise ForgeError(f"merge: weight {weight:g} does not lie in ±{_LARGEST_WEIGHT:g}")
        if self.density is not None and not 0.0 < self.density <= 1.0:
            raise ForgeError(f"merge: density must lie in (0, 1], not {self.density:g}")
        if self.t is not None and not abs(self.t) <= _FARTHEST:
            raise ForgeError(f"merge: t {self.t:g} does not lie in ±{_FARTHEST:g}")
        if self.seed is not None and not 0 <= self.seed <= LARGEST_SEED:
            raise ForgeError(f"merge: seed {self.seed} does not lie in [0, {LARGEST_SEED}]")

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


@dataclass(frozen=True)
class Merged:
    """A merged model before it is written.

    Attributes:
        state: its tensors, with the names and types of the first directory's.
        folder: the first directory, whose configuration and tokenizer it gets.
        untied: it has a head of its own, which the first has not.
        notes: what is worth saying about the models, a line each.
    """

    state: StateDict
    folder: ModelFolder
    untied: bool
    notes: list[str]


def merge_directories(recipe: Recipe) -> Merged:
    """Read the models of a recipe and merge them.

    Raises:
        ForgeError: a directory without safetensors weights or configuration, or models that do not match; one line.
    """
    folders = {directory: ModelFolder.look_through(directory) for directory in recipe.directories}
    alike = check_models_alike(list(folders.values()), [read_weights_to_merge(folder) for folder in folders.values()])
    states = dict(zip(folders, alike.tensors, strict=True))
    if recipe.align:
        states = _aligned(states, folders[recipe.directories[0]])
    left_out = alike.folders[0].note_of_left_out(_code_written_anew(alike.folders[0]))
    notes = [*alike.notes, *([] if left_out is None else [left_out])]
    return Merged(_merge_states(recipe, states), alike.folders[0], alike.untied, notes)


def _code_written_anew(folder: ModelFolder) -> list[str]:
    """The names of the programs that a model of this package has beside its weights: they are not taken from there."""
    config = folder.table("config.json")
    if config.get("model_type") != "tinytitan" or "auto_map" not in config:
        return []
    from forge.model.beside import MODULES

    return [f"{name}.py" for name in MODULES.values()]


def merged_configurations(merged: Merged) -> dict[str, dict[str, Any]]:
    """The configurations beside a merged model that differ from those of the first directory, by name.

    `auto_map` names the code beside the weights: ours is written anew, and without it the entry goes. What it names in
    another repository (`owner/name--module.Class`) stays.
    """
    changed: dict[str, dict[str, Any]] = {}
    for name in sorted(name for name in COPIED if name.endswith("config.json")):
        config = merged.folder.table(name)
        wanted = merge_untied_config(config) if merged.untied and name == "config.json" else dict(config)
        if name == "config.json" and _code_written_anew(merged.folder):
            from forge.model.beside import AUTO_MAP

            wanted["auto_map"] = dict(AUTO_MAP)
        elif "auto_map" in wanted and "--" not in str(wanted["auto_map"]):
            del wanted["auto_map"]
        if wanted != config:
            changed[name] = wanted
    return changed


def _merge_states(recipe: Recipe, states: Mapping[Path, StateDict]) -> StateDict:
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


def read_weights_to_merge(folder: ModelFolder) -> dict[str, Tensor]:
    """All tensors of a model; files are mapped into memory, not read at once.

    Raises:
        ForgeError: not readable, a tensor that the index names is in no shard, or a tensor of a type that does not
            stand for itself (float8 and below, whose values have a scale elsewhere).
    """
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load_file

    tensors: dict[str, Tensor] = {}
    for short, file in folder.weight_files().items():
        try:
            with safe_open(file, framework="np") as stored:
                for name in stored.keys():  # noqa: SIM118 - not a dict
                    kind = str(stored.get_slice(name).get_dtype())
                    if kind not in _MERGED_TYPES:
                        raise ForgeError(f"{folder.path}: '{name}' is {kind}; merge takes {', '.join(_FLOATS)}")
            tensors |= load_file(file)
        except (OSError, SafetensorError) as error:
            raise ForgeError(f"{folder.path / short}: not readable as safetensors ({error})") from error
    lost = folder.weight_map().keys() - tensors.keys()
    if lost:
        raise ForgeError(f"{folder.path}: '{min(lost)}' is in none of the shards, though the index names it")
    return tensors


def _aligned(states: Mapping[Path, StateDict], first: ModelFolder) -> dict[Path, StateDict]:
    """Every model aligned to the first, which stays as it is."""
    reference = states[first.path]
    head_dim = first.table("config.json").get("head_dim")
    if type(head_dim) is not int or head_dim < 1:
        raise ForgeError(f"{first.path / 'config.json'}: has no head_dim, which aligning needs")
    return {
        path: reference if path == first.path else align(model, reference, head_dim) for path, model in states.items()
    }


def write_merged(recipe: Recipe, merged: Merged, target: Path) -> dict[str, Any]:
    """Write a merged model into the empty directory ``target``: weights (in shards of 5 GB), the first directory's
    configuration and tokenizer, and ``merge.json``, which says how it was made.

    Returns:
        Figures: parameters, tensors, bytes of the weights.
    """
    from huggingface_hub import split_torch_state_dict_into_shards
    from safetensors.torch import save_file

    state = merged.state
    split = split_torch_state_dict_into_shards(state, max_shard_size=SHARD)
    for name, names in split.filename_to_tensors.items():
        save_file({tensor: state[tensor].contiguous() for tensor in names}, target / name, {"format": "pt"})
    if split.is_sharded:
        atomic_write_json(target / INDEX, {"metadata": split.metadata, "weight_map": split.tensor_to_filename})
    if _code_written_anew(merged.folder):
        from forge.model.beside import write_model_files_beside_weights

        write_model_files_beside_weights(target)
    merged.folder.copy_beside_weights(target)
    for name, config in merged_configurations(merged).items():
        atomic_write_json(target / name, config)
    atomic_write_json(target / "merge.json", merge_recipe_with_checksums(recipe))
    for name in split.filename_to_tensors:  # safetensors writes files that only their owner may read
        shutil.copymode(target / "merge.json", target / name)
    return {
        "parameters": sum(tensor.numel() for tensor in state.values()),
        "tensors": len(state),
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
                "sha256": {
                    file: sha256_file(real) for file, real in ModelFolder.look_through(directory).weight_files().items()
                },
            }
            for directory in directories
        ]
        for name, directories in known
    }
    document: dict[str, Any] = json.loads(json.dumps({**settings, **inputs}))
    return document
