"""Loading an agent from a directory of models/ or from one agent.forge file."""

from __future__ import annotations

from pathlib import Path

from forge.errors import ForgeError
from forge.files import read_json
from forge.runtime.agent import Agent


def load_agent(path: Path | str, *, workspace: Path | str | None = None) -> Agent:
    """Load an agent; the path alone suffices, nothing else is read.

    Args:
        path: a model directory (config.json, model.safetensors, tokenizer.json) or an agent.forge file.
        workspace: folder of documents, files and database for the tools; default: the one built into the
        package.
    Raises ForgeError, in one line, when the path is missing, is neither of the two, or is damaged.
    """
    target = Path(path)
    tools_folder = None if workspace is None else Path(workspace)
    if tools_folder is not None and not tools_folder.is_dir():
        raise ForgeError(f"{tools_folder}: no such workspace folder")
    if target.is_dir():
        return _load_directory(target, tools_folder)
    if not target.exists():
        raise ForgeError(f"{target}: no such model")
    return _load_file(target, tools_folder)


def _load_directory(folder: Path, workspace: Path | None) -> Agent:
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        if not (folder / name).is_file():
            raise ForgeError(f"{folder}: not a model directory, {name} is missing")
    from forge.model import load_model, load_titan_tokenizer

    notes = read_json(folder / "metadata.json") if (folder / "metadata.json").is_file() else {}
    model = load_model(folder).eval()
    return Agent(model, load_titan_tokenizer(folder), folder, "directory", dict(notes), workspace)


def _load_file(path: Path, workspace: Path | None) -> Agent:
    from forge.agentfile.model import load_agent_file

    model, tokenizer, metadata = load_agent_file(path)
    return Agent(model, tokenizer, path, "file", metadata, workspace)
