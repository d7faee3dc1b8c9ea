"""Sums, equations and lines of code that a question writes out, as a call takes them."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator, Sequence

from forge.tools.calculator import FUNCTION_NAMES
from forge.tools.said import calculator_numbers_as_written, calculator_spellings_of_numeral

LONGEST = 400  # characters of a question that is searched for sums and code
MOST_STARTS = 24  # words of a question that a line of code may begin with
_NUMERAL = r"\d+(?:[,.']\d+| (?=\d{3}(?!\d))\d{3})*"
_ATOM = rf"[-−+]? ?\(* ?[-−]? ?(?:{_NUMERAL} ?[A-Za-z]?(?![A-Za-z])|(?<![A-Za-z'’])[A-Za-z](?![A-Za-z'])) ?\)*"
_SUM = re.compile(rf"{_ATOM}(?: ?(?:\*\*|[-−+*/^×÷=%·]|(?<=\d) ?[xX](?= ?[\d(])) ?{_ATOM})+")
_PART = re.compile(rf"({_NUMERAL})|([A-Za-z])|(\*\*|[-−+*/^×÷=%·()])")
_FUNCTION = re.compile(rf"(?<!\w)(?:{'|'.join(FUNCTION_NAMES)})\([^()]*\)")
_MORE = re.compile(
    r"[%²³√!(]|(?i:\b(?:roots?|sqrt|squared?|cubed?|remainder|mod|modulo|percent(?:age)?|double[ds]?|twice|triple[ds]?|"
    r"average|mean|round(?:ed)?|times|plus|minus|divided|one)\b)"
)
_CURRENCY = re.compile(r"[$€£](?=\d)|(?<=\d)[$€£]")
_OPERATORS = {"−": "-", "×": "*", "·": "*", "x": "*", "X": "*", "÷": "/", "^": "**"}
_CALL_OF_CODE = re.compile(r"\w\(.*\)")


def sums_written_out_for_calculator(text: str) -> list[str]:
    """Regular expressions of the calculator's arguments that a text writes out: a sum or a function's call as it stands
    and, where a sum can be one, an equation to solve or a fraction to simplify. Empty where it writes out none, or not
    all of its numbers."""
    if len(text) > LONGEST:
        return []
    text = _CURRENCY.sub("", text)
    called = _FUNCTION.findall(text)
    if len(called) == 1 and _says_no_more(text.replace(called[0], " ")):
        return [re.escape(called[0])]
    parts = calculator_sum_in_parts(text)
    patterns = [_any_of(forms) for forms in parts]
    written, signs = " ?".join(patterns), [forms[0] for forms in parts]
    if any(sign.isalpha() for sign in signs):
        return [rf"solve\( ?{written} ?\)"] if "=" in signs else []
    fraction = [rf"frac\({patterns[0]}, ?{patterns[2]}\)"] if len(parts) == 3 and signs[1] == "/" else []
    return [] if "=" in signs or not parts else [written, *fraction]


def _says_no_more(rest: str) -> bool:
    """Whether what is said beside a sum leaves it as it is: no further number, no sign, nothing to do with it."""
    return calculator_numbers_as_written(rest) == [] and not _MORE.search(rest)


def _any_of(forms: Sequence[str]) -> str:
    spelled = "|".join(map(re.escape, forms))
    return f"({spelled})" if forms[0].isalnum() or len(forms) > 1 else spelled


def calculator_sum_in_parts(text: str) -> list[tuple[str, ...]]:
    """Numbers, letters and signs of the sum or equation that a text writes out, as the calculator takes them, numbers
    in every spelling; empty where it writes out none, or not all of its numbers."""
    text = _CURRENCY.sub("", text)
    found = _SUM.search(text) if len(text) <= LONGEST else None
    if found is None:
        return []
    before, after = text[: found.start()], text[found.end() :]
    if (found[0][0] == "(" and before[-1:].isalnum()) or not _says_no_more(f"{before} {after}"):
        return []
    parts = list(_parts_of_sum(found[0]))
    return parts if parts.count(("(",)) == parts.count((")",)) else []


def _parts_of_sum(text: str) -> Iterator[tuple[str, ...]]:
    before = ""
    for numeral, letter, sign in _PART.findall(text):
        if letter in ("x", "X") and before == "number" and re.search(rf"\d ?{letter} ?[\d(]", text):
            yield ("*",)
            before = "sign"
        elif letter:
            if before == "number":
                yield ("*",)
            yield (letter,)
            before = "letter"
        elif numeral:
            yield tuple(calculator_spellings_of_numeral(numeral))
            before = "number"
        else:
            yield (_OPERATORS.get(sign, sign),)
            before = "sign"


def code_written_out_for_tool(text: str) -> list[str]:
    """Regular expressions of the line of code that a text writes out: the longest that ends with its last bracket, as
    it stands and, where it prints nothing, printed. Empty where nothing in it is called."""
    if len(text) > LONGEST or not _CALL_OF_CODE.search(text):
        return []
    code = text[: text.rindex(")") + 1]
    starts = [word.start() for word in re.finditer(r"(?<![^\s:])\S", code[: code.index("(") + 1])][-MOST_STARTS:]
    line = next((code[start:] for start in starts if _is_python(code[start:])), "")
    printed = [f"print({line})"] if "print" not in line and _is_python(f"print({line})") else []
    return [re.escape(form) for form in (line, *printed) if line]


def _is_python(line: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            nodes = list(ast.walk(ast.parse(line)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    # `please: print(3)`, `what is len("lamp")` and `print(3) (please)` are Python that nobody means.
    return not any(
        isinstance(node, ast.AnnAssign)
        or (isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Is | ast.IsNot))
        or (isinstance(node, ast.Call) and isinstance(node.func, ast.Call | ast.Constant))
        for node in nodes
    )
