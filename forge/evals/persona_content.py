"""Does a persona's answer keep the facts of its topic?

Style alone is worth nothing: babble with a persona's favorite words sounds like it. What a topic's facts are is told by
the definitions and steps that the persona dialogues are made of, for held-out topics too.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

from forge.evals.gibberish import is_gibberish, words_of_answer
from forge.tools.search import split_search_terms

LEAST_RECALL = 0.6  # share of a topic's content words that an answer must hold


class TopicFacts(NamedTuple):
    """Words of a topic as `split_search_terms` gives them: those that name a concept (none for an activity), and those
    of its definition or steps."""

    name: frozenset[str]
    content: frozenset[str]


@functools.cache
def graded_persona_facts() -> dict[str, TopicFacts]:
    """What is to be said on each topic; the longest topic comes first, so that "sleep better" is found before
    "sleep"."""
    from forge.data.dialogue_templates import ACTIVITIES, CONCEPTS

    said = {topic: (topic, definition) for topic, definition, _ in CONCEPTS}
    said |= {topic: ("", f"{first} {second}") for topic, first, second in ACTIVITIES}
    return {
        topic: TopicFacts(*(frozenset(split_search_terms(text)) for text in said[topic]))
        for topic in sorted(said, key=lambda topic: (-len(topic), topic))
    }


@functools.cache
def _words_of_persona_styles() -> frozenset[str]:
    """What a persona says whatever the topic: "trade means the exchange of goods" tells nothing of money, which is "a
    means of exchange"."""
    from forge.data.dialogue_templates import STYLES

    parts = [part for kinds in STYLES.values() for style in kinds.values() for part in vars(style).values()]
    return frozenset(word for texts in parts for text in texts for word in split_search_terms(text))


def persona_topic_asked(question: str) -> str | None:
    """The topic that a question is about; None for a greeting or a topic of somebody else's."""
    words = f" {' '.join(words_of_answer(question))} "
    return next((topic for topic in graded_persona_facts() if f" {topic} " in words), None)


def keeps_persona_facts(question: str, answer: str) -> bool:
    """Whether an answer holds most content words of its topic, the name of a concept among them, and of no other topic
    as many.

    Where the question is about no known topic there are no facts to keep: then the answer must be language.
    """
    topic = persona_topic_asked(question)
    if topic is None:
        return bool(answer.strip()) and not is_gibberish(answer, words_of_answer(question))
    said, facts = set(split_search_terms(answer)), graded_persona_facts()
    own = facts[topic]
    kept = len(own.content & said) / len(own.content)
    others = [words.content - _words_of_persona_styles() for words in facts.values()]
    rival = max(len(words & said) / len(words) for words in others if not words <= own.content)
    # "moon is a cloud near the ground" tells nothing about fog.
    return own.name <= said and kept >= LEAST_RECALL and kept > rival
