"""The control beside every figure of tool use: no model, words of a sentence against words of examples.

A person writes this in an hour, so a model that is to be worth its training has to be far better.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from forge.tools.calls import refuse_call, tool_call_text
from forge.tools.declared.schema import DeclaredTool, Example, Parameter, tool_example_text
from forge.tools.declared.turns import JOINT

if TYPE_CHECKING:
    from forge.tools import Toolbox

_ENOUGH = 0.6  # share of an example's words in a sentence, and of a sentence's in an example, from which a call is made
_MOST_CALLS = 4
_WORD = re.compile(r"[\w'.]*\w|\w", re.UNICODE)


def score_phrasing_search(dialogues: Sequence[Mapping[str, Any]], toolbox: Toolbox) -> list[float]:
    """Per dialogue with a built-in tool 1.0 where the call of the phrasing that the last turn is likest has the
    expected result (`AskedForms.likest_call`), else 0.0; where no call is expected, 1.0 where nothing is like it."""
    from forge.data.asked_forms import forms_of_training_questions
    from forge.evals.tool_use import graded_messages_after_question

    def names(tool: str) -> frozenset[str]:
        words = toolbox.words_of_call(tool, "")
        return frozenset() if words is None else words.names

    right = []
    for row in dialogues:
        asked = [turn["content"] for turn in row["messages"] if turn["role"] == "user"][-1]
        wanted = [turn["content"] for turn in graded_messages_after_question(row["messages"], "result")]
        call = forms_of_training_questions().likest_call(asked, names)
        right.append(float((not call) if not wanted else bool(call) and toolbox.execute(call) == wanted[0]))
    return right


def match_own_calls_for_eval(asked: str, tools: Sequence[DeclaredTool], *, due: bool = False) -> tuple[list[str], str]:
    """The calls that the grammar of a model would make without one, and the question that it would ask: of each request
    the likeliest tool, with the first values that it names (`forge.tools.declared.requests`).

    Args:
        asked: the user's turns, a line each.
        due: a first call is made, whether or not it is surely asked for.
    """
    from forge.data.asked_forms import forms_of_training_questions, own_rows_ask_for_call
    from forge.tools.declared.requests import Requests

    requests, made = Requests(tools, lambda _: True), list[str]()
    asks = partial(own_rows_ask_for_call, forms_of_training_questions(), requests)
    while (due and not made) or (asks(asked) and (not made or requests.more(asked, made))):
        tool, schema = requests.forms(asked, made)[0]
        if isinstance(schema, str):
            return made, tool.question_for(schema)
        if len(made) == _MOST_CALLS:
            break
        values = {name: _first_value(said) for name, said in schema["properties"].items()}
        made.append(tool_call_text(tool, values))
    return made, ""


def _first_value(schema: Mapping[str, Any]) -> Any:
    """The first value that a schema allows; of one that names none the plainest of its type."""
    plain = {"boolean": True, "integer": 0, "number": 0, "array": []}
    if "const" in schema or "enum" in schema:
        return schema["const"] if "const" in schema else schema["enum"][0]
    return plain.get(schema["type"], "")


def match_builtin_calls_for_eval(sentence: str, tools: Iterable[DeclaredTool]) -> list[str]:
    """Calls that a sentence asks for, by overlap of words alone: one, two where it falls into two halves that both
    match, or none."""
    known = list(tools)
    best_score, best_call = _best_match(sentence, known)
    for joint in JOINT.finditer(sentence):
        halves = [_best_match(half, known) for half in (sentence[: joint.start()], sentence[joint.end() :])]
        if all(call for _, call in halves) and min(score for score, _ in halves) >= best_score:
            return [call for _, call in halves]
    return [best_call] if best_call else []


def _best_match(sentence: str, tools: list[DeclaredTool]) -> tuple[float, str]:
    """Score of the best example, and its call where that is enough, else an empty text."""
    best: tuple[float, str] = (0.0, "")
    for tool in tools:
        for example in tool.examples:
            score, arguments = _match_example(sentence, tool, example)
            if score > best[0] and refuse_call(tool, arguments) is None:
                best = (score, tool_call_text(tool, arguments))
    return best if best[0] >= _ENOUGH else (best[0], "")


def _match_example(sentence: str, tool: DeclaredTool, example: Example) -> tuple[float, dict[str, Any]]:
    """F1 of the words of an example, its slots filled from the sentence, and of the sentence; and the arguments."""
    left = sentence.lower().rstrip("?.! ")
    arguments: dict[str, Any] = dict(example.arguments)
    literal = _words_of(tool_example_text(example.say))
    free = [name for name in example.slots if (tool.arguments[name].items or tool.arguments[name]).free]
    filled = 0
    for name in (name for name in example.slots if name not in free):
        value, left = _take_value(left, tool.synonyms, tool.arguments[name])
        if value is not None:
            arguments[name] = value
            filled += 1
    said = _words_of(left)
    if free:  # what no word of the example explains, from the first such word to the last
        rest = [number for number, word in enumerate(said) if word not in literal]
        if rest:
            text = " ".join(_WORD.findall(sentence.rstrip("?.! "))[-len(said) :][rest[0] : rest[-1] + 1])
            arguments[free[0]] = text
            filled, said = filled + 1, [word for word in said if word in literal]
    shared = len(set(literal) & set(said)) + filled
    score = 2 * shared / (len(set(literal)) + len(example.slots) + len(set(said)) + filled)
    return score, {name: arguments[name] for name in tool.arguments if name in arguments}


def _words_of(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _take_value(text: str, synonyms: Mapping[Any, Iterable[str]], parameter: Parameter) -> tuple[Any, str]:
    """The longest value, or word for one, that stands in a text, and the text without it."""
    item = parameter.items or parameter
    words: dict[str, Any] = {"on": True, "off": False} if item.type == "boolean" else {}
    if item.type in ("integer", "number") and item.enum is None:
        numbers = re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?", text)
        words = {number: float(number) if "." in number else int(number) for number in numbers[:1]}
    values = item.enum or tuple(words.values())
    words |= {str(value).lower().replace("_", " "): value for value in item.enum or ()}
    words |= {said.lower(): value for value, others in synonyms.items() if value in values for said in others}
    found = [word for word in words if re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text)]
    if not found:
        return None, text
    longest = max(found, key=len)
    value = words[longest]
    return [value] if parameter.items else value, text.replace(longest, " ", 1)
