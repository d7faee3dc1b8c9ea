"""Python code in a sandbox, and how people ask for it."""

from __future__ import annotations

import random
from contextlib import ExitStack
from functools import partial

from forge.tools.code_executor import CodeExecutor
from forge.tools.declaration import Answer, Drawn, FollowUp, Intent, Tool, ToolSetting
from forge.tools.drawing import number_in_words, pick_tool_argument_number, pick_tool_argument_word
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
)


FAULTY = 0.2  # share of the lines of code that fail


_QUOTED = 0.2  # share of the words that stand in quotes
_LONGEST_REPEAT = 24  # characters


def pick_snippet_for_sandbox(rng: random.Random, name: str) -> Drawn:
    """Slots of an intent and what its snippet prints: tens of thousands of sandbox runs would take minutes, and a test
    compares the two."""
    word = pick_tool_argument_word(rng)
    if name == "run":
        return _pick_code_line_for_sandbox(rng, word)
    if name == "sum":
        n = rng.choice((10, 20, 50, 100, rng.randint(5, 300), rng.randint(5, 300)))
        return {"n": str(n)}, str(n * (n - 1) // 2)
    if name == "sum_to":
        n = rng.choice((10, 20, 50, 100, 1000, rng.randint(5, 300), rng.randint(5, 300)))
        return {"n": str(n)}, str(n * (n + 1) // 2)
    if name == "palindrome" and rng.random() < 0.5:
        word = word[:3] + word[:3][::-1][rng.randint(0, 1) :]
    slots = {"w": f"{quote}{word}{quote}" if (quote := _pick_quote(rng)) else word, "W": word}
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


def _pick_quote(rng: random.Random) -> str:
    return rng.choice("'\"") if rng.random() < _QUOTED else ""


def _pick_code_line_for_sandbox(rng: random.Random, word: str) -> Drawn:
    """A line of code that the user spells out, and its output."""
    a, b, n = pick_tool_argument_number(rng, 2), pick_tool_argument_number(rng, 2), rng.randint(2, 4)
    if rng.random() < FAULTY:
        return rng.choice(
            (
                ({"code": f"print({a}/0)"}, "error: ZeroDivisionError: division by zero"),
                (
                    {"code": f"print('{word}'[{a + 20}])", "W": word},
                    "error: IndexError: string index out of range",
                ),
                (
                    {"code": f"print(int('{word}'))", "W": word},
                    f"error: ValueError: invalid literal for int() with base 10: '{word}'",
                ),
            )
        )
    if rng.random() < 0.5:
        code, value = rng.choice(
            (
                (f"print({a}+{b})", a + b),
                (f"print({a}*{b})", a * b),
                (f"print({a}**{n})", a**n),
                (f"print({a}-{b})", a - b),
                (f"print(max({a},{b}))", max(a, b)),
                (f"print(max({a}, {b}, {n}))", max(a, b, n)),
                (f"print(min({a}, {b}))", min(a, b)),
                (f"print(sum([{a}, {b}, {n}]))", a + b + n),
                (f"print({a}//{n})", a // n),
                (f"print({a}%{n})", a % n),
                (f"print(abs(-{a}))", a),
                (f"print(len([{a}, {b}]))", 2),
                (f"print(sorted([{a}, {b}]))", sorted([a, b])),
                (f"print({a} > {b})", a > b),
                (f"x={a}; print(x*{n})", a * n),
            )
        )
        return {"code": code}, str(value)
    code, text = rng.choice(
        (
            (f"print(len('{word}'))", str(len(word))),
            (f"print('{word}'.upper())", word.upper()),
            (f"print('{word}'[0])", word[0]),
            (f"print('{word}'*{n})", word * n),
            (f"print('{word}'[-1])", word[-1]),
            (f"print('{word}'[::-1])", word[::-1]),
            (f"print('{word}'.title())", word.title()),
            (f"print('a' in '{word}')", str("a" in word)),
            (f"print('{word}' + 's')", word + "s"),
        )
    )
    return {"code": code, "W": word}, text  # the word decides the split, as in the other intents


def _code_executor_word_intent(
    name: str, argument: str, cores: tuple[str, ...], sentences: tuple[str, ...] = (), weight: float = 1
) -> Intent:
    draw = partial(pick_snippet_for_sandbox, name=name)
    again = (FollowUp(_NEXT_WORD, argument),) if "{W}" in argument and "{c}" not in argument else ()
    return Intent(name, argument, draw, cores, sentences, weight, follow_ups=again)


_NEXT_WORD = ("and {w}?", "now {w}", "what about {w}?", "{w} too", "same for {w}", "do {w} as well")


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
            "turn {w} around",
            "reverse the letters of {w}", "spell {w} [in reverse|from the back|from right to left]",
            "flip [the word|] {w}",
        ),
        (
            "{w} backwards", "[what is|whats|what's] {w} backwards?", "{w} backwards?", "{w} in reverse",
            "{w} spelled backwards",
            "how do you spell {w} backwards?", "[what is|whats|what's] {w} [spelled|written] backwards?",
            "{w} from the back",
            "what do you get if you reverse {w}?", "how does {w} read backwards?", "{w} but backwards",
        ),
        5,
    ),
    _code_executor_word_intent(
        "length",
        "print(len('{W}'))",
        ("count the letters [in|of] {w}", "find the length of {w}", "measure the length of {w}",
            "count how many letters {w} has", "get the length of the word {w}"),
        (
            "how many letters [does|has] {w} [have|got]?", "how many letters are in {w}?", "how long is {w}?",
            "how long is the word {w}?", "letters in {w}?",
            "length of {w}", "number of letters in {w}", "{w} has how many letters?", "how many letters in {w}?",
            "how many characters [are in|does it take to write] {w}?",
            "[what is|whats] the length of {w}?", "{w}, how many letters?",
            "how many letters do i need to write {w}?",
        ),
        4,
    ),
    _code_executor_word_intent(
        "upper",
        "print('{W}'.upper())",
        (
            "put {w} in [capitals|caps|upper case|capital letters]",
            "write {w} in [capitals|caps|all caps|big letters|capital letters]", "make {w} [uppercase|upper case]",
            "turn [the word|] {w} into [uppercase|capitals]", "uppercase {w}", "capitalize all of {w}",
            "spell {w} in capitals",
        ),
        ("{w} in [capitals|caps|uppercase|all caps]", "[what is|whats] {w} in [capitals|caps]?",
            "how does {w} look in capitals?", "{w} but in capital letters"),
        3,
    ),
    _code_executor_word_intent(
        "lower",
        "print('{W}'.lower())",
        ("put {w} in [lower case|small letters]", "write {w} in [lower case|small letters]", "make {w} lowercase",
            "turn {w} into lowercase"),
        ("{w} in [lower case|small letters|lowercase]", "[what is|whats] {w} in small letters?",
            "no capitals please: {w}"),
    ),
    _code_executor_word_intent(
        "repeat",
        "print('{W}'*{N})",
        ("repeat {w} {n} times", "[write|print|say] {w} {n} times", "repeat the word {w} {n} times",
            "type {w} {n} times in a row"),
        ("{w} {n} times", "{n} times {w}", "{w}, {n} times without [a space|spaces]", "{n} times the word {w}"),
        2,
    ),
    _code_executor_word_intent(
        "sort",
        "print(''.join(sorted('{W}')))",
        (
            "sort the letters of {w}", "put the letters of {w} in [order|abc order]", "order the letters of {w}",
            "sort {w} alphabetically", "sort the word {w}",
            "arrange the letters of {w} from a to z", "sort the letters in {w}",
        ),
        ("letters of {w} in order", "{w} with its letters sorted", "the letters of {w} sorted",
            "{w} sorted by letter"),
        2,
    ),
    _code_executor_word_intent(
        "letter",
        "print('{W}'.count('{c}'))",
        ("count the [letter|] {c} in {w}", "count every {c} in {w}", "count how often {c} is in {w}",
            "count the {c}s in {w}"),
        (
            "how many {c}s are in {w}?", "how many {c}'s in {w}?", "how often is {c} in {w}?", "how many {c} in {w}?",
            "how many times does {c} [appear in|come up in|occur in] {w}?",
            "number of {c}s in {w}", "how often does {w} have [a|the letter] {c}?", "{c}s in {w}?",
            "how many times is {c} in the word {w}?", "in {w}, how many {c}s?",
            "how many of the letters of {w} are {c}?",
        ),
        4,
    ),
    _code_executor_word_intent(
        "first", "print('{W}'[0])", ("get the first letter of {w}", "find the first letter of {w}"),
        ("first letter of {w}", "[what is|whats|what's] the first letter [of|in] {w}?", "what does {w} start with?",
            "what letter does {w} begin with?", "{w} starts with which letter?"),
    ),
    _code_executor_word_intent(
        "last", "print('{W}'[-1])", ("get the last letter of {w}", "find the last letter of {w}"),
        ("last letter of {w}", "[what is|whats|what's] the last letter [of|in] {w}?", "what does {w} end with?",
            "what letter does {w} end in?", "{w} ends with which letter?"),
    ),
    _code_executor_word_intent(
        "palindrome", "print('{W}'=='{W}'[::-1])", ("check if {w} is a palindrome", "tell me if {w} is a palindrome"),
        ("is {w} a palindrome?", "is {w} the same [backward|in reverse]?", "does {w} read the same both ways?",
            "{w}, palindrome or not?", "is {w} the same from both sides?"),
    ),
    _code_executor_word_intent(
        "vowels", "print(sum(c in 'aeiou' for c in '{W}'))", ("count the vowels [in|of] {w}",),
        ("how many vowels [are in|does it have:] {w}?", "vowels in {w}?", "number of vowels in {w}",
            "how many vowels has {w}?", "{w} has how many vowels?"),
    ),
    _code_executor_word_intent(
        "sum",
        "print(sum(range({n})))",
        ("sum the numbers below {n}", "add the numbers below {n}", "add all numbers [below|under|less than] {n}"),
        ("[sum|total] of the numbers below {n}", "what do all numbers below {n} add up to?",
            "sum of everything under {n}?"),
    ),
    _code_executor_word_intent(
        "sum_to",
        "print(sum(range({n}+1)))",
        ("add [all|the] numbers [from 1 to|up to|1 to] {n}", "sum [all|the] numbers [from 1 to|up to|1 to] {n}",
            "add up 1 to {n}"),
        ("sum from 1 to {n}", "1+2+3 and so on up to {n}", "[sum|total] of 1 to {n}",
            "what do the numbers 1 to {n} add up to?", "1 to {n} added up"),
    ),
    Intent(
        "run", "{code}", partial(pick_snippet_for_sandbox, name="run"), ("{code}",), weight=5, frames=RUN_FRAMES,
        verbatim=True
    ),
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
