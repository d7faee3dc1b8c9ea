"""What a person says in a second turn, when the first one told the rest: another value, or the one asked for."""

from __future__ import annotations

import random
import re
from typing import Any

from forge.data.declared.sentences import frame_row_words
from forge.data.declared.templates import Template, row_template_of_example, shared_noun
from forge.data.declared.values import Said, draw_value, say_value_in_row
from forge.tools.declared.schema import DeclaredTool

_TRIES = 50
_ONE = 0.5  # share of things called "the hall one" where their last word is what they have in common
_THING_AGAIN = (
    "and {}", "and {}?", "now {}", "{} too", "{} as well", "also {}", "what about {}?", "same for {}",
    "the same for {}", "the same with {}", "do {} too", "and now {}", "{} also, please", "and {}, please",
)  # fmt: skip
_ASKED_AGAIN = ("and {}?", "what about {}?", "and {}", "and what about {}?", "how about {}?", "also {}?")
_NUMBER_AGAIN = (
    "make it {}", "no, {}", "{} instead", "actually {}", "make that {}", "rather {}", "sorry, {}", "I meant {}",
    "change it to {}", "better {}",
)  # fmt: skip
_ANSWERS = (
    "{}", "{}", "{}, please", "{} please", "I mean {}", "that would be {}", "take {}", "I meant {}", "let's say {}",
)  # fmt: skip
_ARTICLE = re.compile(r"\b(the|my|our)\s+$", re.I)


def row_can_change_value(template: Template, name: str) -> bool:
    """Whether a person may name another value for a slot in a turn of its own: of a number only in an order."""
    kind = template.tool.arguments[name].type
    return kind == "string" or (kind in ("integer", "number") and template.mood != "question")


def changed_value_for_row(rng: random.Random, tool: DeclaredTool, name: str, value: Any) -> Any | None:
    """Another value for an argument; None where there seems to be none."""
    for _ in range(_TRIES):
        other = draw_value(rng, tool, name)
        if other != value:
            return other
    return None


def _name_thing(rng: random.Random, tool: DeclaredTool, name: str, value: Any, article: str) -> list[Said]:
    """A value with the article that the examples put before it, or as "the hall one"."""
    noun = shared_noun(tool, name)
    if isinstance(value, str) and noun and value.lower().endswith(f" {noun}") and rng.random() < _ONE:
        return [Said(f"the {value[: -len(noun)]}one")]
    return [Said(article), *say_value_in_row(rng, tool, name, value)]


def _article_before(template: Template, name: str) -> str:
    """`the ` where a template has it before a slot, else nothing."""
    before = ""
    for part in template.parts:
        if not isinstance(part, str) and part.name == name:
            found = _ARTICLE.search(before)
            return found[0] if found else ""
        before = part if isinstance(part, str) else ""
    return ""


def say_change_in_row(
    rng: random.Random, template: Template, name: str, value: Any, *, alone: bool = False
) -> list[Said]:
    """Another value for a slot of what was just said.

    Args:
        alone: in a sentence of its own.
    """
    tool = template.tool
    words = _name_thing(rng, tool, name, value, _article_before(template, name))
    if not alone:
        return words
    if tool.arguments[name].type in ("integer", "number"):
        return frame_row_words(rng.choice(_NUMBER_AGAIN), words)
    return frame_row_words(rng.choice(_ASKED_AGAIN if template.mood == "question" else _THING_AGAIN), words)


def say_missing_value_in_row(rng: random.Random, tool: DeclaredTool, name: str, value: Any) -> list[Said]:
    """The answer to a question for an argument."""
    templates = [row_template_of_example(tool, example) for example in tool.examples if name in example.slots]
    article = _article_before(rng.choice(templates), name) if templates else ""
    words = _name_thing(rng, tool, name, value, article)
    parameter = tool.arguments[name]
    free = (parameter.items or parameter).free
    return words if free else frame_row_words(rng.choice(_ANSWERS), words)
