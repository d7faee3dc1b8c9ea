"""How a tool is declared: `TOOL = Tool(...)` in a file of `forge/tools/builtin/`. That is all that adding one takes.

A tool says how it is opened on a workspace, and how people ask for it. Rows of training and evaluation, the prompt that
names the tools, scores and ledger follow from that.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forge.tools.declared.schema import DeclaredTool

Answer = Callable[[str], str]
# Slots of an intent's templates and, where the generator knows it, the tool's result.
Drawn = tuple[dict[str, str], str | None]


@dataclass(frozen=True)
class ToolSetting:
    """What tools are opened on: a folder with documents.jsonl, files/ and company.db; the wall-clock limit of a snippet
    and of a query; whether code may run on systems without Landlock, with resource limits only."""

    workspace: Path
    timeout_s: float = 2.0
    unsafe_code: bool = False


@dataclass(frozen=True)
class Frames:
    """Sentence frames of a tool for each split; `{}` takes the core."""

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]


@dataclass(frozen=True)
class Intent:
    """One thing a user may want: cores that fit the tool's frames, and the argument text of the call.

    Attributes:
        name: of the intent, unique within its tool.
        cores: what goes into the frames, with named slots such as `{a}` or `{w}`.
        argument: of the call, with the same slots.
        draw: slots and perhaps the result, from a random generator.
        weight: how often it is asked for, against the tool's other intents.
        extra: whole sentences (train, val, test) that no frame produces.
        frames: other ones than the tool's.
    """

    name: str
    cores: tuple[str, ...]
    argument: str
    draw: Callable[[random.Random], Drawn]
    weight: int = 1
    extra: tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]] = ((), (), ())
    frames: Frames | None = None


@dataclass(frozen=True)
class Tool:
    """One tool.

    Attributes:
        name: the first word of a call.
        place: where it stands among the tools; a new one takes the next free number.
        open: gives what answers a call's argument in one text, `error: ...` for a bad one; what is to be closed goes
            onto the stack. Raises `ForgeError` where the workspace lacks what it needs.
        frames: how people ask.
        intents: what for.
        split_by_argument: the arguments too are held out, by hash; otherwise only the words are.
        quoted: users put words meant for it into quotes, so that their tokens are those of the call.
        parameter: what a call's argument is called where calls have named arguments (chat APIs, Python).
        description: what it does, in one line, for those who choose tools.
    """

    name: str
    place: int
    open: Callable[[ToolSetting, ExitStack], Answer]
    frames: Frames
    intents: tuple[Intent, ...]
    split_by_argument: bool = False
    quoted: bool = False
    parameter: str = "text"
    description: str = ""

    @cached_property
    def declared(self) -> DeclaredTool:
        """The tool as one that a user declares: its calls take one text."""
        from forge.tools.declared.schema import DeclaredTool

        schema = {"properties": {self.parameter: {"type": "string"}}, "required": [self.parameter]}
        return DeclaredTool.model_validate({"name": self.name, "description": self.description, "parameters": schema})
