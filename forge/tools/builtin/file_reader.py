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
from forge.tools.wordings.files import FILE_QUESTIONS

# fmt: off
FRAMES = (
    "read {}", "open {}", "[what is|whats|what's] in {}?", "{}", "show me {}", "what does {} say?", "show {}",
    "read the file {}", "[can|could] you [read|open|show me] {}?", "[please|pls] [read|open|show] {}",
    "open the file {}", "[what is|whats|what's] in the file {}?", "cat {}", "[contents|content|text] of {}",
    "[what is|what's] written in {}?", "tell me what [{} says|is in {}|it says in {}|stands in {}]",
    "look [in|into|at] {}", "[get|load|display|print|check|view] {}",
    "[i need|i want|give me] [the contents of|what is in|what's in|] {}",
    "[i want to|i'd like to|let me] [read|see] {}", "[read|show|open] {} [to me|for me]",
    "what did i [write|note|put] in {}?", "[anything|something] in {}?", "[have a look|take a look] at {}",
    "go through {} and tell me what it says", "what does the file {} [say|hold|contain]?",
    "[which|what] text is in {}?", "{}, what's in there?", "{}?", "what do we have in {}?",
    "i forgot what i wrote [in|into] {}", "there is a file {}, [read it|open it|what does it say?]",
    "somebody sent me {}, what [is in it|does it say]?", "my glasses are gone, read me {}",
    "[dump|type|head|less] {}", "would you be so kind as to read {} to me?", "i saved something as {}, what was it?",
    "{} - [read it|open it|show it]", "pull up {}", "[what's inside|whats inside] {}?", "{} says what?",
    "do you see {}? what does it say?", "is there anything written in {}?", "read out {}",
    "[full text|all] of {}", "see {}", "can't remember what {} says", "open up {} and read it",
    "i can't open {} here, what is in it?", "let's [see|have] {}", "what are the contents of {}?",
)
NOTE_FRAMES = (
    "{}", "tell me: {}", "[can|could] you check: {}", "i forgot: {}", "look it up: {}", "do you know: {}", "check: {}",
    "i wonder: {}", "look in my [notes|files]: {}", "[remind me|help me]: {}", "one question: {}",
    "it's in my [notes|files], {}", "i wrote it down somewhere, {}", "see my files: {}", "i noted it, {}",
    "{}[, it's in a file|, see my notes]", "[sorry|oh], {}", "my memory is bad, {}",
)
_BY_NAME = (
    "[what is|whats|what's] in my {s} file?", "[open|read|show] the {s} file",
    "[what is|whats|what's] in the {s} file?", "my {s} file", "[show me|read me] my {s} file",
    "what does my {s} file say?", "[the|my] {s} notes", "[what is|whats] in {s}.txt and nothing else?",
    "[what did i write|what do i have] in the {s} file?", "is there something in my {s} file?",
    "[check|look at|look into] the {s} file", "{s} file", "{s} file please, what does it say?",
    "the file [called|named] {s}", "[open|read] the file [called|named] {s}", "what does the {s} file [say|contain]?",
    "[read|show me] my {s} notes", "[what is|whats] in my {s} notes?", "i have a file called {s}, what's in it?",
    "the text file on {s}", "[give me|i need] the {s} file", "{s} txt", "read {s} txt", "open {s} txt",
    "can you open the {s} file for me?", "go to the {s} file and read it", "[pull up|get|load] my {s} file",
    "i put a note in the {s} file, what was it?", "what was in the {s} file again?", "my notes [on|about] {s}",
    "there should be a file about {s}, read it", "in the {s} file, what is written?", "the {s} file says what?",
    "the content of my {s} file", "would you read me the {s} file?", "[look up|see] my {s} notes",
    "could i see what the {s} file says?", "[read|open] {e} from my folder", "in my folder there is {e}, open it",
    "please open the document {e}", "i lost track, what was in {e}?", "the note {e}, what does it say?",
)
# fmt: on
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
    """What the file tells is asked for; a third of the time the file is named as well."""
    questions, told = FILE_QUESTIONS[name]
    after = [f"{question.rstrip('?')}[, it's in| - see| according to|, look in] {{e}}" for question in questions]
    before = [f"{{e}}[ -|:|,] {question}" for question in questions]
    named = [said for forms in zip(questions, after, before, strict=True) for said in forms]
    whole = (*named[:9], *told, *named[9:])
    draw = partial(_pick_one_file, name=name)
    return Intent(f"about_{name.removesuffix('.txt')}", "{E}", draw, questions, whole, 0.3, NOTE_FRAMES)


def open_file_reader_tool(setting: ToolSetting, stack: ExitStack) -> Answer:
    """Looks at the folder when it is asked."""
    return partial(read_file_for_tool, setting.workspace / "files")


_NEXT = (
    "and {e}?", "and {e} too", "now {e}", "what about {e}?", "{e} as well", "then {e}", "and the {s} file?",
    "[next|also] {e}", "same for {e}", "open {e} too", "how about the {s} file?", "{e}?",
)  # fmt: skip
INTENTS = (
    Intent(
        "file",
        "{E}",
        pick_file_for_reader_tool,
        ("{e}",),
        _BY_NAME,
        8,
        follow_ups=(FollowUp(_NEXT, "{E}"),),
    ),
    Intent("missing", "{E}", pick_missing_file_for_reader_tool, ("{e}",), (), 1.3),
    *map(_questions_about_file, FILE_QUESTIONS),
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
