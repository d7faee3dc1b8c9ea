"""What people want of several words or of phrases: snippets of Python, what they print, and how people ask for it."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

from forge.tools.declaration import Intent
from forge.tools.drawing import CONSONANTS, VOWELS, number_in_words, pick_tool_argument_word
from forge.tools.wordings.code_letters import SHARE_QUOTED, SnippetSlots, pick_word_for_snippet, word_snippet_intent

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_LITTLE_TEXT = "the a my your is in on and of with under red big old we see they have like two no very"
_LITTLE_WORDS = _LITTLE_TEXT.split()


def _two_words(rng: random.Random, other: Callable[[random.Random, str], str] | None = None) -> SnippetSlots:
    """Two words of different lengths, or a word and another made of it."""
    while True:
        word = pick_tool_argument_word(rng)
        second = other(rng, word) if other else pick_tool_argument_word(rng)
        if second and (other or len(word) != len(second)):
            quote = rng.choice("'\"") if rng.random() < SHARE_QUOTED else ""
            typed = {"w": f"{quote}{word}{quote}", "v": f"{quote}{second}{quote}"}
            return typed | {"W": word, "V": second}


def _perhaps_anagram(rng: random.Random, word: str) -> str:
    """The letters of a word in another order, now and then with a wrong one."""
    letters = list(word)
    rng.shuffle(letters)
    if rng.random() < 0.5:
        letters[0] = rng.choice(CONSONANTS + VOWELS)
    return "".join(letters)


def _perhaps_part(rng: random.Random, word: str) -> str:
    """A part of a word, or one that is none."""
    start = rng.randint(0, max(0, len(word) - 3))
    part = word[start : start + rng.randint(3, 4)]
    return part if rng.random() < 0.5 else part[:-1] + rng.choice(_LETTERS)


def _perhaps_same(rng: random.Random, word: str) -> str:
    """A word as it is, or with one letter doubled or another one."""
    if rng.random() < 0.5:
        return word
    place = rng.randrange(len(word))
    return word[:place] + rng.choice((word[place] * 2, rng.choice(VOWELS))) + word[place + 1 :]


def _three_words(rng: random.Random) -> SnippetSlots:
    words = rng.sample(sorted({pick_tool_argument_word(rng) for _ in range(12)}), 3)
    quote = rng.choice("'\"") if rng.random() < SHARE_QUOTED / 2 else ""
    typed = {name: f"{quote}{word}{quote}" for name, word in zip("wvu", words, strict=True)}
    return typed | dict(zip("WVU", words, strict=True))


def _phrase(rng: random.Random) -> SnippetSlots:
    """Three to seven words, mostly in quotation marks."""
    words = [pick_tool_argument_word(rng) if n % 2 else rng.choice(_LITTLE_WORDS) for n in range(1, rng.randint(4, 8))]
    quote = rng.choice('\'""')
    return {"p": f"{quote}{' '.join(words)}{quote}", "P": " ".join(words)}


def _word_few_times(rng: random.Random) -> SnippetSlots:
    n = rng.randint(2, 4)
    return pick_word_for_snippet(rng) | {"n": rng.choice((str(n), number_in_words(n))), "N": str(n)}


# fmt: off
def _spelled_intent(name: str, mark: str, one: str, many: str, weight: float) -> Intent:
    sentences = (
        "{w} with {many} between the letters", "{w} with {one} between [each|every] letter",
        "{w} letter by letter with {many}",
        "{w} spelled with {many}", "letters of {w} with {many} between them",
        "how does {w} look with {many} between the letters?",
        "{w} spaced out with {many}", "what is {w} with {one} after each letter but the last?",
        "{w} with {many} in between", "the letters of {w}, {many} between", "{w}, every letter separated by {one}",
        "i want {w} spelled out with {many}, like on a sign", "{w} split into letters with {many}",
        "take {w} and put {many} between its letters", "the word {w} with {one} between two letters each",
    )
    cores = (
        "spell {w} with {many}", "put {one} between the letters of {w}", "put {many} between the letters of {w}",
        "write {w} with {many} between the letters", "join the letters of {w} with {many}",
        "separate the letters of {w} with {many}",
    )
    filled = [
        tuple(text.replace("{many}", many).replace("{one}", one) for text in texts) for texts in (cores, sentences)
    ]
    return word_snippet_intent(
        name, f"print('{mark}'.join('{{W}}'))", lambda s: mark.join(s["W"]), filled[0], filled[1], weight
    )


def _repeated_intent(name: str, mark: str, one: str, many: str, weight: float) -> Intent:
    sentences = (
        "{w} {n} times with {many}", "{n} times {w} with {many} between", "{w} {n} times with {one} between",
        "{w} {n} times, separated by {many}", "{n} times the word {w}, {many} between",
        "{w} repeated {n} times with {many}",
        "give me {w} {n} times with {one} in between", "with {many} between: {w}, {n} times",
        "{n} {w}s with {many} between them",
        "how does it look if i write {w} {n} times with {many}?", "i want {w} {n} times, but with {many} in between",
        "{n} copies of {w}, separated by {many}", "the word {w}, {n} times, {many} in between",
        "a row of {n} times {w} with {many}",
    )
    cores = (
        "repeat {w} {n} times with {many}", "write {w} {n} times with {many} between",
        "print {w} {n} times with {one} between",
        "say {w} {n} times with {many} in between", "repeat the word {w} {n} times separated by {many}",
    )
    filled = [
        tuple(text.replace("{many}", many).replace("{one}", one) for text in texts) for texts in (cores, sentences)
    ]
    return word_snippet_intent(
        name, f"print('{mark}'.join(['{{W}}']*{{N}}))", lambda s: mark.join([s["W"]] * int(s["N"])), filled[0],
        filled[1],
        weight, _word_few_times,
    )


_ANAGRAMS = partial(_two_words, other=_perhaps_anagram)
_PART_OF_WORD = partial(_two_words, other=_perhaps_part)
_SEVERAL_WORDS = (
    word_snippet_intent("join", "print('{W}'+'{V}')", lambda s: s["W"] + s["V"],
        ("join {w} and {v}", "join the words {w} and {v}", "stick {w} and {v} together",
            "put {w} and {v} together as one word",
            "glue {v} to the end of {w}", "write {w} and {v} as one word"),
        ("{w} and {v} as one word", "{w} and {v} in one word", "{w} plus {v} as one word",
            "{w} and {v} without a space",
            "what do you get if you put {w} and {v} together?", "{w} and {v} glued together",
            "{w} followed by {v}, no space",
            "concatenate {w} and {v}", "concat {w} with {v}", "what word do {w} and {v} make together?",
            "add {v} to {w} as letters",
            "combine {w} and {v} into one word", "merge the words {w} and {v}", "{w} with {v} right behind it",
            "my password is {w} and {v} in one, how is it written?", "a hashtag of {w} and {v}, without the sign",
            "first {w}, then {v}, all in one word", "{w} directly followed by {v}", "paste {v} behind {w}",
            "the two words {w} and {v} joined"), 1.5, _two_words),
    word_snippet_intent("join_hyphen", "print('{W}-{V}')", lambda s: f"{s['W']}-{s['V']}",
        ("join {w} and {v} with a [hyphen|dash]", "put a [hyphen|dash] between {w} and {v}",
            "connect {w} and {v} with a [hyphen|dash]", "write {w} and {v} with a hyphen"),
        ("{w} and {v} with a [hyphen|dash] between", "{w} dash {v}", "{w} hyphen {v}", "{w} and {v} joined by a dash",
            "hyphenate {w} and {v}", "{w} and {v}, dash in the middle",
            "how do {w} and {v} look with a dash between them?",
            "a double name of {w} and {v}, with a hyphen", "the words {w} and {v}, linked by a hyphen",
            "combine {w} and {v} using a dash", "one word of {w} and {v} with a hyphen",
            "stick {w} and {v} together with a dash in between", "i need {w} and {v} with a dash for a file name",
            "we married, {w} and {v} get a hyphen, how is that written?"), 0.4, _two_words),
    word_snippet_intent("longer", "print(len('{W}')>len('{V}'))", lambda s: len(s["W"]) > len(s["V"]),
        ("check if {w} is a longer word than {v}", "check if {w} has more letters than {v}",
            "find out if the word {w} is longer than the word {v}"),
        ("is the word {w} longer than {v}?", "is {w} a longer word than {v}?", "does {w} have more letters than {v}?",
            "is {w} longer than {v}, in letters?", "has {w} more letters than {v}?", "more letters in {w} than in {v}?",
            "are there more letters in {w} than in {v}?", "as a word, is {w} longer than {v}?",
            "{w} has more letters than {v}, true or false?", "do i type more letters for {w} than for {v}?",
            "does it take more letters to write {w} than {v}?", "does the word {w} beat {v} in length?",
            "compared with the word {v}, is {w} longer?", "is {w} written with more letters than {v}?",
            "i bet {w} has more letters than {v}, am i right?", "word length: is {w} above {v}?",
            "would {w} take more squares in a crossword than {v}?"), 1, _two_words),
    word_snippet_intent("shorter", "print(len('{W}')<len('{V}'))", lambda s: len(s["W"]) < len(s["V"]),
        ("check if {w} is a shorter word than {v}", "check if {w} has fewer letters than {v}",
            "find out if the word {w} is shorter than the word {v}"),
        ("is the word {w} shorter than {v}?", "is {w} a shorter word than {v}?",
            "does {w} have fewer letters than {v}?",
            "is {w} shorter than {v}, in letters?", "has {w} less letters than {v}?",
            "fewer letters in {w} than in {v}?",
            "are there fewer letters in {w} than in {v}?", "as a word, is {w} shorter than {v}?",
            "{w} has fewer letters than {v}, true or false?", "do i type fewer letters for {w} than for {v}?",
            "does it take fewer letters to write {w} than {v}?", "is {w} written with fewer letters than {v}?",
            "compared with the word {v}, is {w} shorter?", "i bet {w} has less letters than {v}, am i right?"), 0.4,
        _two_words),
    word_snippet_intent("longest", "print(max('{W}', '{V}', key=len))", lambda s: max(s["W"], s["V"], key=len),
        ("find the longer word of {w} and {v}", "find out which word is longer, {w} or {v}",
            "compare {w} and {v} and give the longer word"),
        ("which word is longer, {w} or {v}?", "which has more letters, {w} or {v}?",
            "{w} or {v}, which word is longer?",
            "{w} or {v}, which has more letters?", "what is the longer word, {w} or {v}?", "longer word: {w} or {v}?",
            "between {w} and {v}, which word is longer?", "who has more letters, {w} or {v}?",
            "more letters: {w} or {v}?",
            "of the words {w} and {v}, which is longer?", "which one takes more letters to write, {w} or {v}?",
            "which of {w} and {v} is the longer word?", "of {w} and {v}, which one is written with more letters?",
            "do {w} or {v} have more letters?", "i can pick {w} or {v}, which is the longer word?",
            "we name the cat {w} or {v}, which name has more letters?", "the longest word of {w} and {v}?"), 1,
            _two_words),
    word_snippet_intent("shortest", "print(min('{W}', '{V}', key=len))", lambda s: min(s["W"], s["V"], key=len),
        ("find the shorter word of {w} and {v}", "find out which word is shorter, {w} or {v}",
            "compare {w} and {v} and give the shorter word"),
        ("which word is shorter, {w} or {v}?", "which has fewer letters, {w} or {v}?",
            "{w} or {v}, which word is shorter?",
            "{w} or {v}, which has fewer letters?", "what is the shorter word, {w} or {v}?",
            "shorter word: {w} or {v}?",
            "between {w} and {v}, which word is shorter?", "which has less letters, {w} or {v}?",
            "fewer letters: {w} or {v}?",
            "of the words {w} and {v}, which is shorter?", "which one takes fewer letters to write, {w} or {v}?",
            "which of {w} and {v} is the shorter word?", "the shortest word of {w} and {v}?",
            "i am lazy, which is shorter to type, {w} or {v}?"), 0.4, _two_words),
    word_snippet_intent("abc_first", "print(min('{W}', '{V}'))", lambda s: min(s["W"], s["V"]),
        ("find which of {w} and {v} comes first in the alphabet",
            "find out which comes first alphabetically, {w} or {v}",
            "find out which of {w} and {v} is first in the dictionary"),
        ("which comes first in the [dictionary|alphabet], {w} or {v}?", "which comes first alphabetically, {w} or {v}?",
            "{w} or {v}, which comes first in the [dictionary|alphabet]?", "alphabetically first: {w} or {v}?",
            "which is first in alphabetical order, {w} or {v}?", "{w} or {v}, which is first alphabetically?",
            "in the dictionary, is {w} or {v} first?", "what comes first in abc order, {w} or {v}?",
            "which word do i meet first in a dictionary, {w} or {v}?",
            "of {w} and {v}, which is earlier in the alphabet?",
            "which one is earlier in the alphabet, {w} or {v}?", "i file {w} and {v} by abc, which goes first?",
            "on my shelf from a to z, which stands first, {w} or {v}?", "by alphabet, what is first: {w} or {v}?",
            "{w} and {v}, which one is listed first in a phone book?", "first by letters, {w} or {v}?"), 0.9,
            _two_words),
    word_snippet_intent("before", "print('{W}'<'{V}')", lambda s: s["W"] < s["V"],
        ("check if {w} comes before {v} in the alphabet", "check if {w} is before {v} in the dictionary",
            "find out if {w} comes alphabetically before {v}"),
        ("does {w} come before {v} in the [alphabet|dictionary]?", "is {w} before {v} alphabetically?",
            "does {w} come before {v} in alphabetical order?", "is {w} before {v} in the dictionary?",
            "{w} before {v} in the alphabet, true or false?", "alphabetically, is {w} before {v}?",
            "in the dictionary, do i find {w} before {v}?", "is {w} listed before {v} in a dictionary?",
            "would {w} be before {v} on a list from a to z?", "in abc order, does {w} come before {v}?",
            "does {w} go before {v} if i file them by letter?", "is {w} earlier in the alphabet than {v}?",
            "is {w} smaller than {v} in alphabetical order?", "from a to z, is {w} ahead of {v}?",
            "sorted by alphabet, would {w} stand in front of {v}?"), 0.5, _two_words),
    word_snippet_intent("sort_words", "print(sorted(['{W}', '{V}', '{U}']))", lambda s: sorted([s["W"], s["V"],
        s["U"]]),
        ("sort the words {w}, {v} and {u}", "sort [{w}, {v}, {u}|{w}, {v} and {u}] [alphabetically|by alphabet]",
            "put {w}, {v} and {u} in alphabetical order", "order {w}, {v}, {u} from a to z",
            "alphabetize {w}, {v} and {u}",
            "sort these words: {w}, {v}, {u}"),
        ("{w}, {v}, {u} in alphabetical order", "{w}, {v}, {u} sorted alphabetically", "{w}, {v} and {u} from a to z",
            "what is the alphabetical order of {w}, {v} and {u}?",
            "in which order are {w}, {v} and {u} in the dictionary?",
            "sort by name: {w}, {v}, {u}", "alphabetical: {w}, {v}, {u}",
            "my list is {w}, {v}, {u}, sort it by alphabet",
            "i have {w}, {v} and {u}, put them in abc order", "how do i order {w}, {v} and {u} by alphabet?",
            "three folders, {w}, {v} and {u}, in alphabetical order?", "abc order for {w}, {v}, {u}",
            "{w} {v} {u} alphabetically", "arrange the words {w}, {v} and {u} alphabetically",
            "what comes first, second and third alphabetically: {w}, {v}, {u}?", "list {w}, {v} and {u} alphabetically",
            "file {w}, {v} and {u} from a to z"), 1, _three_words),
    word_snippet_intent("longest_of_three", "print(max('{W}', '{V}', '{U}', key=len))",
        lambda s: max(s["W"], s["V"], s["U"], key=len),
        ("find the longest word of {w}, {v} and {u}", "find the longest of the words {w}, {v} and {u}",
            "find out which of {w}, {v} and {u} has the most letters"),
        ("which word is the longest: {w}, {v} or {u}?", "which is the longest word, {w}, {v} or {u}?",
            "{w}, {v} or {u}, which has the most letters?", "longest word of {w}, {v}, {u}",
            "which of these words is longest: {w}, {v}, {u}?", "which has the most letters, {w}, {v} or {u}?",
            "of {w}, {v} and {u}, which is the longest word?", "{w}, {v}, {u}: longest word?",
            "out of {w}, {v} and {u}, which word has most letters?", "most letters: {w}, {v} or {u}?",
            "i have three words, {w}, {v} and {u}, which is the longest?",
            "what's the longest word in {w}, {v}, {u}?",
            "for the crossword i can take {w}, {v} or {u}, which word is longest?",
            "among {w}, {v} and {u}, the longest word?"), 0.6, _three_words),
    word_snippet_intent("anagram", "print(sorted('{W}')==sorted('{V}'))", lambda s: sorted(s["W"]) == sorted(s["V"]),
        ("check if {w} and {v} are anagrams", "check if {w} is an anagram of {v}",
            "find out if {w} and {v} are anagrams",
            "check if {w} and {v} have the same letters"),
        ("are {w} and {v} anagrams?", "is {w} an anagram of {v}?", "do {w} and {v} have the same letters?",
            "are {w} and {v} made of the same letters?", "{w} and {v}, anagrams or not?", "anagram: {w} and {v}?",
            "can you make {v} from the letters of {w}, using them all?", "is {v} just {w} with the letters mixed up?",
            "{w} and {v} are anagrams, true or false?", "if i shuffle {w}, can i get {v}?",
            "does {w} rearrange to {v}?",
            "do {w} and {v} use exactly the same letters?", "can {w} be rearranged into {v}?",
            "are the letters of {w} and {v} the same, only in another order?", "is {v} a jumbled {w}?",
            "someone says {v} is {w} scrambled, is it true?", "the letters of {w}, shuffled, can that be {v}?"), 0.9,
            _ANAGRAMS),
    word_snippet_intent("holds", "print('{V}' in '{W}')", lambda s: s["V"] in s["W"],
        ("check if {w} contains {v}", "check if the word {w} contains {v}", "check if {v} is inside {w}",
            "find out if {v} is part of the word {w}"),
        ("is {v} in the word {w}?", "does {w} contain {v}?", "is {v} hidden in {w}?", "does the word {w} contain {v}?",
            "can you find {v} inside {w}?", "is {v} part of the word {w}?", "do you see {v} in the word {w}?",
            "is {v} inside {w}?", "{v} inside {w}, true or false?", "does {w} have {v} in it as letters in a row?",
            "is there {v} somewhere in the word {w}?", "is {v} a substring of {w}?", "does {v} appear inside {w}?",
            "word puzzle: is {v} hidden in {w}?", "do the letters {v} stand together in {w}?",
            "does the word {w} have the piece {v} in it?"), 0.6, _PART_OF_WORD),
    word_snippet_intent("same", "print('{W}'=='{V}')", lambda s: s["W"] == s["V"],
        ("check if {w} and {v} are [spelled the same|the same word]", "compare {w} with {v} letter by letter"),
        ("are {w} and {v} the same word?", "are {w} and {v} spelled the same?", "is {w} equal to {v}?",
            "is {w} the same word as {v}?", "{w} and {v}, same spelling or not?", "same or not: {w} and {v}?",
            "do {w} and {v} have the same spelling?", "is {w} spelled just like {v}?", "{w} equals {v}?",
            "are the strings {w} and {v} equal?", "i typed {w} and then {v}, are they identical?",
            "does {w} match {v} exactly?",
            "are {w} and {v} identical?"), 0.4, partial(_two_words, other=_perhaps_same)),
    word_snippet_intent("common_letters", "print(sorted(set('{W}')&set('{V}')))",
        lambda s: sorted(set(s["W"]) & set(s["V"])),
        ("find the letters that {w} and {v} share", "list the letters that are in both {w} and {v}",
            "find the common letters of {w} and {v}"),
        ("which letters do {w} and {v} share?", "which letters are in both {w} and {v}?",
            "which letters do {w} and {v} have in common?", "common letters of {w} and {v}",
            "shared letters of {w} and {v}?",
            "what letters do {w} and {v} have in common?", "letters in {w} and also in {v}?",
            "what letters are both in {w} and in {v}?", "which letters of {w} are also in {v}?",
            "{w} and {v}, common letters?", "which letters appear in {w} as well as in {v}?",
            "our names are {w} and {v}, what letters do we share?", "{w} and {v} overlap in which letters?",
            "which letters can i find in the word {w} and in {v} too?"), 0.5, _two_words),
    word_snippet_intent("letters_together", "print(len('{W}'+'{V}'))", lambda s: len(s["W"] + s["V"]),
        ("count the letters of {w} and {v} together", "count how many letters {w} and {v} have together"),
        ("how many letters do {w} and {v} have together?", "how many letters are in {w} and {v} together?",
            "letters of {w} and {v} in total?", "total number of letters in {w} and {v}",
            "{w} and {v}, how many letters together?",
            "how many letters altogether in {w} and {v}?", "how many letters do i need for {w} and {v}?",
            "if i write {w} and {v}, how many letters is that in all?", "combined length of {w} and {v}?",
            "my first name is {w} and my last name is {v}, how many letters in all?",
            "a sign with {w} and {v}, how many letters to buy?", "how long are {w} and {v} put together, in letters?",
            "add the lengths of {w} and {v}"), 0.5, _two_words),
)
_PHRASES = (
    word_snippet_intent("words", "print(len('{P}'.split()))", lambda s: len(s["P"].split()),
        ("count the words in {p}", "count the words of {p}", "count how many words are in {p}",
            "get the word count of {p}"),
        ("how many words are in {p}?", "how many words in {p}?", "how many words does {p} have?", "word count of {p}",
            "number of words in {p}", "{p}: how many words?", "{p}, how many words is that?", "word count: {p}",
            "how many words is {p}?", "words in {p}?", "i wrote {p}, how many words are that?",
            "my title is {p}, how many words does it have?", "how many words did i use here: {p}",
            "how many words do you count in {p}?", "the sentence is {p}, count its words",
            "they pay me by the word, how many in {p}?", "{p} consists of how many words?",
            "what is the word count for {p}?",
            "of how many words is {p} made?"), 1.5, _phrase),
    word_snippet_intent("title", "print('{P}'.title())", lambda s: s["P"].title(),
        ("put {p} in title case", "write {p} in title case", "capitalize each word in {p}",
            "capitalize every word of {p}",
            "make the first letter of each word in {p} a capital", "turn {p} into a title"),
        ("{p} in title case", "title case: {p}", "{p} as a title", "{p} with a capital on each word",
            "{p} with every word capitalized", "how does {p} look as a title?", "title case of {p}",
            "{p} is my book title, capitalize each word", "all words of {p} should start with a capital",
            "each word in {p} needs a big first letter", "format {p} as a headline, each word capitalized",
            "capital letter for every word: {p}", "what is {p} in title case?", "first letters big: {p}",
            "{p} but every word begins with a capital letter", "make a heading of {p}, all words capitalized"), 1,
            _phrase),
    word_snippet_intent("phrase_upper", "print('{P}'.upper())", lambda s: s["P"].upper(),
        ("put {p} in [capitals|all caps]", "write {p} in [capitals|all caps]", "make {p} uppercase",
            "turn {p} into capitals"),
        ("{p} in [capitals|caps|uppercase]", "uppercase: {p}", "all caps: {p}", "{p} in capital letters", "shout {p}",
            "what does {p} look like in capitals?", "the sentence {p} in upper case", "how is {p} written in capitals?",
            "my sign says {p}, give it to me in capitals", "{p}, everything in big letters", "{p} with caps lock on",
            "change {p} to all capitals", "i want {p} all in capitals", "text in caps: {p}"), 0.6, _phrase),
    word_snippet_intent("phrase_reverse", "print('{P}'[::-1])", lambda s: s["P"][::-1],
        ("reverse {p}", "write {p} backwards", "reverse the letters of {p}", "reverse the text {p}", "turn {p} around"),
        ("{p} backwards", "what is {p} backwards?", "reverse this: {p}", "reverse the sentence {p}", "{p} in reverse",
            "{p} written backwards", "reverse string {p}", "how does {p} read from right to left?",
            "what do you get if you reverse {p}?", "mirror writing of {p}", "the phrase {p} from back to front",
            "{p} from the last letter to the first", "spell the whole of {p} backwards",
            "how is the sentence {p} written backwards?", "the text {p}, reversed letter by letter"), 0.7, _phrase),
    word_snippet_intent("word_order", "print(' '.join('{P}'.split()[::-1]))", lambda s: " ".join(s["P"].split()[::-1]),
        ("reverse the order of the words in {p}", "reverse the word order of {p}",
            "put the words of {p} in reverse order",
            "turn around the order of the words in {p}"),
        ("{p} with the words in reverse order", "{p}, word order reversed", "words of {p} in reverse order",
            "what is {p} with the last word first?", "{p} but the words backwards, not the letters",
            "say {p} with the last word first", "write {p} from the last word to the first",
            "how does {p} read word by word from the end?", "swap the word order in {p} completely",
            "like yoda, the words of {p} from last to first", "{p}: last word first and so on",
            "the words of {p} the other way round", "start with the last word of {p} and end with the first",
            "word by word backwards: {p}"), 0.4, _phrase),
    word_snippet_intent("phrase_length", "print(len('{P}'))", lambda s: len(s["P"]),
        ("count the characters in {p}", "count the characters of {p} with spaces", "get the length of the text {p}"),
        ("how many characters are in {p}?", "how many characters does {p} have?", "character count of {p}",
            "length of {p}",
            "how many characters is {p}, spaces included?", "how long is the text {p}?", "characters in {p}?",
            "how many characters, with spaces, has {p}?", "number of characters in {p}", "{p}: how many characters?",
            "does it fit in a text message, how many characters is {p}?", "what's the character count for {p}?",
            "how many keys do i press for {p}, counting spaces?", "i tweet {p}, how many characters is that?",
            "how long is the string {p}?"), 0.7, _phrase),
    word_snippet_intent("no_spaces", "print('{P}'.replace(' ', ''))", lambda s: s["P"].replace(" ", ""),
        ("remove the spaces from {p}", "remove all spaces in {p}", "write {p} without spaces",
            "delete the spaces in {p}",
            "take the blanks out of {p}"),
        ("{p} without spaces", "{p} with no spaces", "{p} as one word", "{p} but without the spaces",
            "how does {p} look without spaces?", "squeeze {p} together", "make one word of {p}", "{p}, spaces removed",
            "turn {p} into a hashtag without the sign", "no blanks: {p}", "what is {p} in one string without spaces?",
            "put all words of {p} together without gaps", "the space bar is broken, how does {p} come out?",
            "close the gaps in {p}", "strip the spaces out of {p}"), 0.6, _phrase),
    word_snippet_intent("snake", "print('{P}'.replace(' ', '_'))", lambda s: s["P"].replace(" ", "_"),
        ("replace the spaces in {p} [with|by] underscores", "write {p} with underscores", "turn {p} into snake case",
            "put underscores for the spaces in {p}"),
        ("{p} with underscores", "{p} in snake case", "{p} with underscores instead of spaces", "snake case: {p}",
            "{p} as a variable name", "underscores in {p} where the spaces are", "{p}, each space an underscore",
            "how does {p} look with underscores?", "make a file name of {p} with underscores", "snake_case of {p}",
            "change every space in {p} to an underscore", "spaces to underscores: {p}",
            "no spaces allowed, use underscores: {p}", "what is {p} in snake case?"), 0.4, _phrase),
    word_snippet_intent("initials", "print(''.join(w[0] for w in '{P}'.split()))",
        lambda s: "".join(word[0] for word in s["P"].split()),
        ("take the first letter of each word in {p}", "get the initials of {p}", "make an acronym of {p}",
            "list the first letters of the words in {p} in one string"),
        ("initials of {p}", "first letter of each word in {p}", "what are the initials of {p}?", "acronym of {p}?",
            "first letters of {p}", "the first letters of the words in {p}?", "abbreviate {p} with its first letters",
            "what do the first letters of {p} spell?", "{p}: first letter of every word",
            "how would you abbreviate {p} by initials?",
            "what is the acronym for {p}?", "the initial letters of each word in {p}",
            "short form of {p} by first letters",
            "our club is called {p}, what are its initials?", "{p} as an acronym"), 0.5, _phrase),
    word_snippet_intent("last_word", "print('{P}'.split()[-1])", lambda s: s["P"].split()[-1],
        ("get the last word of {p}", "find the last word in {p}", "print the last word of {p}"),
        ("last word of {p}", "what is the last word [of|in] {p}?", "which word is last in {p}?", "{p}: last word?",
            "which word does {p} end with?", "with which word does {p} end?", "the last word of {p}?",
            "{p} ends with which word?",
            "the final word of {p}", "only the last word of {p}", "what word comes last in {p}?",
            "in the sentence {p}, what is the last word?", "just the last word: {p}",
            "what word stands at the end of {p}?"), 0.4,
        _phrase),
    word_snippet_intent("longest_word", "print(max('{P}'.split(), key=len))", lambda s: max(s["P"].split(), key=len),
        ("find the longest word in {p}", "get the longest word of {p}", "pick the longest word from {p}"),
        ("longest word in {p}", "what is the longest word in {p}?", "which word is the longest in {p}?",
            "{p}: longest word?",
            "which word of {p} has the most letters?", "the longest word of {p}?", "{p}, which word is longest?",
            "which of the words in {p} is the longest?", "in {p}, which word has most letters?",
            "in the sentence {p}, what is the longest word?", "what's the longest of the words in {p}?",
            "most letters in one word of {p}, which word?", "look at {p} and tell me the longest word",
            "out of {p}, only the longest word"), 0.5, _phrase),
)


def several_word_code_intents() -> tuple[Intent, ...]:
    """Intents about words that are spelled out, said again, compared and put together, and about phrases."""
    marks = (("spaces", " ", "a space", "spaces"), ("dashes", "-", "a dash", "dashes"), ("commas", ", ", "a comma",
    "commas"))
    spelled = [_spelled_intent(f"spell_{name}", mark, one, many, 0.4) for name, mark, one, many in marks]
    repeated = [_repeated_intent(f"repeat_{name}", mark, one, many, 0.4) for name, mark, one, many in marks]
    return (*spelled, *repeated, *_SEVERAL_WORDS, *_PHRASES)
