"""Sums of another form than two or three numbers with one sign: chains, halves and doubles of sums, means, comparisons,
rounding, equations, fractions, factors, bases; and sums in German and French."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from itertools import zip_longest

from forge.tools.declaration import Drawn, Intent
from forge.tools.drawing import number_in_words, pick_calculator_operand, write_number_as_people_do

Numbers = Callable[[random.Random], dict[str, str]]  # slots under the small letter as the call takes them
# fmt: off
_NUMBERS = (*range(2, 20), 30, 60, 100)
_GERMAN_TEXT = (
    "zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn achtzehn "
    "neunzehn dreißig sechzig hundert"
)
_FRENCH_TEXT = (
    "deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize dix-sept dix-huit dix-neuf "
    "trente soixante cent"
)
_GERMAN = dict(zip(_NUMBERS, _GERMAN_TEXT.split(), strict=True))
_FRENCH = dict(zip(_NUMBERS, _FRENCH_TEXT.split(), strict=True))
_SIGNS = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/"}
_IN_GERMAN = {
    "add": ("was ist {a} plus {b}?", "wie viel ist {a} plus {b}?", "{a} plus {b}", "{a} und {b}?",
    "was macht {a} plus {b}?",
        "{a} plus {b} ist?", "rechne {a} plus {b}", "wieviel sind {a} und {b}?", "summe von {a} und {b}",
        "addiere {a} und {b}", "{a} und {b} zusammen?", "wie viel ergibt {a} plus {b}?", "was ergibt {a} und {b}?",
        "zähl {a} und {b} zusammen", "kannst du {a} plus {b} rechnen?", "was kommt bei {a} plus {b} raus?"),
    "subtract": ("was ist {a} minus {b}?", "wie viel ist {a} minus {b}?", "{a} minus {b}", "{a} weniger {b}",
        "zieh {b} von {a} ab", "rechne {a} minus {b}", "wieviel bleibt von {a} minus {b}?", "{a} minus {b} ist?",
        "subtrahiere {b} von {a}", "was ergibt {a} minus {b}?", "differenz von {a} und {b}",
        "was bleibt bei {a} weniger {b}?",
        "kannst du {a} minus {b} rechnen?", "was kommt bei {a} minus {b} raus?", "was macht {a} minus {b}?"),
    "multiply": ("was ist {a} mal {b}?", "wie viel ist {a} mal {b}?", "{a} mal {b}", "wieviel ist {a} mal {b}?",
        "{a} mal {b} ist?", "rechne {a} mal {b}", "multipliziere {a} mit {b}", "was ergibt {a} mal {b}?",
        "produkt von {a} und {b}", "{a} multipliziert mit {b}", "was macht {a} mal {b}?", "wie viel sind {a} mal {b}?",
        "kannst du {a} mal {b} rechnen?", "was kommt bei {a} mal {b} raus?", "nimm {a} mal {b}"),
    "divide": ("was ist {a} durch {b}?", "wie viel ist {a} durch {b}?", "{a} durch {b}", "{a} geteilt durch {b}",
        "teile {a} durch {b}", "was ist {a} geteilt durch {b}?", "rechne {a} durch {b}", "wie oft passt {b} in {a}?",
        "dividiere {a} durch {b}", "was ergibt {a} durch {b}?", "{a} durch {b} ist?",
        "wieviel ist {a} geteilt durch {b}?",
        "kannst du {a} durch {b} teilen?", "was kommt bei {a} durch {b} raus?", "wie oft geht {b} in {a}?"),
}
_IN_FRENCH = {
    "add": ("combien font {a} et {b}?", "combien font {a} plus {b}?", "{a} et {b}?", "ça fait combien {a} plus {b}?",
        "{a} plus {b} égale?", "calcule {a} plus {b}", "additionne {a} et {b}", "la somme de {a} et {b}?",
        "combien fait {a} plus {b}?", "{a} plus {b} ça fait combien?", "quelle est la somme de {a} et {b}?",
        "peux-tu calculer {a} plus {b}?", "{a} et {b}, ça fait combien?", "ajoute {b} à {a}"),
    "subtract": ("combien font {a} moins {b}?", "{a} moins {b}", "combien fait {a} moins {b}?", "calcule {a} moins {b}",
        "ça fait combien {a} moins {b}?", "{a} moins {b} égale?", "enlève {b} de {a}", "soustrais {b} de {a}",
        "combien reste {a} moins {b}?", "{a} moins {b} ça fait combien?", "peux-tu calculer {a} moins {b}?",
        "si j'enlève {b} de {a}?", "la différence entre {a} et {b}?"),
    "multiply": ("combien font {a} fois {b}?", "{a} fois {b}", "combien fait {a} fois {b}?", "calcule {a} fois {b}",
        "ça fait combien {a} fois {b}?", "{a} fois {b} égale?", "multiplie {a} par {b}", "{a} multiplié par {b}",
        "le produit de {a} et {b}?", "{a} fois {b} ça fait combien?", "peux-tu calculer {a} fois {b}?",
        "combien donne {a} multiplié par {b}?"),
    "divide": ("{a} divisé par {b}", "combien font {a} divisé par {b}?", "divise {a} par {b}",
    "calcule {a} divisé par {b}",
        "ça fait combien {a} divisé par {b}?", "combien de fois {b} dans {a}?", "{a} divisé par {b} égale?",
        "combien fait {a} divisé par {b}?", "partage {a} en {b}", "peux-tu diviser {a} par {b}?",
        "{a} sur {b}, ça fait combien?", "si je divise {a} par {b}?"),
}
# fmt: on


def pick_operands_in_language(rng: random.Random, name: str, words: dict[int, str]) -> Drawn:
    """Two numbers of which a language's words are given, such that a quotient is whole."""
    a, b = rng.choice(list(words)), rng.choice(list(words))
    if name == "divide":
        pairs = [(x, y) for x in words for y in words if x % y == 0 and x > y]
        a, b = rng.choice(pairs)
    return {"a": words[a], "b": words[b], "A": str(a), "B": str(b)}, None


def pick_hundreds_in_words(rng: random.Random) -> Drawn:
    """Two numbers in words, at least one of them of hundreds and more."""
    slots: dict[str, str] = {}
    for name in rng.sample("ab", 2):
        number = rng.randint(1, 9) * 100 + rng.choice((0, 50, rng.randint(1, 99)))
        if slots and rng.random() < 0.5:
            number = rng.randint(2, 99)
        rest = number % 100
        said = number_in_words(number if number < 100 else number - rest)
        joined = rng.choice((" and ", " and ", " "))
        slots[name] = f"{said}{joined}{number_in_words(rest)}" if number > 100 and rest else said
        slots[name.upper()] = str(number)
    return slots, None


def _numbers(*names: str, low: int = 2, high: int = 99, odd: bool = True) -> Numbers:
    """Whole numbers, and if `odd` some as the calculator's operands are, without a minus."""

    def draw(rng: random.Random) -> dict[str, str]:
        found = {name: str(rng.randint(low, rng.choice((high, max(low, high // 5))))) for name in names}
        if odd and rng.random() < 0.25:
            found[rng.choice(names)] = pick_calculator_operand(rng, 3).lstrip("-")
        return found

    return draw


def _pick_sum(rng: random.Random, numbers: Numbers, grouped: bool = True) -> Drawn:
    drawn = numbers(rng)
    said = {name: write_number_as_people_do(rng, number) if grouped else number for name, number in drawn.items()}
    return said | {name.upper(): number for name, number in drawn.items()}, None


def _sum(
    name: str,
    argument: str,
    numbers: Numbers,
    cores: tuple[str, ...],
    *says: str,
    weight: float = 0.6,
    grouped: bool = True,
) -> Intent:
    return Intent(name, argument, partial(_pick_sum, numbers=numbers, grouped=grouped), cores, says, weight)


def _quotient(rng: random.Random) -> dict[str, str]:
    return {"a": str(rng.randint(20, 500)), "b": str(rng.randint(2, 19))}


def _negative(rng: random.Random) -> dict[str, str]:
    return {"a": f"-{rng.randint(2, 999)}"}


def _even(rng: random.Random) -> dict[str, str]:
    return {"a": str(2 * rng.randint(1, 200)), "b": str(rng.randint(2, 99))}


def _cubed(rng: random.Random) -> dict[str, str]:
    return {"a": str(rng.randint(2, 20) ** 3)}


def _nth_power(rng: random.Random) -> dict[str, str]:
    b = rng.randint(4, 6)
    return {"a": str(rng.randint(2, 6) ** b), "b": str(b)}


def _decimals(rng: random.Random, digits: int) -> str:
    return f"{rng.randint(0, rng.choice((9, 99, 999)))}.{rng.randint(1, 10**digits - 1):0{digits}}"


def _to_places(rng: random.Random) -> dict[str, str]:
    b = rng.choice((2, 2, 2, 3, 4))
    return {"a": _decimals(rng, b + rng.randint(1, 3)), "b": str(b)}


def _to_whole(rng: random.Random) -> dict[str, str]:
    return {"a": _decimals(rng, rng.randint(1, 3))}


def _share_of_one(rng: random.Random) -> dict[str, str]:
    return {"a": f"0.{rng.randint(1, 99):02}"}


def _fractions(rng: random.Random) -> dict[str, str]:
    b, d = rng.randint(2, 12), rng.randint(2, 12)
    a, c = rng.randint(1, b - 1), rng.randint(1, d - 1)
    if a * d == b * c:
        return _fractions(rng)
    return {"a": str(a), "b": str(b), "c": str(c), "d": str(d)}


def _hexadecimal(rng: random.Random) -> dict[str, str]:
    return {"a": f"{rng.choice('abcdef')}{rng.randint(2, 255):x}"}


def _equation(rng: random.Random) -> dict[str, str]:
    a, x = rng.randint(2, 20), rng.randint(2, 30)
    return {"a": str(a), "b": str(rng.randint(2, 9)), "c": str(rng.randint(41, 99)), "l": rng.choice("xxxynzt"),
            "s": str(a + x), "p": str(a * x), "q": str(x), "d": str(rng.randint(2, 9) + 9)}  # fmt: skip


def _pick_thought(rng: random.Random) -> Drawn:
    """A number is thought of, multiplied and added to."""
    a, b, x = rng.randint(2, 9), rng.randint(2, 30), rng.randint(2, 30)
    return {"a": str(a), "b": str(b), "c": str(a * x + b), "A": str(a), "B": str(b), "C": str(a * x + b)}, None


def _pick_scaled(rng: random.Random) -> Drawn:
    """A number with decimals, of thousands, millions or billions; percents; a small number."""
    names = (("million", 10**6), ("million", 10**6), ("billion", 10**9), ("thousand", 10**3))
    name, size = rng.choice(names)
    slots = {"a": f"{rng.randint(1, 20)}.{rng.randint(1, 9)}", "b": str(rng.randint(2, 30)), "u": name, "U": str(size)}
    slots["p"] = str(rng.choice((5, 10, 15, 20, 25, 30, 40, 50, 75, rng.randint(1, 99))))
    slots["c"] = f"{rng.randint(1, 20)}.{rng.randint(1, 9)}"
    return slots | {name.upper(): slots[name] for name in "abcp"}, None


def _scaled(name: str, argument: str, core: str, *says: str) -> Intent:
    return Intent(name, argument, _pick_scaled, (core,), says, 0.4)


def _pick_nearest(rng: random.Random) -> Drawn:
    """A number and the step that it is rounded to."""
    said, step = rng.choice((("10", 10), ("ten", 10), ("hundred", 100), ("hundred", 100), ("100", 100), ("5", 5),
        ("thousand", 1000), ("50", 50)))  # fmt: skip
    number = str(rng.randint(step * 2, step * rng.choice((20, 99))))
    return {"a": write_number_as_people_do(rng, number), "A": number, "b": said, "B": str(step)}, None


_TWO, _THREE, _FOUR, _FIVE = _numbers("a", "b"), _numbers(*"abc"), _numbers(*"abcd"), _numbers(*"abcde")
_ALONE = _numbers("a", high=999, odd=False)
# fmt: off
_CHAINS = (
    _sum("plus_minus", "{A}+{B}-{C}", _THREE, ("{a} plus {b} minus {c}", "{a}+{b}-{c}", "{a} + {b} - {c}"),
        "add {a} and {b}, then take away {c}", "{a} and {b} together, minus {c}", "{a} plus {b}, then minus {c}",
        "start with {a}, add {b}, subtract {c}", "{a}, plus {b}, minus {c}, what's left?",
        "add {b} to {a} and take off {c}", "i have {a}, get {b} and lose {c}, how much now?",
        "there are {a}, {b} more come and {c} leave, how many?"),
    _sum("minus_plus", "{A}-{B}+{C}", _THREE, ("{a} minus {b} plus {c}", "{a}-{b}+{c}", "{a} - {b} + {c}"),
        "take {b} from {a}, then add {c}", "subtract {b} from {a} and add {c}", "{a} less {b}, then plus {c}",
        "start with {a}, take away {b}, add {c}", "i have {a}, lose {b} and find {c}, how much now?",
        "there were {a}, {b} went and {c} came, how many now?"),
    _sum("minus_minus", "{A}-{B}-{C}", _THREE, ("{a} minus {b} minus {c}", "{a}-{b}-{c}", "{a} - {b} - {c}"),
        "subtract {b} and {c} from {a}", "take {b} and {c} away from {a}", "from {a} subtract {b}, then {c}",
        "{a} without {b} and without {c}?", "start with {a}, take away {b}, then {c} more", "{a} less {b} less {c}"),
    _sum("product_of_three", "{A}*{B}*{C}", _THREE, ("{a} times {b} times {c}", "{a}*{b}*{c}", "{a} x {b} x {c}",
        "the product of {a}, {b} and {c}"), "multiply {a}, {b} and {c}", "multiply {a} by {b} and then by {c}",
        "{a}, {b} and {c} multiplied together", "product of {a}, {b}, {c}?", "{a} by {b} by {c}, multiplied",
        "if i multiply {a}, {b} and {c}, what do i get?", "{a} times {b}, and that times {c}", weight=1),
    _sum("product_plus", "{A}*{B}+{C}", _THREE, ("{a} times {b} plus {c}", "{a}*{b}+{c}", "{a} x {b} + {c}"),
        "multiply {a} by {b}, then add {c}", "multiply {a} and {b} and add {c}", "{a} times {b}, and {c} on top",
        "add {c} to the product of {a} and {b}", "{a} times {b}, then plus {c}", "take {a}, times {b}, plus {c}",
        "if i multiply {a} by {b} and add {c}, what comes out?", "the product of {a} and {b}, plus {c}", weight=1),
    _sum("product_minus", "{A}*{B}-{C}", _THREE, ("{a} multiplied by {b} minus {c}",),
        "multiply {a} by {b}, then subtract {c}", "multiply {a} and {b} and take away {c}",
        "{a} times {b}, then minus {c}", "subtract {c} from the product of {a} and {b}",
        "take {a}, times {b}, minus {c}", "{a} times {b} less {c}", "the product of {a} and {b}, minus {c}",
        "if i multiply {a} by {b} and take off {c}, what's left?"),
    _sum("product_over", "{A}*{B}/{C}", _THREE, ("{a} times {b} divided by {c}", "{a}*{b}/{c}", "{a} * {b} / {c}"),
        "multiply {a} by {b}, then divide by {c}", "multiply {a} and {b} and divide by {c}",
        "take {a}, times {b}, over {c}", "the product of {a} and {b}, divided by {c}", "{a} times {b}, shared by {c}"),
    _sum("quotient_times", "{A}/{B}*{C}", _THREE, ("{a} divided by {b} times {c}", "{a}/{b}*{c}", "{a} / {b} * {c}"),
        "divide {a} by {b}, then multiply by {c}", "{a} divided by {b}, then times {c}",
        "take {a}, over {b}, times {c}", "if i divide {a} by {b} and multiply by {c}, what do i get?"),
    _sum("quotient_plus", "{A}/{B}+{C}", _THREE, ("{a} divided by {b} plus {c}", "{a}/{b}+{c}", "{a} / {b} + {c}"),
        "divide {a} by {b}, then add {c}", "divide {a} by {b} and add {c}", "{a} divided by {b}, then plus {c}",
        "add {c} to {a} divided by {b}", "{a} over {b}, and {c} on top"),
    _sum("sum_over", "({A}+{B})/{C}", _THREE, ("({a}+{b})/{c}", "the sum of {a} and {b} divided by {c}"),
        "add {a} and {b}, then divide by {c}", "add {a} and {b} and divide by {c}",
        "{a} and {b} together, divided by {c}", "{a} plus {b}, all divided by {c}", "{a} plus {b}, shared by {c}",
        "the total of {a} and {b}, split {c} ways"),
    _sum("sum_times", "({A}+{B})*{C}", _THREE, ("the sum of {a} and {b} multiplied by {c}",),
        "add {a} and {b}, then multiply by {c}", "add {a} and {b} and multiply by {c}",
        "{a} and {b} together, times {c}", "{a} plus {b}, all times {c}", "{a} plus {b} in brackets, times {c}",
        "{c} times the sum of {a} and {b}"),
    _sum("difference_times", "({A}-{B})*{C}", _THREE, ("({a}-{b})*{c}", "the difference of {a} and {b} times {c}"),
        "subtract {b} from {a}, then multiply by {c}", "take {b} from {a} and multiply by {c}",
        "{a} minus {b}, all times {c}", "{a} minus {b} in brackets, times {c}"),
    _sum("difference_over", "({A}-{B})/{C}", _THREE, ("({a}-{b})/{c}", "the difference of {a} and {b} divided by {c}"),
        "subtract {b} from {a}, then divide by {c}", "take {b} from {a} and divide by {c}",
        "{a} minus {b}, all divided by {c}"),
    _sum("two_products", "{A}*{B}+{C}*{D}", _FOUR, ("{a} times {b} plus {c} times {d}", "{a}*{b}+{c}*{d}",
        "{a} x {b} + {c} x {d}"), "{a} times {b} and {c} times {d}, together?", "add {a} times {b} and {c} times {d}",
        "the sum of {a} times {b} and {c} times {d}"),
    _sum("two_products_less", "{A}*{B}-{C}*{D}", _FOUR, ("{a} times {b} minus {c} times {d}", "{a}*{b}-{c}*{d}"),
        "how much more is {a} times {b} than {c} times {d}?", "subtract {c} times {d} from {a} times {b}"),
    _sum("sum_of_four", "{A}+{B}+{C}+{D}", _FOUR, ("{a}+{b}+{c}+{d}", "{a} + {b} + {c} + {d}",
        "the sum of {a}, {b}, {c} and {d}", "{a} plus {b} plus {c} plus {d}", "the total of {a}, {b}, {c} and {d}"),
        "add {a}, {b}, {c} and {d}", "add up {a}, {b}, {c}, {d}", "{a}, {b}, {c} and {d}, total?",
        "sum of {a}, {b}, {c}, {d}?", "what do {a}, {b}, {c} and {d} make?", "{a} and {b} and {c} and {d}, altogether?",
        "sum up {a}, {b}, {c} and {d}", "i have {a}, {b}, {c} and {d}, how much in all?",
        "{a}, {b}, {c}, {d}, add it all up", weight=1.2),
    _sum("sum_of_five", "{A}+{B}+{C}+{D}+{E}", _FIVE, ("{a}+{b}+{c}+{d}+{e}", "{a} + {b} + {c} + {d} + {e}",
        "the sum of {a}, {b}, {c}, {d} and {e}", "{a} plus {b} plus {c} plus {d} plus {e}"),
        "add {a}, {b}, {c}, {d} and {e}", "add up {a}, {b}, {c}, {d}, {e}", "{a}, {b}, {c}, {d} and {e}, total?",
        "sum of {a}, {b}, {c}, {d}, {e}?", "what do {a}, {b}, {c}, {d} and {e} make?",
        "total up {a}, {b}, {c}, {d} and {e}", "i have {a}, {b}, {c}, {d} and {e}, how much in all?"),
    _sum("mean_of_pair", "({A}+{B})/2", _TWO, ("the average of {a} and {b}", "the mean of {a} and {b}",
        "the number halfway between {a} and {b}"), "average {a} and {b}", "{a} and {b}, what's the average?",
        "what number is in the middle between {a} and {b}?", "what's halfway from {a} to {b}?",
        "midpoint of {a} and {b}", "i got {a} and {b}, what's my average?", "avg of {a}, {b}?",
        "what lies exactly between {a} and {b}?", weight=1),
    _sum("mean_of_four", "({A}+{B}+{C}+{D})/4", _FOUR, ("the average of {a}, {b}, {c} and {d}",
        "the mean of {a}, {b}, {c} and {d}", "the average of {a}, {b}, {c}, {d}"), "average {a}, {b}, {c} and {d}",
        "{a}, {b}, {c}, {d}, what's the average?", "[avg|mean] of {a}, {b}, {c}, {d}?",
        "{a}, {b}, {c} and {d} on average?", "i scored {a}, {b}, {c} and {d}, what's my average?",
        "my marks are {a}, {b}, {c}, {d}, mean?", weight=1),
    _sum("mean_of_five", "({A}+{B}+{C}+{D}+{E})/5", _FIVE, ("the average of {a}, {b}, {c}, {d} and {e}",
        "the mean of {a}, {b}, {c}, {d} and {e}"), "average {a}, {b}, {c}, {d}, {e}",
        "avg of {a}, {b}, {c}, {d}, {e}?", "{a}, {b}, {c}, {d}, {e}, what's the average?",
        "my grades are {a}, {b}, {c}, {d} and {e}, average?"),
)
_MULTIPLES = (
    _sum("half_plus", "{A}/2+{B}", _even, ("half of {a} plus {b}",), "half of {a}, plus {b}", "halve {a} and add {b}",
        "take half of {a} and add {b}", "add {b} to half of {a}", "half of {a} and {b} more", "half {a}, then add {b}"),
    _sum("half_minus", "{A}/2-{B}", _even, ("half of {a} minus {b}",), "half of {a}, minus {b}",
        "halve {a} and take away {b}", "take half of {a} and subtract {b}", "subtract {b} from half of {a}",
        "{b} less than half of {a}"),
    _sum("double_plus", "{A}*2+{B}", _TWO, ("double {a} plus {b}", "twice {a} plus {b}"), "double {a} and add {b}",
        "double {a}, then add {b}", "{b} more than twice {a}", "add {b} to the double of {a}",
        "twice {a}, and {b} on top"),
    _sum("double_minus", "{A}*2-{B}", _TWO, ("double {a} minus {b}",
        "twice {a} minus {b}"), "double {a} and take away {b}", "double {a}, then subtract {b}",
        "{b} less than twice {a}", "subtract {b} from the double of {a}"),
    _sum("half_of_sum", "({A}+{B})/2", _TWO, ("half the sum of {a} and {b}", "half of the sum of {a} and {b}"),
        "add {a} and {b}, then halve it", "add {a} and {b} and take half of it", "{a} and {b} together, half of that?"),
    _sum("double_of_sum", "({A}+{B})*2", _TWO, ("twice the sum of {a} and {b}", "double the sum of {a} and {b}"),
        "add {a} and {b}, then double it", "add {a} and {b} and double the result", "{a} and {b} together, doubled"),
    _sum("half_of_product", "{A}*{B}/2", _TWO, ("half of {a} times {b}", "half the product of {a} and {b}"),
        "multiply {a} and {b}, then halve it", "multiply {a} by {b} and take half"),
    _sum("cubed", "{A}**3", _ALONE, ("{a} cubed", "the cube of {a}", "{a}³", "{a} to the power of three"), "cube {a}",
        "what do i get if i cube {a}?", "{a} times itself times itself?", "{a} in cube?", "the third power of {a}?",
        "{a} to the third", "raise {a} to the third power", "what is {a} when cubed?", weight=1),
    _sum("cube_root", "{A}**(1/3)", _cubed, ("the cube root of {a}", "cube root of {a}", "the cubic root of {a}"),
        "what number cubed is {a}?", "which number cubed gives {a}?", "third root of {a}", "cube root {a}", "cbrt {a}",
        "{a}, what's the cube root?", "take the cube root of {a}", "{a} is the cube of what?", grouped=False),
    _sum("nth_root", "{A}**(1/{B})", _nth_power, ("the {b}th root of {a}",
        "{b}th root of {a}"), "take the {b}th root of {a}", "{a}, {b}th root?",
        "which number to the power of {b} is {a}?", "root {b} of {a}", grouped=False, weight=0.4),
    _sum("sum_of_squares", "{A}**2+{B}**2", _TWO, ("{a} squared plus {b} squared",
        "the sum of the squares of {a} and {b}"),
        "square {a} and {b} and add them", "{a} squared and {b} squared, together?", weight=0.4),
)
_COMPARED = (
    _sum("larger", "max({A}, {B})", _TWO, ("the larger of {a} and {b}", "the maximum of {a} and {b}"),
        "[which|what] is [more|bigger|larger|greater], {a} or {b}?", "{a} or {b}, which is more?",
        "which number is bigger: {a} or {b}?", "max of {a} and {b}", "the larger of {a} and {b}",
        "is {a} more or {b}?", "is {a} or {b} bigger?",
        "[pick|give me] the bigger of {a} and {b}", "what's the maximum of {a} and {b}?", weight=1),
    _sum("smaller", "min({A}, {B})", _TWO, ("the smaller of {a} and {b}", "the minimum of {a} and {b}"),
        "[which|what] is [less|smaller|lower], {a} or {b}?", "{a} or {b}, which is less?",
        "which number is smaller: {a} or {b}?", "min of {a} and {b}", "the smaller of {a} and {b}",
        "is {a} less or {b}?", "is {a} or {b} smaller?", "what's the minimum of {a} and {b}?"),
    _sum("largest", "max({A}, {B}, {C})", _THREE, ("the largest of {a}, {b} and {c}", "the maximum of {a}, {b}, {c}"),
        "[which|what] is the [biggest|largest|highest] of {a}, {b} and {c}?",
        "{a}, {b} or {c}, which is the biggest?", "biggest of {a}, {b}, {c}?", "maximum of {a}, {b} and {c}",
        "max of {a}, {b}, {c}", "which number is the largest: {a}, {b} or {c}?", "of {a}, {b} and {c} which is most?",
        "{a}, {b}, {c}: largest?"),
    _sum("smallest", "min({A}, {B}, {C})", _THREE, ("the smallest of {a}, {b} and {c}",
        "the minimum of {a}, {b}, {c}"), "[which|what] is the [smallest|lowest] of {a}, {b} and {c}?",
        "{a}, {b} or {c}, which is the smallest?", "smallest of {a}, {b}, {c}?", "minimum of {a}, {b} and {c}",
        "min of {a}, {b}, {c}", "which number is the smallest: {a}, {b} or {c}?", "of {a}, {b} and {c} which is least?",
        "{a}, {b}, {c}: smallest?"),
    _sum("larger_product", "max({A}*{B}, {C}*{D})", _FOUR, ("the larger of {a} times {b} and {c} times {d}",),
        "which is more, {a} times {b} or {c} times {d}?", "what's bigger, {a}*{b} or {c}*{d}?",
        "{a} x {b} or {c} x {d}, which is more?", "is {a} times {b} or {c} times {d} bigger?",
        "the larger of {a} times {b} and {c} times {d}", weight=0.4),
    _sum("larger_fraction", "max({A}/{B}, {C}/{D})", _fractions, ("the bigger of {a}/{b} and {c}/{d}",),
        "which is bigger, {a}/{b} or {c}/{d}?", "is {a}/{b} or {c}/{d} more?", "what is more, {a}/{b} or {c}/{d}?",
        "{a}/{b} or {c}/{d}, the bigger fraction?", weight=0.4),
    _sum("distance_of_numbers", "abs({A}-{B})", _TWO, ("the absolute difference of {a} and {b}",),
        "how far apart are {a} and {b}?", "absolute difference of {a} and {b}",
        "distance between {a} and {b} on the number line?", "how far is {a} from {b} on the number line?", weight=0.4),
    _sum("absolute", "abs({A})", _negative, ("the absolute value of {a}",), "absolute value of {a}?", "abs of {a}",
        "abs({a})", "what's the absolute value of {a}?", "{a} without its sign?", weight=0.4, grouped=False),
)
_ROUNDED = (
    _sum("to_places", "round({A}, {B})", _to_places, ("{a} rounded to {b} decimals", "{a} to {b} decimal places"),
        "round {a} to {b} [decimals|decimal places|places|digits]", "{a} to {b} [decimal places|decimals]",
        "{a} rounded to {b} decimals", "can you round {a} to {b} decimal places?",
        "[what is|whats] {a} rounded to {b} places?", "round to {b} decimals: {a}", "{a}, rounded, {b} decimals",
        "i have {a}, i need it with {b} decimals", "shorten {a} to {b} decimals",
        "write {a} with {b} decimals", weight=1),
    _sum("to_first_place", "round({A}, 1)", _to_whole, ("{a} rounded to one decimal",), "round {a} to one decimal",
        "round {a} to 1 decimal place", "{a} to one decimal place", "{a} rounded to 1 decimal",
        "what is {a} rounded to one decimal?", weight=0.5),
    _sum("to_whole", "round({A})", _to_whole, ("{a} rounded to a whole number", "{a} rounded"), "round {a}",
        "round {a} to the nearest [whole number|integer]", "{a} rounded?", "[what is|whats] {a} rounded?",
        "round off {a}", "round {a} to a whole number", "{a} without decimals, rounded",
        "{a} to the nearest whole number?", "which whole number is closest to {a}?",
        "which whole number is {a} nearest to?"),
    _sum("rounded_down", "{A}//1", _to_whole, ("{a} rounded down",), "round {a} down", "round down {a}",
        "{a} rounded down", "floor of {a}", "round {a} down to a whole number", "cut off the decimals of {a}",
        "what is {a} rounded down?"),
    _sum("rounded_up", "0-(0-{A})//1", _to_whole, ("{a} rounded up",), "round {a} up", "round up {a}",
        "{a} rounded up", "ceiling of {a}", "round {a} up to a whole number", "what is {a} rounded up?",
        "next whole number above {a}?"),
    Intent("to_nearest",
        "round({A}/{B})*{B}", _pick_nearest, ("{a} rounded to the nearest {b}",), ("round {a} to the nearest {b}",
        "{a} to the nearest {b}?", "{a} rounded to the nearest {b}", "what is {a} rounded to the nearest {b}?",
        "nearest {b} to {a}?", "can you round {a} to the nearest {b}?", "to the nearest {b}, what is {a}?"), 0.8),
    _sum("whole_quotient", "{A}//{B}", _quotient, ("{a} // {b}", "{a} div {b}"),
        "how many whole times does {b} go into {a}?", "divide {a} by {b} without the rest",
        "integer division of {a} by {b}", "{a} divided by {b}, just the whole part", "{a} divided by {b}, no decimals",
        "how many full times does {b} fit in {a}?"),
    _sum("quotient_in_places", "round({A}/{B}, 2)", _quotient, ("{a} divided by {b} rounded to 2 decimals",),
        "{a} divided by {b}, rounded to 2 decimals", "divide {a} by {b} and round to 2 decimals",
        "{a} divided by {b} to 2 decimals", "{a} divided by {b} to two decimal places",
        "{a} by {b}, divided, two decimals"),
)
_EQUATIONS = (
    _sum("equation_plus", "solve({L}+{A}={S})", _equation, (), "{l}+{a}={s}", "{l} + {a} = {s}",
        "solve {l} + {a} = {s}", "{l} + {a} = {s}, what is {l}?", "what is {l} if {l} + {a} = {s}?",
        "find {l}: {l}+{a}={s}", "solve {l}+{a}={s} for {l}", "i need {l} in {l} + {a} = {s}",
        "{l} plus {a} is {s}, [find|solve for] {l}", grouped=False),
    _sum("equation_minus", "solve({L}-{A}={Q})", _equation, (), "{l}-{a}={q}", "{l} - {a} = {q}",
        "solve {l} - {a} = {q}", "{l} - {a} = {q}, what is {l}?", "what is {l} if {l} - {a} = {q}?",
        "find {l}: {l}-{a}={q}", "solve {l}-{a}={q} for {l}", "{l} minus {a} is {q}, find {l}", grouped=False),
    _sum("equation_times", "solve({A}*{L}={P})", _equation, (), "{a}{l}={p}", "{a}{l} = {p}", "solve {a}{l} = {p}",
        "{a}{l} = {p}, what is {l}?", "what is {l} if {a}{l} = {p}?", "find {l}: {a}{l}={p}",
        "solve {a}{l}={p} for {l}", "{a} * {l} = {p}", grouped=False),
    _sum("equation_over", "solve({L}/{A}={Q})", _equation, (), "{l}/{a}={q}", "{l} / {a} = {q}", "solve {l}/{a} = {q}",
        "{l}/{a} = {q}, what is {l}?", "what is {l} if {l}/{a} = {q}?",
        "find {l}: {l}/{a} = {q}", grouped=False, weight=0.4),
    _sum("equation_less", "solve({B}*{L}-{A}={C})", _equation, (), "{b}{l}-{a}={c}", "solve {b}{l} - {a} = {c}",
        "{b}{l} - {a} = {c}, what is {l}?", "what is {l} if {b}{l} - {a} = {c}?",
        "find {l}: {b}{l}-{a}={c}", grouped=False),
    _sum("equation_of_sides", "solve({D}*{L}+{A}={B}*{L}+{C})", _equation, (), "{d}{l}+{a}={b}{l}+{c}",
        "solve {d}{l} + {a} = {b}{l} + {c}", "{d}{l} + {a} = {b}{l} + {c}, what is {l}?", grouped=False, weight=0.4),
    Intent("thought_of",
        "({C}-{B})/{A}", _pick_thought, (), ("i think of a number, times {a}, then add {b}, it's {c}. which number?",
        "a number times {a}, and {b} added, gives {c}. which number?",
        "i multiply a number by {a}, add {b}, get {c}. what was it?",
        "if i multiply a number by {a} and add {b} i get {c}, what number?"), 0.5),
)
_FRACTIONS = (
    _sum("fractions_added", "frac({A}/{B}+{C}/{D})", _fractions, ("{a}/{b} plus {c}/{d} as a fraction",),
        "{a}/{b} plus {c}/{d} as a fraction", "add {a}/{b} and {c}/{d} as a fraction",
        "{a}/{b} and {c}/{d} together as a fraction?", "what is {a}/{b} plus {c}/{d} as a fraction?",
        "sum of {a}/{b} and {c}/{d} as a fraction"),
    _sum("fractions_subtracted", "frac({A}/{B}-{C}/{D})", _fractions, ("{a}/{b} minus {c}/{d} as a fraction",),
        "{a}/{b} minus {c}/{d} as a fraction", "what is {a}/{b} minus {c}/{d} as a fraction?",
        "subtract {c}/{d} from {a}/{b} as a fraction", weight=0.4),
    _sum("fractions_multiplied", "frac({A}/{B}*({C}/{D}))", _fractions, ("{a}/{b} times {c}/{d} as a fraction",),
        "{a}/{b} times {c}/{d} as a fraction", "what is {a}/{b} times {c}/{d} as a fraction?",
        "multiply {a}/{b} by {c}/{d} as a fraction", "{a}/{b} of {c}/{d} as a fraction"),
    _sum("decimal_as_fraction", "frac({A})", _share_of_one, ("{a} as a fraction",), "{a} as a fraction",
        "what is {a} as a fraction?", "convert {a} to a fraction", "write {a} as a fraction",
        "turn {a} into a fraction", "{a}, what fraction is that?", "which fraction is {a}?"),
    _sum("decimal_as_percent", "{A}*100", _share_of_one, ("{a} as a percentage",), "{a} [as a percentage|in percent]",
        "what is {a} in percent?", "convert {a} to percent", "write {a} as a percentage", "how many percent is {a}?"),
    _sum("percent_as_decimal", "{A}/100", _numbers("a", odd=False), ("{a}% as a decimal",), "{a}% as a decimal",
        "what is {a} percent as a decimal?", "convert {a}% to a decimal", "write {a}% as a decimal",
        "{a} percent in decimal form"),
    _sum("prime_factors", "factor({A})", _ALONE, ("the prime factors of {a}",
        "the prime factorization of {a}"), "factor {a}", "factorize {a}", "split {a} into prime factors",
        "which primes make up {a}?", "break {a} into primes",
        "write {a} as a product of primes", grouped=False),
    _sum("number_of_hex", "base({A},16,10)", _hexadecimal, ("hex {a} in decimal",), "hex {a} in decimal",
        "convert hex {a} to decimal", "{a} from hex to decimal", "hex {a} is what number?", grouped=False, weight=0.4),
)
_SCALED = (
    _scaled("scaled_times", "{A}*{U}*{B}", "{a} {u} times {b}", "what is {a} {u} times {b}?",
        "multiply {a} {u} by {b}", "{b} times {a} {u}"),
    _scaled("scaled_over", "{A}*{U}/{B}", "{a} {u} divided by {b}", "what is {a} {u} divided by {b}?",
        "divide {a} {u} by {b}", "{a} {u} shared by {b}, how much each?", "split {a} {u} {b} ways"),
    _scaled("scaled_percent", "{P}*{A}*{U}/100", "{p}% of {a} {u}", "what is {p} percent of {a} {u}?",
        "{p} percent of {a} {u}", "take {p}% of {a} {u}", "how much is {p}% of {a} {u}?"),
    _scaled("scaled_plus", "({A}+{C})*{U}", "{a} {u} plus {c} {u}", "add {a} {u} and {c} {u}",
        "what is {a} {u} plus {c} {u}?"),
    _scaled("scaled_minus", "({A}-{C})*{U}", "{a} {u} minus {c} {u}", "what is {a} {u} minus {c} {u}?",
        "from {a} {u} take {c} {u}"),
    _scaled("scaled_half", "{A}*{U}/2", "half of {a} {u}", "what is half of {a} {u}?", "halve {a} {u}",
        "{a} {u}, half of it?"),
)
# fmt: on


def further_calculator_intents() -> tuple[Intent, ...]:
    """Intents of the calculator; those in German and French words come last."""
    abroad = (
        Intent(
            f"{name}_in_{language}_words",
            f"{{A}}{sign}{{B}}",
            partial(pick_operands_in_language, name=name, words=words),
            (),
            says[name],
            0.4,
        )
        for language, words, says in (("german", _GERMAN, _IN_GERMAN), ("french", _FRENCH, _IN_FRENCH))
        for name, sign in _SIGNS.items()
    )
    return (*_CHAINS, *_MULTIPLES, *_COMPARED, *_ROUNDED, *_EQUATIONS, *_FRACTIONS, *_SCALED, *abroad)


def sentences_in_german_and_french(name: str) -> tuple[str, ...]:
    """Sentences for two numbers in digits, in turns of the languages."""
    pairs = zip_longest(_IN_GERMAN[name], _IN_FRENCH[name])
    return tuple(sentence for pair in pairs for sentence in pair if sentence is not None)
