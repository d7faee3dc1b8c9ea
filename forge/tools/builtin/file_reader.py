"""Files of a folder, and how people ask for them."""

from __future__ import annotations

import random
from contextlib import ExitStack
from functools import partial

from forge.tools.content import FILES
from forge.tools.declaration import Answer, Drawn, Frames, Intent, Tool, ToolSetting
from forge.tools.drawing import pick_tool_argument_word
from forge.tools.file_reader import read_file_for_tool

# fmt: off
FRAMES = Frames(
    train=(
        "Read the file {}.", "Read {}.", "Open {}.", "Open the file {}.", "What does {} say?",
        "What is in {}?",
        "What is in the file {}?", "Show me {}.", "Show me the file {}.", "Please read {}.",
        "Please open {}.",
        "Can you read the file {}?", "Can you open {}?", "What is written in {}?",
        "Tell me what {} says.",
        "Could you show me {}?",
    ),
    val=("Please read the file {}.", "Can you show me {}?", "Could you open the file {}?",
    "Tell me what is in {}."),
    test=(
        "Please open the file {}.", "Could you read {}?", "Can you show me the file {}?",
        "Tell me what is written in {}.",
    ),
)
# fmt: on


def pick_file_for_reader_tool(rng: random.Random) -> Drawn:
    """The name of a file that is there."""
    return {"e": rng.choice(list(FILES))}, None


def pick_missing_file_for_reader_tool(rng: random.Random) -> Drawn:
    """The name of a file that is not there."""
    name = f"{pick_tool_argument_word(rng)}.txt"
    return pick_missing_file_for_reader_tool(rng) if name in FILES else ({"e": name}, None)


def open_file_reader(setting: ToolSetting, stack: ExitStack) -> Answer:
    """Looks at the folder when it is asked."""
    return partial(read_file_for_tool, setting.workspace / "files")


INTENTS = (
    Intent("file", ("{e}",), "{e}", pick_file_for_reader_tool, 9),
    Intent("missing", ("{e}",), "{e}", pick_missing_file_for_reader_tool),
)
TOOL = Tool(
    "file_reader",
    4,
    open_file_reader,
    FRAMES,
    INTENTS,
    parameter="path",
    description="Read a file of the folder that the agent may see.",
)
