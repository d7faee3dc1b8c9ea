"""The seven handoff contracts, as data, and their check.

A contract binds two neighbors. It is checked when the receiving stage opens its inputs; a breach stops the
stage with one line that names the rule, the value and the file, and either outcome is recorded. Bounds that a
small scale may miss are not here but in `params.yaml` (`scales.<name>.contracts`), under the names that
`Rule.bound_from` gives.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from forge.errors import ForgeError
from forge.files import read_json, safetensors_file_entries, verify_manifest
from forge.interface.phase import Contract, Rule
from forge.pipeline.handoff.publish import METADATA, ModelMetadata, read_published_metadata

Record = Callable[[Mapping[str, Any]], None]


class Breach(Exception):
    """A rule that does not hold; caught by `check_handoff`."""

    def __init__(self, rule: str, value: Any, file: Path) -> None:
        super().__init__(rule)
        self.rule, self.value, self.file = rule, value, file


def check_handoff(
    contract: Contract,
    models: Mapping[str, Path],
    *,
    thresholds: BaseModel,
    parameters_target: int,
    results: Path,
    record: Record,
) -> list[ModelMetadata]:
    """Check a handoff, record the outcome, and return the models' metadata in the order given.

    Args:
        contract: one of `CONTRACTS`.
        models: directory by name, of every model that the source published.
        thresholds: bounds of the active scale.
        parameters_target: parameters that phase 1 aims at, of the active scale.
        results: the source's results directory.
        record: called once with the outcome: source, target, models (their ids, as far as read), passed, and the
            breach, None if there is none.

    Raises:
        ForgeError: naming the first rule that does not hold, the value and the file.
    """
    bounds = getattr(thresholds, contract.target).model_dump()
    outcome: dict[str, Any] = {"source": contract.source, "target": contract.target, "models": []}
    try:
        if len(models) != contract.models:
            raise Breach(f"number of models is {contract.models}", len(models), Path("models") / contract.source)
        found: list[ModelMetadata] = []
        for directory in models.values():
            verify_manifest(directory)
            metadata = read_published_metadata(directory)
            outcome["models"].append(metadata.model_id)
            found.append(metadata)
            for rule in contract.rules:
                _check_contract_rule(rule, directory, metadata, bounds, results)
        _check_contract_form(contract, list(models.values()), found, parameters_target, bounds)
    except Breach as breach:
        shown = json.dumps(breach.value, default=str)[:120]
        line = f"handoff {contract.source} -> {contract.target}: {breach.rule}: found {shown} in {breach.file}"
        record({**outcome, "passed": False, "breach": line})
        raise ForgeError(line) from breach
    except ForgeError as error:
        line = f"handoff {contract.source} -> {contract.target}: {error}"
        record({**outcome, "passed": False, "breach": line})
        raise ForgeError(line) from error
    record({**outcome, "passed": True, "breach": None})
    return found


def _contract_rule_value(rule: Rule, directory: Path, metadata: ModelMetadata, results: Path) -> tuple[Any, Path]:
    """The value that a rule speaks of, and the file that holds it."""
    if rule.source == "metadata":
        return metadata.value(rule.key), directory / METADATA
    path = results / "metrics.json"
    value = read_json(path)
    for part in rule.key.split("/"):
        value = value.get(part) if isinstance(value, dict) else None
    return value, path


def _check_contract_rule(
    rule: Rule, directory: Path, metadata: ModelMetadata, bounds: Mapping[str, Any], results: Path
) -> None:
    value, file = _contract_rule_value(rule, directory, metadata, results)
    if value is None:
        raise Breach(f"`{rule.key}` must be there", None, file)
    if rule.op == "present":
        return
    if rule.op == "count":
        if not isinstance(value, list) or len(set(map(str, value))) < (rule.bound or 0):
            raise Breach(f"`{rule.key}` must list at least {rule.bound:g} different names", value, file)
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Breach(f"`{rule.key}` must be a finite number", value, file)
    if rule.op != "finite":
        bound, wording = _contract_rule_bound(rule, metadata, bounds, file)
        holds = {">=": value >= bound, "<=": value <= bound, ">": value > bound}
        if not holds[rule.op]:
            raise Breach(f"`{rule.key}` must be {rule.op} {wording}", value, file)


def _contract_rule_bound(
    rule: Rule, metadata: ModelMetadata, bounds: Mapping[str, Any], file: Path
) -> tuple[float, str]:
    """The number that a value is compared with, and how to say it."""
    if rule.bound_from is not None:
        return float(bounds[rule.bound_from]), f"{bounds[rule.bound_from]} (contracts: {rule.bound_from})"
    if rule.than is None:
        return float(rule.bound), str(rule.bound)  # type: ignore[arg-type]
    other = metadata.value(rule.than)
    if isinstance(other, bool) or not isinstance(other, int | float):
        raise Breach(f"`{rule.than}` must be a number", other, file)
    margin = float(bounds[rule.margin_from]) if rule.margin_from else 0.0
    return float(other) - margin, f"{rule.than} {other} less a margin of {margin}"


def _check_contract_form(
    contract: Contract,
    directories: list[Path],
    found: list[ModelMetadata],
    parameters_target: int,
    bounds: Mapping[str, Any],
) -> None:
    """The rules about shapes, counts, ancestry and weights."""
    first, first_dir = found[0], directories[0]
    for metadata, directory in zip(found, directories, strict=True):
        file = directory / METADATA
        if contract.parameters_near_target:
            tolerance = bounds["parameter_tolerance"]
            if abs(metadata.parameters / parameters_target - 1.0) > tolerance:
                rule = f"`parameters` must be within {tolerance:.0%} of {parameters_target}"
                raise Breach(rule, metadata.parameters, file)
        tokenizer = metadata.tokenizer_sha256
        if contract.same_tokenizer and (tokenizer is None or tokenizer != first.tokenizer_sha256):
            raise Breach("all models must have the same tokenizer", tokenizer, file)
        if contract.same_parents and (not metadata.parents or metadata.parents != first.parents):
            raise Breach("all models must come from the same trunk", metadata.parents, file)
        if contract.same_shapes:
            _check_contract_shapes(first_dir, directory)
        if contract.parameters_as_parents:
            before = metadata.value("parent_parameters")
            if metadata.parameters != before:
                raise Breach(f"`parameters` must equal the parents' ({before})", metadata.parameters, file)
        if contract.ternary:
            _check_contract_ternary(directory)


def _check_contract_shapes(reference: Path, directory: Path) -> None:
    file = directory / "model.safetensors"
    expected, shapes = (
        {name: shape for name, (shape, _) in safetensors_file_entries(path).items()}
        for path in (reference / "model.safetensors", file)
    )
    for name in sorted(expected.keys() | shapes.keys()):
        if expected.get(name) != shapes.get(name):
            rule = f"`{name}` must have the shape it has in {reference} ({expected.get(name)})"
            raise Breach(rule, shapes.get(name), file)


def _check_contract_ternary(directory: Path) -> None:
    """Core weights must act as ternary: frozen ones hold three values, latent ones do not round to zeros."""
    from forge.model import load_model, names_of_core_model_weights
    from forge.model.quantizers import ternary

    kind = read_json(directory / "config.json").get("weight_quant")
    if kind not in ("ternary", "frozen"):
        raise Breach("`weight_quant` must be ternary or frozen", kind, directory / "config.json")
    file = directory / "model.safetensors"
    model = load_model(directory)
    weights = model.state_dict()
    for name in names_of_core_model_weights(model):
        signs, _ = ternary(weights[name])
        if not bool(signs.any()):
            raise Breach(f"`{name}` must not be all zeros when rounded to ternary", 0, file)
        if kind == "frozen" and weights[name].unique().numel() > 3:
            raise Breach(f"`{name}` must hold three values at most", weights[name].unique().numel(), file)
