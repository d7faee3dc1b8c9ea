"""The model: TinyTitan, its cache and its generation engine. Importing this registers the Auto classes."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from forge.data.tokenizer import read_tokenizer
from forge.errors import ForgeError
from forge.files import atomic_write_text, read_json, refuse_special_files, save_safetensors_file
from forge.interface.paths import FULL_WEIGHTS, PACKED_WEIGHTS, weights_of_model_directory
from forge.model.beside import AUTO_MAP, write_model_files_beside_weights
from forge.model.config import TinyTitanConfig
from forge.model.fit import check_model_cost, check_weights_fit
from forge.model.titan import TinyTitanForCausalLM, names_of_core_model_weights

__all__ = [
    "TinyTitanConfig",
    "TinyTitanForCausalLM",
    "load_model",
    "load_titan_tokenizer",
    "names_of_core_model_weights",
    "save_model",
]

AutoConfig.register("tinytitan", TinyTitanConfig, exist_ok=True)
AutoModelForCausalLM.register(TinyTitanConfig, TinyTitanForCausalLM, exist_ok=True)


def save_model(model: TinyTitanForCausalLM, directory: Path | str) -> None:
    """Write a directory in Hugging Face format: config.json, model.safetensors (float32 latents), and what
    transformers needs to use it without this package (:mod:`forge.model.beside`)."""
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    model.config.architectures = ["TinyTitanForCausalLM"]
    model.config.auto_map = dict(AUTO_MAP)
    write_model_files_beside_weights(folder)
    atomic_write_text(folder / "config.json", model.config.to_json_string(use_diff=False))
    save_safetensors_file(folder / FULL_WEIGHTS, dict(model.state_dict()), {"format": "pt"})


def load_model(directory: Path | str) -> TinyTitanForCausalLM:
    """Read what :func:`save_model` wrote, whoever says that it did; no code that lies there is run.

    Where the packed weights of a ternary model lie there without those that it was trained on, they are what it is
    loaded from: a model with the same answers, which cannot be trained further.

    Raises:
        ForgeError: names a file that is missing, damaged or no regular one, a value of the configuration that is out
            of bounds, and a weight that does not fit it or is not finite; all but the last before any weight is read.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from forge.model.packed import check_packed_weights_fit, load_packed

    folder = Path(directory)
    refuse_special_files(folder)
    config, weights = _read_config(folder), weights_of_model_directory(folder)
    if not weights.is_file():
        raise ForgeError(f"{folder}: no {weights.name}; this is not a model directory")
    packed = weights.name == PACKED_WEIGHTS
    if packed:
        check_packed_weights_fit(weights, config)
    else:
        check_weights_fit(weights, config, TinyTitanForCausalLM)
    model = TinyTitanForCausalLM(config)
    try:
        check_model_cost(config, model.num_parameters(), weights.stat().st_size)
    except ForgeError as error:
        raise ForgeError(f"{weights}: {error}") from error
    try:
        if packed:
            model = load_packed(weights, model)
        else:
            model.load_state_dict(load_file(weights))
    except (ForgeError, OSError, SafetensorError, RuntimeError) as error:
        raise ForgeError(f"{weights}: {str(error).splitlines()[0]}") from error
    for name, tensor in model.state_dict().items():
        if not bool(torch.isfinite(tensor).all()):
            raise ForgeError(f"{weights}: weight {name} holds values that are not finite")
    return model.eval()


def _read_config(folder: Path) -> TinyTitanConfig:
    path = folder / "config.json"
    if not path.is_file():
        raise ForgeError(f"{folder}: no {path.name}; this is not a model directory")
    values = read_json(path)
    if not isinstance(values, dict):
        raise ForgeError(f"{path}: is not a table")
    try:
        return TinyTitanConfig(**values)
    except ForgeError as error:
        raise ForgeError(f"{path}: {error}") from error


def load_titan_tokenizer(directory: Path | str) -> PreTrainedTokenizerFast:
    """The tokenizer beside a model; ForgeError as `forge.data.tokenizer.read_tokenizer`."""
    return read_tokenizer(Path(directory) / "tokenizer.json")
