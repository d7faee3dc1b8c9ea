"""Tool and persona dialogues, composed from templates and split without overlap.

What is held out in val and test:

- tool dialogues: the *phrasings* (frames and whole sentences of `dialogue_templates`) for every tool. For
  calculator and code executor also the *arguments*: a hash of the numbers, word or code decides the split.
  Documents, files and database rows are few, so every split asks about all of them in its own words.
- persona dialogues: the topics and greetings. The styles are shared: they are what is to be learned.

A quarter of the words to reverse, count and so on are made of random syllables, so that copying is learned
rather than a word list. Results come from the tools themselves; only the value of a code snippet is computed
here from the generator, because tens of thousands of sandbox runs would take minutes (tests compare the two).
"""

from __future__ import annotations

import functools
import hashlib
import random
from collections.abc import Callable
from typing import Any, Literal

from forge.data.dialogue_templates import (
    ACTIVITIES,
    ACTIVITY_QUESTIONS,
    CONCEPT_QUESTIONS,
    CONCEPTS,
    CONSONANTS,
    FRAMES,
    GREETINGS,
    INTENTS,
    PEOPLE,
    SPLITS,
    STYLES,
    VOWELS,
    WORDS,
    Intent,
)
from forge.data.personas import PERSONA_PROMPTS, PERSONAS
from forge.errors import ForgeError
from forge.tools import TOOL_NAMES, Toolbox
from forge.tools.content import CARDS, FILES, TABLES

Split = Literal["train", "val", "test"]
Dialogue = dict[str, Any]

TOOL_PROMPT = "Use calculator, code_executor, search, file_reader or database_query."

_CASUAL = 0.15  # share of user turns typed without a capital and a final mark
_SYLLABLES = 0.25  # share of made-up words
_HELD_OUT = {0: "test", 1: "val"}  # residue of the argument's hash modulo 10


def split_of(key: str) -> str:
    """Split that owns an argument: 80 % train, 10 % val, 10 % test, by hash of its text."""
    return _HELD_OUT.get(hashlib.sha256(key.encode()).digest()[0] % 10, "train")


@functools.cache
def phrasings(intent: Intent, split: str) -> tuple[str, ...]:
    """Every user-turn template of an intent in a split, with named slots such as `{a}` or `{w}` left open."""
    result = []
    for core in intent.cores:
        for frame in getattr(FRAMES[intent.frames], split):
            text = frame.replace("{}", core)
            starts_with_word = text[:1].islower() and text.split(" ", 1)[0].isalpha()
            result.append(text[0].upper() + text[1:] if starts_with_word else text)
    return tuple(result) + intent.extra[SPLITS.index(split)]


def tool_dialogue(rng: random.Random, tool: str, split: Split) -> Dialogue:
    """One dialogue [system, user, call, result, assistant] about `tool`; `expected` is the tool's result.

    `difficulty` (0..1) is the number of characters to copy into call and answer, over 80.
    """
    intents = _intents_of(tool)
    intent = rng.choices(intents, [intent.weight for intent in intents])[0]
    slots, value = _draw_slots(rng, intent, split)
    templates = phrasings(intent, split)
    user = templates[int(rng.random() * len(templates))].format(**_as_asked(intent, slots))
    if rng.random() < _CASUAL:
        user = user[0].lower() + user[1:].rstrip(".?")
    argument = intent.argument.format(**slots)
    call = f"{tool} {argument}"
    result = value if value is not None else _executed(call)
    return {
        "kind": "tool",
        "task": tool,
        "messages": [
            {"role": "system", "content": TOOL_PROMPT},
            {"role": "user", "content": user},
            {"role": "call", "content": call},
            {"role": "result", "content": result},
            {"role": "assistant", "content": result},
        ],
        "difficulty": min(1.0, (len(argument) + len(result)) / 80),
        "expected": result,
    }


def _as_asked(intent: Intent, slots: dict[str, str]) -> dict[str, str]:
    """Slots as the user writes them: words meant for code stand in quotes, so that their tokens are those of
    the call."""
    if intent.tool != "code_executor" or "code" in slots:
        return slots
    return {name: value if value.isdigit() else f"'{value}'" for name, value in slots.items()}


def tool_dialogues(n: int, seed: int, split: Split) -> list[Dialogue]:
    """`n` dialogues, the five tools in turn; equal arguments give equal dialogues."""
    rng = random.Random(f"tool dialogues {split} {seed}")
    return [tool_dialogue(rng, TOOL_NAMES[index % len(TOOL_NAMES)], split) for index in range(n)]


@functools.cache
def _intents_of(tool: str) -> tuple[Intent, ...]:
    found = tuple(intent for intent in INTENTS if intent.tool == tool)
    if not found:
        raise ForgeError(f"unknown tool {tool}; known: {', '.join(TOOL_NAMES)}")
    return found


@functools.cache
def _toolbox() -> Toolbox:
    return Toolbox()  # its temporary folder is removed when the process ends


@functools.lru_cache(maxsize=4096)
def _executed(call: str) -> str:
    return _toolbox().execute(call)


def _draw_slots(rng: random.Random, intent: Intent, split: str) -> tuple[dict[str, str], str | None]:
    """Slots of an intent's templates and, for code, the snippet's output."""
    if intent.tool == "calculator":
        return _held_out(rng, split, lambda: (_numbers(rng, intent.name), None))
    if intent.tool == "code_executor":
        return _held_out(rng, split, lambda: _snippet(rng, intent.name))
    return _entity(rng, intent), None


_Drawn = tuple[dict[str, str], str | None]


def _held_out(rng: random.Random, split: str, draw: Callable[[], _Drawn]) -> _Drawn:
    """Draws until the arguments belong to the split. One in ten does at worst, so this ends quickly."""
    while True:
        slots, value = draw()
        key = slots.get("w") or " ".join(slots.values())
        if split_of(key) == split:
            return slots, value


def _number(rng: random.Random, digits: int) -> int:
    """A number of 1 to `digits` digits, each length equally likely, never 0 or 1."""
    size = rng.randint(1, digits)
    return rng.randint(max(2, 10 ** (size - 1)), 10**size - 1)


def _numbers(rng: random.Random, name: str) -> dict[str, str]:
    """Operands of a calculator intent; division, roots and gcd are drawn so that results stay short."""
    a, b, c = _number(rng, 3), _number(rng, 3), _number(rng, 2)
    if name in ("add", "subtract") and rng.random() < 0.2:
        places = rng.randint(1, 2)
        first, second = (f"{_number(rng, 4) / 10**places:.{places}f}" for _ in "ab")
        return {"a": first, "b": second}
    if name == "divide":
        b = _number(rng, 2)
        a = b * _number(rng, 2)
    elif name == "power":
        a, b = rng.randint(2, 40), rng.randint(2, 5)
    elif name == "remainder":
        a, b = rng.randint(20, 999), rng.randint(2, 30)
    elif name in ("gcd", "lcm"):
        common = rng.randint(2, 20)
        a, b = common * rng.randint(2, 20), common * rng.randint(2, 20)
    elif name == "sqrt":
        return {"a": str(rng.randint(2, 150) ** 2)}
    elif name in ("mixed", "grouped"):
        return {"a": str(_number(rng, 2)), "b": str(_number(rng, 2)), "c": str(c)}
    return {"a": str(a), "b": str(b)}


def _word(rng: random.Random) -> str:
    if rng.random() >= _SYLLABLES:
        return WORDS[int(rng.random() * len(WORDS))]
    made = "".join(rng.choice(CONSONANTS) + rng.choice(VOWELS) for _ in range(rng.randint(2, 3)))
    return made + (rng.choice(CONSONANTS) if rng.random() < 0.5 else "")


def _snippet(rng: random.Random, name: str) -> _Drawn:
    """Slots of a code intent and what its snippet prints."""
    word = _word(rng)
    if name == "run":
        return _run_snippet(rng, word)
    if name == "sum":
        n = rng.randint(5, 300)
        return {"n": str(n)}, str(n * (n - 1) // 2)
    if name == "repeat":
        n = rng.randint(2, 4)
        return {"w": word, "n": str(n)}, word * n
    if name == "letter":
        letter = rng.choice(word)
        return {"w": word, "c": letter}, str(word.count(letter))
    values = {
        "reverse": word[::-1],
        "length": str(len(word)),
        "upper": word.upper(),
        "sort": "".join(sorted(word)),
    }
    return {"w": word}, values[name]


def _run_snippet(rng: random.Random, word: str) -> _Drawn:
    """A line of code that the user spells out, and its output."""
    a, b, n = _number(rng, 2), _number(rng, 2), rng.randint(2, 4)
    if rng.random() < 0.5:
        code, value = rng.choice(
            (
                (f"print({a}+{b})", a + b),
                (f"print({a}*{b})", a * b),
                (f"print({a}**{n})", a**n),
                (f"print({a}-{b})", a - b),
                (f"print(max({a},{b}))", max(a, b)),
            )
        )
        return {"code": code}, str(value)
    code, text = rng.choice(
        (
            (f"print(len('{word}'))", str(len(word))),
            (f"print('{word}'.upper())", word.upper()),
            (f"print('{word}'[0])", word[0]),
            (f"print('{word}'*{n})", word * n),
        )
    )
    return {"code": code, "w": word}, text  # the word decides the split, as in the other intents


def _entity(rng: random.Random, intent: Intent) -> dict[str, str]:
    """The card, file or row that a search, file or database dialogue asks about."""
    if intent.tool == "file_reader":
        return {"e": rng.choice(list(FILES))}
    if intent.name == "count":
        return {"e": rng.choice(list(TABLES))}
    if intent.tool == "database_query":
        table = intent.argument.split(" FROM ")[1].split(" ")[0]
        return {"e": str(rng.choice(TABLES[table][1])[0])}
    if intent.name == "person":
        name = rng.choice(PEOPLE)
        return {"e": name, "q": name}
    title = rng.choice([title for title, _ in CARDS if title not in PEOPLE])
    named = title[0].isupper() or rng.random() < 0.4
    return {"e": title if named else f"the {title}", "q": title}


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
            {"role": "assistant", "content": persona_answer(rng, persona, kind, slots)},
        ],
        "difficulty": 0.5,
    }


def persona_answer(rng: random.Random, persona: str, kind: str, slots: dict[str, str]) -> str:
    """An answer in a persona's style to a `concept`, `activity` or `greeting` turn."""
    style = STYLES[persona][kind]
    parts = (rng.choice(style.openings), rng.choice(style.middles), rng.choice(style.closings))
    text = "".join(parts).format(**slots)
    return text[0].upper() + text[1:]
