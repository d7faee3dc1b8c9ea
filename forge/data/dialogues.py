"""Tool dialogues, talk without tools and persona dialogues, composed from patterns and split without overlap.

What is held out in val and test:

- tool dialogues and talk: the *phrasings* (`forge.data.phrasing`) of every tool and sort of talk. For calculator and
  code executor also the *arguments*: a hash of the call or of its word decides the split. Documents, files and database
  rows are few, so every split asks about all of them in its own words.
- persona dialogues: the topics and greetings. The styles are shared: they are what is to be learned. What each topic
  is or takes is told in plain words in the training split (`fact_dialogues`), held-out topics included: nobody can say
  in a style what he has never heard.

What the second turn of a dialogue says ("and the chair?") is shared by the splits as well; its arguments are not.
Results come from the tools themselves; only the value of a code snippet is computed here from the generator, because
tens of thousands of sandbox runs would take minutes (tests compare the two).
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from typing import Any, Literal

from forge.data.dialogue_templates import ACTIVITIES, ACTIVITY_QUESTIONS, CONCEPT_QUESTIONS, CONCEPTS, GREETINGS, STYLES
from forge.data.held_out import holds_held_out_text
from forge.data.personas import PERSONA_PROMPTS, PERSONAS
from forge.data.phrasing import draw_pattern, tool_phrasings, type_out_phrasing
from forge.data.render import TOOL_ERROR, render_answer_after_tool_result
from forge.data.splits import dataset_split_by_hash
from forge.data.talk import TALK, TALK_ANSWERS
from forge.tools import TOOL_NAMES, Toolbox
from forge.tools.builtin import TOOLS
from forge.tools.declaration import Drawn, FollowUp, Intent, Tool

Split = Literal["train", "val", "test"]
Dialogue = dict[str, Any]

TOOL_PROMPT = f"Use {', '.join(TOOL_NAMES[:-1])} or {TOOL_NAMES[-1]}."

_FOLLOWED = 0.08  # share of the calls after which one more is asked for, where there is something to ask
_MOST_DRAWS = 200  # of an argument that belongs to a split
_LONGEST_RESULT = 12  # characters of a result that the next call takes up


def tool_dialogue(rng: random.Random, tool: Tool, split: Split) -> Dialogue:
    """One dialogue [system, user, call, result, assistant] about `tool`, some with a second turn [user, call, result,
    assistant]; `expected` is the last result. Some calls fail, as calls do: then the result is `error: ...`, and the
    assistant says so.

    `difficulty` (0..1) is the number of characters to copy into calls and answers, over 80.
    """
    while True:
        intent = rng.choices(tool.intents, [intent.weight for intent in tool.intents])[0]
        drawn = _draw_slots(rng, tool, intent.draw, intent.argument, split)
        known = tool_phrasings(tool, intent, split)
        if drawn is None or not known.templates:
            continue
        slots, value = drawn
        template = known.draw(rng)
        user = type_out_phrasing(rng, template, slots, verbatim=intent.verbatim)
        if not holds_held_out_text(user):
            break
    turns = _call_turns(user, tool, intent.argument.format(**slots), value)
    if intent.follow_ups and rng.random() < _FOLLOWED and not turns[2]["content"].startswith(TOOL_ERROR):
        turns += _follow_up_turns(rng, tool, intent, slots, turns[2]["content"], split)
    copied = sum(len(turn["content"]) for turn in turns if turn["role"] in ("call", "result"))
    names = len(tool.name) + 1
    return {
        "kind": "tool",
        "task": tool.name,
        "messages": [{"role": "system", "content": TOOL_PROMPT}, *turns],
        "difficulty": min(1.0, (copied - names * (len(turns) // 4)) / 80),
        "expected": turns[-2]["content"],
    }


def _call_turns(user: str, tool: Tool, argument: str, value: str | None) -> list[dict[str, str]]:
    """A question, its call, the result and the answer."""
    call = f"{tool.name} {argument}"
    result = value if value is not None else _execute_dialogue_call(call)
    said = {"user": user, "call": call, "result": result, "assistant": render_answer_after_tool_result(result)}
    return [{"role": role, "content": content} for role, content in said.items()]


def _follow_up_turns(
    rng: random.Random, tool: Tool, intent: Intent, before: dict[str, str], result: str, split: Split
) -> list[dict[str, str]]:
    """A second question that leans on the first; none where the first result is too long to go on with."""
    more = rng.choice(intent.follow_ups)
    known = {"r": result, "P": before.get("E", "")}
    if "{r}" in more.argument and len(result) > _LONGEST_RESULT:
        return []
    for _ in range(20):
        drawn = _draw_follow_up(rng, tool, intent, more, split)
        if drawn is None:
            return []
        slots, value = drawn
        argument = more.argument.format(**slots, **known)
        user = type_out_phrasing(rng, draw_pattern(rng, more.sentences), slots)
        if argument != intent.argument.format(**before) and not holds_held_out_text(user):
            return _call_turns(user, tool, argument, None if more.draw or "{P}" in more.argument else value)
    return []


def _draw_follow_up(rng: random.Random, tool: Tool, intent: Intent, more: FollowUp, split: Split) -> Drawn | None:
    if more.draw is not None:
        return more.draw(rng)
    return _draw_slots(rng, tool, intent.draw, intent.argument, split)


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


def _draw_slots(
    rng: random.Random, tool: Tool, draw: Callable[[random.Random], Drawn], argument: str, split: str
) -> Drawn | None:
    """Slots of an intent's templates and, where its generator knows it, the result; arguments of another split are
    drawn again. One in ten is right, unless there are few arguments at all: then perhaps none, and None is returned."""
    for _ in range(_MOST_DRAWS):
        slots, value = draw(rng)
        key = slots.get("W") or argument.format(**slots)
        if not tool.split_by_argument or dataset_split_by_hash(key) == split:
            return slots, value
    return None


def talk_dialogues(n: int, seed: int, split: Split) -> list[Dialogue]:
    """`n` dialogues [system, user, assistant] that need no tool; `difficulty` is 0.5 throughout."""
    rng = random.Random(f"talk dialogues {split} {seed}")
    return [_talk_dialogue(rng, split) for _ in range(n)]


def _talk_dialogue(rng: random.Random, split: Split) -> Dialogue:
    while True:
        intent = rng.choices(TALK.intents, [intent.weight for intent in TALK.intents])[0]
        user = type_out_phrasing(rng, tool_phrasings(TALK, intent, split).draw(rng), intent.draw(rng)[0])
        if not holds_held_out_text(user):
            break
    said = {"system": TOOL_PROMPT, "user": user, "assistant": TALK_ANSWERS[intent.name]}
    messages = [{"role": role, "content": content} for role, content in said.items()]
    return {"kind": "tool", "task": TALK.name, "messages": messages, "difficulty": 0.5}


def fact_dialogues(n: int, seed: int) -> list[Dialogue]:
    """`n` dialogues [system, user, assistant] for the training split: what a topic is, or what an activity takes, in
    plain words; `difficulty` is 0.5 throughout."""
    rng = random.Random(f"fact dialogues {seed}")
    made: list[Dialogue] = []
    while len(made) < n:
        if rng.random() < len(CONCEPTS) / (len(CONCEPTS) + len(ACTIVITIES)):
            topic, definition, _ = rng.choice(CONCEPTS)
            user, answer = rng.choice(CONCEPT_QUESTIONS).format(t=topic), f"{topic} is {definition}."
        else:
            topic, first, second = rng.choice(ACTIVITIES)
            user, answer = rng.choice(ACTIVITY_QUESTIONS).format(t=topic), f"{first}, then {second}."
        if not holds_held_out_text(user):
            said = {"system": TOOL_PROMPT, "user": user, "assistant": answer[0].upper() + answer[1:]}
            messages = [{"role": role, "content": content} for role, content in said.items()]
            made.append({"kind": "tool", "task": TALK.name, "messages": messages, "difficulty": 0.5})
    return made


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
