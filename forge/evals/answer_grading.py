"""Is a free answer right, a plain refusal, wrong, or no answer at all?

Numbers count by value however they are written (1,200 = 1200 = 1200.0, eight = 8), texts by their words. An answer
that names another number than the right one beside it is wrong: naming many until one fits is not knowing.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict

from forge.evals.gibberish import MOST_UNKNOWN, is_gibberish, unknown_word_share, words_of_answer
from forge.evals.verdicts import Verdict

Form = Literal["greeting", "fine", "thanks", "farewell", "abilities", "self"]
# fmt: off
_UNITS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
# fmt: on
_NUMBER_WORDS = {word: value for value, word in enumerate(_UNITS)}
_NUMBER_WORDS |= {word: 10 * value for value, word in enumerate(_TENS, 2)} | {"once": 1, "twice": 2, "hundred": 100}
_NUMBER_WORDS |= {f"{t} {u}": _NUMBER_WORDS[t] + _NUMBER_WORDS[u] for t in _TENS for u in _UNITS[1:10]}
# A sign is one only where no number or bracket stands before it; groups of digits are parted by , ' or a space.
_NUMBER = re.compile(
    r"(?:(?<![\w)])-)?(?<![\w.])(?:[1-9]\d{0,2}(?:(?:,\d{3})+|(?:['’]\d{3})+|(?:[ \u00a0\u202f]\d{3})+)(?![\d])"
    r"|\d+)(?:[.,]\d+)?"
)
_REFUSAL = re.compile(
    r"\bI(?:'m| am) (?:sorry|afraid|unable|not able|not sure)|^(?:but )?(?:sorry|no idea)\b"
    r"|\bI (?:cannot|can't|can not|could not|couldn't|do not|don't|did not|didn't|am not able|have no|found no|"
    r"found nothing|know nothing)\b|^(?:no such|nothing found|not found|there is no)\b",
    re.IGNORECASE | re.MULTILINE,
)
_FORMS: dict[Form, str] = {
    "greeting": r"\b(?:hello|hi|hey|welcome|greetings|good (?:morning|afternoon|evening|day)|nice to (?:see|meet)|"
    r"hallo|bonjour|salut|how (?:can|may) i help|what can i do)\b",
    "fine": r"\b(?:i am|i'm|doing|all|everything(?: is)?) (?:fine|well|good|great|ok|okay|ready|here)\b",
    "thanks": r"\b(?:welcome|glad|pleasure|anytime|any time|no problem|happy to help|my joy|don't mention it)\b",
    "farewell": r"\b(?:bye|goodbye|good ?night|see you|farewell|take care|until next time|sleep well)\b",
    "self": r"\b(?:agent|assistant|model|program|robot|machine|software|computer|ai)\b",
}
# One ability each; an answer that tells what the agent can do names two of them.
_ABILITIES = (
    r"calculat|comput|arithmetic|\bsums?\b|\bmaths?\b|\badd\b|number",
    r"search|look (?:things |facts )?up|document|facts?\b",
    r"\bfiles?\b",
    r"database|\bsql\b|table|product|customer|price",
    r"\bcode\b|python|spell|letters|reverse|\bwords?\b",
)


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from error
    return pattern


class AnswerPattern(BaseModel):
    """A regular expression that a right answer holds; capitals count."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    pattern: Annotated[str, AfterValidator(_compiles)]


class AnswerForm(BaseModel):
    """A kind of answer that has many wordings: a greeting, what the agent can do."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    form: Form


Part = str | int | float
# One way to be right: a text, a number, all parts of a list, a pattern, a form.
Accepted = Part | tuple[Part, ...] | AnswerPattern | AnswerForm


def numbers_in_answer(text: str) -> list[tuple[float, int]]:
    """The numbers of a text that are written in digits: value, and how many decimals are shown."""
    found = []
    text = unicodedata.normalize("NFKC", text).replace("−", "-").replace("–", "-")
    for match in _NUMBER.finditer(re.sub(r"\b(?:minus|negative) (?=\d)", "-", text, flags=re.IGNORECASE)):
        written = re.sub(r"[,'’ ](?=\d{3}(?!\d))", "", match[0]) if _is_grouped(match[0]) else match[0]
        whole, _, decimals = written.replace(",", ".").partition(".")
        found.append((float(f"{whole}.{decimals or 0}"), len(decimals)))
    return found


def _is_grouped(written: str) -> bool:
    """Whether separators part groups of three digits: 1,250 but not 0,125, which has decimals after the comma."""
    return re.match(r"-?[1-9]\d{0,2}[,'’ ]\d{3}(?!\d)", written) is not None


def _is_number(wanted: float, number: tuple[float, int]) -> bool:
    """Equal, or what is left of a longer number when it is rounded to the decimals shown."""
    value, decimals = number
    if abs(value - wanted) < 1e-9 * max(1.0, abs(wanted)):
        return True
    return decimals > 0 and abs(value - wanted) <= 0.5 * 10.0**-decimals and wanted != int(wanted)


def _words_as_numbers(text: str) -> list[int]:
    words = re.findall(r"[a-z]+", text.casefold())
    pairs = [f"{a} {b}" for a, b in itertools.pairwise(words)]
    return [_NUMBER_WORDS[word] for word in (*words, *pairs) if word in _NUMBER_WORDS]


def _answer_tokens(text: str) -> list[str]:
    text = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    return re.findall(r"\d+(?:[.,/:]\d+)*|[^\W\d_]+(?:'[^\W\d_]+)*", text)


def _holds_words(text: str, wanted: str) -> bool:
    """Whether the words of `wanted` stand in the text in their order, next to each other."""
    return f" {' '.join(_answer_tokens(wanted))} " in f" {' '.join(_answer_tokens(text))} "


def is_plain_refusal(text: str) -> bool:
    """Whether an answer says in plain words that the agent cannot, could not or does not know."""
    return _REFUSAL.search(text.replace("’", "'")) is not None


def _has_form(text: str, form: Form) -> bool:
    if form == "abilities":
        return sum(re.search(ability, text, re.IGNORECASE) is not None for ability in _ABILITIES) >= 2
    return re.search(_FORMS[form], text, re.IGNORECASE) is not None


def _accepts_numbers(text: str, wanted: Sequence[float], said: str) -> bool:
    """Whether the text names every wanted number and none that is neither wanted nor in `said`: what was asked, and
    what it takes to answer. A number that was in the question must come last: repeating the question is no answer."""
    numbers, worded = numbers_in_answer(text), _words_as_numbers(text)
    if not all(any(_is_number(want, number) for number in numbers) or want in worded for want in wanted):
        return False
    asked = numbers_in_answer(said)
    known = [*wanted, *(value for value, _ in asked)]
    if not all(any(_is_number(abs(want), (abs(n[0]), n[1])) for want in known) for n in numbers):
        return False
    repeated = [want for want in wanted if any(_is_number(want, number) for number in asked)]
    return not repeated or (bool(numbers) and any(_is_number(want, numbers[-1]) for want in repeated))


def _accepts(text: str, wanted: Accepted, question: str, said: str) -> bool:
    if isinstance(wanted, AnswerForm):
        return _has_form(text, wanted.form)
    if isinstance(wanted, AnswerPattern):
        return re.search(wanted.pattern, text) is not None
    parts = wanted if isinstance(wanted, tuple) else (wanted,)
    texts, numbers = [p for p in parts if isinstance(p, str)], [float(p) for p in parts if not isinstance(p, str)]
    if (texts or len(_answer_tokens(text)) > 1) and _holds_words(question, text):
        return False  # the user's own words
    return all(_holds_words(text, part) for part in texts) and (not numbers or _accepts_numbers(text, numbers, said))


def grade_free_answer(
    text: str,
    accepted: Sequence[Accepted],
    *,
    refusal: bool = False,
    turns: Sequence[str] = ("",),
    worked: Iterable[str] = (),
    shown: Collection[str] = (),
) -> Verdict:
    """The verdict on one answer.

    Args:
        accepted: ways to be right, one of which suffices. refusal: a plain refusal is right.
        turns: what the user said. worked: texts whose numbers may be named on the way (calls that lead to the answer).
        shown: texts whose words are no gibberish here, as results of tools.
    """
    if not text.strip():
        return "empty"
    parts = [part for want in accepted for part in (want if isinstance(want, tuple) else (want,))]
    known = {word for given in (*turns, *shown, *map(str, parts)) for word in words_of_answer(given)}
    if unknown_word_share(text, known) >= MOST_UNKNOWN:
        return "junk"
    said = " ; ".join((*turns, *worked))
    if any(_accepts(text, want, turns[-1], said) for want in accepted):
        return "right"
    if is_gibberish(text, known):
        return "junk"
    if is_plain_refusal(text):
        return "right" if refusal else "refused"
    return "wrong"
