"""The model: TinyTitan, its cache and its generation engine. Importing this registers the Auto classes."""

from __future__ import annotations

from pathlib import Path

from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from forge.errors import ForgeError
from forge.files import atomic_write_text, save_safetensors
from forge.model.config import TinyTitanConfig
from forge.model.titan import Cache, TinyTitanForCausalLM, names_of_core_model_weights

__all__ = [
    "Cache",
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
    """Write config.json and model.safetensors (float32 latents) in Hugging Face format."""
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    model.config.architectures = ["TinyTitanForCausalLM"]
    atomic_write_text(folder / "config.json", model.config.to_json_string(use_diff=False))
    save_safetensors(folder / "model.safetensors", dict(model.state_dict()), {"format": "pt"})


def load_model(directory: Path | str) -> TinyTitanForCausalLM:
    """Read what :func:`save_model` wrote; ForgeError names a missing or damaged file."""
    from safetensors.torch import load_file

    folder = Path(directory)
    for name in ("config.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise ForgeError(f"{folder}: no {name}; this is not a model directory")
    try:
        config = TinyTitanConfig.from_pretrained(str(folder))
    except (OSError, ValueError) as error:
        raise ForgeError(f"{folder}/config.json: {error}") from error
    model = TinyTitanForCausalLM(config)
    try:
        model.load_state_dict(load_file(folder / "model.safetensors"))
    except Exception as error:  # safetensors has its own type for truncation, torch a RuntimeError for shapes
        raise ForgeError(f"{folder}/model.safetensors: {str(error).splitlines()[0]}") from error
    return model.eval()


def load_titan_tokenizer(directory: Path | str) -> PreTrainedTokenizerFast:
    """The tokenizer beside a model."""
    folder = Path(directory)
    if not (folder / "tokenizer.json").is_file():
        raise ForgeError(f"{folder}: no tokenizer.json")
    tokenizer = PreTrainedTokenizerFast.from_pretrained(str(folder))
    for trace in ("is_local", "local_files_only"):
        # How it was loaded would be saved with it, and the latter depends on the environment.
        tokenizer.init_kwargs.pop(trace, None)
    return tokenizer
