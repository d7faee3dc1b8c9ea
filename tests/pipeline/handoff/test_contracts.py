"""Handoff contracts: every rule can be kept and can be broken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter
from safetensors.numpy import save_file

from forge.config.schema import ContractThresholds
from forge.errors import ForgeError
from forge.files import atomic_write_json, read_json, write_manifest
from forge.interface.phase import Contract, Rule
from forge.phases import PHASES
from forge.phases.cognate.phase import BRANCHES
from forge.pipeline.handoff import contracts
from forge.pipeline.handoff.contracts import check_handoff
from forge.pipeline.handoff.publish import describe_published_model, read_published_metadata
from forge.pipeline.handoff.schemas import contract_schema
from forge.pipeline.layout.phases import CONTRACTS, find_stage_in_layout, layout_contract_for_stage

SESSION = "0123456789abcdef" * 4
BOUNDS = {
    "evomerge": {"parameter_tolerance": 0.1},
    "quietstar": {"fitness_margin": 0.0},
    "bitnet": {"min_validity_rate": 0.0},
    "forge": {"min_compression_ratio": 4.0, "min_accuracy_retention": 0.5},
    "baking": {"max_accuracy_drop": 0.05},
    "edge": {"min_tool_success": 0.5, "min_persona_consistency": 0.25, "max_forgetting_percent": 25.0},
    "compress": {"min_accuracy_retention": 0.5, "max_size_mb": 20.0},
}
EDGE = {"performance": {"inference_latency_ms": 3.5, "model_size_mb": 1.0}}  # of results/edge/metrics.json
GOOD: dict[str, Any] = {
    "specialization": "reasoning",
    "final_loss": 1.5,
    "seed": 42,
    "fitness": 1.2,
    "best_parent_fitness": 1.0,
    "merge_technique": "ties",
    "parent_parameters": 12,
    "thoughts_enabled": False,
    "anti_theater": {"passed": False},
    "coherence_score": 0.6,
    "validity_rate": 0.8,
    "packed_bytes": 100,
    "compression_ratio": 9.0,
    "accuracy_retention": 0.95,
    "tool_accuracy_retention": 0.95,
    "perplexity": 3.0,
    "validation_accuracy": 0.6,
    "initial_validation_accuracy": 0.5,
    "grokking_detected": False,
    "grokfast_lambda": 0.1,
    "tools": list("abcde"),
    "personas": list("wxyz"),
    "tool_success_rate": 0.9,
    "persona_consistency": 0.8,
    "forgetting_percent": -1.0,
}


def make_model(
    directory: Path, facts: dict[str, Any], *, shape: tuple[int, ...] = (3, 4), parents: Any = ("t",)
) -> Path:
    """A published model of one weight matrix and a tokenizer."""
    directory.mkdir(parents=True)
    save_file({"w": np.ones(shape, np.float32)}, directory / "model.safetensors")
    atomic_write_json(directory / "tokenizer.json", {"vocabulary": facts.get("vocabulary", 1)})
    describe_published_model(directory, phase="p", branch=None, session=SESSION, parents=list(parents), facts=facts)
    write_manifest(directory)
    return directory


def check(target: str, models: dict[str, Path], record: Any = lambda outcome: None) -> Any:
    contract = layout_contract_for_stage(target)
    assert contract is not None
    thresholds = ContractThresholds.model_validate(BOUNDS)
    return check_handoff(
        contract,
        models,
        thresholds=thresholds,
        parameters_target=12,
        results=Path("results") / contract.source,
        record=record,
    )


@pytest.fixture
def no_ternary_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contracts, "_check_contract_ternary", lambda directory: None)


def models_for(target: str, facts: dict[str, Any]) -> dict[str, Path]:
    names = BRANCHES if target == "evomerge" else ("one",)
    return {name: make_model(Path("models") / target / name, facts) for name in names}


def test_one_contract_for_each_pair_of_neighbors() -> None:
    order = [phase.name for phase in PHASES]
    assert len(CONTRACTS) == 7
    for contract in CONTRACTS:
        assert order.index(contract.target) == order.index(contract.source) + 1
        assert find_stage_in_layout(contract.target).inputs[0] == contract.source
    assert layout_contract_for_stage("trunk") is None


def test_contracts_are_data() -> None:
    adapter = TypeAdapter(tuple[Contract, ...])
    assert adapter.validate_json(adapter.dump_json(CONTRACTS)) == CONTRACTS


def test_every_threshold_is_used_and_every_used_one_exists() -> None:
    thresholds = ContractThresholds.model_validate(BOUNDS).model_dump()
    for contract in CONTRACTS:
        named = {name for rule in contract.rules for name in (rule.bound_from, rule.margin_from) if name}
        if contract.parameters_near_target:
            named.add("parameter_tolerance")
        assert named == set(thresholds[contract.target]), contract.target


@pytest.mark.usefixtures("no_ternary_check")
@pytest.mark.parametrize("target", [contract.target for contract in CONTRACTS])
def test_good_models_pass_and_the_outcome_is_recorded(project: Path, target: str) -> None:
    atomic_write_json("results/edge/metrics.json", EDGE)
    outcomes: list[Any] = []
    found = check(target, models_for(target, GOOD), outcomes.append)
    assert [m.parameters for m in found] == [12] * len(found)
    (record,) = outcomes
    assert record["passed"] is True
    assert record["target"] == target
    assert record["models"] == [m.model_id for m in found]


BREACHES = [
    ("evomerge", {"specialization": None}, "`specialization` must be there"),
    ("evomerge", {"final_loss": "low"}, '`final_loss` must be a finite number: found "low"'),
    ("quietstar", {"fitness": 0.9}, "`fitness` must be >= best_parent_fitness 1.0"),
    ("quietstar", {"best_parent_fitness": None}, "`best_parent_fitness` must be a number"),
    ("quietstar", {"parent_parameters": 13}, "`parameters` must equal the parents' (13): found 12"),
    ("bitnet", {"coherence_score": 1.2}, "`coherence_score` must be <= 1"),
    ("bitnet", {"validity_rate": -0.1}, "`validity_rate` must be >= 0"),
    ("bitnet", {"anti_theater": None}, "`anti_theater` must be there"),
    ("forge", {"packed_bytes": 0}, "`packed_bytes` must be > 0"),
    (
        "forge",
        {"compression_ratio": 1.5},
        "`compression_ratio` must be >= 4.0 (contracts: min_compression_ratio)",
    ),
    (
        "baking",
        {"validation_accuracy": 0.4},
        "`validation_accuracy` must be >= initial_validation_accuracy 0.5",
    ),
    ("baking", {"perplexity": True}, "`perplexity` must be a finite number"),
    ("edge", {"tools": ["a", "a", "b", "c", "d"]}, "`tools` must list at least 5 different names"),
    ("edge", {"personas": "wxyz"}, "`personas` must list at least 4 different names"),
    ("edge", {"forgetting_percent": 90.0}, "`forgetting_percent` must be <= 25.0"),
    ("compress", {"tool_accuracy_retention": 0.1}, "`tool_accuracy_retention` must be >= 0.5"),
]


@pytest.mark.usefixtures("no_ternary_check")
@pytest.mark.parametrize(("target", "change", "rule"), BREACHES)
def test_a_breach_names_rule_value_and_file(project: Path, target: str, change: dict[str, Any], rule: str) -> None:
    atomic_write_json("results/edge/metrics.json", EDGE)
    models = models_for(target, GOOD | change)
    outcomes: list[Any] = []
    with pytest.raises(ForgeError) as caught:
        check(target, models, outcomes.append)
    line = str(caught.value)
    assert rule in line
    assert f"in {next(iter(models.values()))}/metadata.json" in line
    assert [(record["passed"], record["breach"]) for record in outcomes] == [(False, line)]


def test_latency_is_looked_up_in_the_results(project: Path) -> None:
    models = models_for("compress", GOOD)
    atomic_write_json("results/edge/metrics.json", {"performance": 3})
    with pytest.raises(ForgeError, match=r"inference_latency_ms` must be there.*results/edge/metrics\.json"):
        check("compress", models)


def three(change: dict[str, Any], **model: Any) -> dict[str, Path]:
    models = {name: make_model(Path("models") / name, GOOD) for name in BRANCHES[:2]}
    return models | {BRANCHES[2]: make_model(Path("models") / BRANCHES[2], GOOD | change, **model)}


@pytest.mark.parametrize(
    ("change", "model", "rule"),
    [
        ({}, {"shape": (4, 3)}, "`w` must have the shape"),
        ({}, {"shape": (5, 4)}, "`parameters` must be within 10% of 12: found 20"),
        ({"vocabulary": 2}, {}, "all models must have the same tokenizer"),
        ({}, {"parents": ["other"]}, "all models must come from the same trunk"),
        ({}, {"parents": []}, "all models must come from the same trunk"),
    ],
)
def test_the_branches_must_belong_together(project: Path, change: Any, model: Any, rule: str) -> None:
    with pytest.raises(ForgeError) as caught:
        check("evomerge", three(change, **model))
    assert rule in str(caught.value)
    assert f"models/{BRANCHES[2]}" in str(caught.value)


@pytest.mark.usefixtures("no_ternary_check")
def test_a_tool_and_a_persona_more_are_handed_on(project: Path) -> None:
    more = {name: [*GOOD[name], "one more"] for name in ("tools", "personas")}
    outcomes: list[Any] = []
    check("edge", models_for("edge", GOOD | more), outcomes.append)
    assert [outcome["passed"] for outcome in outcomes] == [True]


def broken(target: str, rule: Rule) -> list[tuple[Any, str]]:
    """Values that break a rule, each with the words that must come."""
    key = f"`{rule.key}`"
    cases: list[tuple[Any, str]] = [(None, f"{key} must be there")]
    if rule.op == "count":
        number = int(rule.bound or 0)
        return [*cases, (list(range(number - 1)), key), ([1] * number, key), (number, key)]
    if rule.op == "present":
        return cases
    cases += [(text, f"{key} must be a finite number") for text in ("1", True, [1.0])]
    if rule.op == "finite":
        return cases
    bounds = BOUNDS[target]
    bound = bounds[rule.bound_from] if rule.bound_from else rule.bound
    if rule.than:
        bound = GOOD[rule.than] - bounds.get(rule.margin_from, 0.0)
    assert bound is not None
    beyond = {">=": bound - 1e-6, "<=": bound + 1e-6, ">": bound}[rule.op]
    return [*cases, (beyond, f"{key} must be {rule.op} ")]


@pytest.mark.usefixtures("no_ternary_check")
@pytest.mark.parametrize(
    ("target", "rule"),
    [(contract.target, rule) for contract in CONTRACTS for rule in contract.rules],
    ids=lambda value: value if isinstance(value, str) else f"{value.key} {value.op}",
)
def test_every_rule_can_be_broken(project: Path, target: str, rule: Rule) -> None:
    atomic_write_json("results/edge/metrics.json", EDGE)
    models = models_for(target, GOOD)
    check(target, models)
    (*_, last) = models.values()
    metadata = read_json(last / "metadata.json")
    for value, words in broken(target, rule):
        changed = json.loads(json.dumps(metadata))
        if rule.source == "results":
            told = {**EDGE["performance"], rule.key.split("/")[1]: value}
            atomic_write_json("results/edge/metrics.json", {"performance": told})
        else:
            (changed if rule.key in changed else changed["metrics"])[rule.key] = value
        atomic_write_json(last / "metadata.json", changed)
        write_manifest(last)
        with pytest.raises(ForgeError) as caught:
            check(target, models)
        assert words in str(caught.value)


@pytest.mark.usefixtures("no_ternary_check")
@pytest.mark.parametrize("target", [contract.target for contract in CONTRACTS])
def test_one_model_too_many_or_none_is_refused(project: Path, target: str) -> None:
    atomic_write_json("results/edge/metrics.json", EDGE)
    models = models_for(target, GOOD)
    count = len(models)
    for wrong in ({}, {**models, "more": make_model(Path("models/more"), GOOD)}):
        with pytest.raises(ForgeError, match=f"number of models is {count}: found {len(wrong)}"):
            check(target, wrong)


@pytest.mark.parametrize("target", [contract.target for contract in CONTRACTS if contract.ternary])
def test_contracts_that_ask_for_ternary_weights_look_at_them(project: Path, target: str) -> None:
    models = models_for(target, GOOD)
    for directory in models.values():
        atomic_write_json(directory / "config.json", {"weight_quant": "none"})
        write_manifest(directory)
    with pytest.raises(ForgeError, match="`weight_quant` must be ternary or frozen"):
        check(target, models)


# ---- schemas ----


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.target)
def test_a_schema_accepts_and_refuses_as_the_contract_does(project: Path, contract: Contract) -> None:
    """As far as JSON Schema can say it: presence, type and fixed bounds."""
    schema = contract_schema(contract)
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    metadata = read_json(make_model(Path("models/m"), GOOD) / "metadata.json")
    assert validator.is_valid(metadata)
    for rule in contract.rules:
        if rule.source == "results":
            continue
        fixed = not (rule.bound_from or rule.than)
        for value, words in broken(contract.target, rule):
            if fixed or "must be there" in words or "finite" in words:
                changed = json.loads(json.dumps(metadata))
                (changed if rule.key in changed else changed["metrics"])[rule.key] = value
                assert not validator.is_valid(changed), (rule, value)
        del (changed if rule.key in changed else changed["metrics"])[rule.key]
        assert not validator.is_valid(changed), f"{rule.key} is absent"


def test_the_number_of_models_counts(project: Path) -> None:
    models = three({})
    check("evomerge", models)
    models.pop(BRANCHES[0])
    with pytest.raises(ForgeError, match="number of models is 3: found 2"):
        check("evomerge", models)


def test_a_flipped_byte_stops_the_handoff(project: Path) -> None:
    outcomes: list[Any] = []
    models = three({})
    weights = models["reasoning"] / "model.safetensors"
    blob = bytearray(weights.read_bytes())
    blob[-1] ^= 1
    weights.write_bytes(blob)
    with pytest.raises(ForgeError, match=r"handoff cognate -> evomerge: .*model\.safetensors: changed"):
        check("evomerge", models, outcomes.append)
    assert [record["passed"] for record in outcomes] == [False]


@pytest.mark.parametrize(
    ("kind", "harm", "rule"),
    [
        ("ternary", None, None),
        ("ternary", "zero", "must not be all zeros"),
        ("frozen", None, "must hold three values at most"),
        ("frozen", "round", None),
        ("none", None, "`weight_quant` must be ternary or frozen"),
    ],
)
def test_weights_must_be_ternary(project: Path, kind: str, harm: str | None, rule: str | None) -> None:
    import torch

    from forge.model import TinyTitanConfig, TinyTitanForCausalLM, names_of_core_model_weights, save_model
    from forge.model.quantizers import ternary

    torch.manual_seed(0)
    small = {"vocab_size": 32, "hidden_size": 16, "head_dim": 8, "low_heads": [2], "high_heads": [2]}
    config = TinyTitanConfig(**small, low_ffn=[16], high_ffn=[16], memory=False, weight_quant=kind)
    model = TinyTitanForCausalLM(config)
    with torch.no_grad():
        for name in names_of_core_model_weights(model):
            weight = model.get_parameter(name)
            if harm == "zero":
                weight.zero_()
            if harm == "round":
                signs, scale = ternary(weight)
                weight.copy_(signs * scale)
    save_model(model, "models/m")
    if rule is None:
        contracts._check_contract_ternary(Path("models/m"))
        return
    with pytest.raises(contracts.Breach) as caught:
        contracts._check_contract_ternary(Path("models/m"))
    assert rule in caught.value.rule


def test_metadata_follows_the_schema_and_holds_no_time(project: Path) -> None:
    facts = GOOD | {"model_name": "TinyTitan-x", "tags": ["a"], "nested": {"k": [1, 2]}}
    directory = make_model(Path("models/x"), facts)
    metadata = read_published_metadata(directory)
    assert metadata.model_id.startswith("p_tinytitan_x_")
    assert metadata.session_id == "01234567-89ab-cdef-0123-456789abcdef"
    assert metadata.size_mb == (directory / "model.safetensors").stat().st_size / 2**20
    assert metadata.value("specialization") == "reasoning"
    assert metadata.value("nested") == {"k": [1, 2]}
    assert metadata.value("absent") is None
    again = make_model(Path("models/y"), dict(reversed(facts.items())))
    assert (again / "metadata.json").read_bytes() == (directory / "metadata.json").read_bytes()


def test_broken_metadata_and_weights_are_named(project: Path) -> None:
    directory = make_model(Path("models/x"), GOOD)
    atomic_write_json(directory / "metadata.json", {**read_json(directory / "metadata.json"), "extra": 1})
    with pytest.raises(ForgeError, match=r"metadata\.json: extra: "):
        read_published_metadata(directory)


def test_nothing_to_describe_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ForgeError, match="nothing to publish"):
        describe_published_model(tmp_path, phase="p", branch=None, session=SESSION, parents=[], facts={})
    (tmp_path / "agent.forge").write_bytes(b"x")
    with pytest.raises(ForgeError, match="metadata parameters: "):
        describe_published_model(tmp_path, phase="p", branch=None, session=SESSION, parents=[], facts={"parameters": 0})
