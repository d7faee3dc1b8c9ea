"""Loading an agent from a directory of models/ or from one agent.forge file."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from forge.errors import ForgeError
from forge.files import read_json, refuse_special_files
from forge.interface.paths import AGENT_FILE, weights_of_model_directory
from forge.runtime.agent import Agent
from forge.runtime.own_tools import read_agent_declarations, read_agent_tools_to_run

MODEL_TYPE = "tinytitan"  # as config.json says


def find_model(path: Path | str) -> Path:
    """The model that a path names: a model directory or an agent.forge, which may stand for the directory that holds it
    and no other model (models/compress).

    Raises ForgeError when nothing is there.
    """
    target = Path(path)
    if not os.path.exists(target):  # Path.exists raises for a name that is too long to be one
        raise ForgeError(f"{target}: no such model")
    packed = target / AGENT_FILE.name
    return packed if packed.is_file() and not (target / "config.json").exists() else target


def load_agent(path: Path | str, *, workspace: Path | str | None = None, tools: Path | str | None = None) -> Agent:
    """Load an agent; the path alone suffices, nothing else is read.

    Args:
        path: a model directory (config.json, tokenizer.json, and model.safetensors or packed.safetensors), an
        agent.forge file, or a directory that holds one.
        workspace: folder of documents, files and database for the tools; default: the one built into the
        package.
        tools: a tools file, or a folder of such files, that says how calls of your own tools are run. Without it a
        call of one is the product: nothing is run.
    Raises ForgeError, in one line, when the path is missing, is neither of the two, or is damaged, and when the tools
    are not those that the model was trained on.
    """
    target = find_model(path)
    tools_folder = None if workspace is None else Path(workspace)
    if tools_folder is not None:
        from forge.tools import examine_tool_workspace

        examine_tool_workspace(tools_folder)  # now: a call of the model would meet it in the middle of a talk
    agent = _load_directory(target, tools_folder) if target.is_dir() else _load_file(target, tools_folder)
    told = read_agent_declarations(agent.metadata, str(target))
    files = () if tools is None else tuple(read_agent_tools_to_run(tools, told.declared_tools, str(target)))
    return replace(agent, declared=told.declared_tools, personas=told.declared_personas, tool_files=files)


def agent_persona_names(path: Path | str) -> tuple[str, ...]:
    """The personas that a model answers as, told by its metadata alone: built-in ones, then its user's.

    Raises ForgeError when nothing is at the path or its metadata are damaged.
    """
    from forge.data.personas import PERSONAS

    target = find_model(path)
    if target.is_dir():
        notes = _read_metadata_file(target)
    else:
        from forge.agentfile.header import open_agent_file

        notes = open_agent_file(target).metadata
    return (*PERSONAS, *(persona.name for persona in read_agent_declarations(notes, str(target)).declared_personas))


def _read_metadata_file(folder: Path) -> dict[str, Any]:
    """metadata.json of a model directory, which need not be there."""
    notes = read_json(folder / "metadata.json") if (folder / "metadata.json").is_file() else {}
    if not isinstance(notes, dict):
        raise ForgeError(f"{folder / 'metadata.json'}: is not a table")
    return notes


def _load_directory(folder: Path, workspace: Path | None) -> Agent:
    refuse_special_files(folder)
    for name in ("config.json", weights_of_model_directory(folder).name, "tokenizer.json"):
        if not (folder / name).is_file():
            raise ForgeError(f"{folder}: not a model directory, {name} is missing")
        if name == "config.json":
            _refuse_other_model_types(folder / name)
    from forge.model import load_model, load_titan_tokenizer

    notes = _read_metadata_file(folder)
    tokenizer, model = load_titan_tokenizer(folder), load_model(folder).eval()
    if len(tokenizer) > model.config.vocab_size:
        raise ForgeError(f"{folder}: {len(tokenizer)} tokens, but the model knows {model.config.vocab_size}")
    return Agent(model, tokenizer, folder, "directory", notes, workspace)


def _refuse_other_model_types(config: Path) -> None:
    found = read_json(config)
    kind = found.get("model_type") if isinstance(found, dict) else None
    if kind not in (None, MODEL_TYPE):
        words = str(kind)[:40]
        raise ForgeError(f"{config}: a model of type {words!r}; only this project's own ({MODEL_TYPE!r}) can be used")


def _load_file(path: Path, workspace: Path | None) -> Agent:
    from forge.agentfile.model import load_agent_file

    model, tokenizer, metadata = load_agent_file(path)
    return Agent(model, tokenizer, path, "file", metadata, workspace)
