"""A question that asks built-in tools for several things at once, cut into one question for each."""

from __future__ import annotations

import re

from forge.data.asked_forms import AskedForms, question_of_turns, training_forms_ask_for_call
from forge.tools.likeness import tool_likeness_tokens
from forge.tools.words import words_said

MOST_PARTS = 4
CLEARER = 0.05  # by so much the parts have to be more like phrasings of tools than the whole is
# How like them a part has to be; one that names a thing or a number; one that names a file.
ALIKE, ALIKE_NAMING, ALIKE_NAMING_FILE = 0.75, 0.4, 0.25
# How like a form of two slots or more a question has to be for it to be that whole; of parts that "and" alone joins,
# the least like must be so like.
WHOLE, JOINED = 0.35, 0.55
_FEWEST, _MOST = 2, 40  # words and marks of a part, of a question
_JOINT = re.compile(r"(?i)(?:[,.;?!]? (?:and (?:then|also|after that)|then also|then|also|and|as well as)|[?!]) +")
_AS_ONE = re.compile(
    r"(?i)\b(?:together|combined|(?:al)?together|in (?:all|total)|total|sum|both|difference|between|than|or)\b"
)
_LEANS = re.compile(r"(?i)^(?:it|its|it['’]s|this|that|they|there)\b")
_NAMES_FILE, _NAMES_ONE = re.compile(r"[A-Za-z]\.[A-Za-z]"), re.compile(r"\d|[\"“‘']\w+[\"”’']")


def parts_of_question(forms: AskedForms, text: str, names: frozenset[str]) -> tuple[str, ...]:
    """The questions that a text asks, two to four of them; none where it asks one, or where that is not sure.

    It is cut where both sides surely ask for a call and are more like phrasings of tools than the whole is, or where
    the one behind names only another thing: `read todo.txt and then menu.txt`.

    Args:
        forms: of the workspace's questions.
        names: of things, in lower case.
    """
    if len(tool_likeness_tokens(text, {})) > _MOST or _AS_ONE.search(text):
        return ()
    found = _cut(forms, text.strip(), names)
    found = found if len(found) > 1 else _things_listed(forms, text.strip(), names)
    return found if 1 < len(found) <= MOST_PARTS else ()


def _cut(forms: AskedForms, text: str, names: frozenset[str]) -> tuple[str, ...]:
    best, sides = forms.most_like(text) + CLEARER, tuple[str, ...]()
    one = _fits_whole(forms, text)
    for joint in _JOINT.finditer(text):
        before, after = text[: joint.start()], text[joint.end() :]
        behind = _question_behind(forms, before, after, names)
        if behind is None or not _asks(forms, before, names):
            continue
        if joint[0].strip().lower() == "and" and not _are_two(forms, before, behind, one):
            continue
        worth = (forms.most_like(before) + forms.most_like(behind)) / 2
        if worth > best or (worth == best and not sides):
            best, sides = worth, (before, behind)
    return tuple(part for side in sides for part in _cut(forms, side, names)) or (text,)


def _things_listed(forms: AskedForms, text: str, names: frozenset[str]) -> tuple[str, ...]:
    """One question for each of the things that a list names, the first of them in a question."""
    if _fits_whole(forms, text):
        return ()
    first, *others = _JOINT.split(text)
    again = [_question_behind(forms, first, other, names) for other in others]
    found = tuple(question for question in again if question is not None)
    return (first, *found) if _asks(forms, first, names) and len(found) == len(others) else ()


def _question_behind(forms: AskedForms, before: str, after: str, names: frozenset[str]) -> str | None:
    """What the part behind a joint asks, on its own or as the one before does of another thing; None where it says more
    of that."""
    if _LEANS.search(after):
        return None
    if _asks(forms, after, names):
        return after
    again = question_of_turns(forms, f"{before}\nand {after}", names)
    return again if again is not None and again != f"and {after}" and _asks(forms, again, names) else None


def _asks(forms: AskedForms, part: str, names: frozenset[str]) -> bool:
    if len(tool_likeness_tokens(part, {})) < _FEWEST:
        return False
    like = forms.most_like(part)
    if _NAMES_FILE.search(part):
        return like >= ALIKE_NAMING_FILE
    if _NAMES_ONE.search(part) or any(word.lower() in names for word in words_said(part)):
        return like >= ALIKE_NAMING
    return like >= ALIKE and training_forms_ask_for_call(forms, part) is True


def _are_two(forms: AskedForms, before: str, behind: str, one: bool) -> bool:
    """Whether two parts that "and" alone joins surely are two questions, though both together may be `one`: they are
    for two tools, or name a file each, or are more than a question and its second half."""
    if _NAMES_FILE.search(before) and _NAMES_FILE.search(behind):
        return True
    if min(forms.most_like(before), forms.most_like(behind)) < JOINED:
        return False
    first, second = forms.likest_form(before), forms.likest_form(behind)
    return not one or first is None or second is None or first.tool != second.tool


def _fits_whole(forms: AskedForms, text: str) -> bool:
    """Whether a question may be one, of two things or more: `the sum of 3 and 4`."""
    form = forms.likest_form(text)
    return form is not None and len(form.slots) > 1 and forms.most_like(text) >= WHOLE
