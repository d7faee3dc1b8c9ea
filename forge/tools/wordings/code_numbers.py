"""What people want of numbers and of the alphabet that takes code: lists, primes, digits, counting."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from forge.tools.declaration import Drawn, Intent
from forge.tools.drawing import number_in_words

_Numbers = dict[str, int]
_LISTED = {
    3: "[{a}, {b} and {c}|{a}, {b}, {c}|{a} {b} {c}]",
    4: "[{a}, {b}, {c} and {d}|{a}, {b}, {c}, {d}|{a} {b} {c} {d}]",
    5: "[{a}, {b}, {c}, {d} and {e}|{a}, {b}, {c}, {d}, {e}|{a} {b} {c} {d} {e}]",
}


def _pick_number_snippet(
    rng: random.Random, pick: Callable[[random.Random], _Numbers], value: Callable[[_Numbers], object]
) -> Drawn:
    """Under the small letter a number as it is typed, some in words, under the capital one in digits."""
    numbers = pick(rng)
    worded = len(numbers) == 1 and rng.random() < 0.15
    slots = {k: number_in_words(n) if worded and n <= 20 else str(n) for k, n in numbers.items()}
    result = value(numbers)
    return slots | {k.upper(): str(n) for k, n in numbers.items()}, str(result)


def _number_snippet_intent(
    name: str,
    argument: str,
    value: Callable[[_Numbers], object],
    cores: tuple[str, ...],
    sentences: tuple[str, ...],
    pick: Callable[[random.Random], _Numbers],
    weight: float = 1,
) -> Intent:
    return Intent(name, argument, partial(_pick_number_snippet, pick=pick, value=value), cores, sentences, weight)


def _one_number(rng: random.Random, low: int, high: int) -> _Numbers:
    return {"n": rng.randint(low, high) if rng.random() < 0.5 else rng.randint(low, (low + high) // 2)}


def _small_or_large_number(rng: random.Random) -> _Numbers:
    return {"n": rng.randint(2, 10 ** rng.randint(1, 4))}


def _long_number(rng: random.Random) -> _Numbers:
    return {"n": rng.randint(11, 10 ** rng.randint(2, 6) + 10)}


def _from_and_to(rng: random.Random) -> _Numbers:
    low = rng.choice((1, rng.randint(1, 30)))
    return {"a": low, "b": low + rng.randint(3, 14)}


def _listed_numbers(rng: random.Random, count: int) -> _Numbers:
    return dict(zip("abcde", (rng.randint(1, 99) for _ in range(count)), strict=False))


def _pick_letter_snippet(rng: random.Random, name: str) -> Drawn:
    """A letter of the alphabet, for what comes before or after it one of the middle."""
    code = rng.randint(98, 121)
    values = {
        "ascii": code,
        "alphabet_place": code - 96,
        "next_letter": chr(code + 1),
        "previous_letter": chr(code - 1),
    }
    return {"c": chr(code)}, str(values[name])


def _prime(n: int) -> bool:
    return all(n % d for d in range(2, n))


def _joined(numbers: range | list[int]) -> str:
    return " ".join(map(str, numbers))


def number_code_intents() -> tuple[Intent, ...]:
    """Intents about numbers, digits and the places of letters in the alphabet."""
    return (*_ON_ONE_NUMBER, *_ON_ALPHABET, *_ON_COUNTING, *(i for count in _LISTED for i in _list_intents(count)))


# fmt: off
_ON_ONE_NUMBER = (
    _number_snippet_intent("prime", "print(all({N}%d for d in range(2, {N})))", lambda s: _prime(s["n"]),
        ("check if {n} is [a prime|prime]", "find out if {n} is a prime number", "find out whether {n} is prime",
            "test {n} for being prime"),
        ("is {n} [prime|a prime]?", "is {n} a prime number?", "{n} prime?", "is the number {n} prime?",
            "prime or not: {n}?",
            "{n}, is that a prime number?", "is {n} one of the primes?", "{n} is prime, true or false?",
            "does {n} count as a prime?", "can {n} only be divided by itself and one?", "prime check for {n}",
            "would {n} be a prime number?", "does {n} have no divisors but itself and one?",
            "i think {n} is prime, am i right?",
            "do i find {n} in a list of prime numbers?", "is it true that {n} is a prime?", "{n}: prime number or not?",
            "my house number is {n}, is it prime?", "i turn {n} this year, is that a prime number?"),
        partial(_one_number, low=2, high=300), 1.5),
    _number_snippet_intent("even_or_odd", "print('odd' if {N}%2 else 'even')",
        lambda s: "odd" if s["n"] % 2 else "even",
        ("check if {n} is even or odd", "find out whether {n} is odd or even", "find out if {n} is even or odd"),
        ("is {n} even or odd?", "is {n} odd or even?", "{n} even or odd?", "odd or even: {n}?", "{n}, odd or even?",
            "is the number {n} even or odd?", "even or odd, {n}?", "what is {n}, odd or even?",
            "would you say {n} is odd or even?",
            "which is it for {n}, even or odd?", "i live at number {n}, is that the odd or the even side?",
            "do even or odd numbers include {n}?", "does {n} belong to the odd or the even numbers?",
            "roulette gave {n}, odd or even?", "is {n} among the even numbers or the odd ones?",
            "my ticket says {n}, even or odd row?"), _small_or_large_number, 0.9),
    _number_snippet_intent("even", "print({N}%2==0)", lambda s: s["n"] % 2 == 0,
        ("check if {n} is even", "find out if {n} is an even number"),
        ("is {n} even?", "is {n} an even number?", "{n} even?", "is the number {n} even?",
            "{n} is even, true or false?",
            "does {n} count as even?", "can i split {n} into two equal whole numbers?", "even number or not: {n}?",
            "is {n} one of the even numbers?", "we are {n} people, can all of us go in pairs?",
            "{n} socks, do they all make pairs?", "{n} is an even number, right?", "is it true that {n} is even?",
            "are {n} people enough to make two equal teams, nobody left?"), _small_or_large_number, 0.6),
    _number_snippet_intent("odd", "print({N}%2==1)", lambda s: s["n"] % 2 == 1,
        ("check if {n} is odd", "find out if {n} is an odd number"),
        ("is {n} odd?", "is {n} an odd number?", "{n} odd?", "is the number {n} odd?", "{n} is odd, true or false?",
            "does {n} count as odd?", "odd number or not: {n}?", "is {n} one of the odd numbers?",
            "{n} is an odd number, right?", "is it true that {n} is odd?",
            "we are {n} people in pairs, is one left over?",
            "{n} socks, is there a single one?", "do the odd numbers include {n}?"), _small_or_large_number, 0.5),
    _number_snippet_intent("digit_sum", "print(sum(map(int, '{N}')))", lambda s: sum(map(int, str(s["n"]))),
        ("add the digits of {N}", "sum the digits of {N}", "add up all digits in {N}", "calculate the digit sum of {N}",
            "find the sum of the digits of {N}"),
        ("sum of the digits of {N}", "digit sum of {N}", "what is the sum of the digits [of|in] {N}?", "digit sum {N}?",
            "what do the digits of {N} add up to?", "{N}, sum of digits?", "what is the digit sum of {N}?",
            "cross sum of {N}",
            "if i add all digits of {N}, what do i get?", "the digits of {N} added together?",
            "how much are the digits of {N} together?", "take {N} and add its digits", "total of the digits in {N}?",
            "numerology: add the digits of {N}", "my code is {N}, what do its digits sum to?",
            "the number {N}, all digits added up", "each digit of {N} added up gives?"), _long_number, 1),
    _number_snippet_intent("digits", "print(len('{N}'))", lambda s: len(str(s["n"])),
        ("count the digits [of|in] {N}", "count how many digits {N} has", "find the number of digits in {N}"),
        ("how many digits does {N} have?", "how many digits are in {N}?", "number of digits in {N}",
            "digits in {N}, how many?",
            "{N} has how many digits?", "how many digits has the number {N}?", "how many digits in {N}?",
            "digit count of {N}",
            "of how many digits is {N} made?", "{N}, how many digits is that?", "how many digits long is {N}?",
            "how many figures has {N}?", "my pin is {N}, how many digits?", "i type {N}, how many keys for the digits?",
            "the number {N} is written with how many digits?"), _long_number, 0.7),
    _number_snippet_intent("reverse_number", "print('{N}'[::-1])", lambda s: str(s["n"])[::-1],
        ("reverse the digits of {N}", "reverse the number {N}", "write the number {N} backwards",
            "turn the digits of {N} around",
            "reverse {N}"),
        ("{N} backwards", "{N} in reverse", "{N} reversed", "what is {N} backwards?",
            "the digits of {N} in reverse order",
            "digits of {N} backwards?", "what is {N} with its digits reversed?",
            "how does {N} read from right to left?",
            "{N} from the last digit to the first", "what number do i get if i reverse {N}?",
            "the number {N} the other way round",
            "flip the number {N}", "read {N} from behind", "mirror the digits of {N}",
            "my code is {N}, what is it backwards?"),
        _long_number, 0.6),
    _number_snippet_intent("leap", "print(__import__('calendar').isleap({N}))",
        lambda s: s["n"] % 4 == 0 and (s["n"] % 100 != 0 or s["n"] % 400 == 0),
        ("check if {N} is a leap year", "find out if {N} is a leap year", "find out if the year {N} is a leap year"),
        ("is {N} a leap year?", "{N} leap year?", "was {N} a leap year?", "leap year or not: {N}?",
            "is the year {N} a leap year?",
            "will {N} be a leap year?", "{N} is a leap year, true or false?",
            "does {N} have a february with an extra day?",
            "does the year {N} have an extra day?", "was there an extra day in {N}?", "{N}, is that a leap year?",
            "i was born in {N}, was it a leap year?", "is there an extra day in february of {N}?",
            "did february have its extra day in {N}?"), lambda rng: {"n": rng.choice((rng.randint(1890, 2100),
            4 * rng.randint(475, 515)))}, 0.5),
)
_ON_ALPHABET = (
    *(
        Intent(name, argument, partial(_pick_letter_snippet, name=name), cores, sentences, weight)
        for name, argument, cores, sentences, weight in (
            ("ascii", "print(ord('{c}'))",
                ("get the ascii code of {c}", "find the [ascii|unicode] value of {c}",
                    "print the character code of {c}"),
                ("ascii code of {c}", "what is the ascii code of {c}?", "ascii value of {c}?", "ascii of {c}",
                    "ascii {c}",
                    "what's the ascii number for the letter {c}?", "{c} in ascii", "which ascii code has {c}?",
                    "what is ord of {c}?", "character code of the letter {c}", "the letter {c} in ascii?",
                    "what number is {c} in ascii?", "unicode number of the letter {c}",
                    "how does a computer store {c}, as a number?",
                    "which number stands for the character {c} in ascii?", "code point of {c}"), 0.6),
            ("alphabet_place", "print(ord('{c}')-96)",
                ("find the place of {c} in the alphabet", "find the position of {c} in the alphabet",
                    "find out which number {c} is in the alphabet"),
                ("which letter of the alphabet is {c}, by number?", "position of {c} in the alphabet",
                    "what number is {c} in the alphabet?", "what is the position of {c} in the alphabet?",
                    "what place does {c} have in the alphabet?", "at what place in the alphabet is {c}?",
                    "where in the alphabet is {c}?", "{c} is which letter of the alphabet?", "alphabet number of {c}",
                    "the letter {c} is number what in the alphabet?", "where does {c} come in the alphabet?",
                    "if a is one, what is {c}?", "what number letter is {c}?", "alphabet position: {c}",
                    "how far into the alphabet is {c}?", "in a code where a is one, what number is {c}?"), 0.7),
            ("next_letter", "print(chr(ord('{c}')+1))",
                ("find the letter after {c}", "say the letter that comes after {c}",
                    "get the next letter after {c}"),
                ("which letter comes after {c}?", "what letter comes after {c}?", "letter after {c}?",
                    "next letter after {c}",
                    "what comes after {c} in the alphabet?", "what is the letter after {c} in the alphabet?",
                    "after {c} comes which letter?", "which letter follows {c}?", "in the alphabet, what follows {c}?",
                    "{c} and then which letter?", "i forgot what letter is next after {c}",
                    "alphabet: what is after {c}?",
                    "which is the letter right behind {c} in the alphabet?"), 0.5),
            ("previous_letter", "print(chr(ord('{c}')-1))",
                ("find the letter before {c}", "say the letter that comes before {c}", "get the letter before {c}"),
                ("which letter comes before {c}?", "what letter comes before {c}?", "letter before {c}?",
                    "what comes before {c} in the alphabet?", "what is the letter before {c} in the alphabet?",
                    "before {c} comes which letter?", "which letter is right before {c}?",
                    "in the alphabet, what precedes {c}?",
                    "previous letter to {c}", "i forgot what letter stands before {c}", "alphabet: what is before {c}?",
                    "which is the letter in front of {c} in the alphabet?"), 0.4),
        )
    ),
    _number_snippet_intent("nth_of_alphabet", "print(chr({N}+96))", lambda s: chr(s["n"] + 96),
        ("find letter {n} of the alphabet", "get letter number {n} of the alphabet", "print letter {n} of the abc"),
        ("what is letter {n} of the alphabet?", "letter {n} of the alphabet", "{N}th letter of the alphabet",
            "what is the {N}th letter of the alphabet?", "which letter of the alphabet is number {n}?",
            "which letter is the {N}th in the alphabet?", "letter number {n} in the alphabet?", "alphabet, letter {n}?",
            "what's number {n} in the alphabet?", "in the alphabet, which letter is number {n}?",
            "which letter stands at place {n} in the alphabet?", "in a code where letters are numbers, what is {n}?",
            "i count to {n} in the alphabet, which letter is it?", "the {N}th of all letters from a to z?"),
        partial(_one_number, low=4, high=20), 0.7),
    _number_snippet_intent("character", "print(chr({N}))", lambda s: chr(s["n"]),
        ("find the character with ascii code {N}", "get the character of ascii code {N}",
            "turn ascii code {N} into a letter"),
        ("which character has ascii code {N}?", "ascii {N}", "ascii code {N} is which letter?",
            "what character is ascii {N}?",
            "what letter is {N} in ascii?", "character for ascii {N}", "chr of {N}?", "what does ascii {N} stand for?",
            "which letter has the character code {N}?", "{N} in ascii is which character?",
            "ascii number {N}, what letter?",
            "the sign with ascii value {N}?", "decode ascii {N}", "in ascii, what is {N}?"),
        lambda rng: {"n": rng.choice((rng.randint(65, 90), rng.randint(97, 122)))}, 0.5),
)
_ON_COUNTING = (
    _number_snippet_intent("count", "print(*range({A}, {B}+1))", lambda s: _joined(range(s["a"], s["b"] + 1)),
        ("count from {a} to {b}", "list the numbers from {a} to {b}", "print the numbers from {a} to {b}",
            "write [all|] numbers from {a} to {b}", "show all numbers between {a} and {b}, both included"),
        ("numbers from {a} to {b}", "{a} to {b}, all numbers", "all numbers from {a} to {b}", "count {a} to {b}",
            "which numbers are there from {a} to {b}?", "every number from {a} to {b} in a row",
            "{a} up to {b}, in a row",
            "start at {a} and count up to {b}", "what comes when i count from {a} to {b}?", "a list of {a} to {b}",
            "number list: {a} to {b}", "the whole numbers {a} through {b}", "count up from {a} until you reach {b}",
            "i need numbers {a} to {b} for labels", "write out {a} through {b}", "seats {a} to {b}, list the numbers",
            "teach my kid to count from {a} to {b}"), _from_and_to, 1),
    _number_snippet_intent("countdown", "print(*range({N}, 0, -1))", lambda s: _joined(range(s["n"], 0, -1)),
        ("count down from {n}", "count backwards from {n} to 1", "print a countdown from {n}",
            "count down from {n} to 1"),
        ("countdown from {n}", "countdown {n}", "{n} to 1 backwards", "numbers from {n} down to 1", "{n} down to 1",
            "count backwards, start at {n}", "rocket launch: count down from {n}", "start at {n} and count down",
            "from {n} down to 1, all numbers", "new year is near, do the countdown from {n}",
            "the numbers from {n} to 1",
            "what do i say when i count down from {n}?", "countdown starting at {n}", "{n} and then backwards until 1",
            "all numbers from {n} backwards to 1"), partial(_one_number, low=3, high=20), 0.7),
    _number_snippet_intent("evens", "print(*range(2, {N}+1, 2))", lambda s: _joined(range(2, s["n"] + 1, 2)),
        ("list the even numbers up to {n}", "list all even numbers from 1 to {n}", "print the even numbers up to {n}",
            "count in twos up to {n}", "show the even numbers until {n}"),
        ("even numbers up to {n}", "even numbers from 1 to {n}", "all even numbers up to {n}",
            "which even numbers are there up to {n}?",
            "what are the even numbers up to {n}?", "evens to {n}", "the even numbers until {n}",
            "count by twos to {n}",
            "every even number till {n}", "which of the numbers up to {n} are even?", "even house numbers up to {n}?",
            "our side of the street is even, list the numbers up to {n}", "only even ones up to {n}, in a row",
            "even numbers no bigger than {n}"), partial(_one_number, low=6, high=40), 0.7),
    _number_snippet_intent("odds", "print(*range(1, {N}+1, 2))", lambda s: _joined(range(1, s["n"] + 1, 2)),
        ("list the odd numbers up to {n}", "list all odd numbers from 1 to {n}", "print the odd numbers up to {n}",
            "show the odd numbers until {n}"),
        ("odd numbers up to {n}", "odd numbers from 1 to {n}", "all odd numbers up to {n}",
            "which odd numbers are there up to {n}?",
            "what are the odd numbers up to {n}?", "odds to {n}", "the odd numbers until {n}",
            "every odd number till {n}",
            "which of the numbers up to {n} are odd?", "odd house numbers up to {n}?",
            "only odd ones up to {n}, in a row",
            "our side of the street is odd, list the numbers up to {n}", "odd numbers no bigger than {n}"),
        partial(_one_number, low=6, high=40), 0.6),
    _number_snippet_intent("table", "print(*range({N}, {N}*11, {N}))", lambda s: _joined(range(s["n"], s["n"] * 11,
        s["n"])),
        ("write the times table of {n}", "list the multiples of {n}", "print the multiplication table of {n}",
            "show the {N} times table", "count in steps of {n}"),
        ("times table of {n}", "{N} times table", "multiplication table of {n}", "the table of {n}",
            "times table for {n}?",
            "what is the times table of {n}?", "multiples of {n}", "what are the multiples of {n}?",
            "the {N} times table",
            "my daughter learns the table of {n}, how does it go?", "how does the times table of {n} go?",
            "which numbers are in the times table of {n}?", "first multiples of {n}", "skip counting by {n}",
            "count by {n}s",
            "the row of {n} in the multiplication table"), partial(_one_number, low=2, high=19), 0.8),
    _number_snippet_intent("primes_to", "print([n for n in range(2, {N}+1) if all(n%d for d in range(2, n))])",
        lambda s: [n for n in range(2, s["n"] + 1) if _prime(n)],
        ("list the primes up to {n}", "list all prime numbers up to {n}", "find the prime numbers up to {n}",
            "print all primes from 1 to {n}"),
        ("primes up to {n}", "prime numbers up to {n}", "all primes up to {n}", "which numbers up to {n} are prime?",
            "what are the primes up to {n}?", "prime numbers from 1 to {n}", "which primes are there up to {n}?",
            "every prime number until {n}", "what prime numbers are there until {n}?", "primes till {n}?",
            "which of the numbers 1 to {n} are primes?", "primes no bigger than {n}",
            "i need a list of primes up to {n}",
            "list of prime numbers to {n}"), partial(_one_number, low=6, high=40), 0.5),
    _number_snippet_intent("squares_to", "print([n*n for n in range(1, {N}+1)])",
        lambda s: [n * n for n in range(1, s["n"] + 1)],
        ("list the squares of 1 to {n}", "list the first {n} square numbers", "print the squares from 1 to {n}"),
        ("first {n} square numbers", "squares of the numbers 1 to {n}", "the squares of 1 to {n}",
            "squares from 1 to {n}",
            "what are the first {n} squares?", "which are the first {n} square numbers?",
            "{n} square numbers, from 1 on",
            "each number from 1 to {n} squared", "square every number from 1 to {n}", "a list of the first {n} squares",
            "what are the squares of all numbers from 1 to {n}?", "the numbers 1 to {n}, all squared",
            "how do the first {n} square numbers go?"), partial(_one_number, low=3, high=12), 0.4),
)


# What is done with a list `{l}`: name, call, value, cores, sentences, weight.
_ON_LISTS: tuple[tuple[str, str, Callable[[dict[str, int]], Any], tuple[str, ...], tuple[str, ...], float], ...] = (
    ("max_of_", "print(max({list}))", lambda s: max(s.values()),
        ("find the biggest number in the list {l}", "get the maximum of the list {l}",
            "take the list {l} and find the maximum"),
        ("maximum of the list {l}", "which number is the biggest in the list {l}?", "max of the list {l}",
            "what is the biggest number of the list {l}?", "the list is {l}, which number is the biggest?",
            "list {l}, maximum?",
            "i have a list of {l}, what is the biggest one?", "biggest in the list {l}",
            "the maximum in a list of {l}?",
            "a list with {l}, which one is the highest?", "biggest element of the list {l}",
            "the list {l} has which maximum?",
            "my list of points is {l}, what's the highest one?", "from the list {l} take the biggest",
            "look through the list {l}, which is the biggest?", "what's the maximum of this list: {l}",
            "in a list of {l}, which number is highest?"), 0.6),
    ("min_of_", "print(min({list}))", lambda s: min(s.values()),
        ("find the smallest number in the list {l}", "get the minimum of the list {l}",
            "take the list {l} and find the minimum"),
        ("minimum of the list {l}", "which number is the smallest in the list {l}?", "min of the list {l}",
            "what is the smallest number of the list {l}?", "the list is {l}, which number is the smallest?",
            "list {l}, minimum?",
            "i have a list of {l}, what is the smallest one?", "smallest in the list {l}",
            "the minimum in a list of {l}?",
            "a list with {l}, which one is the lowest?", "smallest element of the list {l}",
            "the list {l} has which minimum?",
            "my list of points is {l}, what's the lowest one?", "from the list {l} take the smallest",
            "look through the list {l}, which is the smallest?", "what's the minimum of this list: {l}",
            "in a list of {l}, which number is lowest?"), 0.5),
    ("sort_", "print(sorted({list}))", lambda s: sorted(s.values()),
        ("sort {l}", "sort the numbers {l}", "put {l} in order", "order {l} from small to big",
            "arrange {l} from smallest to largest"),
        ("{l} sorted", "{l} in order", "{l} from smallest to biggest", "sort these numbers: {l}",
            "{l} in ascending order",
            "sort the list {l}", "what is {l} in order?", "numbers {l}, sorted?",
            "how do {l} go from low to high?", "ascending order of {l}", "line up {l}, smallest first",
            "i have cards {l}, sort them", "my lottery numbers are {l}, put them in order", "{l}, smallest first",
            "what is the order of {l} from low to high?", "sorted list of {l}",
            "rank {l} from lowest to highest"), 1.2),
    ("sort_down_", "print(sorted({list}, reverse=True))",
        lambda s: sorted(s.values(), reverse=True),
        ("sort {l} from big to small", "sort {l} in descending order", "order {l} from largest to smallest"),
        ("{l} in descending order", "{l} from biggest to smallest", "{l} sorted from high to low",
            "{l}, biggest first",
            "sort the numbers {l} from high to low", "descending order of {l}", "sort {l}, largest first",
            "what is {l} from the highest to the lowest?", "rank the scores {l} from best to worst, high is good",
            "line up {l}, largest first", "put {l} in order, biggest number first", "scores {l}, highest first?",
            "reverse sort {l}", "the numbers {l} from top to bottom"), 0.5),
    ("sum_of_list_", "print(sum({list}))", lambda s: sum(s.values()),
        ("sum the list {l}", "add up the list {l}", "get the sum of the list {l}"),
        ("sum of the list {l}", "what is the sum of the list {l}?", "the list is {l}, what is its sum?",
            "list {l}, total?", "total of the list {l}", "a list with {l}, what does it sum to?",
            "how much does the list {l} add up to?", "i have a list {l}, sum it", "list sum: {l}",
            "everything in the list {l} added up", "the elements of the list {l}, summed",
            "what do the items of the list {l} add up to?"), 0.5),
)


def _list_intents(count: int) -> Iterator[Intent]:
    """Intents about a list of so many numbers."""
    pick, share = partial(_listed_numbers, count=count), {3: 1.0, 4: 0.8, 5: 0.5}[count]
    capital = "[" + ", ".join(f"{{{name}}}" for name in "ABCDE"[:count]) + "]"
    for name, call, value, cores, sentences, weight in _ON_LISTS:
        said = [tuple(text.replace("{l}", _LISTED[count]) for text in texts) for texts in (cores, sentences)]
        code = call.replace("{list}", capital)
        yield _number_snippet_intent(f"{name}{count}", code, value, said[0], said[1], pick, weight * share)
