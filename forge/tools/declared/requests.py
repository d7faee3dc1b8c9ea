"""What a conversation asks of tools with examples: the forms of the calls that come next, holding what was said.

A turn may ask for several things (`lock the shed and mute the hall`, `mute the hall and the kitchen`), and may lean on
the turn before (`the kitchen too`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from forge.errors import ForgeError
from forge.tools.calls import parse_call
from forge.tools.declared.aligned import bare_value
from forge.tools.declared.forms import NEAR, SURELY, CallForm, FormIndex
from forge.tools.declared.schema import DeclaredTool
from forge.tools.said import follow_up_schema, narrowed_schema, schema_without_calls, values_mentioned

# Forms of a turn that another one leans on: it may lack what tells it from others.
MOST_LEANT_ON, AS_NEAR_LEANT_ON = 8, 0.5
_FEW_WORDS = 3  # of a turn that gives a value, though it may be like an example: `off`

Forms = list[tuple[CallForm, dict[str, Any] | str]]  # each with its schema, or the argument that was not said


class Requests:
    """Requests to some tools, by their examples.

    Args:
        spells: whether the model can write a text.
    """

    def __init__(self, tools: Sequence[DeclaredTool], spells: Callable[[str], bool]) -> None:
        self._by_name = {tool.name: tool for tool in tools}
        self._index, self._spells = FormIndex(tools), spells

    def likeness(self, asked: str) -> float:
        """How like an example a turn is, or a part of it: 0 to 1."""
        return self._index.likeness(asked)

    def forms(self, asked: str, made: Sequence[str] = ()) -> Forms:
        """Forms that the next call may have; all of them where the conversation is like no example.

        Args:
            asked: the user's turns, a line each.
            made: calls that were made since the last of them.
        """
        found = self._left(asked, self._parsed(made)) or complete_forms(self._near(asked))
        # Words that no example has say nothing against a tool; it is still to hold what was said.
        return found or self._with_schemas(self._index.forms, asked)

    def more(self, asked: str, made: Sequence[str]) -> bool | None:
        """Whether the last turn surely asks for another call beside those that were made; None where only a model can
        say."""
        calls, last = self._parsed(made), _last_line(asked)
        if not calls or len(calls) < len(made) or self.likeness(last) < SURELY:
            return None
        left = self._left(asked, calls)
        if any(not isinstance(schema, str) for _, schema in left):
            return True if self._index.joined(last) else None
        return None if left else False

    def leans_on(self, asked: str) -> Forms:
        """Forms of the turn before for a last turn that is like no example and names another value for it."""
        *earlier, last = asked.splitlines() or [""]
        bare = bare_value(last)
        if len(bare.split()) > _FEW_WORDS and self.likeness(bare) >= NEAR:
            return []
        for turn in reversed(earlier):
            request = self._index.requests(turn)[-1]
            near = self._index.nearest(request, MOST_LEANT_ON, AS_NEAR_LEANT_ON)
            found = [(form, follow_up_schema(form, request, last, self._spells)) for form in near]
            if leaning := [(form, schema) for form, schema in found if schema is not None]:
                return complete_forms(leaning)
        return []

    def _near(self, asked: str) -> Forms:
        first = self._index.requests(_last_line(asked))[0]
        if leaning := self.leans_on(asked):
            return leaning
        if self.likeness(first) >= SURELY:
            return self._with_schemas(self._index.nearest(first), asked, first)
        # It may be worded in another way: then it is about what it names.
        near = self._index.nearest(first, MOST_LEANT_ON, AS_NEAR_LEANT_ON) or self._index.nearest(asked)
        told = [form for form in self._index.forms if form not in near and self._names_a_value(form, first)]
        return self._with_schemas([*near, *told], asked, first)

    def _names_a_value(self, form: CallForm, request: str) -> bool:
        """Whether a request names a listed value of a form's slots."""
        return any(
            values_mentioned(form.tool, (argument.items or argument).enum or (), request)
            for argument in (form.tool.arguments[slot] for slot in form.slots)
        )

    def _left(self, asked: str, calls: Sequence[tuple[str, Mapping[str, Any]]]) -> Forms:
        """What the last turn asks for beside some calls: the first of its requests that is not met. Of one for which a
        call was made that form is left, with another value, lest after `lock the shed` it be unlocked."""
        unused = list(calls)
        for request in self._index.requests(_last_line(asked)) if calls else ():
            near = complete_forms(self._with_schemas(self._index.nearest(request), asked, request, whole=True))
            met = [call for call in unused if any(_is_call_of(form, schema, *call) for form, schema in near)]
            met = met if self._index.joined(request) else met[:1]
            unused = [call for call in unused if call not in met]
            left = [(f, s if isinstance(s, str) else schema_without_calls(f, s, met)) for f, s in near]
            if met:  # only of the forms that a call was made of, with another value
                left = [now for now, was in zip(left, near, strict=True) if now[1] is not was[1]]
                left = left if self._index.joined(request) else []
            if found := [(form, schema) for form, schema in left if schema is not None]:
                return found
        return []

    def _with_schemas(self, forms: Iterable[CallForm], asked: str, request: str = "", *, whole: bool = False) -> Forms:
        return [(form, narrowed_schema(form, asked, self._spells, request, whole=whole)) for form in forms]

    def _parsed(self, made: Sequence[str]) -> list[tuple[str, Mapping[str, Any]]]:
        calls: list[tuple[str, Mapping[str, Any]]] = []
        for text in made:
            with suppress(ForgeError):  # of a tool that is not among these
                calls.append(parse_call(text, self._by_name))
        return calls


def complete_forms(forms: Forms) -> Forms:
    """Of forms that a sentence is about alike those whose arguments it says, if there are any."""
    return [(form, schema) for form, schema in forms if not isinstance(schema, str)] or forms


def _is_call_of(form: CallForm, schema: dict[str, Any] | str, name: str, arguments: Mapping[str, Any]) -> bool:
    if isinstance(schema, str) or name != form.tool.name or arguments.keys() != schema["properties"].keys():
        return False
    return all(
        arguments[key] in said["enum"] if "enum" in said else arguments[key] == said.get("const", arguments[key])
        for key, said in schema["properties"].items()
    )


def _last_line(asked: str) -> str:
    return "".join(asked.splitlines()[-1:])
