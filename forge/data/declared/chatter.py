"""Sentences that ask for none of a user's tools, with what the agent says to them.

A model that is tuned on calls alone calls a tool on everything. So it also reads talk about other things, talk about
the very things that its tools handle, and orders for things that it does not have.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from functools import cached_property

from forge.data.declared.templates import hold_out_tenths, plain_words_of_row, row_template_of_example
from forge.data.declared.values import pick_free_word
from forge.data.declared.word_lists import WORD_LISTS
from forge.data.dialogue_templates import ACTIVITIES, ACTIVITY_QUESTIONS, CONCEPT_QUESTIONS, CONCEPTS
from forge.data.splits import SPLITS
from forge.tools.declared.schema import DeclaredTool
from forge.tools.drawing import pick_tool_argument_number

OFF_TOPIC_ANSWER = "I have no tool for that."
MENTION_ANSWER = "All right."
_TRIES = 200

# fmt: off
_FILL: dict[str, tuple[str, ...]] = {
    **WORD_LISTS,
    "topic": tuple(topic for topic, _, _ in CONCEPTS),
    "activity": tuple(activity for activity, _, _ in ACTIVITIES),
}
_OFF_TOPIC = (
    "what is the capital of {country}", "how big is {country}", "how many people live in {city}",
    "who was {person}", "when was {person} born", "what did {person} do", "is {person} still alive",
    "how long do {animal}s live", "what does a {animal} eat", "why do {animal}s sleep", "I saw a {animal} today",
    "how far is {city} from {city}", "book a flight to {city}", "find me a hotel in {city}",
    "I was in {city} last year", "let's travel to {country}", "what do people eat in {country}",
    "translate {word} into {language}", "how do you say {word} in {language}", "teach me some {language}",
    "how do I learn {language}", "spell {word}", "what rhymes with {word}", "write a poem about {word}",
    "tell me a story about a {animal}", "tell me a joke", "tell me a joke about a {animal}", "sing a song",
    "how do I cook {food}", "order some {food}", "I would like {food} for dinner", "do you like {food}",
    "what goes well with {food}", "who won the {sport} match", "what are the rules of {sport}",
    "I play {sport} on Sundays", "are you good at {sport}", "my {relative} plays {sport}",
    "my {relative} lives in {city}", "my {relative} has a {animal}", "my {relative} is {feeling}",
    "what shall I give my {relative}", "call my {relative}", "write a letter to my {relative}",
    "I am {feeling}", "I am so {feeling} today", "are you {feeling}", "why am I {feeling}", "today I feel {feeling}",
    "how are you", "who are you", "what is your name", "how old are you", "are you a robot", "do you dream",
    "hello", "hello there", "good morning", "good evening", "thank you", "thanks a lot", "bye", "see you tomorrow",
    "you are funny", "you are wrong", "that was great", "never mind", "forget it", "I love you", "what can you do",
    "what do you think about {word}", "tell me about {topic}", "what is {topic}", "explain {topic}",
    "is {topic} important", "who discovered {topic}", "I read a book about {topic}", "give me a fact about {topic}",
    "how do I {activity}", "help me {activity}", "is it hard to {activity}", "I want to {activity}",
    "pay my bills", "buy shares of {word}", "send money to my {relative}", "what is the price of {word}",
    "how many {word}s fit into a {word}", "{word}", "{word} {word}", "{word} {word} {word}",
    "the {word} and the {word}",
    "why is the {word} {color}", "I like {color} {word}s", "my {word} is broken", "who invented the {word}",
    "where can I buy a {word}", "paint the {word} {color}", "draw a {color} {animal}", "write an essay on {topic}",
    "what happened in the year {year}", "who was president in {year}", "I was born in {year}",
    "what is the meaning of life", "flip a coin", "guess a number", "is it {year} already", "who is the richest person",
    "recommend a movie", "recommend a book about {topic}", "what should I wear", "read me the news",
    "who is your maker",
    "can you keep a secret", "do you know my {relative}", "my {relative} says hello", "I lost my {word}",
)
_MENTIONS = (
    "the {} is nice", "I like the {}", "the {} was expensive", "I bought the {} last year", "the {} is quite old",
    "my sister gave me the {}", "we talked about the {} at dinner", "the {} looks good", "I cleaned the {} yesterday",
    "the {} came with the flat", "my neighbor has one like the {}", "someone asked me about the {}",
    "I took a photo of the {}", "the {} is my favorite", "nobody uses the {}", "there is dust on the {}",
    "I dreamed of the {}", "the {} is from my aunt", "we have had the {} for years", "I wonder who made the {}",
    "I will sell the {} some day", "the {} reminds me of my childhood", "the cat sits near the {}",
    "leave the {} alone", "do not touch the {}", "no need to do anything about the {}", "the {} is fine as it is",
    "I was thinking about the {}", "a friend admired the {}", "the {} and I are old friends",
)
# `{}` takes an order of the user's.
_NOT_NOW = (
    "don't {}", "do not {}", "please don't {}", "please do not {}", "no need to {}", "you need not {}",
    "never {}", "I will {} myself", "my neighbor tried to {}", "yesterday I had to {}", "I used to {} every day",
    "I was told not to {}", "he asked me to {} last week", "it was hard to {}", "you must not {}",
    "there is no reason to {}", "she did not want to {}", "I do not want you to {}", "nobody should {}",
)
_UNKNOWN = (
    "sauna", "piano", "toaster", "rocket", "submarine", "elevator", "escalator", "fountain", "jukebox", "tractor",
    "telescope", "carousel", "printer", "drawbridge", "lighthouse", "windmill", "sewing machine", "jacuzzi", "cannon",
    "coffee machine", "pool pump", "bread maker", "garden robot", "snow blower", "ice machine", "hot tub", "greenhouse",
)
# fmt: on
_COMMON = frozenset(WORD_LISTS["common"])


@dataclass(frozen=True)
class ToolWords:
    """What a user's tools are about, in words, so that talk about other things stays clear of it."""

    tools: tuple[DeclaredTool, ...]

    @cached_property
    def content(self) -> frozenset[str]:
        """Words of examples, values and synonyms, without those that every sentence has."""
        texts = [example.say for tool in self.tools for example in tool.examples]
        for tool in self.tools:
            texts += [said for words in tool.synonyms.values() for said in words]
            for parameter in tool.arguments.values():
                texts += [str(value) for value in (parameter.items or parameter).enum or ()]
        words = re.findall(r"[a-z]+", re.sub(r"\{.*?\}", " ", " ".join(texts).lower()))
        return frozenset(_stem(word) for word in words) - _COMMON

    @cached_property
    def _patterns(self) -> list[re.Pattern[str]]:
        found = []
        for tool in self.tools:
            for example in tool.examples:
                parts = [
                    f"{plain_words_of_row(p)}" if isinstance(p, str) else None
                    for p in row_template_of_example(tool, example).parts
                ]
                found.append(re.compile(r"\s*".join(r"\S.*" if part is None else re.escape(part) for part in parts)))
        return found

    def meets(self, sentence: str) -> bool:
        """Whether a sentence shares a word with the tools, or reads like one of their examples with other values."""
        plain = plain_words_of_row(sentence)
        shared = any(_stem(word) in self.content for word in plain.split())
        return shared or any(pattern.search(plain) for pattern in self._patterns)

    @cached_property
    def subjects(self) -> list[str]:
        """What the tools handle: values of enums and their synonyms, and nouns of their names."""
        found: dict[str, None] = {}
        for tool in self.tools:
            for parameter in tool.arguments.values():
                for value in (parameter.items or parameter).enum or ():
                    if isinstance(value, str):
                        found.update(dict.fromkeys((value.replace("_", " "), *tool.synonyms.get(value, ()))))
            nouns = re.split(r"[_-]|(?<=[a-z])(?=[A-Z])", tool.name)[1:]
            if nouns:
                found[" ".join(nouns).lower()] = None
        return list(found)


def _stem(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") else word


@dataclass(frozen=True)
class Chatter:
    """Templates of what is said beside orders, for one split: whole templates are held out.

    Attributes:
        off_topic: about something else. mentions: `{}` takes a thing that the tools handle. not_now: `{}` takes an
            order, which is then not given. unknown: things that no home has, or hardly any.
    """

    off_topic: list[str]
    mentions: list[str]
    not_now: list[str]
    unknown: list[str]


def chatter_by_split() -> dict[str, Chatter]:
    """The templates of each split."""
    topics = [template.replace("{t}", "{topic}") for template in CONCEPT_QUESTIONS]
    topics += [template.replace("{t}", "{activity}") for template in ACTIVITY_QUESTIONS]
    asked = dict.fromkeys((*_OFF_TOPIC, *(topic.rstrip(".?") for topic in topics)))
    kinds = [hold_out_tenths(list(asked), list(asked))]
    kinds += [hold_out_tenths(kind, kind, tenths=2) for kind in (_MENTIONS, _NOT_NOW, _UNKNOWN)]  # there are few
    return {split: Chatter(*(kind[split] for kind in kinds)) for split in SPLITS}


def off_topic_sentence(rng: random.Random, chatter: Chatter, words: ToolWords) -> str | None:
    """Something that no tool of the user's is for; None where their examples take any text."""
    for _ in range(_TRIES):
        template = rng.choice(chatter.off_topic)
        sentence = re.sub(r"\{(\w+)\}", lambda slot: _fill_chatter_slot(rng, slot[1]), template)
        if not words.meets(sentence):
            return sentence
    return None


def _fill_chatter_slot(rng: random.Random, kind: str) -> str:
    if kind == "word":
        return pick_free_word(rng)
    if kind == "year":
        return str(1000 + pick_tool_argument_number(rng, 3))
    return rng.choice(_FILL[kind])


def mention_sentence(rng: random.Random, chatter: Chatter, words: ToolWords) -> str | None:
    """Something about a thing that the tools handle, which asks for nothing; None where they handle nothing."""
    return rng.choice(chatter.mentions).replace("{}", rng.choice(words.subjects)) if words.subjects else None


def unknown_thing_for_row(rng: random.Random, chatter: Chatter, words: ToolWords) -> str | None:
    """A thing that the tools do not handle; None where they handle all that we know of."""
    things = [thing for thing in chatter.unknown if not words.meets(thing)]
    return rng.choice(things) if things else None
