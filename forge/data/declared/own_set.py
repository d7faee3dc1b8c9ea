"""What the stage `tools` leaves in data/own_tools: what a user has declared, and rows drawn from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forge.files import read_json, read_jsonl
from forge.tools.declared.schema import DeclaredPersona, DeclaredTool
from forge.tools.declared.vocabulary import ToolWords

Row = dict[str, Any]
DECLARED_FILE = "tools.json"
_TRAINED_ON = frozenset({"examples", "values", "synonyms"})  # of a tool: what only sentences are made of


@dataclass(frozen=True)
class OwnTools:
    """Tools and personas that a user has declared. False where there are none.

    tools: without their `run`. folder: where their rows lie; None where nothing is declared.
    """

    tools: tuple[DeclaredTool, ...] = ()
    personas: tuple[DeclaredPersona, ...] = ()
    folder: Path | None = None

    def __bool__(self) -> bool:
        return self.folder is not None

    @property
    def by_name(self) -> dict[str, DeclaredTool]:
        """The tools by name."""
        return {tool.name: tool for tool in self.tools}

    def rows(self, split: str) -> list[Row]:
        """Rows of `train`, `val` or `test`, all of the kind `own_tool`; none where nothing is declared."""
        return [] if self.folder is None else [row for _, row in read_jsonl(self.folder / f"{split}.jsonl")]

    def call_rows(self, split: str) -> list[Row]:
        """Those of the tools, without the personas'."""
        return [row for row in self.rows(split) if row["category"] != "persona"]

    def metadata(self) -> dict[str, list[dict[str, Any]]]:
        """Entries of a model's metadata: what whoever uses the model has to know of its tools and personas.

        Never a `run`: who loads a model runs no command that came with it. What only sentences are made of is left
        out, for the bytes; a persona keeps one example, without which it is none.
        """
        tools = [{**declared_tool_for_dataset(tool, _TRAINED_ON), **_what_narrows(tool)} for tool in self.tools]
        personas = [declared_tool_for_dataset(persona) for persona in self.personas]
        personas = [{**persona, "examples": persona["examples"][:1]} for persona in personas]
        told = {"declared_tools": tools, "declared_personas": personas}
        return {key: listed for key, listed in told.items() if listed}


def _what_narrows(tool: DeclaredTool) -> dict[str, Any]:
    """What says which calls may be made after a conversation (`forge.model.constrain`): examples, synonyms, the listed
    values that have some, and which texts are sentences."""
    if not tool.narrows:
        return {}
    sentences = dict.fromkeys(sorted(ToolWords(tool).sentences), "sentence")
    listed = {name: tool.listed_with_words(name) or sentences.get(name) for name in tool.values}
    return {
        "examples": [example.model_dump(mode="json", exclude_defaults=True) for example in tool.examples],
        "synonyms": synonyms_as_pairs(tool),
        "values": {name: values for name, values in listed.items() if values},
    }


def synonyms_as_pairs(tool: DeclaredTool) -> list[list[Any]]:
    """Keys of JSON are texts; those of synonyms may be true, or a number."""
    return [[value, list(words)] for value, words in tool.synonyms.items()]


def declared_tool_for_dataset(
    declared: DeclaredTool | DeclaredPersona, left_out: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """A tool or persona as plain JSON without its `run`, which its class reads back."""
    return declared.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude={"run", *left_out})


def list_own_tools_of_rows(tools: Sequence[DeclaredTool], personas: Sequence[DeclaredPersona]) -> dict[str, Any]:
    """What `tools.json` holds."""
    listed = [{**declared_tool_for_dataset(tool), "synonyms": synonyms_as_pairs(tool)} for tool in tools]
    return {"tools": listed, "personas": [declared_tool_for_dataset(persona) for persona in personas]}


def load_own_tool_rows(folder: Path) -> OwnTools:
    """What the stage has written into a folder. Raises ForgeError for a file that is missing or damaged."""
    found = read_json(folder / DECLARED_FILE)
    tools = tuple(DeclaredTool.model_validate(tool) for tool in found["tools"])
    personas = tuple(DeclaredPersona.model_validate(persona) for persona in found["personas"])
    return OwnTools(tools, personas, folder) if tools or personas else OwnTools()
