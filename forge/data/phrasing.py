"""How people say it: the patterns that a tool declares become phrasings, each of which belongs to one split, and a
phrasing becomes what is typed: without capitals, without marks, with a slip of the finger.

A phrasing is told from another by its words alone: case, marks, contractions, articles and words of courtesy are left
out of account, so that "please find the price of {e}" is not held out while "find the price of {e}" is learned. What
people say most is always learned; of the rest a tenth is held out for val and a tenth for test, by hash.
"""

from __future__ import annotations

import functools
import random
import re
from collections import defaultdict
from dataclasses import dataclass
from itertools import accumulate

from forge.data.held_out import holds_held_out_text
from forge.data.splits import SPLITS, dataset_split_by_hash
from forge.data.talk import TalkSubjects
from forge.tools.declaration import Intent, Tool
from forge.tools.likeness import COURTESY, spell_out_contractions

Asked = Tool | TalkSubjects  # what tells how it is asked for
EVERYDAY = 0.03  # of an intent's turns: what is said more often is learned
FEWEST = 5  # phrasings of an intent in val and in test, where it has 64 or more of them
_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_PART = re.compile(r"\{\w*\}|[a-z']+|\d+|[^\w\s{}?.,!:;]")

# Shares of the turns: with capital and mark; of the other questions those with their mark; with a slip, a word of
# courtesy before, one after.
NEAT, QUESTION_MARK, TYPO, PREFIXED, SUFFIXED = 0.3, 0.45, 0.05, 0.05, 0.06
PREFIXES = ("hey, ", "hi, ", "ok ", "so ", "quick question: ", "hello, ", "um ", "one more: ", "now ")
SUFFIXES = (" please", ", please", " pls", " plz", ", thanks", " thx", " for me", " now")


@dataclass(frozen=True)
class Phrasings:
    """Templates of an intent in a split and how often each is drawn: sums of weights so far."""

    templates: tuple[str, ...]
    sums: tuple[float, ...]

    def draw(self, rng: random.Random) -> str:
        """One of them, by weight."""
        return rng.choices(self.templates, cum_weights=self.sums)[0]


def expand_pattern(pattern: str) -> list[str]:
    """Every text of a pattern, one for each way through its choices."""
    found = _CHOICE.search(pattern)
    if found is None:
        return [re.sub(r" ([?,.])", r"\1", " ".join(pattern.split()))]
    texts = []
    for choice in found[1].split("|"):
        texts += expand_pattern(pattern[: found.start()] + choice + pattern[found.end() :])
    return list(dict.fromkeys(texts))


def weighted_texts(patterns: tuple[str, ...]) -> dict[str, float]:
    """The texts of patterns; the k-th pattern has 1/sqrt(k) of the first one's weight, shared among its texts."""
    weights: dict[str, float] = defaultdict(float)
    for place, pattern in enumerate(patterns, 1):
        texts = expand_pattern(pattern)
        for text in texts:
            weights[text] += place**-0.5 / len(texts)
    total = sum(weights.values())
    return {text: weight / total for text, weight in weights.items()}


def draw_pattern(rng: random.Random, patterns: tuple[str, ...]) -> str:
    """A text of patterns, by weight."""
    weights = weighted_texts(patterns)
    return rng.choices(list(weights), list(weights.values()))[0]


@functools.cache
def phrasing_key(template: str) -> str:
    """The words that tell a phrasing from others."""
    return " ".join(part for part in _PART.findall(spell_out_contractions(template)) if part not in COURTESY)


def _frame_core(frame: str, core: str) -> str:
    asked = "?" if core.endswith("?") or frame.endswith("?") else ""
    return frame.rstrip("?").replace("{}", core.rstrip("?")) + asked


@functools.cache
def all_dialogue_phrasings(subject: Asked, intent: Intent) -> dict[str, float]:
    """Every template of an intent and its share of the turns. What holds a held-out question's words is left out."""
    framed = {
        _frame_core(frame, core): share * weight
        for frame, share in weighted_texts(intent.frames or subject.frames).items()
        for core, weight in weighted_texts(intent.cores).items()
    }
    whole = weighted_texts(intent.sentences)
    weights: dict[str, float] = defaultdict(float)
    for texts in (framed, whole):
        for text, weight in texts.items():
            if not holds_held_out_text(text):
                weights[text] += weight
    total = sum(weights.values())
    return {text: weight / total for text, weight in weights.items()}


@functools.cache
def _splits_of_keys(subject: Asked) -> dict[str, str]:
    """The split of every phrasing of a tool, by its key."""
    shares: dict[str, dict[str, float]] = {}
    for intent in subject.intents:
        own = shares.setdefault(intent.name, defaultdict(float))
        for text, weight in all_dialogue_phrasings(subject, intent).items():
            own[phrasing_key(text)] += weight
    everyday = {key for own in shares.values() for key, weight in own.items() if weight > EVERYDAY}
    keys = {key for own in shares.values() for key in own}
    splits = {
        key: "train" if key in everyday else dataset_split_by_hash(f"{subject.name} {key}") for key in sorted(keys)
    }
    for own in shares.values():  # rare intents have few phrasings: the hash may give val or test none of them
        for split in SPLITS[1:]:
            missing = min(FEWEST, 1 + len(own) // 16) - sum(splits[key] == split for key in own)
            learned = sorted((own[key], key) for key in own if splits[key] == "train")
            for _, key in learned[: max(0, min(missing, len(learned) - 1))]:
                splits[key] = split
    return splits


@functools.cache
def tool_phrasings(subject: Asked, intent: Intent, split: str) -> Phrasings:
    """The templates of an intent in a split, slots left open."""
    splits = _splits_of_keys(subject)
    own = {
        text: w for text, w in all_dialogue_phrasings(subject, intent).items() if splits[phrasing_key(text)] == split
    }
    return Phrasings(tuple(own), tuple(accumulate(own.values())))


def phrasings(subject: Asked, intent: Intent, split: str) -> tuple[str, ...]:
    """Every user-turn template of an intent in a split, with named slots such as `{a}` or `{w}` left open."""
    return tool_phrasings(subject, intent, split).templates


def type_out_phrasing(rng: random.Random, template: str, slots: dict[str, str], *, verbatim: bool = False) -> str:
    """A template as a person types it, slots filled as they are.

    A third is neat; the others have no capital, no full stop, and a question mark now and then. Some begin or end with
    a word of courtesy, one in twenty has a typo. `verbatim`: nothing comes after the template's last slot.
    """
    asked = template.endswith("?")
    text = template.rstrip("?")
    wordy = re.search(r"[a-z]", re.sub(r"\{\w+\}", "", text.lower())) is not None
    if wordy and rng.random() < TYPO:
        text = _slip_of_the_finger(rng, text)
    if wordy and not verbatim and rng.random() < SUFFIXED and "please" not in text:
        text += rng.choice(SUFFIXES[:-2] if asked else SUFFIXES)
    if wordy and rng.random() < PREFIXED:
        text = rng.choice(PREFIXES) + text
    neat = rng.random() < NEAT
    if neat:
        text = re.sub(r"(?<![\w{'])i(?=[ ']|$)", "I", text)
        text = text if text[:1] == "{" else text[:1].upper() + text[1:]
    mark = "?" if asked and (neat or rng.random() < QUESTION_MARK) else "." if neat and wordy and not asked else ""
    return text.format(**slots) + ("" if verbatim else mark)


def _slip_of_the_finger(rng: random.Random, text: str) -> str:
    """One letter of a word left out, doubled or swapped with the next; never in a slot."""
    places = [
        m.start(1) + k
        for m in re.finditer(r"(?<![{\w'])([A-Za-z]{4,})(?![\w}'])", text)
        for k in range(1, len(m[1]) - 1)
    ]
    if not places:
        return text
    at = rng.choice(places)
    changed = {0: text[at + 1] + text[at], 1: text[at] * 2 + text[at + 1], 2: text[at + 1]}[rng.randrange(3)]
    return text[:at] + changed + text[at + 2 :]
