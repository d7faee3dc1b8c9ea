"""Tool and persona dialogues, composed from templates and split without overlap.

What is held out in val and test:

- tool dialogues: the *phrasings* (frames and whole sentences that each tool declares) for every tool. For
  calculator and code executor also the *arguments*: a hash of the numbers, word or code decides the split.
  Documents, files and database rows are few, so every split asks about all of them in its own words.
- persona dialogues: the topics and greetings. The styles are shared: they are what is to be learned.

A quarter of the words to reverse, count and so on are made of random syllables, so that copying is learned
rather than a word list. Results come from the tools themselves; only the value of a code snippet is computed
here from the generator, because tens of thousands of sandbox runs would take minutes (tests compare the two).
"""

from __future__ import annotations

import functools
import random
from typing import Any, Literal

from forge.data.dialogue_templates import ACTIVITIES, ACTIVITY_QUESTIONS, CONCEPT_QUESTIONS, CONCEPTS, GREETINGS, STYLES
from forge.data.personas import PERSONA_PROMPTS, PERSONAS
from forge.data.splits import SPLITS, dataset_split_by_hash
from forge.tools import TOOL_NAMES, Toolbox
from forge.tools.builtin import TOOLS
from forge.tools.declaration import Drawn, Intent, Tool

Split = Literal["train", "val", "test"]
Dialogue = dict[str, Any]

TOOL_PROMPT = f"Use {', '.join(TOOL_NAMES[:-1])} or {TOOL_NAMES[-1]}."
TOOL_ERROR = "error:"

_CASUAL = 0.15  # share of user turns typed without a capital and a final mark


@functools.cache
def phrasings(tool: Tool, intent: Intent, split: str) -> tuple[str, ...]:
    """Every user-turn template of an intent in a split, with named slots such as `{a}` or `{w}` left open."""
    result = []
    for core in intent.cores:
        for frame in getattr(intent.frames or tool.frames, split):
            text = frame.replace("{}", core)
            starts_with_word = text[:1].islower() and text.split(" ", 1)[0].isalpha()
            result.append(text[0].upper() + text[1:] if starts_with_word else text)
    return tuple(result) + intent.extra[SPLITS.index(split)]


def tool_dialogue(rng: random.Random, tool: Tool, split: Split) -> Dialogue:
    """One dialogue [system, user, call, result, assistant] about `tool`; `expected` is the tool's result. Some calls
    fail, as calls do: then the result is `error: ...`, and the assistant says so.

    `difficulty` (0..1) is the number of characters to copy into call and answer, over 80.
    """
    intent = rng.choices(tool.intents, [intent.weight for intent in tool.intents])[0]
    slots, value = _draw_slots(rng, tool, intent, split)
    templates = phrasings(tool, intent, split)
    user = templates[int(rng.random() * len(templates))].format(**_dialogue_slots_as_asked(tool, slots))
    if rng.random() < _CASUAL:
        user = user[0].lower() + user[1:].rstrip(".?")
    argument = intent.argument.format(**slots)
    call = f"{tool.name} {argument}"
    result = value if value is not None else _execute_dialogue_call(call)
    return {
        "kind": "tool",
        "task": tool.name,
        "messages": [
            {"role": "system", "content": TOOL_PROMPT},
            {"role": "user", "content": user},
            {"role": "call", "content": call},
            {"role": "result", "content": result},
            {"role": "assistant", "content": answer_after_tool_result(result)},
        ],
        "difficulty": min(1.0, (len(argument) + len(result)) / 80),
        "expected": result,
    }


def answer_after_tool_result(result: str) -> str:
    """What the agent says after a tool: its result, or in plain words that it could not."""
    if not result.startswith(TOOL_ERROR):
        return result
    return f"I could not do that: {result.removeprefix(TOOL_ERROR).strip().rstrip('.')}."


def _dialogue_slots_as_asked(tool: Tool, slots: dict[str, str]) -> dict[str, str]:
    """Slots as the user writes them."""
    if not tool.quoted or "code" in slots:
        return slots
    return {name: value if value.isdigit() else f"'{value}'" for name, value in slots.items()}


def tool_dialogues(n: int, seed: int, split: Split) -> list[Dialogue]:
    """`n` dialogues, the tools in turn; equal arguments give equal dialogues."""
    rng = random.Random(f"tool dialogues {split} {seed}")
    return [tool_dialogue(rng, TOOLS[index % len(TOOLS)], split) for index in range(n)]


@functools.cache
def _dialogue_toolbox() -> Toolbox:
    return Toolbox()  # its temporary folder is removed when the process ends


@functools.lru_cache(maxsize=4096)
def _execute_dialogue_call(call: str) -> str:
    return _dialogue_toolbox().execute(call)


def _draw_slots(rng: random.Random, tool: Tool, intent: Intent, split: str) -> Drawn:
    """Slots of an intent's templates and, where its generator knows it, the result; arguments of another split are
    drawn again. One in ten is right at worst, so this ends quickly."""
    while True:
        slots, value = intent.draw(rng)
        key = slots.get("w") or " ".join(slots.values())
        if not tool.split_by_argument or dataset_split_by_hash(key) == split:
            return slots, value


def persona_dialogues(n: int, seed: int, split: Split) -> list[Dialogue]:
    """`n` dialogues [system, user, assistant], the four personas in turn; `difficulty` is 0.5 throughout."""
    rng = random.Random(f"persona dialogues {split} {seed}")
    return [_persona_dialogue(rng, PERSONAS[index % len(PERSONAS)], split) for index in range(n)]


def _topics(rows: tuple[tuple[str, str, str], ...], split: str) -> tuple[tuple[str, str, str], ...]:
    """Every sixth topic is for test, the one before it for val."""
    owner = {4: "val", 5: "test"}
    return tuple(row for index, row in enumerate(rows) if owner.get(index % 6, "train") == split)


def _persona_dialogue(rng: random.Random, persona: str, split: str) -> Dialogue:
    kind = rng.choices(("concept", "activity", "greeting"), (50, 40, 10))[0]
    slots: dict[str, str] = {}
    if kind == "concept":
        topic, definition, field = rng.choice(_topics(CONCEPTS, split))
        slots = {"t": topic, "T": topic.capitalize(), "d": definition, "f": field}
        user = rng.choice(CONCEPT_QUESTIONS).format(t=topic)
    elif kind == "activity":
        topic, first, second = rng.choice(_topics(ACTIVITIES, split))
        slots = {"a": first, "b": second}
        user = rng.choice(ACTIVITY_QUESTIONS).format(t=topic)
    else:
        user = rng.choice(getattr(GREETINGS, split))
    return {
        "kind": "persona",
        "task": persona,
        "messages": [
            {"role": "system", "content": PERSONA_PROMPTS[persona]},
            {"role": "user", "content": user},
            {"role": "assistant", "content": persona_dialogue_answer(rng, persona, kind, slots)},
        ],
        "difficulty": 0.5,
    }


def persona_dialogue_answer(rng: random.Random, persona: str, kind: str, slots: dict[str, str]) -> str:
    """An answer in a persona's style to a `concept`, `activity` or `greeting` turn."""
    style = STYLES[persona][kind]
    parts = (rng.choice(style.openings), rng.choice(style.middles), rng.choice(style.closings))
    text = "".join(parts).format(**slots)
    return text[0].upper() + text[1:]
