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
from forge.tools.declared.aligned import bare_value, is_joined
from forge.tools.declared.forms import MOST_NEAR, NEAR, SURELY, CallForm, FormIndex, values_of_form
from forge.tools.declared.schema import DeclaredTool
from forge.tools.said import follow_up_schema, narrowed_schema, schema_without_calls

# Forms of a turn that another one leans on, or that is like no example surely: it lacks what tells it from others.
MOST_UNSURE, AS_NEAR_UNSURE = 8, 0.5
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

    def likest(self, turn: str) -> str:
        """The sentence of the example that a turn is likest; empty where it is like none."""
        return self._index.likest(turn)

    def forms(self, asked: str, made: Sequence[str] = ()) -> Forms:
        """Forms that the next call may have; all of them where the conversation is like no example.

        Args:
            asked: the user's turns, a line each.
            made: calls that were made since the last of them.
        """
        if calls := self._parsed(made):
            left, last = self._left(asked, calls), _last_line(asked)
            sure = any(_is_certain(form, schema, calls) for form, schema in left)
            found = left if sure else complete_forms(self._with_schemas(self._index.nearest(last), asked)) or left
        else:
            found = complete_forms(self._near(asked))
        # Words that no example has say nothing against a tool; it is still to hold what was said.
        return found or self._with_schemas(self._index.forms, asked)

    def more(self, asked: str, made: Sequence[str]) -> bool | None:
        """Whether the last turn surely asks for another call beside those that were made; None where only a model can
        say."""
        calls, last = self._parsed(made), _last_line(asked)
        if not calls or len(calls) < len(made) or self.likeness(last) < SURELY:
            return None
        left = self._left(asked, calls)
        if not left:
            # Where it has a joint at which no request was found, one call may not be all.
            wanted = max(len(self._index.requests(last)), 2 if is_joined(last) else 1)
            return False if len(calls) >= wanted else None
        sure = any(_is_certain(form, schema, calls) for form, schema in left)
        return True if sure and is_joined(last) else None

    def leans_on(self, asked: str) -> Forms:
        """Forms of the turn before for a last turn that is like no example and names another value for it."""
        *earlier, last = asked.splitlines() or [""]
        if not self._index.names_only(bare_value(last)) and self.likeness(bare_value(last)) >= NEAR:
            return []
        for turn in reversed(earlier):
            request = self._index.requests(turn)[-1]
            near = self._index.nearest(request, MOST_UNSURE, AS_NEAR_UNSURE)
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
        near = self._index.nearest(first, MOST_UNSURE, AS_NEAR_UNSURE) or self._index.nearest(asked)
        named = self._index.values_named(first)
        told = [form for form in self._index.forms if form not in near and not named.isdisjoint(values_of_form(form))]
        return self._with_schemas([*near, *told[:MOST_NEAR]], asked, first)

    def _left(self, asked: str, calls: Sequence[tuple[str, Mapping[str, Any]]]) -> Forms:
        """What the last turn asks for beside some calls: the first of its requests that is not met. Of one for which a
        call was made that form is left, with another value, lest after `lock the shed` it be unlocked."""
        unused = list(calls)
        for request in self._index.requests(_last_line(asked)) if calls else ():
            near = complete_forms(self._with_schemas(self._index.nearest(request), asked, request, whole=True))
            met = [call for call in unused if any(_is_call_of(form, schema, *call) for form, schema in near)]
            met = met if is_joined(request) else met[:1]
            for call in met:
                unused.remove(call)
            left = [(f, s if isinstance(s, str) else schema_without_calls(f, s, met)) for f, s in near]
            if met:  # only of the forms that a call was made of, with another value
                left = [now for now, was in zip(left, near, strict=True) if now[1] is not was[1]]
                left = left if is_joined(request) else []
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


def _is_certain(form: CallForm, schema: dict[str, Any] | str, calls: Sequence[tuple[str, Mapping[str, Any]]]) -> bool:
    """Whether what is left after some calls is surely asked for: its texts are known, and it is of another form than
    they are or names another listed value."""
    if isinstance(schema, str):
        return False
    said = {name: schema["properties"].get(name, {}).get("enum", ()) for name in form.slots}
    if any(form.tool.arguments[name].free and len(said[name]) != 1 for name in form.slots):
        return False
    own = [arguments for name, arguments in calls if name == form.tool.name]
    consts = [call for call in own if all(call.get(key) == value for key, value in form.arguments.items())]
    named = [name for name in form.slots if form.tool.arguments[name].enum or form.tool.arguments[name].free]
    return not consts or any(call.get(name) not in said[name] for name in named for call in consts if said[name])


def _last_line(asked: str) -> str:
    return "".join(asked.splitlines()[-1:])
