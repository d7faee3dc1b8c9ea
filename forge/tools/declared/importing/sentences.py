"""Sentences that might ask for a tool, drafted from its name, description and parameters, for its user to extend.

The drafts are imperative: rows of training put polite, terse and questioning frames around them. They vary the verb and
the noun, name the required parameters in some and the optional ones in others, so that no parameter is left without an
example.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from typing import Any

FEWEST_DRAFTS = 5
MOST_DRAFTS = 12
# Verbs that names of functions begin with, and other words for them.
_VERBS: dict[str, tuple[str, ...]] = {
    "add": ("put in", "include"),
    "ask": (),
    "book": ("reserve",),
    "calculate": ("work out", "compute"),
    "call": ("ring",),
    "cancel": ("call off", "drop"),
    "change": ("set", "alter"),
    "check": ("look at", "tell me"),
    "clean": ("tidy",),
    "clear": ("empty",),
    "close": ("shut",),
    "compute": ("work out", "calculate"),
    "convert": ("change", "turn"),
    "copy": ("duplicate",),
    "count": ("number",),
    "create": ("make", "add", "set up"),
    "delete": ("remove", "get rid of", "drop"),
    "disable": ("turn off", "switch off"),
    "download": ("fetch",),
    "enable": ("turn on", "switch on"),
    "fetch": ("get", "bring me"),
    "find": ("look for", "search for"),
    "get": ("show me", "tell me", "give me", "check"),
    "list": ("show me", "give me", "tell me"),
    "load": ("read",),
    "lock": ("secure",),
    "lookup": ("look up", "find"),
    "make": ("create", "prepare"),
    "mark": ("set",),
    "move": ("bring", "shift"),
    "open": ("open up",),
    "order": ("buy",),
    "pause": ("hold", "suspend"),
    "play": ("put on", "start"),
    "print": ("show",),
    "query": ("ask", "look up"),
    "read": ("show me", "open"),
    "remind": (),
    "remove": ("delete", "take out", "get rid of"),
    "rename": ("call",),
    "record": ("note", "write down", "log"),
    "reset": ("restore", "set back"),
    "restart": ("start again", "reboot"),
    "run": ("start", "carry out"),
    "save": ("store", "keep"),
    "schedule": ("plan", "set up"),
    "search": ("look for", "find"),
    "send": ("deliver", "pass on"),
    "set": ("change", "adjust", "put"),
    "show": ("display", "let me see"),
    "start": ("begin", "run"),
    "stop": ("end", "target", "halt"),
    "switch": ("change", "turn"),
    "toggle": ("switch", "flip"),
    "translate": ("put",),
    "turn": ("switch",),
    "unlock": ("open",),
    "update": ("change", "edit"),
    "upload": ("send up",),
    "vacuum": ("clean",),
    "write": ("put down",),
}
# Parameters whose value stands for the thing itself: `set the {name}`.
_NAMING = frozenset(("device", "entity", "id", "item", "name", "object", "target", "title", "which"))
_CREATING = frozenset(("add", "book", "create", "make", "order", "save", "schedule", "send", "upload", "write"))
_OPENINGS = ("now", "I want to", "it is time to", "next", "I need to")  # where there are too few words to vary
_PREPOSITIONS = {
    "at": ("hour", "time", "when", "moment", "position", "timestamp"),
    "by": ("author", "amount", "step", "artist"),
    "called": ("label",),
    "for": ("city", "duration", "minutes", "place", "query", "seconds", "person", "hours", "term", "topic", "symbol"),
    "from": ("from", "origin", "sender", "source"),
    "in": ("area", "country", "folder", "language", "room", "timezone", "unit", "zone", "units", "location"),
    "of": ("count",),
    "on": ("date", "day", "channel"),
    "saying": ("body", "content", "message", "text"),
    "to": (
        "brightness", "color", "destination", "level", "mode", "receiver", "recipient", "speed", "temperature", "to",
        "state", "value", "volume", "end", "target", "status",
    ),
}  # fmt: skip
_PREPOSITION_OF = {word: preposition for preposition, words in _PREPOSITIONS.items() for word in words}


def split_name_words(name: str) -> list[str]:
    """`setLight`, `set_light` and `set-light` as the words of a sentence: set, light."""
    return [part.lower() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)] or [name]


def draft_tool_sentences(name: str, description: str, parameters: dict[str, Any]) -> list[str]:
    """At least five different sentences with slots; about a dozen, more where many parameters are optional.

    Args:
        name: the tool's.
        description: its first clause lends a sentence if it begins with a verb.
        parameters: JSON Schema of its arguments, as it is declared.
    """
    properties: dict[str, Any] = parameters.get("properties", {})
    required = [key for key in properties if key in parameters.get("required", ())]
    optional = [key for key in properties if key not in required]
    verbs, thing = _verbs_and_thing(name, description)
    naming = _naming_key(required, thing)
    rest = [key for key in required if key != naming]
    if naming is not None:
        things = _named_things(verbs[0], thing, naming, "enum" in properties[naming])
    elif rest and all(len(key) == 1 for key in rest):  # `add {a} and {b}`: the parameters are the things
        things, rest, description = [" and ".join(f"{{{key}}}" for key in rest)], [], ""
    else:
        things = [f"the {thing}", thing] if thing else [""]
    tails = list(dict.fromkeys((_tail(rest), _tail(rest[::-1]), _terse_tail(rest))))
    plain = _distinct(f"{verb} {noun}{tail}" for tail, noun, verb in itertools.product(tails, things, verbs))
    more = [f"{verbs[0]} {things[0]}{_tail([*rest, key])}" for key in optional]
    if len(optional) > 1:
        more.append(f"{verbs[0]} {things[0]}{_tail([*rest, *optional])}")
    described = _described(description, thing, naming, rest)
    room = max(FEWEST_DRAFTS, MOST_DRAFTS - len(more) - len(described))
    drafts = _distinct([plain[0], *described, *plain[1:room], *more])
    spare = (f"{opening} {verbs[0]} {things[0]}{tails[0]}" for opening in _OPENINGS)
    return _distinct([*drafts, *itertools.islice(spare, max(0, FEWEST_DRAFTS - len(drafts)))])


def _distinct(sentences: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(" ".join(sentence.split()).replace(" ,", ",") for sentence in sentences))


def _verbs_and_thing(name: str, description: str) -> tuple[list[str], str]:
    """Verbs for what a tool does, the first one its own, and what it does it to."""
    words = split_name_words(name)
    said = split_name_words(description.split(" ")[0]) if description else []
    if words[0] not in _VERBS and len(said) == 1 and (base := _base_of_verb(said[0])) is not None:
        words = [base, *(word for word in words if word != base)]
    if words[0] in _VERBS:
        return [words[0], *_VERBS[words[0]]], " ".join(words[1:])
    return ["run", "start", "use", "call"], " ".join(words)


def _base_of_verb(word: str) -> str | None:
    """`get` for `gets`: the verb that a description begins with, if it is one of ours."""
    bases = (word, word.removesuffix("s"), word.removesuffix("es"))
    if "return" in bases:  # functions say what they return; people ask to get it
        return "get"
    return next((base for base in bases if base in _VERBS), None)


def _naming_key(required: list[str], thing: str) -> str | None:
    """The parameter that names what the tool acts on, if one does."""
    for key in required if len(required) <= 3 else ():
        words = split_name_words(key)
        if words[-1] in _NAMING or (thing and words[-1] == thing.split()[-1]):
            return key
    return None


def _named_things(verb: str, thing: str, naming: str, listed: bool) -> list[str]:
    """What a tool acts on, by its name: `the {name}` if names are listed, else with the word for what it is."""
    if verb in _CREATING and thing and naming != thing:
        return [f"the {thing} called {{{naming}}}", f"{thing} {{{naming}}}"]
    if listed or not thing or naming == thing:
        return [f"the {{{naming}}}", f"{{{naming}}}"]
    return [f"the {thing} {{{naming}}}", f"{thing} {{{naming}}}"]


def _described(description: str, thing: str, naming: str | None, rest: list[str]) -> list[str]:
    """The clause that a description begins with, if that is a verb, its words for parameters replaced by their slots.

    Empty if it has no word for one of them: `send a mail to a person` and `to {to}` do not go together.
    """
    clause = re.split(r"[.,;:(\n{}]| or | and ", description, maxsplit=1)[0].strip()
    first, _, others = clause.partition(" ")
    base = _base_of_verb(first.lower())
    if base is None or not 1 <= len(others.split()) <= 8:
        return []
    left = []
    for key in [*([naming] if naming else []), *rest]:
        word = thing if key == naming and thing else " ".join(split_name_words(key))
        slot = f"the {{{key}}}" if key == naming else f"{{{key}}}"
        if word in _PREPOSITION_OF.values():  # `to` is no word for a person
            left.append(key)
            continue
        others, found = re.subn(rf"\b(?:an?|the|some)\s+(?:\w+\s+)?{re.escape(word)}\b", slot, others, count=1)
        left += [] if found else [key]
    if left and len(left) == len(rest) + (naming is not None):
        return []
    return [f"{base} {others}{_tail(left)}"]


def _tail(keys: list[str]) -> str:
    """What names parameters behind the verb and its object: ` to {brightness} in {room}`."""
    said: list[str] = []
    for key in keys:
        phrase = _phrase(key)
        if any(phrase.split(" ")[0] == before.split(" ")[0] for before in said):  # `to {to} to {level}` tells nothing
            phrase = f"with {' '.join(split_name_words(key))} {{{key}}}"
        said.append(phrase)
    return "".join(f" {phrase}" for phrase in said)


def _terse_tail(keys: list[str]) -> str:
    return "".join(f", {' '.join(split_name_words(key))} {{{key}}}" for key in keys)


def _phrase(key: str) -> str:
    words = split_name_words(key)
    preposition = next((_PREPOSITION_OF[word] for word in (words[0], words[-1]) if word in _PREPOSITION_OF), None)
    if preposition is None:
        return f"with {' '.join(words)} {{{key}}}"
    return f"{preposition} {{{key}}}"
