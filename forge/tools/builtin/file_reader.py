"""Files of a folder, and how people ask for them."""

from __future__ import annotations

import os
import random
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from forge.tools.column_sayings import words_of_tool_column
from forge.tools.content import FILES
from forge.tools.declaration import MOST_CONTENTS, SHOWN, About, Answer, Drawn, FollowUp, Intent, Tool, ToolSetting
from forge.tools.drawing import pick_tool_argument_word
from forge.tools.file_reader import read_file_for_tool

FRAMES = (
    "read {}",
    "open {}",
    "[what is|whats|what's] in {}?",
    "{}",
    "show me {}",
    "what does {} say?",
    "show {}",
    "read the file {}",
    "[can|could] you [read|open|show me] {}?",
    "[please|pls] [read|open|show] {}",
    "open the file {}",
    "[what is|whats|what's] in the file {}?",
    "cat {}",
    "[contents|content|text] of {}",
    "[what is|what's] written in {}?",
    "tell me what [{} says|is in {}|it says in {}|stands in {}]",
    "look [in|into|at] {}",
    "[get|load|display|print|check|view] {}",
    "[i need|i want|give me] [the contents of|what is in|what's in|] {}",
    "[i want to|i'd like to|let me] [read|see] {}",
    "[read|show|open] {} [to me|for me]",
    "what did i [write|note|put] in {}?",
    "[anything|something] in {}?",
    "[have a look|take a look] at {}",
    "go through {} and tell me what it says",
    "what does the file {} [say|hold|contain]?",
    "[which|what] text is in {}?",
    "{}, what's in there?",
)
NOTE_FRAMES = (
    "{}",
    "tell me: {}",
    "[can|could] you check: {}",
    "i forgot: {}",
    "look it up: {}",
    "do you know: {}",
    "check: {}",
    "i wonder: {}",
)
# What a file without its name is asked for.
_ASKED: dict[str, tuple[str, ...]] = {
    "garden.txt": ("when do i water the roses?", "what day is it for the roses?",
    "[what is|whats] to do in the garden?"),
    "todo.txt": ("[what is|whats] on my list?", "what do i have to do?", "my todo list", "who do i have to call?",
    "[what is|whats] still to do?"),
    "menu.txt": ("[what is|whats] on the menu?", "what do we serve today?", "which soup is there today?",
    "[what is|whats] for lunch today?"),
    "recipe.txt": ("how many eggs go into the dough?", "[what is|whats] in my recipe?",
    "what do i mix with the flour?"),
    "letter.txt": ("when do we see anna?", "[what is|whats] in the letter to anna?", "who is my letter for?"),
    "diary.txt": ("how was the day in my diary?", "what did i write in my diary?", "did it rain all day?"),
    "budget.txt": ("how much money do we have left?", "[what is|whats] left of the budget?",
    "how many euros are left in our budget?"),
    "travel.txt": ("when does my train leave?", "what time is the train?", "at what time do i travel?"),
    "music.txt": ("when do i practice the piano?", "what time is piano practice?", "when is my music lesson?"),
    "books.txt": ("when is the novel due?", "what book do i have to return?", "by when must the novel be back?"),
    "weather.txt": ("hows the weather?", "[what is|whats] the weather like?", "is it sunny today?",
    "is there any wind?"),
    "pets.txt": ("how often do i feed the cat?", "when does the cat get food?",
    "how many times a day does the cat eat?"),
}  # fmt: skip
_ENDINGS = ("txt", "txt", "txt", "md", "csv", "log", "doc")


def pick_file_for_reader_tool(rng: random.Random) -> Drawn:
    """The name of a file that is there, with its ending and without."""
    name = rng.choice(list(FILES))
    return {"e": name, "s": name.removesuffix(".txt"), "E": name}, None


def pick_missing_file_for_reader_tool(rng: random.Random) -> Drawn:
    """The name of a file that is not there, or of one outside the folder."""
    word = pick_tool_argument_word(rng)
    name = f"{word}{rng.choice(('', '', '', rng.randint(1, 99), '_2', '-old'))}.{rng.choice(_ENDINGS)}"
    if rng.random() < 0.1:
        name = rng.choice((f"/etc/{word}", f"../{name}", f"/home/{word}/{name}"))
    return pick_missing_file_for_reader_tool(rng) if name in FILES else ({"e": name, "E": name}, None)


def _pick_one_file(rng: random.Random, name: str) -> Drawn:
    return {"e": name, "E": name}, None


def _questions_about_file(name: str) -> Intent:
    """What the file tells is asked for; half the time the file is named as well."""
    after = [f"{question.rstrip('?')}[, it's in| - see| according to|, look in] {{e}}" for question in _ASKED[name]]
    before = [f"{{e}}[ -|:|,] {question}" for question in _ASKED[name]]
    cores = tuple(core for forms in zip(_ASKED[name], after, before, strict=True) for core in forms)
    draw = partial(_pick_one_file, name=name)
    return Intent(f"about_{name.removesuffix('.txt')}", "{E}", draw, cores, (), 0.3, NOTE_FRAMES)


def open_file_reader_tool(setting: ToolSetting, stack: ExitStack) -> Answer:
    """Looks at the folder when it is asked."""
    return partial(read_file_for_tool, setting.workspace / "files")


INTENTS = (
    Intent(
        "file",
        "{E}",
        pick_file_for_reader_tool,
        ("{e}",),
        (
            "[what is|whats|what's] in my {s} file?",
            "[open|read|show] the {s} file",
            "[what is|whats|what's] in the {s} file?",
            "my {s} file",
            "[show me|read me] my {s} file",
            "what does my {s} file say?",
            "[the|my] {s} notes",
            "[what is|whats] in {s}.txt and nothing else?",
            "[what did i write|what do i have] in the {s} file?",
            "is there something in my {s} file?",
            "[check|look at|look into] the {s} file",
        ),
        8,
        follow_ups=(
            FollowUp(("and {e}?", "and {e} too", "now {e}", "what about {e}?", "{e} as well", "then {e}"), "{E}"),
        ),
    ),
    Intent("missing", "{E}", pick_missing_file_for_reader_tool, ("{e}",), (), 1.3),
    *map(_questions_about_file, _ASKED),
)


def about_files_of_tool(workspace: Path) -> About | None:
    """What another folder than the built-in one is asked about: each file by its name and by what it says."""
    folder = workspace / "files"
    names = sorted(os.listdir(folder))[:MOST_CONTENTS] if folder.is_dir() else []
    if set(names) == set(FILES):
        return None
    known = {f"about_{name.removesuffix('.txt')}" for name in names}
    kept = tuple(intent for intent in INTENTS if not intent.name.startswith("about_") or intent.name in known)
    plain = [name for name in names if name.isprintable() and not {*"{}"} & {*name}]
    titles = {name: " ".join(words_of_tool_column(name.rpartition(".")[0] or name)) for name in plain}
    return About(kept, contents=tuple((name, title, _text_of_file(folder, name)) for name, title in titles.items()))


def _text_of_file(folder: Path, name: str) -> str:
    text = read_file_for_tool(folder, name)
    return "" if text.startswith("error:") else text[:SHOWN]


TOOL = Tool(
    "file_reader",
    4,
    open_file_reader_tool,
    FRAMES,
    INTENTS,
    parameter="path",
    description="Read a file of the folder that the agent may see.",
    known=lambda workspace: os.listdir(workspace / "files") if (workspace / "files").is_dir() else (),
    about=about_files_of_tool,
)
