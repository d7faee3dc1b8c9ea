"""Numbers that a conversation has said, for calls of the built-in tools.

A small model knows what is asked for before it can copy a long number or a name that it never saw. So what a call may
hold is narrowed to what was said: pointing instead of spelling (as CopyNet, Gu et al. 2016, section 3, does by
learning).
"""

from __future__ import annotations

import re

from forge.tools.words import NUMBER_WORDS

# Numbers that a sum may need though nobody says them: small ones, and of units.
CONSTANTS = frozenset(str(n) for n in (*range(20), 24, 30, 31, 32, 52, 54, 60, 100, 365, 609, 1000, 3600, 4536))
MOST_RUNS = 3000  # beyond them a text is not narrowed
_MOST_GROUPS = 6  # of digits that are one number
_NUMERAL = re.compile(r"\d+(?:[,.' ]\d+)*")
_WORDED = "|".join(sorted(NUMBER_WORDS, key=len, reverse=True)).replace(" ", "[ -]")
_IN_WORDS = re.compile(rf"\b(?:{_WORDED})\b")
# A blank stands between groups of three alone.
_IN_DIGITS = r"[1-9]\d{0,2}(?:[ ']\d{3})+(?!\d)(?:[,.]\d+)*|\d+(?:[,.']\d+)*|\.\d+"
_BEFORE_DIGITS = r"(?:(?<![A-Za-z_\d])|(?<=\dx)(?<!\b0x))"  # 12x34 are two
_NUMBER_SAID = re.compile(
    rf"(?:(?<![\d.,)])([-−]|minus |negative ))?({_BEFORE_DIGITS}(?:{_IN_DIGITS})|\b(?!one\b)(?:{_WORDED})\b)"
)
_ONE_COUNTED = re.compile(r"(?i)\bone (?:plus|minus|times|by|over|and)\b|\b(?:plus|minus|times|by|over|and|add) one\b")
# With these a number is said whose digits stand nowhere.
_MULTIPLES = re.compile(r"(?i)\b(?:hundred|thousand|million|billion|dozen|score|half|quarter)s?\b|\d ?[km]\b")
MARKS = ".,;:!?\"'()[]«»“”‘’„"


def digits_said_to_calculator(text: str) -> frozenset[str] | None:
    """Runs of digits that numbers of a text have, in whatever spelling: as they stand, without separators, without
    needless zeros, and of numbers in words up to ninety-nine. None where a number is said whose digits stand nowhere,
    as in "2k" or "three hundred", and where they are too many."""
    if _MULTIPLES.search(text):
        return None
    found: set[str] = set()
    for numeral in _NUMERAL.findall(text):
        runs = re.findall(r"\d+", numeral)
        if len(found) + _MOST_GROUPS * len(runs) > MOST_RUNS:
            return None
        ends = range(1, len(runs) + 1)
        found.update("".join(runs[first:last]) for last in ends for first in range(max(0, last - _MOST_GROUPS), last))
    found |= {run.lstrip("0") for run in found} | {part.rstrip("0") for part in re.findall(r"\d[.,](\d+)", text)}
    found |= {str(NUMBER_WORDS[said.replace("-", " ")]) for said in _IN_WORDS.findall(text.lower())}
    return frozenset(found - {""})


def calculator_numbers_as_written(text: str) -> list[tuple[str, ...]] | None:
    """Numbers that a text says, in their order, each in the spellings that a calculator may be given: without
    separators, as it stands, with a point; with a minus where one is said before it. None where a number is said whose
    digits stand nowhere."""
    if _MULTIPLES.search(text) or _ONE_COUNTED.search(text):
        return None
    found = []
    for match in _NUMBER_SAID.finditer(text.lower()):
        sign, said = match[1], match[2]
        spelled = (
            [str(NUMBER_WORDS[said.replace("-", " ")])] if said[0].isalpha() else calculator_spellings_of_numeral(said)
        )
        negative = [f"-{number}" for number in spelled]
        # "10 minus 8" is a difference, "minus 8" and "times minus 8" are no such thing.
        found.append(tuple({None: spelled, "minus": [*spelled, *negative]}.get(sign and sign.strip(), negative)))
    return found


def calculator_spellings_of_numeral(numeral: str) -> list[str]:
    """A number in digits as a calculator may be given it: without separators, as it stands, with a point, without zeros
    at its end."""
    plain = re.sub(r"[ ']", "", f"0{numeral}" if numeral[0] == "." else numeral)
    found = [re.sub(r"[,.]", "", plain)] if re.fullmatch(r"[1-9]\d{0,2}(?:[,.' ]\d{3})+", numeral) else []
    whole, mark, part = plain.rpartition(".")
    found += [f"{whole.replace(',', '')}.{part}"] if mark and "." not in whole else []
    found += [plain, plain.replace(",", ".")] if len(re.findall("[,.]", plain)) <= 1 else []
    found += [number.rstrip("0").rstrip(".") for number in found if "." in number]
    found += [number.lstrip("0") for number in found if re.match(r"0\d", number)]  # 9:05
    return list(dict.fromkeys(found)) or [re.sub(r"\D", "", plain)]
