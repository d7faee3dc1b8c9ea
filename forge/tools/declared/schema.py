"""What a declared tool is: a name, its arguments as JSON Schema, sentences that ask for it, and what it runs.

The part of JSON Schema (draft 2020-12) that is read: an object of strings, integers, numbers, booleans and arrays of
these; `enum`, bounds, `pattern`, `maxLength`, `required`. Anything else is refused by name, because a word that is
silently dropped would let calls through that the tool does not take.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property
from string import Formatter
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, field_validator, model_validator
from pydantic_core import PydanticCustomError

Scalar = StrictBool | StrictInt | StrictFloat | Annotated[str, Field(strict=True, max_length=400)]
Argument = Scalar | list[Scalar]
Kind = Literal["string", "integer", "number", "boolean", "array"]
Generator = Literal["words", "name", "number", "date", "duration", "sentence"]
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
# One line without control characters, which neither a call nor a sentence holds.
Line = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f\u2028\u2029]*$", max_length=400)]
Text = Annotated[Line, Field(min_length=1)]
ModuleFunction = Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
_MOST = 200  # values of an enum, examples, names of one kind
_WIDEST = 10**15  # bounds of numbers; a double still holds every integer up to here


class _Declared(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False)


def fits_declared_tool_kind(value: Any, kind: str) -> bool:
    """Whether a plain value is of a JSON type; true is no integer, 3.0 is one."""
    if kind == "boolean":
        return isinstance(value, bool)
    if kind in ("integer", "number"):
        whole = isinstance(value, int) or (isinstance(value, float) and (kind == "number" or value.is_integer()))
        return whole and not isinstance(value, bool)
    return isinstance(value, {"string": str, "array": list}[kind])


class Parameter(_Declared):
    """One argument of a tool, or an item of an array."""

    type: Kind
    description: Line = ""
    enum: tuple[Scalar, ...] | None = Field(default=None, min_length=1, max_length=_MOST)
    minimum: StrictInt | StrictFloat | None = Field(default=None, ge=-_WIDEST, le=_WIDEST)
    maximum: StrictInt | StrictFloat | None = Field(default=None, ge=-_WIDEST, le=_WIDEST)
    pattern: Text | None = None
    max_length: StrictInt | None = Field(default=None, alias="maxLength", ge=1, le=400)
    items: Parameter | None = None
    min_items: StrictInt | None = Field(default=None, alias="minItems", ge=0, le=16)
    max_items: StrictInt | None = Field(default=None, alias="maxItems", ge=1, le=16)

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as error:
            raise ValueError(f"not a regular expression ({error})") from error
        return pattern

    @model_validator(mode="after")
    def _holds_together(self) -> Parameter:
        belongs = {
            "minimum": ("integer", "number"),
            "maximum": ("integer", "number"),
            "pattern": ("string",),
            "max_length": ("string",),
            "items": ("array",),
            "min_items": ("array",),
            "max_items": ("array",),
            "enum": ("string", "integer", "number"),
        }
        for field, kinds in belongs.items():
            if getattr(self, field) is not None and self.type not in kinds:
                word = type(self).model_fields[field].alias or field
                raise ValueError(f"{word}: says nothing about a value of type {self.type}")
        for low, high in ((self.minimum, self.maximum), (self.min_items, self.max_items)):
            if low is not None and high is not None and low > high:
                raise ValueError(f"no value is between {low} and {high}")
        if self.type == "array" and (self.items is None or self.items.type == "array"):
            raise ValueError("items: an array says what its items are: strings, integers, numbers or booleans")
        self._check_enum()
        return self

    def _check_enum(self) -> None:
        if self.enum is None:
            return
        wrong = next((value for value in self.enum if not fits_declared_tool_kind(value, self.type)), None)
        if wrong is not None:
            raise ValueError(f"enum: {wrong!r} is not of type {self.type}")
        if len(set(self.enum)) < len(self.enum):
            raise ValueError("enum: a value stands twice")
        if any(isinstance(value, str) and not re.fullmatch(r"\S(.*\S)?", value) for value in self.enum):
            raise ValueError("enum: a value is empty, or has blanks or line breaks around it")

    @cached_property
    def free(self) -> bool:
        """Whether it takes any text (that `pattern` and `maxLength` allow)."""
        return self.type == "string" and self.enum is None

    def json_schema(self) -> dict[str, Any]:
        """As plain JSON Schema."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)

    @cached_property
    def validator(self) -> Any:
        """A `jsonschema` validator of a value."""
        from jsonschema import Draft202012Validator

        return Draft202012Validator(self.json_schema())


class ParameterObject(_Declared):
    """The arguments of a tool: JSON Schema of an object."""

    type: Literal["object"] = "object"
    description: Line = ""
    properties: dict[Name, Parameter] = Field(default_factory=dict, max_length=16)
    required: tuple[str, ...] = ()
    additional_properties: Literal[False] = Field(default=False, alias="additionalProperties")

    @field_validator("required")
    @classmethod
    def _once_each(cls, required: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(required)) < len(required):
            raise ValueError("a name stands twice")
        return required

    @model_validator(mode="after")
    def _requires_what_it_has(self) -> ParameterObject:
        unknown = [name for name in self.required if name not in self.properties]
        if unknown:
            raise ValueError(f"required: there is no parameter {unknown[0]!r}")
        return self


def tool_value_as_said(value: Any) -> str:
    """A plain value in the words of a sentence: numbers without needless digits, no underscores."""
    return f"{value:.10g}" if isinstance(value, float) else str(value).replace("_", " ")


def refuse_tool_value(parameter: Parameter, value: Any) -> str | None:
    """Why a parameter does not take a value, in one line; None if it does."""
    from jsonschema.exceptions import best_match

    fault = best_match(parameter.validator.iter_errors(value))
    return None if fault is None else str(fault.message)


def _fault_at(reason: str, *place: str | int) -> PydanticCustomError:
    """A fault of a tool at a place in it, for the line in its file."""
    return PydanticCustomError("declared_tool", "{reason}", {"reason": reason, "at": place})


def tool_example_slots(say: str) -> tuple[str, ...]:
    """Names of the slots of a sentence, in order: `("name",)` of `lock the {name}`.

    Raises:
        ValueError: a brace without its other half, or a slot with more than a name in it.
    """
    slots = []
    for _, name, form, conversion in Formatter().parse(say):
        if name is None:
            continue
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name) or form or conversion:
            raise ValueError(f"a slot is a name in braces, not {{{name}}}")
        slots.append(name)
    return tuple(slots)


def tool_example_text(say: str) -> str:
    """The words of a sentence beside its slots: `lock the` of `lock the {name}`."""
    return " ".join(literal.strip() for literal, *_ in Formatter().parse(say)).strip()


class Example(_Declared):
    """A sentence that asks for a tool, with slots, and the arguments that it does not say literally."""

    say: Text
    arguments: dict[str, Argument] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _slots_are_told_once(self) -> Example:
        slots = tool_example_slots(self.say)
        if len(set(slots)) < len(slots):
            raise ValueError(f"say: a slot stands twice in {self.say!r}")
        both = [name for name in slots if name in self.arguments]
        if both:
            raise ValueError(f"arguments: {both[0]!r} is a slot of the sentence already")
        return self

    @cached_property
    def slots(self) -> tuple[str, ...]:
        """Names of the slots, in the order of the sentence."""
        return tool_example_slots(self.say)

    @cached_property
    def named(self) -> frozenset[str]:
        """Arguments that a call after this sentence has."""
        return frozenset((*self.slots, *self.arguments))


class HttpRun(_Declared):
    """A request: the arguments are its query (GET, DELETE) or its JSON body."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    url: Text

    @field_validator("url")
    @classmethod
    def _of_the_web(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("not an address that begins with http:// or https:// and names a host")
        return url


class McpRun(_Declared):
    """A tool of an MCP server: one that a command starts, or one at an address. `tool`: its name there, if another."""

    command: tuple[Text, ...] | None = Field(default=None, min_length=1)
    url: Text | None = None
    tool: Text | None = None

    @model_validator(mode="after")
    def _one_server(self) -> McpRun:
        if (self.command is None) == (self.url is None):
            raise ValueError("mcp: either command or url")
        return self


class Run(_Declared):
    """What a call runs: exactly one of these."""

    command: tuple[Text, ...] | None = Field(default=None, min_length=1)
    python: ModuleFunction | None = None
    http: HttpRun | None = None
    mcp: McpRun | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Run:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"exactly one of {', '.join(type(self).model_fields)}")
        return self


class DeclaredTool(_Declared):
    """One tool as a tools file declares it.

    Attributes:
        values: of free strings, numbers and arrays: what sentences are filled with, or the generator that draws it.
        synonyms: other words for a value: of an enum, of `values`, or for true and false.
        ask: the question for an argument that a sentence leaves out, in place of "Which NAME?".
        results: what the tool may answer, with slots, for training without running it.
        run: None where the call itself is the product.
    """

    name: Name
    description: Line = ""
    parameters: ParameterObject = ParameterObject()
    values: dict[str, Generator | tuple[Scalar, ...]] = Field(default_factory=dict)
    synonyms: dict[StrictBool | StrictInt | str, tuple[Text, ...]] = Field(default_factory=dict)
    ask: dict[str, Text] = Field(default_factory=dict)
    examples: tuple[Example, ...] = Field(default=(), max_length=_MOST)
    results: tuple[Text, ...] = Field(default=(), max_length=_MOST)
    run: Run | None = None

    @field_validator("examples", mode="before")
    @classmethod
    def _plain_sentences(cls, examples: Any) -> Any:
        if not isinstance(examples, list | tuple):
            return examples
        return [{"say": example} if isinstance(example, str) else example for example in examples]

    @field_validator("synonyms", mode="before")
    @classmethod
    def _pairs_of_json(cls, synonyms: Any) -> Any:
        """JSON has no keys but texts, so there they are pairs of a value and its words."""
        pairs = isinstance(synonyms, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in synonyms)
        return {key: words for key, words in synonyms if not isinstance(key, list | dict)} if pairs else synonyms

    @model_validator(mode="after")
    def _names_its_own_parameters(self) -> DeclaredTool:
        named: list[tuple[tuple[str | int, ...], Iterable[str]]] = [(("values",), self.values), (("ask",), self.ask)]
        named += [(("examples", i), sorted(example.named)) for i, example in enumerate(self.examples)]
        named += [(("results", i), tool_example_slots(result)) for i, result in enumerate(self.results)]
        for place, names in named:
            unknown = [name for name in names if name not in self.arguments]
            if unknown:
                raise _fault_at(f"there is no parameter {unknown[0]!r}", *place)
        for number, example in enumerate(self.examples):
            for name, value in example.arguments.items():
                if reason := refuse_tool_value(self.arguments[name], value):
                    raise _fault_at(reason, "examples", number, "arguments", name)
        for name, values in self.values.items():
            for number, value in enumerate(() if isinstance(values, str) else values):
                parameter = self.arguments[name]
                if reason := refuse_tool_value(parameter.items or parameter, value):
                    raise _fault_at(reason, "values", name, number)
        return self

    @property
    def arguments(self) -> dict[str, Parameter]:
        """Parameters by name, in the order of the schema."""
        return self.parameters.properties

    @property
    def required(self) -> tuple[str, ...]:
        """Names of the arguments that every call has, in the order of the schema."""
        return tuple(name for name in self.arguments if name in self.parameters.required)

    @cached_property
    def plain(self) -> str | None:
        """The name of the sole parameter of a tool that takes one text, any text, and nothing else, which its calls
        write as it is (`calculator 3+4`); None for other tools, also where a `pattern` says what the text is."""
        if len(self.arguments) != 1 or not self.required:
            return None
        (parameter,) = self.arguments.values()
        return self.required[0] if parameter.free and parameter.pattern is None else None

    @cached_property
    def _synonyms(self) -> dict[tuple[type, Any], tuple[str, ...]]:
        return {(type(key), key): said for key, said in self.synonyms.items()}

    def synonyms_for(self, value: Any) -> tuple[str, ...]:
        """Other words for a value; 1 is not true."""
        return self._synonyms.get((type(value), value), ())

    @cached_property
    def narrows(self) -> bool:
        """Whether its calls are held to what was said: examples show that values are taken from it. A `pattern` says
        itself what a value is; and a stranger's may take for ever to be compared with."""
        patterns = [(parameter.items or parameter).pattern for parameter in self.arguments.values()]
        return bool(self.examples) and not any(patterns)

    def listed_with_words(self, name: str) -> list[Any]:
        """Values that are listed for an argument and have synonyms."""
        listed = self.values.get(name)
        found = [value for value in listed if self.synonyms_for(value)] if isinstance(listed, tuple) else []
        return found[:_MOST]

    def question_for(self, name: str) -> str:
        """The question for an argument that a sentence leaves out."""
        if name in self.ask:
            return self.ask[name]
        parameter = self.arguments[name]
        listed = (parameter.items or parameter).enum is not None
        return f"{'Which' if listed else 'What'} {'one' if name == 'name' and listed else name.replace('_', ' ')}?"

    def json_schema(self) -> dict[str, Any]:
        """The arguments object as plain JSON Schema, which allows no other keys."""
        return {
            "type": "object",
            "properties": {name: parameter.json_schema() for name, parameter in self.arguments.items()},
            "required": list(self.required),
            "additionalProperties": False,
        }

    def openai(self) -> dict[str, Any]:
        """As an entry of `tools` in OpenAI's chat API."""
        function = {"name": self.name, "description": self.description, "parameters": self.json_schema()}
        return {"type": "function", "function": function}

    @cached_property
    def validator(self) -> Any:
        """A `jsonschema` validator of the arguments object."""
        from jsonschema import Draft202012Validator

        return Draft202012Validator(self.json_schema())


class PersonaExample(_Declared):
    """What a person says, and what the persona answers."""

    say: Text
    answer: Text


class DeclaredPersona(_Declared):
    """A voice: its name, the prompt that stands for it before training, and example answers."""

    name: Name
    prompt: Text
    examples: tuple[PersonaExample, ...] = Field(min_length=1, max_length=_MOST)
