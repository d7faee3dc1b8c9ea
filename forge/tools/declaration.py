"""How a tool is declared: `TOOL = Tool(...)` in a file of `forge/tools/builtin/`. That is all that adding one takes.

A tool says how it is opened on a workspace, and how people ask for it. Rows of training and evaluation, the prompt that
names the tools, scores and ledger follow from that.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from forge.tools.words import words_of_text

if TYPE_CHECKING:
    from forge.tools.declared.schema import DeclaredTool

MOST_CONTENTS = 300  # texts of a workspace that are known by what they say
SHOWN = 200  # characters of a result
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


@dataclass(frozen=True, eq=False)
class FollowUp:
    """What a user may say next about the same thing, and the call for it.

    Attributes:
        sentences: patterns, as an intent's.
        argument: of the call; `{r}` is the result of the call before.
        draw: slots of sentences and argument; None where they are drawn as the intent's.
    """

    sentences: tuple[str, ...]
    argument: str
    draw: Callable[[random.Random], Drawn] | None = None


@dataclass(frozen=True, eq=False)
class Intent:
    """One thing a user may want, in how many ways it is said, and the argument text of the call.

    A pattern is a text with slots, such as `{a}` or `{w}`, and with choices, such as `[what is|whats]`; a question
    ends with its mark. Patterns stand in the order of how often people say them: the k-th is drawn 1/sqrt(k) times as
    often as the first.

    Attributes:
        name: of the intent, unique within its tool.
        argument: of the call, with slots: by habit a capital letter for what the user wrote under the small one.
        draw: slots and perhaps the result, from a random generator.
        cores: patterns that go into the tool's frames.
        sentences: patterns of whole sentences, as many in all as the framed ones.
        weight: how often it is asked for, against the tool's other intents.
        frames: other ones than the tool's.
        follow_ups: what a second turn may say.
        verbatim: the sentence ends in what must stay as it is, such as code: no mark or word is put after it.
    """

    name: str
    argument: str
    draw: Callable[[random.Random], Drawn]
    cores: tuple[str, ...] = ()
    sentences: tuple[str, ...] = ()
    weight: float = 1
    frames: tuple[str, ...] | None = None
    follow_ups: tuple[FollowUp, ...] = ()
    verbatim: bool = False


@dataclass(frozen=True)
class About:
    """What a workspace of another kind than the built-in one is asked about.

    Attributes:
        intents: in place of the tool's.
        fillings: the texts that may fill a slot of their arguments, by its name; slots that are not named here are
            filled with what is said.
        contents: arguments of calls that show a text, its title, and that text.
        marks: words of which one must be said before a call has an argument.
    """

    intents: tuple[Intent, ...]
    fillings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    contents: tuple[tuple[str, str, str], ...] = ()
    marks: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Tool:
    """One tool.

    Attributes:
        name: the first word of a call.
        place: where it stands among the tools; a new one takes the next free number.
        open: gives what answers a call's argument in one text, `error: ...` for a bad one; what is to be closed goes
            onto the stack. Raises `ForgeError` where the workspace lacks what it needs.
        frames: how people ask: patterns in which `{}` takes an intent's core.
        intents: what for.
        split_by_argument: the arguments too are held out, by hash of the slot `W`, or else of the whole argument;
            otherwise only the words are.
        parameter: what a call's argument is called where calls have named arguments (chat APIs, Python).
        description: what it does, in one line, for those who choose tools.
        known: texts, given a workspace, whose words a call may have though nobody said them. Those of the intents'
            arguments are known without it.
        spelled: texts whose words a call may have where a word that is nearly one of them was said: typos, plurals.
        copied: a pattern of the said words that a call may have.
        about: what a workspace is asked about; None where it is of the kind that the intents are about.
        written: regular expressions of the arguments that a question writes out, such as sums; empty where it does not.
    """

    name: str
    place: int
    open: Callable[[ToolSetting, ExitStack], Answer]
    frames: tuple[str, ...]
    intents: tuple[Intent, ...]
    split_by_argument: bool = False
    parameter: str = "text"
    description: str = ""
    known: Callable[[Path], Iterable[str]] = lambda workspace: ()
    spelled: Callable[[Path], Iterable[str]] = lambda workspace: ()
    copied: str = r"\w+"
    about: Callable[[Path], About | None] = lambda workspace: None
    written: Callable[[str], list[str]] = lambda question: []

    @cached_property
    def _literals(self) -> tuple[str, ...]:
        """The arguments that its intents write, without their slots."""
        told = (a for intent in self.intents for a in (intent.argument, *(f.argument for f in intent.follow_ups)))
        return tuple(re.sub(r"\{.*?\}", " ", text) for text in told)

    @property
    def literal_words(self) -> frozenset[str]:
        """Words of the arguments that its intents write."""
        return frozenset(word for text in self._literals for word in words_of_text(text))

    @property
    def quoted_words(self) -> frozenset[str] | None:
        """Those of them that stand in quotation marks; None where no argument has such marks."""
        quoted = [text for literal in self._literals for text in re.findall(r"'([^']*)'", literal)]
        return frozenset(word for text in quoted for word in words_of_text(text)) if quoted else None

    def copies(self, words: frozenset[str]) -> frozenset[str]:
        """Those of some said words that its calls may have."""
        return frozenset(word for word in words if re.fullmatch(self.copied, word))

    @cached_property
    def declared(self) -> DeclaredTool:
        """The tool as one that a user declares: its calls take one text."""
        from forge.tools.declared.schema import DeclaredTool

        schema = {"properties": {self.parameter: {"type": "string"}}, "required": [self.parameter]}
        return DeclaredTool.model_validate({"name": self.name, "description": self.description, "parameters": schema})
