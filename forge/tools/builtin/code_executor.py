"""Python code in a sandbox, and how people ask for it."""

from __future__ import annotations

import random
from contextlib import ExitStack
from functools import partial

from forge.tools.code_executor import CodeExecutor
from forge.tools.declaration import Answer, Drawn, Frames, Intent, Tool, ToolSetting
from forge.tools.drawing import pick_tool_argument_number, pick_tool_argument_word

# fmt: off
FRAMES = Frames(
    train=(
        "{}.", "Please {}.", "Can you {}?", "I want you to {}.", "Use code to {}.", "Run code to {}.",
        "With Python, {}.", "Write code to {}.", "Use Python to {}.", "{} with code.", "{} in Python.",
        "Please use code to {}.", "Could you {}?", "Go ahead and {}.",
    ),
    val=(
        "Please run code to {}.", "Can you {} in Python?", "Could you use code to {}?",
        "I want to {} with code.",
    ),
    test=(
        "Can you use Python to {}?", "Could you {} with code?", "Please {} in Python.",
        "I want you to use code to {}.",
    ),
)
RUN_FRAMES = Frames(
    train=(
        "Run {}", "Execute {}", "Please run {}", "Please execute {}", "Run the code {}",
        "Run this code: {}",
        "Execute the code {}", "What does {} print?", "Can you run {}?", "What is the output of {}?",
        "Show me the output of {}", "Use Python to run {}", "Tell me what {} prints",
        "Could you execute {}?",
    ),
    val=(
        "Can you execute {}?", "Please run the code {}", "Tell me the output of {}",
        "Use Python to execute {}",
    ),
    test=(
        "Could you run {}?", "Please execute the code {}", "Execute this code: {}",
        "Show me what {} prints",
    ),
)
# fmt: on


FAULTY = 0.15  # share of the lines of code that fail


def pick_snippet_for_sandbox(rng: random.Random, name: str) -> Drawn:
    """Slots of an intent and what its snippet prints: tens of thousands of sandbox runs would take minutes, and a test
    compares the two."""
    word = pick_tool_argument_word(rng)
    if name == "run":
        return _pick_code_line_for_sandbox(rng, word)
    if name == "sum":
        n = rng.randint(5, 300)
        return {"n": str(n)}, str(n * (n - 1) // 2)
    if name == "repeat":
        n = rng.randint(2, 4)
        return {"w": word, "n": str(n)}, word * n
    if name == "letter":
        letter = rng.choice(word)
        return {"w": word, "c": letter}, str(word.count(letter))
    values = {
        "reverse": word[::-1],
        "length": str(len(word)),
        "upper": word.upper(),
        "sort": "".join(sorted(word)),
    }
    return {"w": word}, values[name]


def _pick_code_line_for_sandbox(rng: random.Random, word: str) -> Drawn:
    """A line of code that the user spells out, and its output."""
    a, b, n = pick_tool_argument_number(rng, 2), pick_tool_argument_number(rng, 2), rng.randint(2, 4)
    if rng.random() < FAULTY:
        return rng.choice(
            (
                ({"code": f"print({a}/0)"}, "error: ZeroDivisionError: division by zero"),
                (
                    {"code": f"print('{word}'[{a + 20}])", "w": word},
                    "error: IndexError: string index out of range",
                ),
                (
                    {"code": f"print(int('{word}'))", "w": word},
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
            )
        )
        return {"code": code}, str(value)
    code, text = rng.choice(
        (
            (f"print(len('{word}'))", str(len(word))),
            (f"print('{word}'.upper())", word.upper()),
            (f"print('{word}'[0])", word[0]),
            (f"print('{word}'*{n})", word * n),
        )
    )
    return {"code": code, "w": word}, text  # the word decides the split, as in the other intents


def _code_executor_word_intent(name: str, argument: str, *cores: str, weight: int = 1) -> Intent:
    return Intent(name, cores, argument, partial(pick_snippet_for_sandbox, name=name), weight)


def open_code_executor(setting: ToolSetting, stack: ExitStack) -> Answer:
    """Starts the sandbox when it is first asked."""
    code = CodeExecutor(setting.timeout_s, unsafe=setting.unsafe_code)
    stack.callback(code.close)
    return code.run


INTENTS = (
    _code_executor_word_intent(
        "reverse",
        "print('{w}'[::-1])",
        "reverse the word {w}",
        "reverse {w}",
        "spell {w} backwards",
        "write {w} backwards",
        "reverse the letters of {w}",
        weight=4,
    ),
    _code_executor_word_intent(
        "length",
        "print(len('{w}'))",
        "find the length of {w}",
        "get the length of the word {w}",
        "measure the length of {w}",
        "count the length of {w}",
        weight=2,
    ),
    _code_executor_word_intent(
        "upper",
        "print('{w}'.upper())",
        "put {w} in capitals",
        "write {w} in capitals",
        "make {w} uppercase",
        "turn the word {w} into uppercase",
        weight=2,
    ),
    _code_executor_word_intent(
        "repeat", "print('{w}'*{n})", "repeat {w} {n} times", "repeat the word {w} {n} times", "write {w} {n} times"
    ),
    _code_executor_word_intent(
        "sort",
        "print(''.join(sorted('{w}')))",
        "sort the letters of {w}",
        "put the letters of {w} in order",
        "order the letters of {w}",
    ),
    _code_executor_word_intent(
        "letter",
        "print('{w}'.count('{c}'))",
        "count the letter {c} in {w}",
        "count every {c} in {w}",
        "count how often {c} is in {w}",
    ),
    _code_executor_word_intent(
        "sum",
        "print(sum(range({n})))",
        "sum the numbers below {n}",
        "add the numbers below {n}",
        "add all numbers below {n}",
    ),
    Intent("run", ("{code}",), "{code}", partial(pick_snippet_for_sandbox, name="run"), 3, frames=RUN_FRAMES),
)
TOOL = Tool(
    "code_executor",
    2,
    open_code_executor,
    FRAMES,
    INTENTS,
    split_by_argument=True,
    quoted=True,
    parameter="code",
    description="Run a line of Python and give what it prints.",
)
