"""Search in documents, and how people ask for what they tell."""

from __future__ import annotations

import functools
import random
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from itertools import chain
from pathlib import Path

from forge.tools.card_questions import CARD_QUESTIONS
from forge.tools.content import CARDS
from forge.tools.declaration import MOST_CONTENTS, SHOWN, About, Answer, Drawn, FollowUp, Intent, Tool, ToolSetting
from forge.tools.drawing import pick_tool_argument_word
from forge.tools.search import SearchIndex, read_documents_of_search_tool, split_search_terms

PEOPLE = {
    "Einstein": "Albert", "Curie": "Marie", "Darwin": "Charles", "Newton": "Isaac", "Mozart": "Wolfgang",
    "Shakespeare": "William", "Lovelace": "Ada",
}  # fmt: skip
LONGEST_DOCUMENT = 4096  # characters that are known by what they say
ANIMALS = tuple(title for title, _ in CARDS[:20])
_CAPITAL = " is the capital of "
CAPITALS = {title: text.split(_CAPITAL)[1].rstrip(".") for title, text in CARDS if _CAPITAL in text}
_ELSEWHERE = (
    "Chad Fiji Bolivia Finland Ghana Iceland Jamaica Laos Mali Nepal Oman Qatar Russia Sweden Tonga Uganda "
    "Vietnam Yemen Zambia Chile Brazil India Turkey Morocco Hungary Latvia Portugal Romania"
)
# fmt: off
_ASKING = (
    *("can", "could", "would", "will", "what", "who", "where", "when", "why", "how", "which", "do", "does", "did"),
    *("please", "tell", "me", "you", "i", "know"),
)
FRAMES = (
    "tell me about {}", "[what is|whats|what's] {}?", "what do you know about {}?",
    "[look up|search|search for|find] {}",
    "{}?", "{}", "[what can you|can you] [tell me|say] about {}?", "what about {}?",
    "[info|facts|information|something] [on|about] {}",
    "[please|pls] [tell me about|look up|search for] {}",
    "[can|could] you [look up|search for|find something on] {}?",
    "do you know [anything about|something about|about|] {}?",
    "[give me|i need|i want] [a fact|something|facts] [on|about] {}", "[say something|talk] about {}",
    "[i'd like to|i want to] [know|read] about {}",
    "[explain|describe] {}", "[what does the document|what do the documents] say about {}?",
    "[what is|whats] known about {}?", "[is there|do you have] [anything|something] [on|about] {}?",
    "[any facts|anything] about {}?", "teach me about {}", "what have you got on {}?",
    "why is {} [special|interesting]?", "what makes {} special?",
)
FACT_FRAMES = ("{}?", "{}", "do you know {}?", "tell me {}", "i wonder {}", "[can|could] you tell me {}?",
    "i want to know {}", "any idea {}?", "find out {}", "check {}")
# fmt: on


def pick_person_for_search_tool(rng: random.Random) -> Drawn:
    """Somebody that a document is about."""
    name = rng.choice(list(PEOPLE))
    return {"e": _typed_name(rng, f"{PEOPLE[name]} {name}" if rng.random() < 0.3 else name), "E": name}, None


def pick_topic_for_search_tool(rng: random.Random) -> Drawn:
    """A document's title, as it is asked about and as it is searched for."""
    title = rng.choice([title for title, _ in CARDS])
    if title[0].isupper():
        return {"e": _typed_name(rng, title), "E": title}, None
    if title in ANIMALS and title != "salmon" and rng.random() < 0.25:
        return {"e": f"{title[:-1]}ies" if title.endswith("y") else f"{title}s", "E": title}, None
    article = rng.choice(("the ", "the ", "a " if title[0] not in "aeio" else "an ", "", ""))
    return {"e": f"{article}{title}", "E": title}, None


def pick_unknown_topic_for_search_tool(rng: random.Random) -> Drawn:
    """A word that no document holds."""
    word = pick_tool_argument_word(rng)
    known = _terms_of_cards().intersection(split_search_terms(word)) or not split_search_terms(word)
    typed = word if rng.random() < 0.7 else f"the {word}"
    return pick_unknown_topic_for_search_tool(rng) if known else ({"e": typed, "E": word}, None)


def pick_capital_for_search_tool(rng: random.Random) -> Drawn:
    """A country whose capital a document tells."""
    country = rng.choice(list(CAPITALS.values()))
    return {"e": _typed_name(rng, country), "E": country}, None


def pick_unknown_capital_for_search_tool(rng: random.Random) -> Drawn:
    """A country that no document tells of."""
    country = rng.choice(_ELSEWHERE.split()) if rng.random() < 0.7 else pick_tool_argument_word(rng).capitalize()
    unknown = not _terms_of_cards().intersection(split_search_terms(country))
    slots = {"e": _typed_name(rng, country), "E": country}
    return (slots, None) if unknown else pick_unknown_capital_for_search_tool(rng)


def _typed_name(rng: random.Random, name: str) -> str:
    return name.lower() if rng.random() < 0.4 else name


def _no_slots(rng: random.Random, query: str) -> Drawn:
    return {"E": query}, None


@functools.cache
def _terms_of_cards() -> frozenset[str]:
    return frozenset(term for card in CARDS for text in card for term in split_search_terms(text))


def open_search(setting: ToolSetting, stack: ExitStack) -> Answer:
    """Reads and indexes documents.jsonl."""
    return SearchIndex(_cards_of(setting.workspace)).answer


def _cards_of(workspace: Path) -> list[tuple[str, str]]:
    """The documents of a workspace; none where it has no such file."""
    path = workspace / "documents.jsonl"
    return read_documents_of_search_tool(path) if path.exists() else []


_NEXT = ("and {e}?", "what about {e}?", "and of {e}?", "now {e}", "{e} too", "how about {e}?")
_CAPITAL_QUESTIONS = (
    "[what is|whats|what's] the capital of {e}?",
    "capital of {e}?",
    "the capital of {e}",
    "which city is [the|] capital of {e}?",
    "{e} capital?",
    "what's {e}'s capital?",
    "[tell me|name|give me|do you know] the capital of {e}",
    "which capital does {e} have?",
    "capital city of {e}?",
    "what city is the capital in {e}?",
    "[please|pls] find the capital of {e}",
    "i need the capital of {e}",
    "capital {e}",
    "and the capital of {e} is?",
    "where is the government of {e}?",
)
INTENTS = (
    Intent("topic", "{E}", pick_topic_for_search_tool, ("{e}",), (), 7, follow_ups=(FollowUp(_NEXT, "{E}"),)),
    Intent(
        "person",
        "{E}",
        pick_person_for_search_tool,
        (),
        (
            "who [is|was] {e}?",
            "[who's|whos] {e}?",
            "what did {e} [do|find|write|make]?",
            "[tell me|do you know] who {e} [is|was]",
            "{e}, who [is|was] that?",
            "what is {e} [known|famous] for?",
            "why is {e} [famous|important]?",
            "who exactly was {e}?",
            "[anything|something] about {e} [the person|and his work]?",
            "for what do people know {e}?",
        ),
        2,
        follow_ups=(FollowUp(_NEXT, "{E}"),),
    ),
    Intent(
        "capital", "{E}", pick_capital_for_search_tool, (), _CAPITAL_QUESTIONS, 3, follow_ups=(FollowUp(_NEXT, "{E}"),)
    ),
    Intent("unknown_capital", "{E}", pick_unknown_capital_for_search_tool, (), _CAPITAL_QUESTIONS, 0.5),
    Intent("unknown", "{E}", pick_unknown_topic_for_search_tool, ("{e}",), (), 2),
    *(
        Intent(f"about_{title}", "{E}", partial(_no_slots, query=query), questions, (), 0.12, FACT_FRAMES)
        for title, (query, questions) in CARD_QUESTIONS.items()
    ),
)


def about_documents_of_search_tool(workspace: Path) -> About | None:
    """What other documents than the built-in ones are asked about: each by its title and by what it says."""
    cards = _cards_of(workspace)
    if cards == list(CARDS):
        return None
    kept = {"topic", "unknown"} | {f"about_{title}" for title, text in cards if (title, text) in CARDS}
    if any(_CAPITAL in text for _, text in cards):
        kept |= {"capital", "unknown_capital"}
    titles = Counter(title for title, _ in cards)
    contents = [content for card in cards[:MOST_CONTENTS] for content in _contents_of_card(*card, titles[card[0]] == 1)]
    return About(tuple(intent for intent in INTENTS if intent.name in kept), contents=tuple(contents[:MOST_CONTENTS]))


def _contents_of_card(title: str, text: str, alone: bool) -> Iterator[tuple[str, str, str]]:
    """What is searched for to be shown a document, or a sentence of a long one, with its title and what it says."""
    if len(text) <= SHOWN and alone and split_search_terms(title) and _can_be_searched(title):
        yield title, title, text
        return
    for sentence in re.split(r"(?<=[.!?])\s+", text[:LONGEST_DOCUMENT]):
        query = sentence[:SHOWN].rsplit(" ", 1)[0] if len(sentence) > SHOWN else sentence
        if split_search_terms(query) and _can_be_searched(query):
            yield query, title, sentence


def _can_be_searched(query: str) -> bool:
    return query.isprintable() and not {*"{}"} & {*query}


TOOL = Tool(
    "search",
    3,
    open_search,
    FRAMES,
    INTENTS,
    parameter="query",
    description="Find what the documents say about something.",
    copied=rf"(?i)(?!(?:{'|'.join(_ASKING)})$)\w+",
    spelled=lambda workspace: chain.from_iterable(_cards_of(workspace)),
    about=about_documents_of_search_tool,
)
