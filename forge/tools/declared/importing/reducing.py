"""JSON Schema of other people's tools, reduced to what a declared tool can say.

A declared tool takes an object of strings, integers, numbers, booleans and arrays of these
(`forge.tools.declared.schema`). What others write goes further. What only narrows a value (`multipleOf`, `uniqueItems`)
is left out, with a line that says so. What would change a value's shape (an object within the object, a choice of
types) is refused where the tool requires the parameter; an optional parameter of that kind is left out.

Keywords as in JSON Schema 2020-12 (https://json-schema.org/draft/2020-12).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError

from forge.errors import ForgeError
from forge.tools.declared.schema import Name, Parameter, refuse_tool_value

SCALAR_KEYWORDS = {
    "string": ("pattern", "maxLength"),
    "integer": ("minimum", "maximum"),
    "number": ("minimum", "maximum"),
    "boolean": (),
}
ARRAY_KEYWORDS = ("minItems", "maxItems")
MOST_PARAMETERS = 16
_LARGEST = {"maxLength": 400, "minItems": 16, "maxItems": 16, "minimum": 10**15, "maximum": 10**15}
# They say something about a value and do not narrow it.
_REMARK_TEXT = (
    "$comment $defs $id $schema additionalProperties default definitions deprecated description example examples "
    "nullable readOnly strict title writeOnly"
)
_REMARKS = frozenset(_REMARK_TEXT.split())
_EXCLUSIVE = {"exclusiveMinimum": ("minimum", 1), "exclusiveMaximum": ("maximum", -1)}
# Format date. The generator of that name also draws "next Friday", so its values are listed.
_DATE = r"^\d{4}-\d{2}-\d{2}$"
_DATES = [f"{2026 + i % 5}-{1 + 5 * i % 12:02}-{1 + 11 * i % 28:02}" for i in range(12)]
_JSON_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}
_DEEPEST_REFERENCE = 16
# "e.g. 'Europe/London', 'Asia/Tokyo'": what a description quotes as values
_QUOTED_EXAMPLES = re.compile(r"(?:e\. ?g\.|for example|for instance|such as|like)[,:]?\s*(.*)", re.IGNORECASE)
_QUOTED = re.compile(r"(?<!\w)(['\"`])([^'\"`]{1,40})\1(?!\w)")
_LONGEST_DESCRIPTION = 200
_NAME: TypeAdapter[str] = TypeAdapter(Name)


class UnsupportedParameter(ForgeError):
    """A parameter that a declared tool cannot have; the message names tool and parameter."""


@dataclass
class ReducedSchema:
    """A tool's parameters as they can be declared.

    Attributes:
        parameters: JSON Schema of type object.
        values: for free strings, examples that the schema gives.
        notes: what was left out, one line each.
    """

    parameters: dict[str, Any]
    values: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def reduce_tool_schema(tool: str, schema: Any, *, null_is_optional: bool = False) -> ReducedSchema:
    """A tool's JSON Schema in the subset that a declared tool has.

    Args:
        tool: its name, for the messages.
        schema: of the object of its arguments; None stands for a tool without parameters.
        null_is_optional: a required parameter that may be null can be left out. OpenAI's strict mode writes optional
            parameters so. Elsewhere such a parameter is required, and always gets a value.

    Raises:
        UnsupportedParameter: a parameter that the tool requires cannot be declared.
    """
    tree = {"type": "object"} if schema is None else schema
    if not isinstance(tree, dict) or tree.get("type", "object") != "object":
        raise UnsupportedParameter(f"{tool}: its parameters are not a JSON Schema of type object")
    properties, required = tree.get("properties") or {}, tree.get("required") or []
    if not isinstance(properties, dict) or not isinstance(required, list):
        raise UnsupportedParameter(f"{tool}: its parameters need a mapping 'properties' and a list 'required'")
    reduced = ReducedSchema({"type": "object", "properties": {}, "required": []})
    kept = _names_of_most_use(list(properties), required)
    for name in properties:
        reducer = _ParameterReducer(f"{tool}: {name}", tree, properties[name])
        try:
            if name not in kept:
                raise UnsupportedParameter(f"{tool}: {name}: a tool has at most {MOST_PARAMETERS} parameters")
            declared, nullable = reducer.reduce_named(name, properties[name])
        except UnsupportedParameter as error:
            if name in required:
                raise
            reduced.notes.append(f"{error}; the parameter is optional and left out")
            continue
        reduced.notes += reducer.notes
        reduced.parameters["properties"][name] = declared
        if (values := _fitting_values(reducer.values, declared)) is not None:
            reduced.values[name] = values
        if name in required and not (nullable and null_is_optional):
            reduced.parameters["required"].append(name)
    if not reduced.parameters["required"]:
        del reduced.parameters["required"]
    return reduced


def _names_of_most_use(names: list[str], required: list[Any]) -> list[str]:
    """Of a tool's parameters those that are required and the first of the others, as many as a tool may have."""
    return sorted(names, key=lambda name: name not in required)[:MOST_PARAMETERS]


def _fitting_values(values: list[str] | None, declared: dict[str, Any]) -> list[str] | None:
    """Of a free string's example values those that it takes; None if there are none."""
    if values is None or declared["type"] != "string" or "enum" in declared:
        return None
    parameter = Parameter.model_validate(declared)
    return [value for value in values if refuse_tool_value(parameter, value) is None] or None


class _ParameterReducer:
    """Reduces the schema of one parameter.

    Attributes:
        notes: what it left out.
        values: of a string, where the schema gives examples or is that of a date.
    """

    def __init__(self, place: str, *roots: Any) -> None:
        self._place = place
        self._roots = roots  # what a reference may lead into
        self.notes: list[str] = []
        self.values: list[str] | None = None

    def reduce_named(self, name: str, schema: Any) -> tuple[dict[str, Any], bool]:
        """As `reduce`, for a parameter of the tool; what comes out is one that can be declared."""
        declared, nullable = self.reduce(schema)
        try:
            _NAME.validate_python(name)
            Parameter.model_validate(declared)
        except ValidationError as error:
            reason = error.errors()[0]
            place = "".join(f"{part}: " for part in reason["loc"])
            raise self._refuse(f"{place}{reason['msg'].removeprefix('Value error, ')}") from error
        return declared, nullable

    def reduce(self, schema: Any) -> tuple[dict[str, Any], bool]:
        """The parameter as it can be declared, and whether it may be null."""
        merged, nullable = self._without_choices(schema)
        kind = self._kind_of(merged)
        declared: dict[str, Any] = {"type": kind}
        if kind == "array":
            declared["items"] = self._items(merged)
        elif "enum" in merged and kind != "boolean":
            declared["enum"] = self._choices(merged["enum"], kind)
        for keyword in ARRAY_KEYWORDS if kind == "array" else SCALAR_KEYWORDS[kind]:
            if (value := self._within_limits(keyword, merged.get(keyword))) is not None:
                declared[keyword] = value
        self._exclusive_bounds(merged, declared)
        if kind == "string" and merged.get("format") == "date":
            declared.setdefault("pattern", _DATE)
        self._note_what_is_left(merged, declared)
        if text := shorten_description(merged.get("description")):
            declared["description"] = text
        if kind == "string":
            self.values = _example_values(merged)
        return declared, nullable

    def _refuse(self, reason: str) -> UnsupportedParameter:
        return UnsupportedParameter(f"{self._place}: {reason}")

    def _resolved(self, schema: Any) -> dict[str, Any]:
        """A schema with its local references followed."""
        for _ in range(_DEEPEST_REFERENCE):
            if schema is True:
                return {}
            if not isinstance(schema, dict):
                raise self._refuse("not a JSON Schema")
            if "$ref" not in schema:
                return schema
            beside = {key: value for key, value in schema.items() if key != "$ref"}
            target = self._at(schema["$ref"])
            schema = {**target, **beside} if isinstance(target, dict) else target
        raise self._refuse("its $ref leads back to itself")

    def _at(self, reference: Any) -> Any:
        if not isinstance(reference, str) or not reference.startswith("#/"):
            raise self._refuse(f"$ref {reference!r} leads out of the tool's schema")
        keys = [part.replace("~1", "/").replace("~0", "~") for part in reference[2:].split("/")]
        for here in self._roots:
            for key in keys:
                here = here.get(key) if isinstance(here, dict) else None
            if here is not None:
                return here
        raise self._refuse(f"$ref {reference!r} leads nowhere")

    def _without_choices(self, schema: Any) -> tuple[dict[str, Any], bool]:
        """A schema with references, null and choices that come to one type resolved, and whether it may be null.

        `oneOf` is read as `anyOf`: those who write it mean alternatives, and hardly ever that two must not both fit.
        """
        merged = dict(self._resolved(schema))
        nullable = merged.get("nullable") is True
        for keyword in ("allOf", "anyOf", "oneOf"):
            if keyword not in merged:
                continue
            options = merged.pop(keyword)
            if not isinstance(options, list) or not options or (keyword == "allOf" and len(options) > 1):
                raise self._refuse(f"{keyword} of several schemas is not supported")
            reduced = [self._without_choices(option) for option in options]
            plain = [option for option, _ in reduced if option.get("type") != "null"]
            nullable = nullable or len(plain) < len(reduced) or any(may for _, may in reduced)
            merged = {**self._one_of(plain), **merged}
        if isinstance(kinds := merged.get("type"), list):
            nullable = nullable or "null" in kinds
            merged["type"] = self._one_type([kind for kind in kinds if kind != "null"])
        if "const" in merged:
            merged["enum"] = [merged.pop("const")]
        if isinstance(merged.get("enum"), list) and None in merged["enum"]:
            nullable, merged["enum"] = True, [value for value in merged["enum"] if value is not None]
        return merged, nullable

    def _one_of(self, options: list[dict[str, Any]]) -> dict[str, Any]:
        """One schema for a choice between schemas: constants become an enum, integers and numbers a number."""
        if not options:
            raise self._refuse("it can only be null")
        if len(options) == 1:
            return options[0]
        if all(isinstance(option.get("enum"), list) for option in options):
            kind = self._one_type([self._kind_of(option) for option in options])
            return {"type": kind, "enum": [value for option in options for value in option["enum"]]}
        narrowing = {key for option in options for key in option} - _REMARKS - {"type"}
        kind = self._one_type([self._kind_of(option) for option in options])
        if narrowing:
            self.notes.append(f"{self._place}: a choice of schemas is taken as any {kind}")
        return {"type": kind}

    def _one_type(self, kinds: list[Any]) -> str:
        distinct = list(dict.fromkeys(map(str, kinds)))
        if set(distinct) == {"integer", "number"}:
            return "number"
        if len(distinct) != 1:
            raise self._refuse(f"a choice of types ({', '.join(distinct) or 'none'}) is not supported")
        return distinct[0]

    def _kind_of(self, schema: dict[str, Any]) -> str:
        kind = schema.get("type")
        if kind is None and isinstance(schema.get("enum"), list) and schema["enum"]:
            return self._one_type([_JSON_TYPES.get(type(value), "object") for value in schema["enum"]])
        if kind is None and ("properties" in schema or "items" in schema or "prefixItems" in schema):
            kind = "object" if "properties" in schema else "array"
        if kind is None:
            kind = _JSON_TYPES.get(type(schema.get("default")), "string")
            self.notes.append(f"{self._place}: no type is given, taken as {kind}")
        if kind == "object":
            raise self._refuse("an object within the arguments is not supported")
        if kind not in SCALAR_KEYWORDS and kind != "array":
            raise self._refuse(f"type {str(kind)[:40]!r} is not supported")
        return str(kind)

    def _items(self, schema: dict[str, Any]) -> dict[str, Any]:
        if schema.get("prefixItems") or isinstance(schema.get("items"), list):
            raise self._refuse("an array with a type for each place is not supported")
        inner = _ParameterReducer(f"{self._place}: items", *self._roots)
        declared, nullable = inner.reduce(schema.get("items", {}))
        self.notes += inner.notes
        if declared["type"] == "array" or nullable:
            raise self._refuse(f"an array of {'values that may be null' if nullable else 'arrays'} is not supported")
        return declared

    def _choices(self, values: Any, kind: str) -> list[Any]:
        if not isinstance(values, list) or not values:
            raise self._refuse("enum is not a list of values")
        return [value for place, value in enumerate(values) if value not in values[:place]]

    def _within_limits(self, keyword: str, value: Any) -> Any:
        """A keyword's value as it can be declared: a larger one is brought down where that only narrows."""
        limit = _LARGEST.get(keyword)
        if keyword == "pattern" and value is not None:
            try:
                re.compile(value)
            except (re.error, TypeError):
                self.notes.append(f"{self._place}: left out: pattern, which Python does not read")
                return None
        if limit is None or not isinstance(value, int | float) or abs(value) <= limit:
            return value
        if keyword in ("minimum", "maximum"):
            return None  # as good as none: the range of a 64-bit integer, mostly
        if keyword == "maxItems":
            self.notes.append(f"{self._place}: maxItems {value} is taken as {limit}")
        return limit if keyword.startswith("max") else value

    def _exclusive_bounds(self, schema: dict[str, Any], declared: dict[str, Any]) -> None:
        """Bounds that lie outside of the range themselves, as bounds within it: exact for integers only."""
        if declared["type"] not in ("integer", "number"):
            return
        for keyword, (kept, step) in _EXCLUSIVE.items():
            bound = schema.get(keyword)
            if not isinstance(bound, int | float) or isinstance(bound, bool):
                continue
            if declared["type"] == "integer":
                bound = math.floor(bound) + 1 if step > 0 else math.ceil(bound) - 1
            else:
                self.notes.append(f"{self._place}: {keyword} {bound} is taken as {kept}, so {bound} itself is allowed")
            declared[kept] = (
                max(bound, declared.get(kept, bound)) if step > 0 else min(bound, declared.get(kept, bound))
            )

    def _note_what_is_left(self, schema: dict[str, Any], declared: dict[str, Any]) -> None:
        said = set(_EXCLUSIVE) if declared["type"] in ("integer", "number") else set()
        said |= set(_LARGEST) | {"pattern"} if declared["type"] != "boolean" else set()
        said |= {"format"} if schema.get("format") == "date" else set()
        said |= {"minLength"} if schema.get("minLength") in (0, 1) else set()  # no value is empty in a sentence
        left = sorted(set(schema) - declared.keys() - _REMARKS - said)
        if left:
            self.notes.append(f"{self._place}: left out: {', '.join(left)}")


def shorten_description(text: Any) -> str:
    """The first paragraph of a description on one line, at most 200 characters; "" if there is none."""
    if not isinstance(text, str):
        return ""
    line = " ".join(re.split(r"\n\s*\n", text.strip(), maxsplit=1)[0].split())
    if len(line) <= _LONGEST_DESCRIPTION:
        return line
    return line[: _LONGEST_DESCRIPTION - 3].rpartition(" ")[0].rstrip(",;:. ") + "..."


def _example_values(schema: dict[str, Any]) -> list[str] | None:
    """Values of a free string: the schema's examples, those that its description quotes, or dates."""
    given = schema.get("examples", schema.get("example"))
    listed = given if isinstance(given, list) else [given]
    found = [value for value in listed if isinstance(value, str) and value.strip()]
    text = schema.get("description")
    if not found and isinstance(text, str) and (after := _QUOTED_EXAMPLES.search(" ".join(text.split()))):
        found = [value for _, value in _QUOTED.findall(after[1])]
    if found:
        return list(dict.fromkeys(found))
    return list(_DATES) if schema.get("format") == "date" else None
