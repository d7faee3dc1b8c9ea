"""Talk that needs no tool: greetings, thanks, what the agent is and can do, and all that it cannot do or does not know.

Every sort of talk has one plain answer. Without such rows an agent that is tuned on calls alone calls a tool on
everything.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from forge.data import talk_wordings as wordings
from forge.tools.content import CARDS, FILES, TABLES
from forge.tools.declaration import Drawn, Intent
from forge.tools.drawing import pick_made_up_tool_word, pick_tool_argument_word

ABILITIES = "I can calculate, search documents, read files, query the database and run small code."
TALK_ANSWERS: dict[str, str] = {
    "greeting": "Hello! What can I do for you?",
    "how_are_you": "I am fine, thank you. What can I do for you?",
    "thanks": "You are welcome!",
    "praise": "Thank you, I am glad to help!",
    "farewell": "Goodbye!",
    "abilities": ABILITIES,
    "self": f"I am a small agent. {ABILITIES}",
    "cannot": f"I cannot do that. {ABILITIES}",
    "changes": f"I cannot change that. {ABILITIES}",
    "unknown": f"I do not know that. {ABILITIES}",
    "statement": f"I do not know what you need. {ABILITIES}",
    "nonsense": f"I do not understand that. {ABILITIES}",
}


@dataclass(frozen=True, eq=False)
class TalkSubjects:
    """What is talked about, in the form in which tools tell how they are asked."""

    name: str
    frames: tuple[str, ...]
    intents: tuple[Intent, ...]


def pick_talk_slots(rng: random.Random) -> Drawn:
    """Names, things and numbers that talk may be about."""
    products = [str(row[0]) for row in TABLES["products"][1]]
    people = [str(row[0]) for table in ("customers", "employees") for row in TABLES[table][1]]
    cities = [str(row[1]) for row in TABLES["customers"][1]] + [title for title, text in CARDS if "capital" in text]
    product, city = rng.choice(products), rng.choice(cities)
    person, other = (name if rng.random() < 0.7 else name.lower() for name in rng.sample(people, 2))
    topic, other_topic = rng.sample(wordings.TALK_THINGS["t"], 2)
    things = {slot: rng.choice(values) for slot, values in wordings.TALK_THINGS.items()}
    return things | {
        "w": pick_tool_argument_word(rng),
        "x": pick_tool_argument_word(rng),
        "e": product,
        "es": f"{product[:-1]}ves" if product.endswith("f") else f"{product}s",
        "p": person,
        "q": other,
        "c": city if rng.random() < 0.7 else city.lower(),
        "t": topic,
        "u": other_topic,
        "file": rng.choice(list(FILES)),
        "past": str(rng.randint(1950, 2020)),
        "future": str(rng.randint(2027, 2060)),
        "n": str(rng.randint(2, 12)),
    }, None


def pick_nonsense_for_dialogue(rng: random.Random) -> Drawn:
    """Letters that mean nothing."""
    letters = "".join(rng.choice("asdfghjklqwertzuiop") for _ in range(rng.randint(3, 8)))
    return {"x": pick_made_up_tool_word(rng), "z": letters}, None


def _talk_intent(name: str, weight: float, *sentences: str) -> Intent:
    draw = pick_nonsense_for_dialogue if name == "nonsense" else pick_talk_slots
    return Intent(name, "", draw, (), sentences, weight)


TALK = TalkSubjects(
    "talk",
    ("{}",),
    (
        _talk_intent("greeting", 12, *wordings.GREETINGS),
        _talk_intent("how_are_you", 4, *wordings.HOW_ARE_YOU),
        _talk_intent("thanks", 8, *wordings.THANKS),
        _talk_intent("praise", 4, *wordings.PRAISE),
        _talk_intent("farewell", 6, *wordings.FAREWELLS),
        _talk_intent("abilities", 9, *wordings.ABILITIES),
        _talk_intent("self", 6, *wordings.SELF),
        _talk_intent("cannot", 18, *wordings.CANNOT),
        _talk_intent("changes", 8, *wordings.CHANGES),
        _talk_intent("unknown", 22, *wordings.UNKNOWN),
        _talk_intent("statement", 12, *wordings.STATEMENTS),
        _talk_intent("nonsense", 3, *wordings.NONSENSE),
    ),
)
