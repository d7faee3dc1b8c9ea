"""Which arguments a built-in tool's call may have, going by the learned phrasings that a question is like.

A small model takes hours in minutes for minutes in hours long before it takes a sum for a name, and it doubles or drops
a number more often than it mistakes what is wanted. So a question is looked up among the phrasings of the training
split, whose forms of arguments (`{A}*{B}`) are filled with what it says, each thing once; the model chooses.

Phrasings of val and test stand in no index.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import NamedTuple

import numpy as np

from forge.data.argument_forms import ArgumentForm, forms_of_intent
from forge.data.phrasing import Asked, all_dialogue_phrasings, tool_phrasings
from forge.data.talk import TALK
from forge.data.workspace_texts import ColumnTexts, ContentIndex, without_words
from forge.tools.builtin import TOOLS
from forge.tools.content import TABLES
from forge.tools.declaration import About, Intent
from forge.tools.declared.readings import MOST_READINGS
from forge.tools.declared.requests import SURELY as SURELY_OWN
from forge.tools.declared.requests import Requests
from forge.tools.declared.turns import goes_on, tool_request_is_otherwise
from forge.tools.likeness import NAME, NUMBER, PhrasingIndex, is_contraction, tool_likeness_tokens
from forge.tools.said import MARKS, calculator_numbers_as_written
from forge.tools.words import is_number_said, words_nearly_said, words_of_text, words_said
from forge.tools.written_out import calculator_sum_in_parts, code_written_out_for_tool

# Forms of one tool that are allowed: at most so many, none that is less than this share as like as the likest is, and
# none that is less like than this (cosine). Of the tools those whose likest form is at least that share as like, all of
# them where the likest is less like than that.
MOST, AS_LIKE, LIKE, TOOL_AS_LIKE, TOOL_LIKE = 12, 0.75, 0.2, 0.5, 0.3
ORDERLY = 0.3  # how like a phrasing a question has to be for its numbers to stand in the order of that phrasing
ALONE, TOOL_ALONE = 0.97, 0.9  # the same shares where a workspace is asked about that no model has learned
# Problems of the suite that no person puts otherwise; all others write their sum out or explain themselves at length.
_LEARNED_IN_THE_SUITE = {
    "how many 1 bits are there in the binary representation of the number {a}?": ArgumentForm(
        "calculator", "bits({A})", (("A", "number"),)
    )
}
# A call is due where a tool's phrasing is at least so like and talk at most this share of it; none may be made where
# talk is at least so like and a tool's phrasing at most that share of it.
SURELY, MUCH_LESS, TALK_LIKE, LESS = 0.5, 0.6, 0.3, 0.4
OWN_AS_LIKE = 0.9  # share of a built-in phrasing's likeness that what examples of a user's tool explain must have
TALK_SURELY, LESS_SURELY = 0.9, 0.7  # of a text that is talk nearly to the letter
SURELY_ABOUT, LESS_ABOUT = 0.3, 1.0  # the first two of them for such a workspace
LONGEST_TEXT = 2000  # characters of a question that is looked at
LONGEST = 28  # words and marks of a question: a task that is explained at length is like no phrasing
UNKNOWN = 8.0  # weight of a run of words that no phrasing has: more than that of the rarest known one
_WRITTEN_BY_TOOL = {tool.name: tool.written for tool in TOOLS}
_NEGATIVE, _NEGATES = re.compile(r"(?i)[-−]|\bminus\b|\bnegative\b|\bbelow\b"), re.compile(r"(?:^|[(*/+])-\{")
_SIGNS = {"plus": "+", "minus": "-"}
_SIGN_SAID = re.compile(rf"(?i)\b({'|'.join(_SIGNS)})\b")
_MANY = {"hundred", "thousand", "million", "billion"}
_OF_AMOUNTS = _MANY | {"and", "minus", "negative", "euro", "euros", "eur", "dollars", "bucks", "pounds", "cents"}
_NAMES_SOMETHING = re.compile(r"\d|\w\.\w|\bone\b")  # a number, a file: what tools are given
NOT_WANTED = re.compile(r"(?i)\b(?:do not|don['’]?t|not to|never|no ?body|no one|yourself)\b")
# A turn that begins by saying that it wants nothing done.
_UNWANTED = re.compile(
    r"(?i)^(?:(?:and|but|hey|i|it|just|ok|please|should|so|the|they|to|told|was|we|were|you)\W+)*"
    r"(?:do not|don['’]?t|never|no ?body|no one|not to)\b"
)
_OF_MANY = re.compile(r"(?i)\b(?:all|every|each|except|besides|but|both|everything)\b")
_FILE_NAMED = re.compile(r"(?<![\w.])[\w-]+\.[a-z]{2,4}(?!\w)")
_FEW_WORDS = 6  # of a turn that only names another thing
_QUESTION = re.compile(
    r"(?i)^(?:(?:and|hey|hi|ok|say|so|sorry|well)\W+)*(?:who|what|which|where|when|why|how|is|are|was|were|does|do|did|has|have"
    r"|had|should|shall|may|must)\b"
)
_POLITE = re.compile(r"(?i)\b(?:can|could|would|will) you\b|\bdo me a favor\b|\bplease\b")
_STOP = re.compile(r"(?i)\bstop\b")
_IN_QUOTES = re.compile(r"(?<!\w)[\"'“‘](\w[^\"'“”‘’]{0,60})[\"'”’](?!\w)")
# What is written out is copied, and may be anything.
_WRITTEN_OUT = re.compile(r"\(|[\w)] ?[+*/^×÷=] ?[\w(]|\d ?[-−%] ?\d")


class NamedTexts(NamedTuple):
    """What a question names of a workspace's columns: texts by the slots that they may fill, and the words for them."""

    texts: Mapping[str, Sequence[str]]
    words: tuple[str, ...]

    def fills(self, form: ArgumentForm) -> bool:
        """Whether there is a text for every slot of a form that takes only such ones."""
        return all(self.texts[slot] for slot, _ in form.slots if slot in self.texts)


class AskedForms:
    """An index of the learned phrasings of some tools, and of templates of others, each with the form it asks for.

    Args:
        tools: those that are asked.
        others: forms by templates.
        about: what a workspace is asked about that is of another kind than the built-in one, by the name of a tool. No
            model has learned what is in it, so that the form decides that is likest by far.

    Attributes:
        surely: how like a question has to be for a call to be due.
        much_less: the share of that which talk without tools may be like it then.
    """

    def __init__(
        self, tools: Sequence[Asked], others: Mapping[str, ArgumentForm], about: Mapping[str, About] | None = None
    ) -> None:
        self._about = about or {}
        self._columns = {
            slot: ColumnTexts(texts) for found in self._about.values() for slot, texts in found.fillings.items()
        }
        self._marks = {argument: marks for found in self._about.values() for argument, marks in found.marks.items()}
        self.surely, self.much_less = (SURELY, MUCH_LESS) if about is None else (SURELY_ABOUT, LESS_ABOUT)
        tools = [_asked_about(tool, self._about) for tool in tools]
        contents = [(name, *content) for name, found in self._about.items() for content in found.contents]
        self._contents = [ArgumentForm(name, argument, ()) for name, argument, _, _ in contents]
        self._content_index = ContentIndex([(title, text) for *_, title, text in contents])
        numbered: dict[ArgumentForm, int] = {}
        found: dict[tuple[int, tuple[str, ...]], None] = {}
        for template, form in others.items():
            numbers = {f"{{{name.lower()}}}": [NUMBER] for name, _ in form.slots}
            found[numbered.setdefault(form, len(numbered)), tuple(tool_likeness_tokens(template, numbers))] = None
        for tool in tools:
            for intent in tool.intents:
                templates = self._templates_of(tool, intent)
                for form, drawn in forms_of_intent(tool.name, intent).items():
                    for as_said, own in _by_order(form, templates).items():
                        number = numbered.setdefault(as_said, len(numbered))
                        for said in drawn:
                            found |= dict.fromkeys((number, t) for t in _phrasings_of(own, said, len(drawn)))
        self._forms = list(numbered)
        tool_of = {tool.name: number for number, tool in enumerate(tools)}
        self._form_of = np.array([number for number, _ in found])
        self._tool_of = np.array([tool_of[form.tool] for form in self._forms])[self._form_of]
        self._numbers = np.array([tokens.count(NUMBER) for _, tokens in found])
        words_of: dict[str, set[str]] = {tool.name: set() for tool in tools}
        for number, tokens in found:
            words_of[self._forms[number].tool].update(tokens)
        self._known = {name: frozenset(words) for name, words in words_of.items()}
        self._index = PhrasingIndex([tokens for _, tokens in found], UNKNOWN)
        self.likeness = functools.lru_cache(maxsize=64)(self._likeness)  # asked for the tool, then for its argument
        self._texts_named = functools.lru_cache(maxsize=64)(self._find_texts_named)

    def _likeness(self, text: str) -> dict[ArgumentForm, float]:
        """Cosine of a text and the likest phrasing of each form that shares a run with it: of the phrasings of a tool
        those that say as many numbers, or more where there are none of these. Nothing is like a long text."""
        if len(text) > LONGEST_TEXT:
            return {}
        found = self._likeness_of_phrasings(text)
        if self._about:
            named, words = self._texts_named(text), set(words_said(text.lower()))
            filled = self._likeness_of_phrasings(without_words(text, named.words))
            found = {form: like for form, like in found.items() if not self.decides(form.tool)} | {
                form: like
                for form, like in filled.items()
                if self.decides(form.tool) and named.fills(form) and self._is_marked(form, words)
            }
        for form, share in zip(self._contents, self._content_index.shares(text), strict=True):
            found[form] = max(share, found.get(form, 0.0))
        return found

    def _is_marked(self, form: ArgumentForm, words: set[str]) -> bool:
        """Whether some words have one of those without which nobody means the argument."""
        marks = self._marks.get(form.template)
        return marks is None or not marks.isdisjoint(words | words_nearly_said(" ".join(words), marks))

    def _find_texts_named(self, text: str) -> NamedTexts:
        """What a question names of the workspace's columns."""
        found = {slot: column.named(text) for slot, column in self._columns.items()}
        words = dict.fromkeys(word for named in found.values() for _, said in named for word in said)
        return NamedTexts({slot: [one for one, _ in named] for slot, named in found.items()}, tuple(words))

    def _likeness_of_phrasings(self, text: str) -> dict[ArgumentForm, float]:
        words = self._index.words
        tokens = [token if token in words or token == NUMBER else NAME for token in _tokens(text, {})]
        if len(tokens) > LONGEST or not set(tokens) - {NUMBER, NAME}:
            return {}
        cosines = self._index.cosines(tokens)
        said = _count_numbers(tokens) if (numbers := calculator_numbers_as_written(text)) is None else len(numbers)
        fits = self._numbers == said
        fits |= ~np.isin(self._tool_of, self._tool_of[fits & (cosines > 0)]) & (self._numbers > said)
        best = np.zeros(len(self._forms))
        np.maximum.at(best, self._form_of, cosines * fits)
        return {self._forms[form]: float(best[form]) for form in np.flatnonzero(best)}

    def _templates_of(self, tool: Asked, intent: Intent) -> Iterable[str]:
        """The learned phrasings of an intent; all of one that nobody was to learn."""
        if tool.name in self._about:
            return all_dialogue_phrasings(tool, intent)
        return tool_phrasings(tool, intent, "train").templates

    def decides(self, tool: str) -> bool:
        """Whether a tool's calls are decided by what the workspace holds, which no model has learned."""
        return tool in self._about

    @property
    def words(self) -> frozenset[str]:
        """Words of the phrasings."""
        return self._index.words

    def most_like(self, text: str) -> float:
        """How like the likest phrasing a question is: 0 to 1."""
        return max(self.likeness(text).values(), default=0.0)

    def likest_form(self, text: str) -> ArgumentForm | None:
        """The form of the likest phrasing; None where nothing is like a question."""
        likeness = self.likeness(text)
        return max(likeness, key=lambda form: likeness[form], default=None)

    def forms(self, tool: str, text: str) -> list[ArgumentForm]:
        """Forms of the argument that a tool's call may have after a question, the likest first; none where nothing is
        like it, or where the question may hold the argument as it is."""
        likeness = self.likeness(text).items()
        found = {form: like for form, like in likeness if form.tool == tool and like >= LIKE}
        plain = without_words(text, self._texts_named(text).words) if self.decides(tool) else text
        if not found or _WRITTEN_OUT.search(plain):
            return []
        order = _that_use_all_said(sorted(found, key=lambda form: -found[form]), text)[:MOST]
        as_like = ALONE if self.decides(tool) else AS_LIKE
        return [form for form in order if found[form] >= as_like * found[order[0]]]

    def patterns(self, tool: str, text: str, known: frozenset[str] = frozenset()) -> list[str]:
        """Regular expressions of the arguments that a tool's call may have after a question: what it writes out, or
        else its `forms`, filled.

        Args:
            known: names of the workspace, which a question may have in the plural or with a typo.
        """
        if written := _WRITTEN_BY_TOOL[tool](text):
            fractions = [pattern for pattern in written if pattern.startswith("frac")]
            plain = [pattern for pattern in written if pattern not in fractions]
            return fractions if fractions and (self._asks_for_fraction(text) or not plain) else plain
        forms = self.forms(tool, text)
        numbers, names = (
            (calculator_numbers_as_written(text), self._names_said(tool, text, known)) if forms else ([], [])
        )
        named = self._texts_named(text).texts
        fillings = ([one.replace("'", "''") for slot, _ in form.slots for one in named.get(slot, ())] for form in forms)
        likeness = self.likeness(text)
        found = [
            form.pattern(text, numbers, texts or names, in_order=likeness[form] >= ORDERLY)
            for form, texts in zip(forms, fillings, strict=True)
        ]
        if self.decides(tool):  # what stands between double marks may be the name of a column
            found = [pattern.replace("['\"]", "'") for pattern in found]
        return [pattern for pattern in found if pattern]

    def likest_call(self, text: str, names: Callable[[str], frozenset[str]]) -> str:
        """The call of the form that is likest a question, of any tool, filled with what that says, first things first;
        or of the sum that it writes out. Empty where nothing is like it. The control of a model that chooses.

        Args:
            names: of the workspace, by the name of a tool.
        """
        if parts := calculator_sum_in_parts(text):
            written = "".join(forms[0] for forms in parts)
            return f"calculator {f'solve({written})' if '=' in written else written}"
        if lines := code_written_out_for_tool(text):
            return "code_executor " + re.sub(r"\\(.)", r"\1", lines[-1])
        for form in sorted(self.likeness(text), key=lambda form: -self.likeness(text)[form]):
            said = [word.strip(MARKS) for word in text.split()]
            left = [word for word in said if any(map(str.isalnum, word)) and word.lower() not in self._known[form.tool]]
            near = [name for name in self._names_said(form.tool, text, names(form.tool)) if name in names(form.tool)]
            if filled := form.filled(text, calculator_numbers_as_written(text), near or left):
                return f"{form.tool} {filled}"
        return ""

    def tools(self, text: str) -> frozenset[str]:
        """The tools that a question may be for: those whose phrasings are at least so much as like it as any other's;
        all of them where none is like it, or where it writes something out."""
        best = dict.fromkeys(self._known, 0.0)
        for form, like in self.likeness(text).items():
            best[form.tool] = max(like, best[form.tool])
        most = max(best.values())
        if most < TOOL_LIKE or _WRITTEN_OUT.search(text):
            return frozenset(best)
        sure = any(self.decides(tool) for tool, like in best.items() if like == most)
        return frozenset(tool for tool, like in best.items() if like >= (TOOL_ALONE if sure else TOOL_AS_LIKE) * most)

    def _asks_for_fraction(self, text: str) -> bool:
        likeness = {form: like for form, like in self.likeness(text).items() if form.tool == "calculator"}
        return max(likeness, key=lambda form: likeness[form]).template.startswith("frac") if likeness else False

    def _names_said(self, tool: str, text: str, known: frozenset[str]) -> list[str]:
        """What of a text may fill a slot: what stands in quotation marks, else names of the workspace, words that no
        phrasing of the tool has and runs of such words, else all words."""
        quoted = _IN_QUOTES.findall(text)
        plain = " ".join(word for word in text.split() if not is_contraction(word))
        said = [word for word in words_of_text(plain) if len(word) > 1 and not is_number_said(word.lower())]
        rare = [word for word in said if word.lower() not in self._known[tool]]
        between = "|".join(map(re.escape, dict.fromkeys(rare)))
        runs = re.findall(rf"(?<!\w)(?:{between})(?:[ '-](?:{between}))+(?!\w)", text) if rare else []
        words = quoted or [*rare, *runs] or said
        if not known:
            return list(dict.fromkeys(form for word in words for form in (word, word.lower())))
        found = {form for word in words for form in words_said(word) if not form.isupper()}
        strange = " ".join(word for word in words if words_said(word).isdisjoint(known))  # may be misspelled
        return sorted(found | set(words) | words_nearly_said(strange, known) | (words_said(text) & known))


def _count_numbers(tokens: Sequence[str]) -> int:
    """How many numbers are said where some have words that stand for no digits: `nine hundred fifty` is one."""
    return sum(many for many, _ in groupby(token == NUMBER or token in _MANY for token in tokens))


def _that_use_all_said(forms: list[ArgumentForm], text: str) -> list[ArgumentForm]:
    """Of some forms those that leave no number unused which a question says, negate none that is not negative, and have
    the sign that it says between two; all of them where none is left."""
    said, negative = calculator_numbers_as_written(text), _NEGATIVE.search(text) is not None
    left = [
        form
        for form in forms
        if (negative or not _NEGATES.search(form.template)) and (said is None or _uses_all(form, said))
    ]
    signs = {_SIGNS[word.lower()] for word in _SIGN_SAID.findall(text)} if said and len(said) > 1 else set[str]()
    return [form for form in left if any(sign in form.template for sign in signs)] or left or forms


def _uses_all(form: ArgumentForm, said: Sequence[tuple[str, ...]]) -> bool:
    if form in _LEARNED_IN_THE_SUITE.values():
        return True  # `how many 1 bits` says a number of its own
    slots = sum(kind == "number" for _, kind in form.slots)
    constants = set(re.findall(r"\d+", re.sub(r"\{.*?\}", "", form.template)))
    return len(said) <= slots + sum(not constants.isdisjoint(spelled) for spelled in said)


def _asked_about(tool: Asked, about: Mapping[str, About]) -> Asked:
    """A tool as people ask for it in the workspace."""
    return replace(tool, intents=about[tool.name].intents) if tool.name in about else tool


def _by_order(form: ArgumentForm, templates: Iterable[str]) -> dict[ArgumentForm, list[str]]:
    """Templates by the form that they ask for, which knows in what order they say its numbers."""
    found: dict[ArgumentForm, list[str]] = {}
    for template in templates:
        found.setdefault(form.as_said_in(template), []).append(template)
    return found


def _tokens(text: str, fillings: Mapping[str, list[str]]) -> list[str]:
    """`tool_likeness_tokens`, in which the names of the built-in tables are names wherever they stand."""
    return [NAME if token in _entries() else token for token in tool_likeness_tokens(text, fillings)]


@functools.cache
def _entries() -> frozenset[str]:
    """Products, people and cities, in the singular and the plural."""
    names = {str(row[0]).lower() for _, rows in TABLES.values() for row in rows}
    cities = {str(row[1]).lower() for row in TABLES["customers"][1]}
    plurals = {f"{name[:-1]}ves" if name.endswith("f") else f"{name}s" for name in names}
    return frozenset(names | cities | plurals)


def _says_number(value: str) -> bool:
    """Whether a filling is a number, with its currency or without: `$12`, `minus nine hundred`; no name, no code."""
    words = re.sub(r"[-$€£%°]", " ", value.lower()).split()
    return any(map(is_number_said, words)) and all(is_number_said(word) or word in _OF_AMOUNTS for word in words)


def _phrasings_of(templates: Iterable[str], slots: dict[str, str], ways: int) -> Iterator[tuple[str, ...]]:
    """Phrasings of an intent as tokens. What fills a slot stands for itself where it decides the form."""
    fillings = {
        f"{{{name}}}": [NUMBER] if _says_number(value) else value.lower().split() if ways > 1 else [NAME]
        for name, value in slots.items()
    }
    for template in templates:
        yield tuple(_tokens(template, fillings))


@functools.cache
def forms_of_training_questions() -> AskedForms:
    """The index of all built-in tools."""
    return AskedForms(TOOLS, _LEARNED_IN_THE_SUITE)


def forms_of_training_questions_about(about: Mapping[str, About]) -> AskedForms:
    """The index of all built-in tools on a workspace (`Toolbox.about`)."""
    return AskedForms(TOOLS, _LEARNED_IN_THE_SUITE, about) if about else forms_of_training_questions()


@functools.cache
def _learned_talk() -> AskedForms:
    return AskedForms([TALK], {})


def question_of_turns(forms: AskedForms, asked: str, names: frozenset[str]) -> str | None:
    """What the last of a user's turns, a line each, asks for, as one question: itself where it is the only one, or like
    a phrasing and about something; else the one before, of another thing: `how much is the lamp?`, `and the chair?`.
    None where it is neither.

    Args:
        forms: of the workspace's questions.
        names: of things, in lower case.
    """
    *earlier, last = asked.strip().splitlines() or [""]
    if not earlier:
        return asked
    thing, before = _only_thing(forms, last, names), _only_thing(forms, earlier[-1], names)
    if thing and before and thing[0] == before[0] and len(last.split()) <= _FEW_WORDS and goes_on(last):
        return earlier[-1].replace(before[1], thing[1], 1)
    about = thing is not None or calculator_numbers_as_written(last) != []
    return last if about and forms.most_like(last) >= SURELY else None


def _only_thing(forms: AskedForms, text: str, names: frozenset[str]) -> tuple[str, str] | None:
    """The kind of thing that a text names, and its name, where that is just one: a file, or what the workspace has."""
    files = _FILE_NAMED.findall(text)
    words = [word for word in words_of_text(text) if word.lower() not in forms.words]
    named = [word for word in words if word.lower() in names or word.lower().removesuffix("s") in names]
    found = [("file", file) for file in files] or [("name", word) for word in dict.fromkeys(named)]
    return found[0] if len(found) == 1 else None


def own_rows_ask_for_call(forms: AskedForms, requests: Requests, asked: str) -> bool | None:
    """Whether the user's turns, a line each, need a call of a tool of theirs: yes where the last surely asks for one
    and is no more like phrasings of built-in tools, or leans on a turn that does; no where it begins by saying that
    nothing is wanted. None where only a model can say, as with questions, "all" and "except"."""
    *earlier, last = asked.splitlines() or [""]
    if earlier and requests.leans(asked):
        states = tool_request_is_otherwise(requests.without_texts(last), [], asks=False)
        due = (
            not states and requests.leans_plainly(asked) and own_rows_ask_for_call(forms, requests, "\n".join(earlier))
        )
        return True if due else None
    like, likest = requests.certainty(last), requests.examples_with_words_of(last)
    if like < SURELY_OWN or (_OF_MANY.search(last) and requests.lists_values(last)) or not last.isascii():
        return None
    if _UNWANTED.search(last):
        return None if any(map(NOT_WANTED.search, requests.examples_with_words_of(last, MOST_READINGS))) else False
    asks = bool(_QUESTION.search(last)) or last.rstrip().endswith("?")
    polite = _POLITE.search(last) is not None
    if asks and not polite and not any(_QUESTION.search(say) or say.endswith("?") for say in likest):
        return None
    if tool_request_is_otherwise(requests.without_texts(last), likest, asks=asks and not polite):
        return None
    return True if like >= OWN_AS_LIKE * forms.most_like(last) else None


def training_forms_ask_for_call(forms: AskedForms, text: str) -> bool | None:
    """Whether a question needs a call of a built-in tool: yes where it is like the phrasings of tools and little like
    talk without tools, no where it is like that talk, less like the phrasings, and names neither number nor file. None
    where only a model can say."""
    tools, talk = forms.most_like(text), _learned_talk().most_like(text)
    if tools >= forms.surely and talk <= forms.much_less * tools:
        return None if NOT_WANTED.search(text) or _STOP.search(text) else True
    if talk < TALK_LIKE or tools > (LESS if talk < TALK_SURELY else LESS_SURELY) * talk:
        return None
    named = _NAMES_SOMETHING.search(text) or _WRITTEN_OUT.search(text) or calculator_numbers_as_written(text) != []
    return None if named else False
