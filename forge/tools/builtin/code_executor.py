"""Python code in a sandbox, and how people ask for it."""

from __future__ import annotations

import random
import re
from contextlib import ExitStack
from functools import partial

from forge.tools.code_executor import CodeExecutor
from forge.tools.declaration import Answer, Drawn, FollowUp, Intent, Tool, ToolSetting
from forge.tools.drawing import number_in_words, pick_tool_argument_word
from forge.tools.wordings.code_letters import NEXT_WORD, everyday_code_intents, quote_word_for_sandbox
from forge.tools.wordings.code_numbers import number_code_intents
from forge.tools.wordings.code_words import several_word_code_intents
from forge.tools.wordings.snippets import (
    pick_code_expression_for_sandbox,
    pick_code_line_for_sandbox,
    pick_faulty_code_line_for_sandbox,
)
from forge.tools.written_out import code_written_out_for_tool

FRAMES = (
    "{}",
    "{} [in python|with code|with python]",
    "[can|could] you {}?",
    "please {}",
    "[use code to|use python to|run code to|write code to] {}",
    "[i want you to|i need you to|i'd like you to] {}",
    "[how do i|how can i] {} in python?",
    "[will you|would you] {}?",
    "with [python|code], {}",
    "i [need|want|have] to {}",
    "help me {}",
    "would you be so kind as to {}?",
    "for my homework i must {}",
    "is it possible to {}?",
)
RUN_FRAMES = (
    "run {}",
    "{}",
    "[what does|what will] {} [print|give|return|do]?",
    "[execute|exec|eval] {}",
    "run this: {}",
    "[please|can you|could you] [run|execute] {}",
    "[what is|whats|what's] the output of {}",
    "output of {}",
    "[run|execute] [the|this] [code|line|python|snippet] {}",
    "[run|execute] [the|this] code: {}",
    "[show me|tell me] [the output of|what happens with] {}",
    "python: {}",
    "try {}",
    "what happens if i run {}",
    "what comes out of {}",
    "i have this line, what does it print: {}",
    "[my teacher wrote|i found this in a book|a friend sent me this|i wrote this], what does it do: {}",
    "i get an error with {}",
    "does this work: {}",
    "[test|check] this [code|line] [for me|]: {}",
    "can you run this and tell me what you get: {}",
    "[result|answer] of this python: {}",
    "what would python say to {}",
    "i typed {} and nothing happened, what should come out?",
    "guess the output: {}",
    "what do i see if i type {}",
    "i am learning python, show me the result of {}",
    "[interpret|compile and run|launch|start] {}",
    "let [python|the sandbox|your interpreter] run {}",
)


FAULTY = 0.2  # share of the lines of code that fail


_LONGEST_REPEAT = 24  # characters


def pick_snippet_for_sandbox(rng: random.Random, name: str) -> Drawn:
    """Slots of an intent and what its snippet prints: tens of thousands of sandbox runs would take minutes, and a test
    compares the two."""
    word = pick_tool_argument_word(rng)
    if name == "run":
        faulty = rng.random() < FAULTY
        return pick_faulty_code_line_for_sandbox(rng, word) if faulty else pick_code_line_for_sandbox(rng, word)
    if name == "sum":
        n = rng.choice((10, 20, 50, 100, rng.randint(5, 300), rng.randint(5, 300)))
        return {"n": str(n)}, str(n * (n - 1) // 2)
    if name == "sum_to":
        n = rng.choice((10, 20, 50, 100, 1000, rng.randint(5, 300), rng.randint(5, 300)))
        return {"n": str(n)}, str(n * (n + 1) // 2)
    if name == "palindrome" and rng.random() < 0.5:
        word = word[:3] + word[:3][::-1][rng.randint(0, 1) :]
    slots = {"w": quote_word_for_sandbox(rng, word), "W": word}
    if name == "repeat":
        n = rng.randint(2, max(2, min(5, _LONGEST_REPEAT // len(word))))
        return slots | {"n": rng.choice((str(n), number_in_words(n))), "N": str(n)}, word * n
    if name == "letter":
        letter = rng.choice(word)
        return slots | {"c": letter}, str(word.count(letter))
    values = {
        "reverse": word[::-1],
        "length": str(len(word)),
        "upper": word.upper(),
        "lower": word.upper().lower(),
        "first": word[0],
        "last": word[-1],
        "palindrome": str(word == word[::-1]),
        "vowels": str(sum(letter in "aeiou" for letter in word)),
        "sort": "".join(sorted(word)),
    }
    if name == "lower":
        slots = {"w": word.upper(), "W": word.upper()}
    return slots, values[name]


def _code_executor_word_intent(
    name: str, argument: str, cores: tuple[str, ...], sentences: tuple[str, ...] = (), weight: float = 2
) -> Intent:
    draw = partial(pick_snippet_for_sandbox, name=name)
    again = (FollowUp(NEXT_WORD, argument),) if set(re.findall(r"\{\w+\}", argument)) == {"{W}"} else ()
    return Intent(name, argument, draw, cores, sentences, weight, follow_ups=again)


def open_code_executor(setting: ToolSetting, stack: ExitStack) -> Answer:
    """Starts the sandbox when it is first asked."""
    code = CodeExecutor(setting.timeout_s, unsafe=setting.unsafe_code)
    stack.callback(code.close)
    return code.run


INTENTS = (
    _code_executor_word_intent(
        "reverse",
        "print('{W}'[::-1])",
        (
            "reverse {w}", "spell {w} backwards", "[write|say] {w} backwards", "reverse the word {w}",
            "turn {w} around", "reverse the letters of {w}",
            "spell {w} [in reverse|from the back|from right to left]", "flip [the word|] {w}", "mirror the word {w}",
            "read {w} from the end to the start",
        ),
        (
            "{w} backwards", "[what is|whats|what's] {w} backwards?", "{w} backwards?", "{w} in reverse",
            "{w} spelled backwards", "how do you spell {w} backwards?",
            "[what is|whats|what's] {w} [spelled|written] backwards?", "{w} from the back",
            "what do you get if you reverse {w}?", "how does {w} read backwards?", "{w} but backwards",
            "{w} [back to front|the other way round|flipped]", "backwards: {w}", "[reverse|reversed]: {w}",
            "if i read {w} from right to left, what do i see?", "i have the word {w}, how is it backwards?",
            "my name tag says {w}, turn it around",
            "what is the reverse of {w}?", "start {w} at its last letter and go to the first",
            "we play a game with backward words and mine is {w}, what do i say?",
        ),
        10,
    ),
    _code_executor_word_intent(
        "length",
        "print(len('{W}'))",
        (
            "count the letters [in|of] {w}", "find the length of {w}", "measure the length of {w}",
            "count how many letters {w} has", "get the length of the word {w}", "count the characters of {w}",
            "find out how long the word {w} is",
        ),
        (
            "how many letters [does|has] {w} [have|got]?", "how many letters are in {w}?", "how long is {w}?",
            "how long is the word {w}?", "letters in {w}?", "length of {w}", "number of letters in {w}",
            "{w} has how many letters?", "how many letters in {w}?",
            "how many characters [are in|does it take to write] {w}?", "[what is|whats] the length of {w}?",
            "{w}, how many letters?", "how many letters do i need to write {w}?", "[letter|character] count of {w}",
            "{w} is how many letters long?", "is there a quick way to know how many letters {w} has?",
            "if i write out {w}, how many letters is that?", "for a crossword: how many letters is {w}?",
            "how many squares does {w} take in a crossword?", "i am making a sign that says {w}, how many letters?",
            "what's the letter count for {w}?", "the word {w} consists of how many letters?", "len of {w}",
            "of how many letters is {w} made?",
        ),
        8,
    ),
    _code_executor_word_intent(
        "upper",
        "print('{W}'.upper())",
        (
            "put {w} in [capitals|caps|upper case|capital letters]",
            "write {w} in [capitals|caps|all caps|big letters|capital letters]", "make {w} [uppercase|upper case]",
            "turn [the word|] {w} into [uppercase|capitals]", "uppercase {w}", "capitalize all of {w}",
            "spell {w} in capitals", "convert {w} to upper case", "make every letter of {w} big", "shout {w} in caps",
        ),
        (
            "{w} in [capitals|caps|uppercase|all caps]", "[what is|whats] {w} in [capitals|caps]?",
            "how does {w} look in capitals?", "{w} but in capital letters", "{w} all caps", "uppercase: {w}",
            "{w} with all letters big", "how do i write {w} in big letters?", "the word {w}, in block capitals",
            "caps lock is broken, give me {w} in capitals", "{w} to upper",
            "i need {w} on a poster in capitals, how is it written?", "{w} has to be in capitals",
            "what does {w} become in upper case?", "give me {w} in uppercase letters", "upper case of {w}",
        ),
        6,
    ),
    _code_executor_word_intent(
        "lower",
        "print('{W}'.lower())",
        (
            "put {w} in [lower case|small letters]", "write {w} in [lower case|small letters]",
            "make {w} [lowercase|small]", "turn {w} into lowercase", "convert {w} to lower case", "lowercase {w}",
            "take the capitals out of {w}",
        ),
        (
            "{w} in [lower case|small letters|lowercase]", "[what is|whats] {w} in small letters?",
            "no capitals please: {w}", "{w} without capitals", "lowercase: {w}", "{w} to lower", "{w} all small",
            "how is {w} written in small letters?", "my caps lock was on: {w}, fix it", "{w} but not shouting",
            "give me {w} in lower case letters", "i typed {w} with caps lock on, make it normal",
            "{w} has to be in small letters", "lower case of {w}", "what does {w} look like in lower case?",
            "{w} is too loud, make it lowercase", "change all the big letters of {w} to small ones",
            "the word {w}, in small letters",
        ),
    ),
    _code_executor_word_intent(
        "repeat",
        "print('{W}'*{N})",
        (
            "repeat {w} {n} times", "[write|print|say] {w} {n} times", "repeat the word {w} {n} times",
            "type {w} {n} times in a row", "put {n} copies of {w} one after the other",
            "stick {w} together {n} times", "write {n} times {w} without spaces",
        ),
        (
            "{w} {n} times", "{n} times {w}", "{w}, {n} times without [a space|spaces]", "{n} times the word {w}",
            "{w} x{N}", "[say|give me] {w} {n} times in a row", "{w} repeated {n} times", "i want {n} {w}s in a row",
            "{w} and again, {n} times in all", "{n} copies of {w}", "the word {w} {n} times in one string",
            "what does {w} look like {n} times in a row?", "my kid says {w} {n} times in a row, how is that written?",
            "make a string that has {w} {n} times", "multiply the word {w} by {n}", "echo {w} {n} times",
            "{n} times {w}, all glued together", "copy and paste {w} until it is there {n} times",
        ),
        4,
    ),
    _code_executor_word_intent(
        "sort",
        "print(''.join(sorted('{W}')))",
        (
            "sort the letters of {w}", "put the letters of {w} in [order|abc order]", "order the letters of {w}",
            "sort {w} alphabetically", "sort the word {w}", "arrange the letters of {w} from a to z",
            "sort the letters in {w}", "put {w} in alphabetical order, letter by letter",
            "rearrange {w} so that its letters are alphabetical", "alphabetize [{w}|the letters of {w}]",
        ),
        (
            "letters of {w} in order", "{w} with its letters sorted", "the letters of {w} sorted",
            "{w} sorted by letter", "{w} in alphabetical order", "{w} from a to z",
            "what are the letters of {w} in alphabetical order?", "{w}, letters in abc order",
            "what do you get when you sort the letters of {w}?", "letters of {w} alphabetically?",
            "i have letter tiles for {w}, put them in order of the alphabet", "alphabetical order of {w}",
            "which letters has {w}, sorted?", "how is {w} when all letters are sorted?",
            "the letters of {w} are mixed up, sort them", "{w} but with the letters in order of the alphabet",
            "take the word {w} and sort its letters", "sorted letters: {w}",
        ),
        4,
    ),
    _code_executor_word_intent(
        "letter",
        "print('{W}'.count('{c}'))",
        (
            "count the [letter|] {c} in {w}", "count every {c} in {w}", "count how often {c} is in {w}",
            "count the {c}s in {w}", "find out how many {c}s {w} has", "look through {w} and count the {c}s",
        ),
        (
            "how many {c}s are in {w}?", "how many {c}'s in {w}?", "how often is {c} in {w}?", "how many {c} in {w}?",
            "how many times does {c} [appear in|come up in|occur in] {w}?", "number of {c}s in {w}",
            "how often does {w} have [a|the letter] {c}?", "{c}s in {w}?",
            "how many times is {c} in the word {w}?", "in {w}, how many {c}s?",
            "how many of the letters of {w} are {c}?", "how many {c}s [does {w} have|do you see in {w}]?",
            "how many letter {c} are there in {w}?", "{w}: how many {c}?", "{w} has how many {c}s?",
            "how many {c}s do i need to spell {w}?", "when i write {w}, how often do i type {c}?",
            "we have an argument here, how many {c}s does the word {w} have?",
            "take the word {w}, how many times do you find {c} in it?", "frequency of {c} in {w}",
            "i think {w} has too many {c}s, how many are there?", "how many times do you use {c} to write {w}?",
        ),
        8,
    ),
    _code_executor_word_intent(
        "first",
        "print('{W}'[0])",
        ("get the first letter of {w}", "find the first letter of {w}", "print the first character of {w}",
            "pick the first letter from {w}"),
        (
            "first letter of {w}", "[what is|whats|what's] the first letter [of|in] {w}?", "what does {w} start with?",
            "what letter does {w} begin with?", "{w} starts with which letter?", "{w}, first letter?",
            "which letter is first in {w}?", "initial of {w}", "what is the initial of {w}?", "{w} begins with?",
            "with which letter do i start when i write {w}?", "first character of {w}?",
            "the word {w} begins with what?",
            "under which letter do i find {w} in the dictionary?", "which letter comes first in {w}?",
            "i want to look up {w}, what letter is it under?", "give me just the first letter of {w}",
            "only the first letter of {w}", "which letter opens the word {w}?",
            "the very first letter in {w} is?", "i write {w}, which letter do i write first?",
        ),
    ),
    _code_executor_word_intent(
        "last",
        "print('{W}'[-1])",
        ("get the last letter of {w}", "find the last letter of {w}", "print the last character of {w}",
            "pick the last letter from {w}"),
        (
            "last letter of {w}", "[what is|whats|what's] the last letter [of|in] {w}?", "what does {w} end with?",
            "what letter does {w} end in?", "{w} ends with which letter?", "{w}, last letter?",
            "which letter is last in {w}?", "final letter of {w}", "what is the final letter of {w}?", "{w} ends in?",
            "with which letter does {w} end?", "last character of {w}?", "which letter comes last in {w}?",
            "the word {w} ends with what?", "give me just the last letter of {w}", "only the last letter of {w}",
            "word chain: what letter does {w} leave me with at the end?",
            "which letter stands at the end of {w}?", "i write {w}, which letter do i write last?",
            "the very last letter in {w} is?", "what letter closes the word {w}?",
        ),
    ),
    _code_executor_word_intent(
        "palindrome",
        "print('{W}'=='{W}'[::-1])",
        ("check if {w} is a palindrome", "find out if {w} is a palindrome", "find out whether {w} is a palindrome",
            "test {w} for being a palindrome", "check if {w} is the same [backwards|in reverse]"),
        (
            "is {w} a palindrome?", "is {w} the same [backward|in reverse]?", "does {w} read the same both ways?",
            "{w}, palindrome or not?", "is {w} the same from both sides?", "palindrome: {w}?", "{w} palindrome?",
            "is {w} spelled the same [forwards and backwards|backwards]?", "is the word {w} one of those palindromes?",
            "does {w} stay the same if you reverse it?", "if i turn {w} around, is it still {w}?",
            "can you read {w} from both ends?", "would you call {w} a palindrome?",
            "{w} is a palindrome, true or false?",
            "i think {w} is a palindrome, am i right?", "someone says {w} is a palindrome, is it true?",
            "is {w} equal to its reverse?", "does {w} spell the same thing backwards?",
            "forwards and backwards the same: {w}?",
        ),
    ),
    _code_executor_word_intent(
        "vowels",
        "print(sum(c in 'aeiou' for c in '{W}'))",
        ("count the vowels [in|of] {w}", "find the number of vowels in {w}", "find out how many vowels {w} has",
            "count every vowel in {w}"),
        (
            "how many vowels [are in|does it have:] {w}?", "vowels in {w}?", "number of vowels in {w}",
            "how many vowels has {w}?", "{w} has how many vowels?", "how many vowels does {w} have?",
            "{w}, how many vowels?", "vowel count of {w}", "how many of the letters in {w} are vowels?",
            "in {w} there are how many vowels?", "how many vowels do you find in {w}?",
            "i need the number of vowels in {w} for school", "how many vowels do i say in {w}?",
            "how often does {w} have a, e, i, o or u?", "how many letters of {w} are a, e, i, o or u?",
            "the word {w} contains how many vowels?", "total vowels in {w}?", "take {w}, how many vowels is that?",
            "we learn vowels at school, how many has the word {w}?", "for {w}, what's the vowel count?",
            "is {w} rich in vowels, how many are there?",
        ),
    ),
    _code_executor_word_intent(
        "sum",
        "print(sum(range({n})))",
        ("sum the numbers below {n}", "add the numbers below {n}", "add all numbers [below|under|less than] {n}",
            "add up everything below {n}", "total all whole numbers smaller than {n}"),
        (
            "[sum|total] of the numbers below {n}", "what do all numbers below {n} add up to?",
            "sum of everything under {n}?", "what is the sum of all numbers less than {n}?",
            "all numbers under {n} added up", "sum of all integers below {n}", "sum of range {n}",
            "how much is it if i add all the numbers smaller than {n}?", "numbers smaller than {n}, their sum?",
            "what's the total of the whole numbers below {n}?", "sum below {n}?",
            "adding every number under {n} gives?",
            "take all numbers less than {n} and add them", "if i add every whole number below {n}, what do i get?",
            "the numbers below {n}, what is their total?", "all the numbers before {n}, added up?",
            "add them all: every number that is less than {n}", "i add up all numbers smaller than {n}, result?",
            "total of every integer under {n}?", "everything below {n}, summed",
        ),
    ),
    _code_executor_word_intent(
        "sum_to",
        "print(sum(range({n}+1)))",
        (
            "add [all|the] numbers [from 1 to|up to|1 to] {n}", "sum [all|the] numbers [from 1 to|up to|1 to] {n}",
            "add up 1 to {n}", "add up all the numbers from 1 through {n}",
        ),
        (
            "sum from 1 to {n}", "1+2+3 and so on up to {n}", "[sum|total] of 1 to {n}",
            "what do the numbers 1 to {n} add up to?", "1 to {n} added up", "sum of the first {n} numbers",
            "what is the sum of the numbers from 1 to {n}?", "what's the sum of all numbers up to {n}?",
            "sum of the whole numbers 1 through {n}",
            "i count from 1 to {n} and add everything, what's the total?", "the numbers from 1 to {n} all together?",
            "sum 1 to {n}", "if i add all numbers from 1 until {n}, what do i get?", "1 till {n}, the sum?",
            "total if you add every number from 1 to {n}?", "from 1 till {n}, everything summed",
            "one coin on day one and one more each day, how many coins after {n} days?",
            "one more each day up to {n}, starting at 1, how many altogether?", "sum of all integers from 1 to {n}?",
        ),
    ),
    Intent(
        "run", "{code}", partial(pick_snippet_for_sandbox, name="run"), ("{code}",), weight=10, frames=RUN_FRAMES,
        verbatim=True
    ),
    Intent(
        "run_expression", "print({code})", pick_code_expression_for_sandbox, ("{code}",), weight=4, frames=RUN_FRAMES,
        verbatim=True
    ),
    *everyday_code_intents(),
    *several_word_code_intents(),
    *number_code_intents(),
)  # fmt: skip
TOOL = Tool(
    "code_executor",
    2,
    open_code_executor,
    FRAMES,
    INTENTS,
    split_by_argument=True,
    parameter="code",
    description="Run a line of Python and give what it prints.",
    written=code_written_out_for_tool,
)
