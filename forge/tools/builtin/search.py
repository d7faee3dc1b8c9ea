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

from forge.tools.content import CARDS
from forge.tools.declaration import MOST_CONTENTS, SHOWN, About, Answer, Drawn, FollowUp, Intent, Tool, ToolSetting
from forge.tools.drawing import pick_tool_argument_word
from forge.tools.search import SearchIndex, read_documents_of_search_tool, split_search_terms
from forge.tools.wordings.card_situations import CARD_SITUATIONS, DESCRIBED, SAID_OTHERWISE
from forge.tools.wordings.cards import CARD_QUESTIONS

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
# Countries as they are called elsewhere, where that is nearly the English word: only words that were said are searched.
_GERMAN = {
    "Italien": "Italy", "Japan": "Japan", "Peru": "Peru", "Irland": "Ireland", "Kenia": "Kenya", "Polen": "Poland",
}  # fmt: skip
_FRENCH = {
    "de l'Italie": "Italy", "du Japon": "Japan", "de l'Egypte": "Egypt", "de la Grèce": "Greece", "du Canada": "Canada",
    "de l'Autriche": "Austria", "de l'Irlande": "Ireland", "du Kenya": "Kenya", "de Cuba": "Cuba", "du Pérou": "Peru",
}  # fmt: skip
_SPANISH = {
    "Francia": "France", "Italia": "Italy", "Japón": "Japan", "Egipto": "Egypt", "Grecia": "Greece", "Perú": "Peru",
    "Austria": "Austria", "Irlanda": "Ireland", "Canadá": "Canada", "Kenia": "Kenya", "Cuba": "Cuba",
}  # fmt: skip
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
    "[i'd like to|i want to] [know|read|learn] about {}",
    "[explain|describe] {}", "[what does the document|what do the documents] say about {}?",
    "[what is|whats] known about {}?", "[is there|do you have] [anything|something] [on|about] {}?",
    "[any facts|anything] about {}?", "teach me about {}", "what have you got on {}?",
    "why is {} [special|interesting]?", "what makes {} special?",
    "[what's written|what stands] about {} in [your|the] documents?", "[a|one|some] fun fact about {}",
    "[i have to write|i'm writing|i must do a talk] about {}, what do you [know|have]?",
    "[do a search for|run a search on|search the documents for] {}",
    "my [kid|son|daughter|grandson] asks about {}, what [can|do] i say?", "{}, what do you know?", "{} - any info?",
    "what should [i|one] know about {}?", "[never heard of|i know nothing about] {}, tell me",
    "i was reading about {}, is there [more|anything in the documents]?", "[check|see] what we have on {}",
    "{} facts", "[what do we learn|what is there to learn] about {}?", "first of all, tell me about {}",
    "would you be so kind as to look up {}?", "[what's the deal|what's up] with {}?",
    "the documents on {}, what do they say?", "homework is about {}, [help|give me a fact]",
)
FACT_FRAMES = ("{}?", "{}", "do you know {}?", "tell me {}", "i wonder {}", "[can|could] you tell me {}?",
    "i want to know {}", "any idea {}?", "find out {}", "check {}", "look up {}", "my teacher asks {}", "i forgot {}",
    "quick quiz: {}", "for my homework: {}", "see the documents: {}")
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


def pick_city_for_search_tool(rng: random.Random) -> Drawn:
    """A capital that a document tells of."""
    city = rng.choice(list(CAPITALS))
    return {"e": _typed_name(rng, city), "E": city}, None


def pick_capital_to_check_for_search_tool(rng: random.Random) -> Drawn:
    """A country, and a city that may be its capital."""
    city = rng.choice(list(CAPITALS))
    country = CAPITALS[city] if rng.random() < 0.6 else rng.choice(list(CAPITALS.values()))
    return {"c": _typed_name(rng, city), "e": _typed_name(rng, country), "E": country}, None


def _pick_capital_abroad(rng: random.Random, names: dict[str, str]) -> Drawn:
    said = rng.choice(list(names))
    return {"e": _typed_name(rng, said), "E": names[said]}, None


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


# fmt: off
_NEXT = (
    "and {e}?", "what about {e}?", "and of {e}?", "now {e}", "{e} too", "how about {e}?", "same for {e}", "also {e}",
    "and what about {e}?", "[then|next] {e}", "{e}?",
)
_WHO = (
    "who [is|was] {e}?", "[who's|whos] {e}?", "what did {e} [do|find|write|make]?",
    "[tell me|do you know] who {e} [is|was]", "{e}, who [is|was] that?", "what is {e} [known|famous] for?",
    "why is {e} [famous|important]?", "who exactly was {e}?", "[anything|something] about the person {e}?",
    "for what do people know {e}?", "who the heck is {e}?", "{e} - who was this?", "what has {e} [done|achieved]?",
    "[my teacher|somebody] mentioned {e}, who [is|was] that?", "i read the name {e}, who is it?",
    "[have you|ever] heard of {e}?", "what kind of person was {e}?", "remind me who {e} was",
    "[what do we owe|what do we have to thank] {e} for?", "who was this {e} [person|everyone talks about]?",
    "could you tell me what {e} did?", "i'm writing a biography of {e}, give me a fact",
    "find out what {e} [did|is famous for]", "homework: who was {e}?", "how did {e} become famous?",
    "i do not know {e}, who is this person?", "[life and work|work] of {e}", "{e}'s claim to fame?",
    "what made {e} [famous|so important]?", "look up the person {e}", "is {e} a [writer|scientist|famous person]?",
    "what was {e} good at?", "[biography|bio] of {e}", "my grandson has to know who {e} was",
    "{e}, [what's the story|known for what]?",
)
_WHO_ABROAD = (
    "wer [war|ist] {e}?", "qui [était|etait|est] {e}?", "[quién|quien] [fue|es|era] {e}?", "chi era {e}?",
    "was hat {e} [gemacht|getan]?", "qu'a fait {e}?", "[qué|que] hizo {e}?", "wofür ist {e} bekannt?",
    "c'est qui {e}?", "weißt du, wer {e} war?", "sabes [quién|quien] fue {e}?", "tu connais {e}?",
    "erzähl mir [was|etwas] über {e}", "parle-moi de {e}", "[háblame|hablame] de {e}", "suche {e}", "cherche {e}",
    "busca {e}", "kennst du {e}?", "por [qué|que] es famoso {e}?",
)
_CAPITAL_QUESTIONS = (
    "[what is|whats|what's] the capital of {e}?", "capital of {e}?", "the capital of {e}",
    "which city is [the|] capital of {e}?", "{e} capital?", "what's {e}'s capital?",
    "[tell me|name|give me|do you know] the capital of {e}", "which capital does {e} have?", "capital city of {e}?",
    "what city is the capital in {e}?", "[please|pls] find the capital of {e}", "i need the capital of {e}",
    "capital {e}", "and the capital of {e} is?", "where is the government of {e}?",
    "{e}, what's the capital?", "what do you call the capital of {e}?", "[how is|what is] the capital of {e} called?",
    "quiz question: capital of {e}?", "geography homework: [name|find] the capital of {e}",
    "i'm flying to {e}, what's the capital there?", "remind me, what was {e}'s capital again?",
    "[look up|search|check] the capital of {e}", "[i forgot|i never remember] the capital of {e}",
    "we go to {e} on holiday, which city is the capital?", "does {e} have a capital, and which?",
    "in which city does the government of {e} sit?", "what is the main city of {e}, the capital?",
    "my [son|daughter] must learn the capital of {e}, which is it?", "of {e} i need the capital",
    "the name of the capital of {e}", "which is the capital city in {e}?", "[what|which] is {e} capital?",
    "crossword: capital of {e}", "a friend lives in the capital of {e}, which city is that?",
    "would you kindly tell me the capital of {e}?", "if i want to see the capital of {e}, which city?",
    "{e} has which capital city?",
)
_CITY_QUESTIONS = (
    "[what|which] country is {e} the capital of?", "where is {e}?", "{e} is the capital of [what|which country]?",
    "[in which|in what] country is {e}?", "of which country is {e} the capital?", "is {e} a capital [city|]?",
    "what country is {e} in?", "{e} is in which country?", "{e}, which country is that?", "where do i find {e}?",
    "{e} - capital of?", "i'm going to {e}, what country is that?", "[tell me|look up|find out] where {e} is",
    "in what country would i be if i were in {e}?", "which country has {e} as its capital?",
    "what is {e} the capital of?", "where on earth is {e}?", "i have a ticket to {e}, where is that?",
    "quiz: {e} is the capital of which land?", "{e} belongs to which country?", "the country of {e}?",
    "my friend moved to {e}, where does {e} lie?", "do you know where {e} is?", "whose capital is {e}?",
    "city of {e}, which country?",
)
_CHECKED_CAPITALS = (
    "is {c} the capital of {e}?", "{c} is the capital of {e}, right?", "isn't {c} the capital of {e}?",
    "is the capital of {e} {c}?", "i think {c} is the capital of {e}, [is that so|is that correct|am i right]?",
    "capital of {e}: is it {c}?", "is it true that {c} is the capital of {e}?", "{e}'s capital is {c}, or not?",
    "my friend says the capital of {e} is {c}, check that", "[does|has] {e} have {c} as its capital?",
    "the capital of {e}, that's {c}, no?", "check whether {c} is the capital of {e}", "was {c} the capital of {e}?",
    "i bet {c} is the capital of {e}", "{c}, is that {e}'s capital?", "do people of {e} have {c} as their capital?",
    "true or false: {c} is the capital of {e}", "am i wrong that {c} is the capital of {e}?",
    "{e} has {c} for its capital, correct?", "can you confirm that {c} is the capital of {e}?",
)
_ABROAD = {
    "german": (_GERMAN, (
        "was ist die hauptstadt von {e}?", "hauptstadt von {e}?", "wie heißt die hauptstadt von {e}?",
        "wie heisst die hauptstadt von {e}?", "[sag|nenn] mir die hauptstadt von {e}", "{e} hauptstadt?",
        "welche stadt ist die hauptstadt von {e}?", "welche hauptstadt hat {e}?", "die hauptstadt von {e}",
        "kennst du die hauptstadt von {e}?", "ich suche die hauptstadt von {e}", "what is the hauptstadt of {e}?",
    )),
    "french": (_FRENCH, (
        "quelle est la capitale {e}?", "la capitale {e}?", "capitale {e}?", "c'est quoi la capitale {e}?",
        "[dis-moi|donne-moi] la capitale {e}", "tu connais la capitale {e}?", "quelle ville est la capitale {e}?",
        "je cherche la capitale {e}", "comment s'appelle la capitale {e}?", "la capitale {e} c'est quoi?",
    )),
    "spanish": (_SPANISH, (
        "[cuál|cual] es la capital de {e}?", "capital de {e}?", "la capital de {e}", "dime la capital de {e}",
        "qué ciudad es la capital de {e}?", "[cómo|como] se llama la capital de {e}?", "busca la capital de {e}",
        "sabes la capital de {e}?", "qué capital tiene {e}?", "la capital de {e} cuál es?",
    )),
}
# fmt: on
_AGAIN = (FollowUp(_NEXT, "{E}"),)


def _asked_about_card(title: str) -> Intent:
    query, questions = CARD_QUESTIONS[title]
    whole = (*questions[:6], *CARD_SITUATIONS[title])
    return Intent(f"about_{title}", "{E}", partial(_no_slots, query=query), questions, whole, 0.12, FACT_FRAMES)


INTENTS = (
    Intent("topic", "{E}", pick_topic_for_search_tool, ("{e}",), (), 7, follow_ups=_AGAIN),
    Intent("person", "{E}", pick_person_for_search_tool, (), _WHO, 2, follow_ups=_AGAIN),
    Intent("person_abroad", "{E}", pick_person_for_search_tool, (), _WHO_ABROAD, 0.3),
    Intent("capital", "{E}", pick_capital_for_search_tool, (), _CAPITAL_QUESTIONS, 3, follow_ups=_AGAIN),
    Intent("city", "{E}", pick_city_for_search_tool, (), _CITY_QUESTIONS, 0.8),
    Intent("checked_capital", "{E}", pick_capital_to_check_for_search_tool, (), _CHECKED_CAPITALS, 0.5),
    *(
        Intent(f"capital_{language}", "{E}", partial(_pick_capital_abroad, names=names), (), questions, 0.15)
        for language, (names, questions) in _ABROAD.items()
    ),
    Intent("unknown_capital", "{E}", pick_unknown_capital_for_search_tool, (), _CAPITAL_QUESTIONS, 0.5),
    Intent("unknown", "{E}", pick_unknown_topic_for_search_tool, ("{e}",), (), 2),
    *map(_asked_about_card, CARD_QUESTIONS),
    *(
        Intent(
            f"about_{title}_described", "{E}", partial(_no_slots, query=query), questions, questions, 0.06, FACT_FRAMES
        )
        for title, query, questions in DESCRIBED
    ),
    *(
        Intent(
            f"about_{title}_otherwise", query, partial(_no_slots, query=query), questions, questions, 0.1, FACT_FRAMES
        )
        for title, query, questions in SAID_OTHERWISE
    ),
)


def about_documents_of_search_tool(workspace: Path) -> About | None:
    """What other documents than the built-in ones are asked about: each by its title and by what it says."""
    cards = _cards_of(workspace)
    if cards == list(CARDS):
        return None
    told = [f"about_{title}" for title, text in cards if (title, text) in CARDS]
    kept = {"topic", "unknown"} | {f"{name}{how}" for name in told for how in ("", "_described", "_otherwise")}
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
