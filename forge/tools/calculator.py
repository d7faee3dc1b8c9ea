"""Exact arithmetic for the agent: a whitelist walk over Python's syntax tree, never `eval`.

Numbers are `fractions.Fraction` throughout, so 0.1+0.2 is 0.3. Only square roots and fractional powers
leave the rationals; they are carried with 30 significant digits. Every size is bounded *before* the
operation that would exceed it, so `9**9**9` costs microseconds.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable
from decimal import Context, Decimal, InvalidOperation, localcontext
from fractions import Fraction

MAX_CHARS = 240
MAX_BITS = 2048  # of any intermediate numerator or denominator
MAX_DIGITS = 120  # of a printed result
MAX_FACTOR = 10**12  # trial division up to 10**6 stays under 0.1 s
_REAL_DIGITS = 30
_SHOWN_DIGITS = 12
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_SYMBOLS = str.maketrans(
    {"÷": "/", "∕": "/", "’": "'"}
    | dict.fromkeys("×·⋅∗✕✖", "*")
    | dict.fromkeys("\u2010\u2011\u2013\u2212", "-")  # hyphens, en dash, minus
    | dict.fromkeys("\u00a0\u2009\u202f", " ")
)
# 1,234 and 12,34,567 and 1'000 and 1 000; 3,5 where a comma cannot separate two numbers
_DIGIT_GROUPS = re.compile(r"(?<![\w.])[1-9]\d{0,2}(?:[,' ]\d{2,3})*[,' ]\d{3}(?![\d_])")
_DECIMAL_COMMA = re.compile(r"(?<![\w.,])\d+(?:\.\d{3})*,\d+(?![\d,])")
_ROUNDED_DECIMAL_COMMA = re.compile(r"\bround\s*\(\s*(\d+),(\d+)\s*\)")  # a whole number has nothing to round
_PERCENTAGE = re.compile(r"%\s*(?:[-+*/%)=,]|$)")  # Python would read 20%+1 as the remainder by +1


class CalculatorError(ValueError):
    """The expression is malformed, undefined or too large; the text is one short line."""


def calculate(expression: str) -> str:
    """Value of `expression` as a short string; raises `CalculatorError` on anything it cannot do."""
    text = expression.strip().translate(_SYMBOLS).replace("^", "**")
    if not text:
        raise CalculatorError("empty expression")
    if len(text) > MAX_CHARS:
        raise CalculatorError(f"expression too long, {MAX_CHARS} characters at most")
    if (found := re.search(r"[^ -~]|#", text)) is not None:  # Python reads what follows # as a comment
        raise CalculatorError(f"not plain text: {found[0]!r} is not read")
    _refuse_calculator_commas(text)
    if _PERCENTAGE.search(text) is not None:
        raise CalculatorError("write /100 for a percentage, and (-3) for -3 after %")
    name, inside = _split_calculator_call(text)
    if name in _WHOLE:
        return _WHOLE[name](inside)
    return format_calculator_result(calculate_exact_value(text))


def calculate_exact_value(text: str) -> Fraction:
    """Exact (or 30-digit) value of an arithmetic expression without variables."""
    return _calculator_linear_form(_parse_calculator_expression(text), text, None)[1]


def format_calculator_result(value: Fraction) -> str:
    """`7`, `0.3`, or 12 significant digits when the decimal expansion is long or endless."""
    if value.denominator == 1:
        digits = str(value.numerator)
        if len(digits) > MAX_DIGITS:
            raise CalculatorError("the result is too large")
        return digits
    shown = _format_calculator_decimal(value)
    if shown is None:
        context = Context(prec=_SHOWN_DIGITS)
        rounded = context.divide(Decimal(value.numerator), Decimal(value.denominator))
        shown = format(rounded, "f") if -8 <= rounded.adjusted() <= 20 else format(rounded, "e")
    return shown.rstrip("0").rstrip(".") if "." in shown and "e" not in shown else shown


def _format_calculator_decimal(value: Fraction) -> str | None:
    """Decimal text of p/q when q has only the factors 2 and 5 and 20 decimals are enough."""
    for places in range(1, 21):
        scaled = value * 10**places
        if scaled.denominator == 1:
            sign = "-" if scaled < 0 else ""
            digits = str(abs(scaled.numerator)).rjust(places + 1, "0")
            return f"{sign}{digits[:-places]}.{digits[-places:]}" if len(digits) <= MAX_DIGITS else None
    return None


def _refuse_calculator_commas(text: str) -> None:
    """Refuse numbers that people write with commas, and say how to write them: `max(1,234)` has one number or two."""
    if (found := _DIGIT_GROUPS.search(text)) is not None:
        groups = re.split("[,' ]", found[0])
        ways = ["".join(groups)]
        if len(groups) == 2 and "," in found[0] and groups[1][0] != "0" and text[found.end() : found.end() + 1] != ".":
            ways.append((", " if _calculator_owner_of_comma(text, found.start()) in _LISTS else ".").join(groups))
        raise CalculatorError(f"write {' or '.join(ways)}, not {found[0]}")
    if (found := _ROUNDED_DECIMAL_COMMA.search(text)) is not None:
        raise CalculatorError(f"write {found[1]}.{found[2]} or {found[1]}, {found[2]}, not {found[1]},{found[2]}")
    for found in _DECIMAL_COMMA.finditer(text):
        if _calculator_owner_of_comma(text, found.start()) in ("", "solve"):
            whole, decimals = found[0].replace(".", "").split(",")
            raise CalculatorError(f"write {whole}.{decimals}, not {found[0]}")


def _calculator_owner_of_comma(text: str, place: int) -> str:
    """The function whose arguments a comma at a place of the text separates; "" if it separates none."""
    opened: list[int] = []
    for index, char in enumerate(text[:place]):
        if char in "([{":
            opened.append(index)
        elif char in ")]}" and opened:
            opened.pop()
    if not opened or text[opened[-1]] != "(":
        return text[opened[-1]] if opened else ""
    name = re.search(r"[a-z]+\s*$", text[: opened[-1]])
    return name[0].strip() if name is not None else ""


def _split_calculator_call(text: str) -> tuple[str, str]:
    """(name, inside) when the whole text is one `name(inside)`, else ("", "")."""
    match = re.fullmatch(r"([a-z]+)\s*\((.*)\)", text)
    if not match:
        return "", ""
    depth = 0
    for char in match[2]:
        depth += (char == "(") - (char == ")")
        if depth < 0:  # `frac(1,2)+bits(3)`: the first bracket closes before the end
            return "", ""
    return match[1], match[2]


def _parse_calculator_expression(text: str) -> ast.expr:
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise CalculatorError("cannot read the expression") from error


def _check_calculator_number(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
        raise CalculatorError("number too large")
    return value


def _calculator_literal(node: ast.Constant, text: str) -> Fraction:
    """The number as written: the tree only keeps a binary float, the source text is exact."""
    if type(node.value) not in (int, float):
        raise CalculatorError("only numbers are allowed")
    if isinstance(node.value, int):
        return _check_calculator_number(Fraction(node.value))
    try:
        written = Decimal(text.strip()[node.col_offset : node.end_col_offset].replace("_", ""))
    except InvalidOperation as error:  # an exponent beyond what Decimal has room for
        raise CalculatorError("number too large") from error
    exponent = written.as_tuple().exponent
    if not isinstance(exponent, int) or abs(written.adjusted()) > 300 or abs(exponent) > 300:
        raise CalculatorError("number too large")
    return Fraction(written)


_Line = tuple[Fraction, Fraction]  # (a, b) stands for a*x + b; plain numbers have a = 0


def _calculator_linear_form(node: ast.expr, text: str, letter: str | None) -> _Line:
    """Coefficients of the expression as a line in `letter`; refuses everything that is not linear."""
    zero = Fraction(0)
    if isinstance(node, ast.Constant):
        return zero, _calculator_literal(node, text)
    if isinstance(node, ast.Name):
        if node.id == letter:
            return Fraction(1), zero
        raise CalculatorError(f"unknown name {node.id[:20]}")
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.UAdd | ast.USub):
        sign = -1 if isinstance(node.op, ast.USub) else 1
        slope, value = _calculator_linear_form(node.operand, text, letter)
        return sign * slope, sign * value
    if isinstance(node, ast.BinOp):
        left, right = (
            _calculator_linear_form(node.left, text, letter),
            _calculator_linear_form(node.right, text, letter),
        )
        slope, value = _calculator_binary_operation(type(node.op), left, right)
        return _check_calculator_number(slope), _check_calculator_number(value)
    if isinstance(node, ast.Call):
        return zero, _check_calculator_number(_call_calculator_function(node, text, letter))
    raise CalculatorError("only arithmetic is allowed")


def _calculator_binary_operation(kind: type[ast.operator], left: _Line, right: _Line) -> _Line:
    (a, b), (c, d) = left, right
    if kind is ast.Add:
        return a + c, b + d
    if kind is ast.Sub:
        return a - c, b - d
    if kind is ast.Mult and (a == 0 or c == 0):
        return a * d + b * c, b * d
    if kind is ast.Div and c == 0:
        return a / _check_calculator_divisor(d), b / d
    if a or c:
        raise CalculatorError("not a linear equation")
    if kind is ast.FloorDiv:
        return Fraction(0), Fraction(b // _check_calculator_divisor(d))
    if kind is ast.Mod:
        return Fraction(0), b % _check_calculator_divisor(d)
    if kind is ast.Pow:
        return Fraction(0), _power(b, d)
    raise CalculatorError("unknown operator")


def _check_calculator_divisor(value: Fraction) -> Fraction:
    if value == 0:
        raise CalculatorError("division by zero")
    return value


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent == Fraction(1, 2):
        return _sqrt(base)
    if exponent.denominator != 1:
        return _real_power(base, exponent)
    if base == 0 and exponent < 0:
        raise CalculatorError("division by zero")
    if abs(base) == 1 or base == 0:
        return base ** (int(exponent) % 2 if abs(base) == 1 else min(int(exponent), 1))
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if abs(exponent) * (bits - 1) > MAX_BITS:
        raise CalculatorError("number too large")
    return Fraction(base ** int(exponent))


def _real_power(base: Fraction, exponent: Fraction) -> Fraction:
    if base < 0:
        raise CalculatorError("root of a negative number")
    if base == 0:
        return Fraction(0) / _check_calculator_divisor(Fraction(int(exponent > 0)))
    if abs(exponent) * abs(base - 1) > MAX_BITS * max(base, Fraction(1)):  # at most the logarithm of the result
        raise CalculatorError("number too large")
    # the exponent multiplies the error of the logarithm: as many digits more as it has
    with localcontext(Context(prec=_REAL_DIGITS + 10 + len(str(int(abs(exponent)))))):
        logarithm = (Decimal(base.numerator) / Decimal(base.denominator)).ln()
        logarithm *= Decimal(exponent.numerator) / Decimal(exponent.denominator)
        if abs(logarithm) > Decimal(2).ln() * (MAX_BITS // 2):
            raise CalculatorError("number too large")
        value = logarithm.exp()
    return Fraction(Context(prec=_REAL_DIGITS).plus(value))  # 8**(1/3) is 2, not 1.999...9


def _sqrt(value: Fraction) -> Fraction:
    if value < 0:
        raise CalculatorError("root of a negative number")
    root = Fraction(math.isqrt(value.numerator), math.isqrt(value.denominator))
    if root * root == value:
        return root
    with localcontext(Context(prec=_REAL_DIGITS)):
        return Fraction((Decimal(value.numerator) / Decimal(value.denominator)).sqrt())


def _calculator_integer(value: Fraction) -> int:
    if value.denominator != 1:
        raise CalculatorError("whole numbers only")
    return int(value)


def _calculator_round(value: Fraction, places: Fraction = Fraction(0)) -> Fraction:
    digits = _calculator_integer(places)
    if abs(digits) > 50:
        raise CalculatorError("too many decimals")
    return Fraction(round(value, digits))


def _calculator_integer_function(function: Callable[..., int]) -> Callable[..., Fraction]:
    return lambda *values: Fraction(function(*map(_calculator_integer, values)))


# name: (function, fewest arguments, most arguments)
_FUNCTIONS: dict[str, tuple[Callable[..., Fraction], int, int]] = {
    "gcd": (_calculator_integer_function(math.gcd), 1, 20),
    "lcm": (_calculator_integer_function(math.lcm), 1, 20),
    "bits": (_calculator_integer_function(lambda n: abs(n).bit_count()), 1, 1),
    "sqrt": (_sqrt, 1, 1),
    "abs": (operator.abs, 1, 1),
    "round": (_calculator_round, 1, 2),
    "min": (lambda *values: min(values), 1, 20),
    "max": (lambda *values: max(values), 1, 20),
}


def _call_calculator_function(node: ast.Call, text: str, letter: str | None) -> Fraction:
    if isinstance(node.func, ast.Constant | ast.BinOp | ast.UnaryOp):
        raise CalculatorError("write * between a number or a bracket and the bracket after it")
    name = node.func.id if isinstance(node.func, ast.Name) else "?"
    if name not in _FUNCTIONS or node.keywords:
        raise CalculatorError(f"unknown function {name[:20]}")
    function, fewest, most = _FUNCTIONS[name]
    lines = [_calculator_linear_form(argument, text, letter) for argument in node.args]
    if any(slope for slope, _ in lines):
        raise CalculatorError("not a linear equation")
    if not fewest <= len(lines) <= most:
        raise CalculatorError(f"wrong number of arguments for {name}")
    return function(*(value for _, value in lines))


def _parse_calculator_arguments(inside: str) -> list[Fraction]:
    """Values of a comma-separated list of expressions."""
    items = _parse_calculator_expression(f"({inside},)")
    if not isinstance(items, ast.Tuple):
        raise CalculatorError("cannot read the arguments")
    source = f"({inside},)"
    return [_calculator_linear_form(item, source, None)[1] for item in items.elts]


def _calculator_fraction(inside: str) -> str:
    values = _parse_calculator_arguments(inside)
    if not 1 <= len(values) <= 2:
        raise CalculatorError("frac takes one or two numbers")
    return _format_calculator_ratio(
        values[0] / _check_calculator_divisor(values[1] if len(values) == 2 else Fraction(1))
    )


def _format_calculator_ratio(value: Fraction) -> str:
    format_calculator_result(Fraction(value.numerator))
    format_calculator_result(Fraction(value.denominator))
    return str(value)


def _calculator_prime_factors(inside: str) -> str:
    values = _parse_calculator_arguments(inside)
    number = _calculator_integer(values[0]) if len(values) == 1 else 0
    if not 2 <= number <= MAX_FACTOR:
        raise CalculatorError("factor needs a whole number from 2 to 10**12")
    primes, divisor = [], 2
    while divisor * divisor <= number:
        if number % divisor:
            divisor += 1 if divisor == 2 else 2
        else:
            primes.append(divisor)
            number //= divisor
    return "*".join(map(str, [*primes, number] if number > 1 else primes))


def _calculator_base_conversion(inside: str) -> str:
    parts = [part.strip().strip("'\"") for part in inside.split(",")]
    if len(parts) != 3 or not (parts[1].isdigit() and parts[2].isdigit()):
        raise CalculatorError("base needs digits, from, to")
    old, new = int(parts[1][:3]), int(parts[2][:3])
    if not (2 <= old <= 36 and 2 <= new <= 36):
        raise CalculatorError("bases go from 2 to 36")
    if not re.fullmatch(r"-?[0-9a-zA-Z]{1,100}", parts[0]):
        raise CalculatorError("base needs digits, from, to")
    try:
        number = int(parts[0].lstrip("-"), old)
    except ValueError as error:
        raise CalculatorError(f"not a number in base {old}") from error
    digits = ""
    while number:
        number, rest = divmod(number, new)
        digits = _DIGITS[rest] + digits
    if len(digits) > MAX_DIGITS:
        raise CalculatorError("the result is too large")
    return ("-" if parts[0].startswith("-") and digits else "") + (digits or "0")


def _solve(inside: str) -> str:
    """Solution of one linear equation in one letter; `3x` is read as `3*x`."""
    sides = inside.split("=")
    # a letter that is not part of a function's name
    letters = sorted(set(re.findall(r"(?<![a-zA-Z])[a-zA-Z](?![a-zA-Z])", inside)))
    if len(sides) != 2 or len(letters) != 1:
        raise CalculatorError("solve needs one equation in one letter")
    sides = [re.sub(r"(?<=[0-9)])\s*(?=[a-zA-Z(])", "*", side) for side in sides]
    (a, b), (c, d) = (_calculator_linear_form(_parse_calculator_expression(side), side, letters[0]) for side in sides)
    if a == c:
        raise CalculatorError("no solution" if b != d else "every number is a solution")
    return _format_calculator_ratio((d - b) / (a - c))


_WHOLE: dict[str, Callable[[str], str]] = {
    "frac": _calculator_fraction,
    "factor": _calculator_prime_factors,
    "base": _calculator_base_conversion,
    "solve": _solve,
}
_LISTS = frozenset(name for name, (_, _, most) in _FUNCTIONS.items() if most > 1) | {"frac", "base"}
FUNCTION_NAMES = (*_FUNCTIONS, *_WHOLE)
