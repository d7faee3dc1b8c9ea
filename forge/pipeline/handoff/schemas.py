"""The handoff contracts as JSON Schema, for readers in other languages.

One file for each contract, `docs/reference/schemas/<source>-<target>.json`. The schema describes the `metadata.json` of
one model that is handed on, as far as JSON Schema can say it: which values must be there, of which type, within which
fixed bounds. What it cannot say stands beside it under `x-contract`: how many models there are, what they must share,
and bounds that `params.yaml` sets or that compare two values.
"""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from forge.interface.phase import Contract, Rule
from forge.pipeline.handoff.publish import ModelMetadata
from forge.pipeline.layout.phases import CONTRACTS


def schema_name(contract: Contract) -> str:
    """The file's name: `cognate-evomerge.json`."""
    return f"{contract.source}-{contract.target}.json"


def contract_schema(contract: Contract) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a model's metadata.json at one handoff."""
    schema = ModelMetadata.model_json_schema()
    fields: dict[str, Any] = schema["properties"]
    metrics: dict[str, Any] = {}
    needed: dict[str, list[str]] = {"fields": list(schema["required"]), "metrics": []}
    for rule in (*contract.rules, *_contract_comparands(contract)):
        if rule.source != "metadata":
            continue
        own = rule.key in ModelMetadata.model_fields
        (fields if own else metrics)[rule.key] = _narrow_contract_schema(
            (fields if own else metrics).get(rule.key, {}), rule
        )
        names = needed["fields" if own else "metrics"]
        if rule.key not in names:
            names.append(rule.key)
    if metrics:
        fields["metrics"] = {"type": "object", "properties": metrics, "required": needed["metrics"]}
        needed["fields"].append("metrics")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"handoff {contract.source} -> {contract.target}",
        "description": f"metadata.json of a model that {contract.source} hands on to {contract.target}",
        "type": "object",
        "properties": fields,
        "required": needed["fields"],
        "additionalProperties": False,
        "x-contract": TypeAdapter(Contract).dump_python(contract, mode="json", exclude_defaults=True),
    }


def _contract_comparands(contract: Contract) -> list[Rule]:
    """The values that others are compared with must be there as well."""
    keys = [rule.than for rule in contract.rules if rule.than]
    keys += ["parent_parameters"] if contract.parameters_as_parents else []
    return [Rule(key=key, op="finite") for key in keys]


def _narrow_contract_schema(known: dict[str, Any], rule: Rule) -> dict[str, Any]:
    """A value's schema with one more rule on it. Whatever a contract asks for may not be null."""
    if rule.op == "present":
        options = [option for option in known.get("anyOf", []) if option.get("type") != "null"]
        return {**options[0], "title": known["title"]} if options else known or {"not": {"type": "null"}}
    if rule.op == "count":
        return {"type": "array", "minItems": int(rule.bound or 0), "uniqueItems": True}
    limits = {">=": "minimum", "<=": "maximum", ">": "exclusiveMinimum"}
    limit = {limits[rule.op]: rule.bound} if rule.bound is not None and rule.op in limits else {}
    return {"type": "number", **known, **limit}


def schemas() -> dict[str, dict[str, Any]]:
    """Every contract's schema by the name of its file."""
    return {schema_name(contract): contract_schema(contract) for contract in CONTRACTS}
