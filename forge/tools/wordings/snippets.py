"""Lines of Python that people spell out, and what they print."""

from __future__ import annotations

import math
import random

from forge.tools.declaration import Drawn
from forge.tools.drawing import pick_tool_argument_number, pick_tool_argument_word

_PRINTED = 0.8  # share of the spelled-out lines about an expression, the others do something before


def pick_faulty_code_line_for_sandbox(rng: random.Random, word: str) -> Drawn:
    """A line that fails, and how it does."""
    a, b = pick_tool_argument_number(rng, 2), pick_tool_argument_number(rng, 2)
    code, error, worded = rng.choice(
        (
            (f"print({a}/0)", "ZeroDivisionError: division by zero", False),
            (f"print('{word}'[{a + 20}])", "IndexError: string index out of range", True),
            (f"print(int('{word}'))", f"ValueError: invalid literal for int() with base 10: '{word}'", True),
            (f"print([{a}, {b}][{rng.randint(2, 9)}])", "IndexError: list index out of range", False),
        )
    )
    return {"code": code} | ({"W": word} if worded else {}), f"error: {error}"


def pick_code_line_for_sandbox(rng: random.Random, word: str) -> Drawn:
    """A line of code that the user spells out, and its output."""
    if rng.random() < _PRINTED:
        expression, value, worded = _pick_expression(rng, word)
        code, text = f"print({expression})", str(value)
    else:
        code, text, worded = _pick_statements(rng, word)
    return {"code": code} | ({"W": word} if worded else {}), text  # the word decides the split, as in other intents


def pick_code_expression_for_sandbox(rng: random.Random) -> Drawn:
    """An expression in which something is called, which its user does not print, and its value."""
    word = pick_tool_argument_word(rng)
    while True:
        expression, value, worded = _pick_expression(rng, word)
        if "(" in expression and expression[0] != "[" and expression.endswith(")"):
            return {"code": expression} | ({"W": word} if worded else {}), str(value)


def _pick_expression(rng: random.Random, word: str) -> tuple[str, object, bool]:
    """An expression, its value and whether the word is in it."""
    kind = rng.choices((_on_numbers, _on_lists, _on_words), (3, 3, 4))[0]
    code, value = rng.choice(kind(rng, word))
    return code, value, kind is _on_words


_Lines = tuple[tuple[str, object], ...]


def _on_numbers(rng: random.Random, word: str) -> _Lines:
    a, b, n = pick_tool_argument_number(rng, 2), pick_tool_argument_number(rng, 2), rng.randint(2, 4)
    x = rng.randint(1, 99) + rng.choice((0.25, 0.5, 0.125, 0.75))
    return (
        (f"{a}+{b}", a + b), (f"{a}*{b}", a * b), (f"{a}**{n}", a**n), (f"{a}-{b}", a - b), (f"{a}//{n}", a // n),
        (f"{a} % {n}", a % n), (f"{a}%{n}", a % n), (f"{a} > {b}", a > b), (f"{a} == {b}", a == b),
        (f"{a} + {b} * {n}", a + b * n), (f"({a}+{b})*{n}", (a + b) * n), (f"{a*n}/{n}", a * n / n),
        (f"max({a},{b})", max(a, b)), (f"max({a}, {b}, {n})", max(a, b, n)), (f"min({a}, {b})", min(a, b)),
        (f"abs(-{a})", a), (f"abs({a}-{b})", abs(a - b)), (f"pow({a}, {n})", a**n),
        (f"divmod({a}, {n})", divmod(a, n)), (f"round({x})", round(x)), (f"round({x}, 1)", round(x, 1)),
        (f"int({x})", int(x)), (f"int('{a}')+{b}", a + b), (f"str({a})+str({b})", f"{a}{b}"),
        (f"bin({a})", bin(a)), (f"float({a})", float(a)), (f"len(str({a}))", len(str(a))),
        (f"bool({a % 2})", bool(a % 2)), (f"chr({97 + a % 26})", chr(97 + a % 26)),
        (f"{a} if {a}>{b} else {b}", a if a > b else b), (f"not {a}>{b}", not a > b), (f"type({a}).__name__", "int"),
    )  # fmt: skip


def _on_lists(rng: random.Random, word: str) -> _Lines:
    a, b, c, n = *(pick_tool_argument_number(rng, 2) for _ in range(3)), rng.randint(3, 6)
    some = [a, b, c]
    return (
        (f"sum([{a}, {b}, {c}])", a + b + c), (f"len([{a}, {b}])", 2), (f"len([{a}, {b}, {c}])", 3),
        (f"sorted([{a}, {b}])", sorted([a, b])), (f"sorted({some})", sorted(some)), (f"max({some})", max(some)),
        (f"min({some})", min(some)), (f"sorted({some}, reverse=True)", sorted(some, reverse=True)),
        (f"{some}[1]", b), (f"{some}[-1]", c), (f"{some}[:2]", some[:2]), (f"{some}[::-1]", some[::-1]),
        (f"[{a}]*{n}", [a] * n), (f"[{a}, {b}] + [{c}]", some), (f"{a} in {some[1:]}", a in some[1:]),
        (f"list(range({n}))", list(range(n))), (f"list(range(1, {n}))", list(range(1, n))),
        (f"sum(range({n}))", sum(range(n))), (f"[n*n for n in range({n})]", [k * k for k in range(n)]),
        (f"[n*2 for n in {some}]", [k * 2 for k in some]), (f"[x+1 for x in {some}]", [k + 1 for k in some]),
        (f"[n for n in range({n * 2}) if n%2==0]", [k for k in range(n * 2) if k % 2 == 0]),
        (f"[x for x in {some} if x > 9]", [k for k in some if k > 9]),
        (f"sum(n for n in range({a}))", sum(range(a))), (f"any(n > 50 for n in {some})", any(k > 50 for k in some)),
        (f"all(n > 5 for n in {some})", all(k > 5 for k in some)), (f"any([{a % 2}, 0])", any([a % 2, 0])),
        (f"{some}.index({some[-1]})", some.index(c)), (f"{some}.count({a})", some.count(a)),
        (f"list(zip([{a}, {b}], [1, 2]))", [(a, 1), (b, 2)]), (f"list(map(str, {some}))", [str(k) for k in some]),
        (f"dict(a={a}, b={b})['a']", a), (f"len(set([{a}, {b}, {a}]))", len({a, b})),
        (f"list(enumerate([{a}, {b}]))", [(0, a), (1, b)]), (f"list(reversed({some}))", some[::-1]),
        (f"tuple([{a}, {b}])", (a, b)), (f"sum({some})/3", sum(some) / 3),
    )  # fmt: skip


def _on_words(rng: random.Random, word: str) -> _Lines:
    n, other = rng.randint(2, 4), pick_tool_argument_word(rng)
    letter, new, place = rng.choice(word), rng.choice("xzq"), rng.randint(0, min(3, len(word) - 1))
    return (
        (f"len('{word}')", len(word)), (f"'{word}'.upper()", word.upper()), (f"'{word}'[0]", word[0]),
        (f"'{word}'*{n}", word * n), (f"'{word}'[-1]", word[-1]), (f"'{word}'[::-1]", word[::-1]),
        (f"'{word}'.title()", word.title()), (f"'a' in '{word}'", "a" in word), (f"'{word}' + 's'", word + "s"),
        (f"len(\"{word}\")", len(word)), (f"\"{word}\".upper()", word.upper()), (f"\"{word}\"[::-1]", word[::-1]),
        (f"'{word.upper()}'.lower()", word.upper().lower()), (f"'{word}'[{place}]", word[place]),
        (f"'{word}'[:{n}]", word[:n]), (f"'{word}'[1:]", word[1:]), (f"'{word}'[-{n}:]", word[-n:]),
        (f"'{word}'[::2]", word[::2]), (f"'{word}'.replace('{letter}', '{new}')", word.replace(letter, new)),
        (f"'{word}'.count('{letter}')", word.count(letter)), (f"'{word}'.find('{letter}')", word.find(letter)),
        (f"'{word}'.index('{letter}')", word.index(letter)), (f"'{word}'.capitalize()", word.capitalize()),
        (f"'{word}'.startswith('{word[:2]}')", True), (f"'{word}'.endswith('{new}')", word.endswith(new)),
        (f"'{word}'.isalpha()", word.isalpha()), (f"'{word}'.isdigit()", word.isdigit()),
        (f"sorted('{word[:4]}')", sorted(word[:4])), (f"list('{word[:4]}')", list(word[:4])),
        (f"''.join(sorted('{word}'))", "".join(sorted(word))), (f"'-'.join('{word}')", "-".join(word)),
        (f"''.join(reversed('{word}'))", word[::-1]), (f"'{word} {other}'.split()", f"{word} {other}".split()),
        (f"'{word}'+'{other}'", word + other), (f"'{word}' == '{other}'", word == other),
        (f"'{word}'.swapcase()", word.swapcase()), (f"len(set('{word}'))", len(set(word))),
        (f"max('{word}')", max(word)), (f"'{word}' < '{other}'", word < other),
        (f"len('{word}') > {n + 2}", len(word) > n + 2), (f"'  {word} '.strip()", word),
        (f"[c for c in '{word}' if c in 'aeiou']", [c for c in word if c in "aeiou"]),
        (f"sum(c in 'aeiou' for c in '{word}')", sum(c in "aeiou" for c in word)),
        (f"[len(w) for w in ['{word}', '{other}']]", [len(word), len(other)]),
        (f"' '.join(['{word}', '{other}'])", f"{word} {other}"),
        (f"'{word}'.center({len(word) + 4}, '*')", word.center(len(word) + 4, "*")),
    )  # fmt: skip


def _pick_statements(rng: random.Random, word: str) -> tuple[str, str, bool]:
    """Statements of which the last prints, its output, and whether the word is in them."""
    a, b, n = pick_tool_argument_number(rng, 2), pick_tool_argument_number(rng, 2), rng.randint(2, 5)
    name = rng.choice("xyn")
    code, value, worded = rng.choice(
        (
            (f"x={a}; print(x*{n})", a * n, False),
            (f"{name} = {a}; print({name} + {b})", a + b, False),
            (f"a, b = {a}, {b}; print(a * b)", a * b, False),
            (f"{name}={a}; {name}+=1; print({name})", a + 1, False),
            (f"l = [{a}, {b}]; l.append({n}); print(l)", [a, b, n], False),
            (f"l = [{a}, {b}, {n}]; print(sum(l))", a + b + n, False),
            (f"import math; print(math.factorial({n}))", (1, 1, 2, 6, 24, 120)[n], False),
            (f"import math; print(math.gcd({a}, {b}))", math.gcd(a, b), False),
            (f"import math; print(math.sqrt({a * a}))", float(a), False),
            (f"w = '{word}'; print(w[::-1])", word[::-1], True),
            (f"s = '{word}'; print(len(s))", len(word), True),
            (f"s='{word}'; print(s.upper())", word.upper(), True),
            (f"for i in range({n}): print(i, end=' ')", " ".join(map(str, range(n))), False),
            (f"print(*range({n}))", " ".join(map(str, range(n))), False),
            (f"print('{word}', {a})", f"{word} {a}", True),
            (f"print('{word}', len('{word}'))", f"{word} {len(word)}", True),
            (f"print({a}, {b}, sep='-')", f"{a}-{b}", False),
            (f"print('hello {word}')", f"hello {word}", True),
            (f"print(\"hello\", \"{word}\")", f"hello {word}", True),
        )
    )  # fmt: skip
    return code, str(value), worded
