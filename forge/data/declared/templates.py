"""Sentences before their slots are filled: a user's examples in frames of ours, and which split each belongs to.

A template is held out as a whole: a fifth of a tool's (frame, example) pairs, a tenth for val and a tenth for test, by
the rank of their hash, so that every split has some of every tool.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from string import Formatter
from typing import Any, Literal, TypeVar

from forge.data.declared.values import count_row_values
from forge.tools.declared.schema import DeclaredTool, Example

Mood = Literal["order", "question", "statement"]
_Held = TypeVar("_Held")
BARE = "{}"
HELD_OUT_FROM = 64  # values of a template's slots together, from which arguments are held out by their hash as well

# `{}` takes the example. The mark at the end is typed or not; a question's frame says so.
FRAMES: dict[Mood, tuple[str, ...]] = {
    "order": (
        BARE,
        "please {}",
        "{}, please",
        "{} please",
        "could you {}?",
        "can you {}?",
        "would you {}?",
        "will you {}?",
        "could you please {}?",
        "can you please {}?",
        "would you kindly {}?",
        "kindly {}",
        "hey, {}",
        "hi, {}",
        "ok, {}",
        "okay, now {}",
        "now {}",
        "just {}",
        "go ahead and {}",
        "I want you to {}",
        "I need you to {}",
        "I would like you to {}",
        "I'd like you to {}",
        "you can {} now",
        "{} now",
        "{} for me",
        "{}, thanks",
        "{}, thank you",
        "time to {}",
        "let's {}",
        "be so kind and {}",
        "next, {}",
        "and {}",
        "do me a favor and {}",
    ),
    "question": (
        BARE,
        "hey, {}",
        "please tell me, {}",
        "tell me, {}",
        "quick question, {}",
        "one thing, {}",
        "so {}",
        "sorry, {}",
        "ok, {}",
        "and {}",
        "say, {}",
        "now, {}",
    ),
    "statement": (
        BARE,
        "{}, please",
        "{}, thanks",
        "hey, {}",
        "hi, {}",
        "ok, {}",
        "okay, {}",
        "well, {}",
        "so {}",
        "oh, {}",
        "now {}",
        "sorry, {}",
        "listen, {}",
        "look, {}",
        "hm, {}",
        "and {}",
    ),
}
# Words that would run into a free text before them, as "add milk for me" does, are not put behind one.
_RUNS_ON = ("{} please", "{} now", "{} for me", "you can {} now")
_ASKS = re.compile(r"(what|which|who|when|where|how|why|is|are|was|does|do you|did|has|have|any|will|should)\b", re.I)
_TELLS = re.compile(
    r"(i|i'm|im|it|it's|its|my|we|we're|there|there's|this|that|the|a|an|no|next|previous|another|more|less|full|half|as"
    r"|in|for|at|everyone|somebody|nobody|all|every)\b",
    re.I,
)
# What a slot that is left out takes with it: words before it that lead to it, and its unit behind it.
_LEADS = re.compile(
    r"(^|[\s,])(the|my|our|a|an|to|in|on|at|for|of|with|called|named|by|from|into|about|is|as|after|until|through)\s*$",
    re.I,
)
_UNIT = re.compile(
    r"\s*(%|percent|degrees?( celsius| fahrenheit)?|seconds?|minutes?|hours?|times?|euros?|dollars?)\b", re.I
)
_OBJECT = re.compile(r"(the|an?|my|our|it|this|that)\b|\{", re.I)
_ARTICLE = re.compile(r"\b(the|my|our)\s+$", re.I)
_BEHIND_PARTICLE = re.compile(r"\b(in|of|at|to|for|on|off|up|out|through|with|from|by)\s+(the|my|our)\s+$", re.I)
_NAMES_KIND = re.compile(r"\b(the|a|an) \w+\s+$", re.I)  # "the song {title}"
_GOES_ON = re.compile(r"\s*(?:$|,|(?:to|for|at|on|off|up|down|out|in|by|with)\b)", re.I)


@dataclass(frozen=True)
class Slot:
    """A gap in a template. name: of the argument that fills it; None for words of ours that stand for nothing."""

    name: str | None
    words: str = ""


@dataclass(frozen=True)
class Template:
    """A sentence of a tool.

    Attributes:
        parts: literal words and slots, in order.
        arguments: that the call has without the sentence saying them.
        missing: the required argument that the sentence leaves out, if it does.
    """

    tool: DeclaredTool
    parts: tuple[str | Slot, ...]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    missing: str | None = None

    @property
    def text(self) -> str:
        """With its slots in braces."""
        return "".join(p if isinstance(p, str) else f"{{{p.name}}}" if p.name else p.words for p in self.parts)

    @property
    def slots(self) -> tuple[str, ...]:
        """Names of the arguments that the sentence says."""
        return tuple(part.name for part in self.parts if isinstance(part, Slot) and part.name)

    @property
    def mood(self) -> Mood:
        """Whether it orders, asks or tells; words without a verb, such as "next song", are told."""
        text = self.text
        if text.rstrip().endswith("?") or _ASKS.match(text):
            return "question"
        first, _, rest = text.partition(" ")
        noun = first.lower() in _nouns_of(self.tool) and not _OBJECT.match(rest)  # "lock the shed" is an order
        return "statement" if _TELLS.match(text) or first.startswith("{") or noun else "order"

    @property
    def ends_free(self) -> bool:
        """Whether its last words are a free text, which anything behind them would run into."""
        last = self.parts[-1] if self.parts else ""
        if not isinstance(last, Slot) or not last.name:
            return False
        parameter = self.tool.arguments[last.name]
        return (parameter.items or parameter).free

    @property
    def holds_arguments_out(self) -> bool:
        """Whether its slots have so many values that calls of val and test can be kept from training."""
        product = 1
        for name in self.slots:
            product *= count_row_values(self.tool, name)
        return product >= HELD_OUT_FROM

    def frames(self) -> tuple[str, ...]:
        """Frames that fit it."""
        frames = FRAMES[self.mood]
        return tuple(frame for frame in frames if frame not in _RUNS_ON) if self.ends_free else frames


def _nouns_of(tool: DeclaredTool) -> frozenset[str]:
    """Words that stand behind an article somewhere in the examples and the description of a tool."""
    texts = (tool.description, *(example.say for example in tool.examples))
    return frozenset(noun.lower() for text in texts for noun in re.findall(r"\b(?:the|an?|my|our) (\w+)", text, re.I))


def row_template_of_example(tool: DeclaredTool, example: Example) -> Template:
    """The template of a user's example; one that does not name every required argument asks for the first of them."""
    parts: list[str | Slot] = []
    say = example.say.strip()
    if say[-1:] in ".!":
        say = say[:-1]
    for literal, name, _, _ in Formatter().parse(say):
        if literal:
            parts.append(literal)
        if name is not None:
            parts.append(Slot(name))
    missing = next((name for name in tool.required if name not in example.named), None)
    return Template(tool, tuple(parts), example.arguments, missing)


def enum_slots(template: Template) -> list[str]:
    """Slots of a template that take one of a list of words."""
    kinds = [(name, template.tool.arguments[name]) for name in template.slots]
    return [name for name, parameter in kinds if parameter.type == "string" and parameter.enum]


def shared_noun(tool: DeclaredTool, name: str) -> str | None:
    """The last word that several values of an enum share, such as `light` of kitchen light and hall light; None where
    there is no such word, or it is a value or synonym itself."""
    values = [value for value in tool.arguments[name].enum or () if isinstance(value, str) and " " in value]
    lasts = [value.rsplit(" ", 1)[1].lower() for value in values]
    common = max(sorted(set(lasts)), key=lasts.count, default="")
    taken = {str(value).lower() for value in tool.arguments[name].enum or ()}
    taken |= {said.lower() for words in tool.synonyms.values() for said in words}
    return common if lasts.count(common) > 1 and common not in taken else None


def left_out_templates(tool: DeclaredTool, known: frozenset[str]) -> list[Template]:
    """The examples of a tool, each without one of its required slots: `turn on the {name}` as `turn on the light`,
    `turn it on` and the like.

    Args:
        known: texts of all tools' examples; what would read like one of them is left away.
    """
    found: dict[str, Template] = {}
    for example in tool.examples:
        whole = row_template_of_example(tool, example)
        if whole.missing is not None:
            found.setdefault(whole.text.lower(), whole)
            continue
        for place, part in enumerate(whole.parts):
            if isinstance(part, Slot) and part.name in tool.required:
                for parts in _ways_to_leave_out(tool, whole.parts, place):
                    left = Template(tool, parts, whole.arguments, part.name)
                    if len(left.text.split()) > 1 and left.text.lower() not in known:
                        found.setdefault(left.text.lower(), left)
    return list(found.values())


def _ways_to_leave_out(tool: DeclaredTool, parts: Sequence[str | Slot], place: int) -> list[tuple[str | Slot, ...]]:
    slot = parts[place]
    before = parts[place - 1] if place and isinstance(parts[place - 1], str) else ""
    after = parts[place + 1] if place + 1 < len(parts) and isinstance(parts[place + 1], str) else ""
    if not (isinstance(slot, Slot) and slot.name and isinstance(before, str) and isinstance(after, str)):
        return []
    head, tail = list(parts[: place - bool(before)]), list(parts[place + 1 + bool(after) :])
    led = before
    while (shorter := _LEADS.sub(r"\1", led).rstrip(" ,")) != led.rstrip(" ,"):
        led = shorter
    parameter = tool.arguments[slot.name]
    rest = _UNIT.sub("", after, count=1) if _UNIT.match(after) else after
    ways: list[list[str | Slot]] = []
    if (
        parameter.free
        and tool.values.get(slot.name, "words") in ("words", "sentence")
        and not _NAMES_KIND.search(before)
    ):
        ways.append([*head, before, Slot(None, "something"), after])
    led_to = led.rstrip(" ,") != before.rstrip(" ,")
    if (led.strip() or head) and (not rest.strip() or (led_to and not parameter.free and _GOES_ON.match(rest))):
        ways.append([*head, led.rstrip(), rest])
    if _ARTICLE.search(before):
        noun = shared_noun(tool, slot.name)
        if noun is not None:
            ways.append([*head, before, Slot(None, noun), after])
        if _ARTICLE.sub("", before).strip() and not _BEHIND_PARTICLE.search(before):
            ways.append([*head, _ARTICLE.sub("", before), Slot(None, "it"), after])
    return [tuple(part for part in (*way, *tail) if part != "") for way in ways]


def row_templates_told_apart(templates: Mapping[str, Sequence[Template]]) -> dict[str, list[Template]]:
    """Templates by tool, without those that read the same for two tools: "stop it" asks for nothing in particular.
    One with a word of a tool's own list in it is told apart by that."""
    owners: dict[str, set[str]] = {}
    for name, listed in templates.items():
        for template in listed:
            owners.setdefault(_with_open_slots(template), set()).add(name)
    return {
        name: [t for t in listed if enum_slots(t) or len(owners[_with_open_slots(t)]) == 1]
        for name, listed in templates.items()
    }


def _with_open_slots(template: Template) -> str:
    return re.sub(r"\{.*?\}", "{}", template.text.lower())


def hold_out_tenths(items: Sequence[_Held], key: Sequence[str], tenths: int = 1) -> dict[str, list[_Held]]:
    """Items of each split: so many tenths (one item at least, of three or more) for test, as many for val, else train.

    Args:
        key: of each item, by whose hash they are ranked, so that no order matters.
    """
    ranked = sorted(zip(key, items, strict=True), key=lambda pair: hashlib.sha256(pair[0].encode()).digest())
    size = max(1, tenths * len(items) // 10) if len(items) >= 3 else 0
    ordered = [item for _, item in ranked]
    return {"test": ordered[:size], "val": ordered[size : 2 * size], "train": ordered[2 * size :]}


@dataclass(frozen=True)
class Framed:
    """A template in a frame."""

    frame: str
    template: Template

    @property
    def text(self) -> str:
        """With slots in braces."""
        return self.frame.replace("{}", self.template.text)


def framed_by_split(templates: Sequence[Template], name: str) -> dict[str, list[Framed]]:
    """Every frame with every template, over the splits. name: of what they are for, as the salt of the hash."""
    framed = (Framed(frame, template) for template in templates for frame in template.frames())
    pairs: dict[str, Framed] = {}  # an example that begins with "please" is in a frame of its own already
    for pair in framed:
        pairs.setdefault(plain_words_of_row(pair.text), pair)
    return hold_out_tenths(list(pairs.values()), [f"{name}\n{text}" for text in pairs])


def plain_words_of_row(text: str) -> str:
    """A text without capitals, marks and runs of blanks: sentences that differ in nothing else are one."""
    return " ".join(re.findall(r"[\w{}']+", text.lower()))
