"""What people want of a word: snippets of Python, what they print, and how people ask for it."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from functools import partial

from forge.tools.declaration import Drawn, FollowUp, Intent
from forge.tools.drawing import VOWELS, number_in_words, pick_tool_argument_word

NEXT_WORD = ("and {w}?", "now {w}", "what about {w}?", "{w} too", "same for {w}", "do {w} as well", "try {w}",
    "how about {w}?", "then {w}", "next one: {w}", "and for {w}?", "again with {w}")  # fmt: skip
SHARE_QUOTED = 0.2  # share of the words that stand in quotes
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
SnippetSlots = dict[str, str]


def quote_word_for_sandbox(rng: random.Random, *words: str) -> str:
    """Words one after the other, as people write them: some in quotation marks."""
    quote = rng.choice("'\"") if rng.random() < SHARE_QUOTED else ""
    return " ".join(f"{quote}{word}{quote}" for word in words)


def pick_word_for_snippet(rng: random.Random) -> SnippetSlots:
    """A word, as it is typed and as code has it."""
    word = pick_tool_argument_word(rng)
    return {"w": quote_word_for_sandbox(rng, word), "W": word}


def _word_and_number(rng: random.Random, least: int) -> SnippetSlots:
    """A word and a number of its letters, not all of them."""
    while True:
        slots = pick_word_for_snippet(rng)
        if len(slots["W"]) > least:
            n = rng.randint(least, min(9, len(slots["W"]) - 1))
            ending = {2: "nd", 3: "rd"}.get(n, "th")
            return slots | {"n": rng.choice((str(n), number_in_words(n))), "N": str(n), "t": ending}


def _word_and_letters(rng: random.Random, inside: float = 1) -> SnippetSlots:
    """A word, one of its letters and another letter; with a share of words that do not have the first one either."""
    slots = pick_word_for_snippet(rng)
    letters = [letter for letter in slots["W"] if letter.isalpha()]
    letter = rng.choice(letters) if rng.random() < inside else rng.choice(_LETTERS)
    return slots | {"c": letter, "d": rng.choice([other for other in _LETTERS if other != letter])}


def _word_at_edge(rng: random.Random, place: int) -> SnippetSlots:
    """A word and a letter that is at its beginning or end half of the time."""
    slots = _word_and_letters(rng)
    return slots | {"c": slots["W"][place]} if rng.random() < 0.5 else slots


def _pick_word_snippet(
    rng: random.Random, pick: Callable[[random.Random], SnippetSlots], value: Callable[[SnippetSlots], object]
) -> Drawn:
    slots = pick(rng)
    return slots, str(value(slots))


def word_snippet_intent(
    name: str,
    argument: str,
    value: Callable[[SnippetSlots], object],
    cores: tuple[str, ...],
    sentences: tuple[str, ...],
    weight: float = 1,
    pick: Callable[[random.Random], SnippetSlots] = pick_word_for_snippet,
) -> Intent:
    """An intent whose result is computed here from its slots, as the snippet computes it."""
    again = (FollowUp(NEXT_WORD, argument),) if set(re.findall(r"\{\w+\}", argument)) == {"{W}"} else ()
    draw = partial(_pick_word_snippet, pick=pick, value=value)
    return Intent(name, argument, draw, cores, sentences, weight, follow_ups=again)


def _letter_at(slots: SnippetSlots, place: int) -> str:
    return slots["W"][place - 1]


def _vowels(word: str) -> list[str]:
    return [letter for letter in word if letter in VOWELS]


def everyday_code_intents() -> tuple[Intent, ...]:
    """Intents about one word and its letters."""
    return (*_ONE_WORD, *_LETTERS_OF_WORD, *_PARTS, *_ordinal_intents())


# fmt: off
_ONE_WORD = (
    word_snippet_intent("remove_vowels", "print(''.join(c for c in '{W}' if c not in 'aeiou'))",
        lambda s: "".join(c for c in s["W"] if c not in VOWELS),
        ("remove [the|all] vowels from {w}", "take the vowels out of {w}", "write {w} without vowels",
            "delete every vowel in {w}", "strip {w} of its vowels", "drop the vowels of {w}"),
        ("{w} without [vowels|its vowels]", "{w} no vowels", "what is left of {w} without the vowels?",
            "what does {w} look like without vowels?", "{w} minus the vowels", "only the consonants of {w}",
            "how is {w} written with no vowels?", "which letters stay if i take all vowels out of {w}?",
            "i want to text {w} short, without the vowels", "{w}, vowels removed", "give me {w} but skip the vowels",
            "the consonants of {w}?", "{w} with a, e, i, o and u taken out", "vowels out: {w}",
            "cross out the vowels in {w}, what remains?", "abbreviate {w} by leaving out its vowels",
            "if {w} loses its vowels, what remains?", "keep just the consonants of {w}", "devowel {w}"), 0.8),
    word_snippet_intent("list_vowels", "print([c for c in '{W}' if c in 'aeiou'])", lambda s: _vowels(s["W"]),
        ("list the vowels [in|of] {w}", "show all vowels in {w}", "find the vowels in {w}",
            "pick the vowels out of {w}"),
        ("which vowels are in {w}?", "what are the vowels in {w}?", "what vowels does {w} have?", "the vowels of {w}?",
            "which vowels has {w}?", "which of the letters in {w} are vowels?", "{w}, which vowels?",
            "which vowels do you hear in {w}?", "only the vowels of {w}", "tell me the vowels in the word {w}",
            "name the vowels in {w}", "what vowels do i find in {w}?", "the word {w} has which vowels?",
            "school asks which letters of {w} are vowels", "which letters in {w} are vowels, one by one?",
            "keep just the vowels of {w}", "i need the vowels of {w} in a list", "vowels in {w}, which ones?",
            "{w} without consonants"), 0.4),
    word_snippet_intent("consonants", "print(sum(c not in 'aeiou' for c in '{W}'))",
        lambda s: sum(c not in VOWELS for c in s["W"]),
        ("count the consonants [in|of] {w}", "find the number of consonants in {w}",
            "count how many consonants {w} has"),
        ("how many consonants [are in|does it have:] {w}?", "how many consonants does {w} have?", "consonants in {w}?",
            "number of consonants in {w}", "{w} has how many consonants?", "how many letters of {w} are not vowels?",
            "{w}, how many consonants?", "consonant count of {w}", "how many consonants has the word {w}?",
            "in {w} there are how many consonants?", "how many of the letters in {w} are consonants?",
            "not counting vowels, how many letters has {w}?", "leave the vowels out, how many letters are in {w}?",
            "how many letters in {w} if i skip the vowels?", "how many consonants do you find in {w}?",
            "total consonants in {w}?", "my exercise: how many consonants are there in {w}?",
            "the word {w} contains how many consonants?"), 0.6),
    word_snippet_intent("distinct", "print(len(set('{W}')))", lambda s: len(set(s["W"])),
        ("count the [different|distinct|unique] letters in {w}", "count the letters of {w} without repeats",
            "count how many different letters {w} has"),
        ("how many different letters are in {w}?", "how many [unique|distinct] letters in {w}?",
            "how many different letters does {w} have?", "number of unique letters in {w}", "unique letters in {w}?",
            "{w} has how many different letters?", "how many different letters do i need for {w}?",
            "if doubles count once, how many letters has {w}?", "{w}, how many different letters?",
            "how many letters does {w} use, counting each only once?", "distinct letters of {w}, how many?",
            "how many keys do i need on the keyboard to type {w}?", "not counting repeats, how many letters in {w}?",
            "i cut letter stamps for {w}, how many different ones do i need?", "how many kinds of letters has {w}?",
            "the word {w} is made of how many different letters?", "each letter once, how many are in {w}?",
            "how many letters of the alphabet are in {w}?"), 0.7),
    word_snippet_intent("repeats", "print(len(set('{W}'))<len('{W}'))", lambda s: len(set(s["W"])) < len(s["W"]),
        ("check if {w} has a letter twice", "check if {w} repeats a letter", "find out if any letter of {w} repeats"),
        ("does {w} have [repeated letters|a repeated letter]?", "does any letter repeat in {w}?",
            "is there a letter twice in {w}?", "does {w} have any letter more than once?", "repeated letters in {w}?",
            "does {w} use a letter more than once?", "are there double letters anywhere in {w}?",
            "is any letter of {w} used twice?", "does a letter come back in {w}?", "{w}, any letter more than once?",
            "does {w} repeat letters, true or false?", "any repeats in the letters of {w}?",
            "do some letters of {w} come more than once?", "is a letter in {w} there twice or more?",
            "has {w} got any letter repeating?", "for a puzzle: does {w} repeat a letter?"), 0.3),
    word_snippet_intent("capitalize", "print('{W}'.capitalize())", lambda s: s["W"].capitalize(),
        ("capitalize the first letter of {w}", "write {w} with a capital first letter",
            "make the first letter of {w} [big|a capital|uppercase]", "start {w} with a capital"),
        ("{w} with a capital letter at the start", "{w} with a [big|capital] first letter",
            "{w} with only the first letter big",
            "just the first letter of {w} in upper case", "how do i write {w} as a name?",
            "{w} is a name, write it like one",
            "{w} starts a sentence, write it that way", "first letter of {w} big, the rest small",
            "{w} as a proper noun",
            "{w} needs a capital at the beginning", "only capitalize the first letter: {w}",
            "{w} capitalized at the front",
            "put a capital at the front of {w}", "how does {w} look with a capital first letter?",
            "my friend is called {w}, write that with a capital", "give {w} a capital to start with",
            "{w} at the start of a sentence?", "upper case the first letter of {w}, nothing else"), 0.7),
    word_snippet_intent("sort_down", "print(''.join(sorted('{W}', reverse=True)))",
        lambda s: "".join(sorted(s["W"], reverse=True)),
        ("sort the letters of {w} from z to a", "sort the letters of {w} in reverse order",
            "order the letters of {w} from z to a", "sort {w} in reverse alphabetical order"),
        ("letters of {w} from z to a", "{w} sorted from z to a", "letters of {w} in reverse alphabetical order",
            "{w} in reverse alphabetical order", "{w} with letters sorted backwards through the alphabet",
            "what are the letters of {w} from z to a?", "put the letters of {w} in order, z first",
            "the letters of {w} in descending order", "descending letters of {w}", "{w} sorted descending",
            "sort {w} the other way, from z down", "letters of {w}, last of the alphabet first",
            "how are the letters of {w} ordered from z to a?", "arrange {w} from z to a",
            "i need the letters of {w} sorted, but from z to a", "z to a: {w}"), 0.4),
    word_snippet_intent("every_second", "print('{W}'[::2])", lambda s: s["W"][::2],
        ("take every second letter of {w}", "take every other letter of {w}", "write every second letter of {w}",
            "skip every other letter of {w}"),
        ("every second letter of {w}", "every other letter of {w}", "{w} with every second letter left out",
            "what is every second letter of {w}, from the first on?", "what do i get from {w} with every other letter?",
            "{w}, only each second letter", "which letters of {w} stay if i drop every second one?",
            "secret code: every second letter in {w}", "first, third, fifth and so on letters of {w}",
            "read {w} but skip one letter each time", "jump over every other letter in {w}",
            "the odd letters of {w}", "keep one letter, drop one, through all of {w}",
            "each second letter of the word {w}?", "delete every second letter from {w}",
            "{w} with a step of two"), 0.3),
    word_snippet_intent("double", "print(''.join(c*2 for c in '{W}'))", lambda s: "".join(c * 2 for c in s["W"]),
        ("double [every|each] letter of {w}", "write every letter of {w} twice", "double all letters in {w}",
            "type each letter in {w} twice"),
        ("{w} with every letter doubled", "{w} with each letter twice", "every letter of {w} two times",
            "what is {w} with all letters doubled?", "how does {w} look if each letter comes twice?",
            "{w} but each letter is doubled", "two of every letter in {w}", "stutter {w}: each letter twice",
            "every letter in {w} should be there twice", "spell {w} with double letters everywhere",
            "my keyboard types every letter twice, what do i get for {w}?", "make all the letters of {w} double",
            "the letters of {w}, doubled one by one", "{w}, each letter doubled", "letters doubled: {w}"), 0.3),
)
_LETTERS_OF_WORD = (
    word_snippet_intent("contains", "print('{c}' in '{W}')", lambda s: s["c"] in s["W"],
        ("check if {w} has [a|the letter] {c}", "check if there is [a|an] {c} in {w}", "find out if {w} contains {c}",
            "find out whether {c} is in {w}", "look for [a|the letter] {c} in {w}"),
        ("is there [a|an] {c} in {w}?", "does {w} have [a|an] {c}?", "does {w} contain [the letter|a|] {c}?",
            "is {c} in {w}?", "is the letter {c} in {w}?", "has {w} got [a|an] {c}?",
            "any {c} in {w}?", "does the word {w} have the letter {c} in it?", "are there any {c}s in {w}?",
            "{w} has a {c}, true or false?", "do you need [a|the letter] {c} to spell {w}?",
            "do i need {c} to write {w}?", "can you find [a|the letter] {c} in {w}?", "is {w} written with {c}?",
            "my {c} key is broken, do i need it for {w}?", "hangman, i guess {c} and the word is {w}, is it in there?",
            "does the letter {c} appear in {w}?", "do we have {c} in {w}, yes or no?",
            "is {c} one of the letters of {w}?",
            "{w}, does it have a {c}?", "does {c} occur in {w}?"), 2, partial(_word_and_letters, inside=0.6)),
    word_snippet_intent("starts", "print('{W}'.startswith('{c}'))", lambda s: s["W"].startswith(s["c"]),
        ("check if {w} starts with {c}", "check if {w} begins with {c}",
            "find out if {w} starts with [a|the letter] {c}"),
        ("does {w} start with [a|the letter|] {c}?", "does {w} begin with {c}?", "is {c} the first letter of {w}?",
            "{w} starts with {c}, true or false?", "does the word {w} begin with the letter {c}?",
            "is {w} a word with {c} at the start?", "is {w} under {c} in the dictionary?",
            "is the first letter of {w} {c}?",
            "do you write {w} with {c} first?", "{w} begins with {c}, right?", "starts {w} with {c}?",
            "would {w} be filed under {c}?", "i spy something with {c}, could it be {w}?",
            "does {w} have {c} as its first letter?", "would i look for {w} under {c}?", "is {c} where {w} begins?"),
            0.5,
        partial(_word_at_edge, place=0)),
    word_snippet_intent("ends", "print('{W}'.endswith('{c}'))", lambda s: s["W"].endswith(s["c"]),
        ("check if {w} ends with {c}", "check if {w} ends in {c}", "find out if {w} ends with [a|the letter] {c}"),
        ("does {w} end with [a|the letter|] {c}?", "does {w} end in {c}?", "is {c} the last letter of {w}?",
            "{w} ends with {c}, true or false?", "is there [a|an] {c} at the end of {w}?",
            "is the last letter of {w} {c}?",
            "does the word {w} finish with {c}?", "{w} ends in {c}, right?", "ends {w} with {c}?",
            "do you write {w} with {c} at the end?", "does {w} have {c} as its last letter?", "is {c} where {w} stops?",
            "do i hear {c} at the end of {w}?", "does {c} close the word {w}?", "does {w} have {c} at the end?",
            "a word that ends with {c}, does {w} fit?"), 0.5, partial(_word_at_edge, place=-1)),
    word_snippet_intent("replace", "print('{W}'.replace('{c}', '{d}'))", lambda s: s["W"].replace(s["c"], s["d"]),
        ("replace {c} [with|by] {d} in {w}", "replace [every|all|the] {c} in {w} [with|by] {d}",
            "change {c} to {d} in {w}",
            "swap [every|each] {c} in {w} for {d}", "turn every {c} of {w} into {d}",
            "write {w} with {d} instead of {c}",
            "put {d} where {w} has {c}"),
        ("{w} with {d} instead of {c}", "{w} but with {d} for {c}", "{w} with every {c} changed to {d}",
            "in {w}, replace {c} with {d}", "what is {w} if you replace {c} with {d}?",
            "what do you get if you change {c} to {d} in {w}?", "in the word {w} make every {c} [a|the letter] {d}",
            "if {c} becomes {d}, what is {w}?", "take {w} and change {c} into {d}", "{w}, {c} to {d}",
            "how does {w} look when all {c} are {d}?", "my {c} key is broken, type {w} with {d} for it",
            "{w}: {c} becomes {d}", "all {c} out and {d} in, for {w}", "substitute {d} for {c} in {w}",
            "i write {d} for {c}, how do i write {w}?", "in {w} i want {d} in place of {c}",
            "secret language: {c} becomes {d}, so what is {w}?", "use {d} for each {c} in {w}"), 1.5,
            _word_and_letters),
    word_snippet_intent("remove", "print('{W}'.replace('{c}', ''))", lambda s: s["W"].replace(s["c"], "") or "",
        ("remove [every|all|the] {c} from {w}", "delete [the letter|every] {c} from {w}",
            "take [the|every] {c} out of {w}",
            "write {w} without [the letter|] {c}", "remove the letter {c} from {w}", "drop every {c} in {w}"),
        ("{w} without [the|] {c}", "{w} without the letter {c}", "what is left of {w} without {c}?",
            "{w} minus the {c}",
            "{w} with no {c}", "what does {w} look like without {c}?", "in {w}, delete every {c}",
            "my {c} key is broken, what do i get when i type {w}?", "if i leave out {c}, what is {w}?",
            "{w} but leave out the {c}", "what happens to {w} if i take out the {c}?",
            "take {w} and drop the letter {c}",
            "from the word {w} i want the {c} gone", "{w}, {c} removed", "no {c} in {w}: what remains?",
            "leave {c} out of {w}", "scratch the {c} from {w}", "the word {w}, but skip every {c}"), 1,
        lambda rng: next(s for s in iter(lambda: _word_and_letters(rng), None) if set(s["W"]) != {s["c"]})),
    word_snippet_intent("place", "print('{W}'.index('{c}')+1)", lambda s: s["W"].index(s["c"]) + 1,
        ("find the position of {c} in {w}", "find the place of [the letter|] {c} in {w}",
            "find out where {c} is in {w}"),
        ("where is [the|] {c} in {w}?", "position of {c} in {w}", "at [which|what] [place|position] is {c} in {w}?",
            "what is the position of {c} in {w}?", "{c} is which letter of {w}, by number?", "where in {w} is the {c}?",
            "which number is the letter {c} in {w}?", "where does {c} come in {w}?", "{w}: where is {c}?",
            "in {w}, what place has the {c}?", "after how many letters do i reach {c} in {w}?",
            "what spot is {c} at in the word {w}?", "where do i first see {c} in {w}?",
            "counting from the left, where is {c} in {w}?", "first {c} in {w}, at what place?",
            "where does the first {c} stand in {w}?", "in {w} the {c} is letter number what?",
            "the letter {c} stands where in {w}?"), 0.6, _word_and_letters),
    word_snippet_intent("append", "print('{W}'+'{c}')", lambda s: s["W"] + s["c"],
        ("add [the letter|a|an] {c} to the end of {w}", "put [a|an] {c} at the end of {w}",
            "append {c} to {w}", "stick [a|an] {c} on the end of {w}"),
        ("{w} with [a|an] {c} at the end", "{w} with an extra {c} at the end", "{w} and then {c}, in one word",
            "what is {w} with {c} added at the end?", "what do i get if i put {c} behind {w}?",
            "{w} plus the letter {c}",
            "if {w} ends with one more letter, {c}, what is it?", "hang {c} onto {w}",
            "write {w} and {c} right after it",
            "{w} followed by {c} without a space", "attach {c} behind {w}", "put {c} after {w}",
            "give {w} the letter {c} as its ending", "add {c} behind the word {w}", "{w}, with {c} added"), 0.4,
        lambda rng: _word_and_letters(rng, inside=0.2)),
)
_PARTS = (
    word_snippet_intent("first_n", "print('{W}'[:{N}])", lambda s: s["W"][: int(s["N"])],
        ("get the first {n} letters of {w}", "take the first {n} letters of {w}", "cut {w} after {n} letters",
            "shorten {w} to {n} letters", "print the first {n} characters of {w}"),
        ("first {n} letters of {w}", "[what are|whats] the first {n} letters of {w}?", "the first {n} letters of {w}?",
            "{w}, first {n} letters", "the first {n} of {w}", "which {n} letters does {w} start with?",
            "only the first {n} letters of {w}", "{w} starts with which {n} letters?", "beginning of {w}, {n} letters",
            "what are the {n} letters at the start of {w}?", "abbreviate {w} to {n} letters", "{w} cut to {n} letters",
            "i only have room for {n} letters of {w}, what fits?", "{w} but only {n} letters from the front",
            "i stop after {n} letters when i type {w}, what is there?", "in {w}, which are the first {n} letters?",
            "{n} letters from the beginning of {w}", "give me {n} letters of {w} from the left",
            "the license plate takes the first {n} letters of {w}, which?"), 1.2, partial(_word_and_number, least=2)),
    word_snippet_intent("last_n", "print('{W}'[-{N}:])", lambda s: s["W"][-int(s["N"]) :],
        ("get the last {n} letters of {w}", "take the last {n} letters of {w}", "print the last {n} characters of {w}",
            "show only the last {n} letters of {w}"),
        ("last {n} letters of {w}", "[what are|whats] the last {n} letters of {w}?", "the last {n} letters of {w}?",
            "{w}, last {n} letters", "the last {n} of {w}", "which {n} letters does {w} end with?",
            "{w} ends with which {n} letters?", "only the last {n} letters of {w}", "the ending of {w}, {n} letters",
            "what are the {n} letters at the end of {w}?", "in {w}, which are the last {n} letters?",
            "{n} letters from the end of {w}", "the final {n} letters of {w}",
            "give me {n} letters of {w} from the right",
            "i need a rhyme, what are the last {n} letters of {w}?", "how does {w} end, the last {n} letters?",
            "with what {n} letters does the word {w} finish?"), 0.8, partial(_word_and_number, least=2)),
    word_snippet_intent("nth", "print('{W}'[{N}-1])", lambda s: s["W"][int(s["N"]) - 1],
        ("get the {N}{t} letter of {w}", "find the {N}{t} letter [of|in] {w}", "say letter {n} of {w}",
            "print the {N}{t} character of {w}"),
        ("[what is|whats|what's] the {N}{t} letter [of|in] {w}?", "{N}{t} letter of {w}", "letter {n} of {w}",
            "which letter is {N}{t} in {w}?", "letter number {n} in {w}", "{w}, {N}{t} letter?",
            "letter no {N} of {w}?",
            "in {w}, what is letter {n}?", "what letter is at position {n} in {w}?", "{w}: letter at place {n}?",
            "what's letter number {n} of the word {w}?", "the {N}{t} one of the letters of {w}",
            "what is in {N}{t} place in the word {w}?", "which letter of {w} do i write as the {N}{t}?",
            "in the crossword i need the {N}{t} letter of {w}",
            "i count to {n} in the letters of {w}, which one is it?",
            "if i spell {w}, what is the {N}{t} letter i say?", "the word is {w}, give me letter {n}"), 1.2,
        partial(_word_and_number, least=2)),
    word_snippet_intent("without_first", "print('{W}'[1:])", lambda s: s["W"][1:],
        ("remove the first letter of {w}", "delete the first letter from {w}", "drop the first letter of {w}",
            "write {w} without its first letter", "cut off the first letter of {w}"),
        ("{w} without the first letter", "{w} without its first letter", "{w} minus the first letter",
            "what is left of {w} if you take away the first letter?", "{w} with the first letter gone",
            "what remains of {w} without its first letter?", "all of {w} but the first letter",
            "{w} from the second letter on", "everything after the first letter of {w}",
            "take the first letter off {w}",
            "if {w} loses its first letter, what is it?", "skip the first letter of {w}", "{w}, first letter removed",
            "behead the word {w}, letterwise", "what word do i see when the first letter of {w} falls off?"), 0.6),
    word_snippet_intent("without_last", "print('{W}'[:-1])", lambda s: s["W"][:-1],
        ("remove the last letter of {w}", "delete the last letter from {w}", "drop the last letter of {w}",
            "write {w} without its last letter", "cut off the last letter of {w}"),
        ("{w} without the last letter", "{w} without its last letter", "{w} minus the last letter",
            "what is left of {w} if you take away the last letter?", "{w} with the last letter gone",
            "what remains of {w} without its last letter?", "all of {w} but the last letter",
            "everything before the last letter of {w}", "take the last letter off {w}",
            "if {w} loses its last letter, what is it?", "skip the last letter of {w}", "{w}, last letter removed",
            "i pressed backspace once after {w}, what is there now?", "{w} and one backspace",
            "what word do i see when the last letter of {w} falls off?"), 0.6),
)


def _ordinal_intents() -> tuple[Intent, ...]:
    """Intents that ask for the second to the fifth letter in words."""
    sentences = (
        "{o} letter of {w}", "[what is|whats|what's] the {o} letter [of|in] {w}?", "{w}, {o} letter?",
        "which letter is {o} in {w}?", "what's the {o} letter in the word {w}?", "which letter comes {o} in {w}?",
        "the {o} letter of {w} is what?", "{o} character of {w}", "in {w}, which is the {o} letter?",
        "what letter has {w} in {o} place?", "if i spell {w}, what do i say {o}?", "the {o} one of the letters in {w}",
        "i need the {o} letter of {w} for a crossword", "{w} has which letter as its {o}?",
        "what is the {o} letter when you write {w}?", "which letter do i type {o} for {w}?",
    )
    cores = ("get the {o} letter of {w}", "find the {o} letter in {w}", "pick out the {o} letter of {w}")
    return tuple(
        word_snippet_intent(
            ordinal, f"print('{{W}}'[{place}-1])", partial(_letter_at, place=place),
            tuple(core.replace("{o}", ordinal) for core in cores),
            tuple(sentence.replace("{o}", ordinal) for sentence in sentences), weight,
            partial(_word_and_number, least=place),
        )
        for ordinal, place, weight in (("second", 2, 0.6), ("third", 3, 0.6), ("fourth", 4, 0.4), ("fifth", 5, 0.3))
    )
