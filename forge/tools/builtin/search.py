"""Search in documents, and how people ask for what they tell."""

from __future__ import annotations

import functools
import random
from contextlib import ExitStack

from forge.tools.content import CARDS
from forge.tools.declaration import Answer, Drawn, Frames, Intent, Tool, ToolSetting
from forge.tools.drawing import pick_tool_argument_word
from forge.tools.search import SearchIndex, split_search_terms

PEOPLE = ("Einstein", "Curie", "Darwin", "Newton", "Mozart", "Shakespeare", "Lovelace")
# fmt: off
FRAMES = Frames(
    train=(
        "Look up {}.", "Search for {}.", "Tell me about {}.", "What do you know about {}?",
        "Find facts about {}.",
        "Please look up {}.", "Please search for {}.", "Can you look up {}?", "Search {}.",
        "I want to know about {}.", "What can you find about {}?", "Give me a fact about {}.",
        "Tell me a fact about {}.", "Look for facts about {}.", "Could you tell me about {}?", "Find {}.",
    ),
    val=("Can you search for {}?", "Please find facts about {}.", "Could you look up {}?",
    "I want a fact about {}."),
    test=(
        "Could you search for {}?", "Please tell me about {}.", "Can you find a fact about {}?",
        "Look up facts about {}.",
    ),
)
# fmt: on


def pick_person_for_search_tool(rng: random.Random) -> Drawn:
    """Somebody that a document is about."""
    name = rng.choice(PEOPLE)
    return {"e": name, "q": name}, None


def pick_topic_for_search_tool(rng: random.Random) -> Drawn:
    """A document's title, as it is asked about and as it is searched for."""
    title = rng.choice([title for title, _ in CARDS if title not in PEOPLE])
    named = title[0].isupper() or rng.random() < 0.4
    return {"e": title if named else f"the {title}", "q": title}, None


def pick_unknown_topic_for_search_tool(rng: random.Random) -> Drawn:
    """A word that no document holds."""
    word = pick_tool_argument_word(rng)
    known = _terms_of_cards().intersection(split_search_terms(word))
    return pick_unknown_topic_for_search_tool(rng) if known else ({"e": word, "q": word}, None)


@functools.cache
def _terms_of_cards() -> frozenset[str]:
    return frozenset(term for card in CARDS for text in card for term in split_search_terms(text))


def open_search(setting: ToolSetting, stack: ExitStack) -> Answer:
    """Reads and indexes documents.jsonl."""
    return SearchIndex.load(setting.workspace / "documents.jsonl").answer


INTENTS = (
    Intent(
        "topic",
        ("{e}",),
        "{q}",
        pick_topic_for_search_tool,
        6,
        (
            ("What about {e}?", "Say something about {e}.", "Do you know {e}?"),
            ("Do you know about {e}?",),
            ("Can you say something about {e}?",),
        ),
    ),
    Intent(
        "person",
        ("{e}",),
        "{q}",
        pick_person_for_search_tool,
        1,
        (
            ("Who is {e}?", "Who was {e}?", "Tell me who {e} is.", "Do you know who {e} was?"),
            ("Do you know who {e} is?",),
            ("Tell me who {e} was.",),
        ),
    ),
    Intent("unknown", ("{e}", "the {e}"), "{q}", pick_unknown_topic_for_search_tool),
)
TOOL = Tool(
    "search",
    3,
    open_search,
    FRAMES,
    INTENTS,
    parameter="query",
    description="Find what the documents say about something.",
)
