"""`params.yaml`: what is accepted, what is refused and in which words."""

from __future__ import annotations

import difflib
import re
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from ruamel.yaml import YAML

from forge.config import (
    ParamsChanged,
    edited,
    load_params,
    parse_params_yaml,
    read_params_yaml,
    replace_params,
    schema,
    set_param,
)
from forge.config import load as loading
from forge.errors import ForgeError
from forge.interface.fields import Mix
from forge.interface.limits import LARGEST_SEED
from forge.phases.cognate import params as cognate
from forge.pipeline.layout.phases import STAGES
from tests.attacks.yaml_texts import merge_bomb

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def params_file(tmp_path: Path) -> Path:
    return Path(shutil.copy(ROOT / "params.yaml", tmp_path / "params.yaml"))


def rewrite(path: Path, key: str, value: Any) -> None:
    """Set (or with ... remove) a key without any check."""
    tree = read_params_yaml(path)
    *parents, last = key.split(".")
    node = tree
    for part in parents:
        node = node[part]
    if value is ...:
        del node[last]
    else:
        node[last] = value
    with open(path, "w", encoding="utf-8") as stream:
        YAML(typ="safe", pure=True).dump(tree, stream)


def test_the_shipped_file_is_valid_at_every_scale() -> None:
    params = load_params(ROOT / "params.yaml")
    assert params.scale == "tiny"
    assert set(params.file.scales) == {"smoke", "tiny", "spec"}
    for scale in params.file.scales:
        view = params.at(scale)
        assert view.scale == scale
        for stage in STAGES:
            assert view.block(stage.phase) is not None


def test_a_phase_has_both_halves(params_file: Path) -> None:
    params = load_params(params_file)
    tree = read_params_yaml(params_file)
    edge = params.block("edge")
    assert edge.prune_ratio == tree["edge"]["prune_ratio"]
    assert edge.steps == tree["scales"]["tiny"]["edge"]["steps"]
    set_param(params_file, "scale", "smoke")
    assert load_params(params_file).block("edge").steps == tree["scales"]["smoke"]["edge"]["steps"]
    with pytest.raises(ForgeError, match="no parameters of 'nope'; known: data, own_tools, cognate, "):
        params.block("nope")


def test_select_reads_dotted_keys(params_file: Path) -> None:
    params = load_params(params_file)
    picked = params.select(["seed", "cognate.branches.reasoning.seed", "scales.spec.evomerge"])
    assert picked["seed"] == 0
    assert picked["cognate.branches.reasoning.seed"] == 42, "the specification's seed"
    assert picked["scales.spec.evomerge"] == read_params_yaml(params_file)["scales"]["spec"]["evomerge"]
    with pytest.raises(ForgeError, match=r"seed\.deeper: no such key"):
        params.select(["seed.deeper"])


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("scale", "huge", "scale: 'huge' is not one of "),
        ("seed", -1, "seed: input should be greater than or equal to 0, got -1"),
        ("seed", "0", "seed: input should be a valid integer, got '0'"),
        ("seed", ..., "seed: missing"),
        ("sed", 1, "sed: unknown key"),
        ("scales.spec.edge.stepps", 1, "scales.spec.edge.stepps: unknown key"),
        ("scales.spec.edge.steps", ..., "scales.spec.edge.steps: missing"),
        (
            "scales.tiny.cognate.hidden_size",
            8191,
            "scales.tiny.cognate.hidden_size: must be a multiple of head_dim (",
        ),
        (
            "scales.tiny.cognate.head_dim",
            33,
            "scales.tiny.cognate.head_dim: input should be a multiple of 2, got 33",
        ),
        ("scales.tiny.cognate.widen", 3, "scales.tiny.cognate.widen: must divide all feed-forward widths, and 3 does"),
        ("scales.tiny.cognate.low_ffn", [64] * 33, "scales.tiny.cognate.low_ffn: needs one width per block"),
        ("scales.tiny.cognate.high_heads", [], "scales.tiny.cognate.high_heads: list should have at least 1"),
        ("scales.smoke.cognate.low_heads", [0], "scales.smoke.cognate.low_heads[0]: input should be greater"),
        ("scales.tiny.cognate.memory", 1, "scales.tiny.cognate.memory: input should be a valid boolean"),
        (
            "cognate.decay_fraction",
            0.99,
            "cognate.decay_fraction: warmup_fraction + decay_fraction must not exceed 1",
        ),
        ("cognate.branches.reasoning.mix.text", "a lot", "cognate.branches.reasoning.mix.text: "),
        ("cognate.branches", {}, "cognate.branches: dictionary should have at least 1"),
        ("evomerge.fitness.speed", 0.9, "evomerge.fitness: the weights must add up to 1, got "),
        ("quietstar.thought_weights.fluency", 0.0, "quietstar.thought_weights: the weights must add up to 1"),
        ("quietstar.on_fail", "maybe", "quietstar.on_fail: input should be 'continue' or 'stop'"),
        ("evomerge.elites", 256, "scales: smoke.evomerge.population ("),
        ("bitnet.act_bits", 4, "bitnet.act_bits: input should be 0 or 8"),
        ("compress.vq_codebook", 100, "compress.vq_codebook: must be a power of two, got 100"),
        ("compress.gates", [0.9], "compress.gates: list should have at least 3"),
        ("compress.budget_mb", 0, "compress.budget_mb: "),
        (
            "scales.tiny.compress.vocab_size",
            65536,
            "scales.tiny.compress: vocab_size (65536) exceeds data.vocab_size (",
        ),
        ("scales.tiny.forge.lr", float("nan"), "scales.tiny.forge.lr: "),
        ("seed", 2**32, "seed: input should be less than or equal to 4294967295, got 4294967296"),
        ("seed", 2**64, "seed: "),
        ("evaluation.seed", 2**64, "evaluation.seed: "),
        ("cognate.branches.reasoning.seed", 2**64, "cognate.branches.reasoning.seed: "),
        ("baking.temperature", 1e-40, "baking.temperature: must be 0 (always the likeliest) or from 0.01 to 100"),
        ("baking.temperature", float("inf"), "baking.temperature: must be 0"),
        ("baking.temperature", float("nan"), "baking.temperature: must be 0"),
        ("bitnet.temperature", 1e-40, "bitnet.temperature: input should be greater than or equal to 0.01"),
        ("bitnet.temperature", float("inf"), "bitnet.temperature: "),
        ("cognate.clip", float("inf"), "cognate.clip: input should be less than or equal to 1000000"),
        ("training.mix.tool", float("inf"), "training.mix.tool: "),
        ("baking.answer_tokens", 10**9, "baking.answer_tokens: input should be less than or equal to 4096"),
        ("scales.tiny.evaluation.answer_tokens", 10**9, "scales.tiny.evaluation.answer_tokens: "),
        ("compress.vq_codebook", 2**100, "compress.vq_codebook: input should be less than or equal to 65536"),
    ],
)
def test_bad_values_are_refused_by_name(params_file: Path, key: str, value: Any, message: str) -> None:
    rewrite(params_file, key, value)
    with pytest.raises(ForgeError) as caught:
        load_params(params_file)
    line = str(caught.value)
    assert line.startswith("params.yaml: " + message), line


def test_several_faults_are_counted(params_file: Path) -> None:
    rewrite(params_file, "seed", "x")
    rewrite(params_file, "edge.prune_ratio", 2.0)
    with pytest.raises(ForgeError, match=r"seed: .*\(and 1 more\); it is: the seed that everything starts from\.$"):
        load_params(params_file)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(head=st.integers(2, 32).map(lambda n: 2 * n), extra=st.integers(1, 63), heads=st.integers(1, 8))
def test_hidden_size_must_hold_whole_heads(head: int, extra: int, heads: int) -> None:
    values = load_params(ROOT / "params.yaml").file.scales["tiny"].cognate.model_dump()
    hidden = max(16, head * heads) + extra
    values |= {"head_dim": head, "hidden_size": hidden}
    if hidden % head == 0:
        assert cognate.Scale.model_validate(values).hidden_size == hidden
    else:
        with pytest.raises(ValueError, match="multiple of head_dim"):
            cognate.Scale.model_validate(values)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_steps": 32, "low_heads": [1] * 8, "low_ffn": [8] * 8}, "32 steps through 9 blocks are more than 256"),
        ({"memory_heads": 512, "memory_head_dim": 64, "memory_chunk": 4096}, "is 2097152, which is more than 1048576"),
        ({"memory_heads": 4, "memory_head_dim": 256, "memory_chunk": 7}, "or 32768 for each token of a chunk"),
    ],
)
def test_no_model_is_trained_whose_file_would_not_be_opened(changes: dict[str, object], message: str) -> None:
    values = load_params(ROOT / "params.yaml").file.scales["tiny"].cognate.model_dump()
    assert cognate.Scale.model_validate({**values, "max_steps": 64}).max_steps == 64
    with pytest.raises(ValueError, match=re.escape(message)):
        cognate.Scale.model_validate({**values, **changes})


def test_a_mix_of_nothing_is_refused() -> None:
    zero = dict.fromkeys(Mix.model_fields, 0.0)
    with pytest.raises(ValueError, match="weight above 0"):
        Mix.model_validate(zero)
    assert Mix.model_validate({**zero, "recall": 0.1}).recall == 0.1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", r"line \d: not valid YAML"),
        ("- 1\n", "must be a mapping"),
        ("seed: 1\nseed: 2\n", "line 2: not valid YAML: found duplicate key"),
        (merge_bomb(), "line 1: not valid YAML: anchors and aliases"),
    ],
)
def test_broken_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(ForgeError, match=message):
        load_params(path)
    with pytest.raises(ForgeError, match="no such file"):
        load_params(tmp_path / "gone.yaml")


def test_numbers_as_dvc_writes_them(params_file: Path) -> None:
    text, count = re.subn(r"(?m)^  adam_lr: \S+", "  adam_lr: 1e-05", params_file.read_text())
    assert count == 1
    params_file.write_text(text)
    assert load_params(params_file).block("cognate").adam_lr == 1e-5


def test_an_edit_touches_one_line(params_file: Path) -> None:
    before = params_file.read_text()
    set_param(params_file, "scales.tiny.edge.steps", 98765)
    changed = [
        line
        for line in difflib.ndiff(before.splitlines(), params_file.read_text().splitlines())
        if line.startswith(("+ ", "- "))
    ]
    assert len(changed) == 2
    assert changed[1] == "+       steps: 98765"
    assert load_params(params_file).block("edge").steps == 98765


def test_an_edited_list_stays_in_its_line(params_file: Path) -> None:
    before = params_file.read_text()
    set_param(params_file, "data.own_data", ["data/own/a.txt", "data/own/b.txt"])
    after = params_file.read_text()
    assert after == before.replace("  own_data: []", "  own_data: [data/own/a.txt, data/own/b.txt]")
    assert load_params(params_file).file.data.own_data == ["data/own/a.txt", "data/own/b.txt"]


def test_no_number_is_without_bounds(params_file: Path) -> None:
    """Whatever a number means, infinity and 10**30 are refused by its key, as is -1, or anything below its least."""
    tree = read_params_yaml(params_file)
    leaves: list[tuple[Any, Any, str]] = []

    def gather(node: Any, path: str) -> None:
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            where = f"{path}[{key}]" if isinstance(key, int) else f"{path}.{key}".lstrip(".")
            if isinstance(value, dict | list):
                gather(value, where)
            elif type(value) in (int, float):
                leaves.append((node, key, where))

    tree["scales"] = {"tiny": tree["scales"]["tiny"]}
    gather(tree, "")
    assert len(leaves) > 150
    for wrong in (float("inf"), 10**30, -1):
        kept = [node[key] for node, key, _ in leaves]
        for node, key, _ in leaves:
            node[key] = float(wrong) if type(node[key]) is float else wrong
        with pytest.raises(ValidationError) as caught:
            schema.ParamsFile.model_validate(tree)
        refused = {
            "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in fault["loc"]).lstrip(".")
            for fault in caught.value.errors()
        }
        # Where a rule of a whole block or list refuses it, the faults within are counted once.
        missed = [where for *_, where in leaves if not any(where.startswith(key) for key in refused)]
        assert not missed, wrong
        for (node, key, _), value in zip(leaves, kept, strict=True):
            node[key] = value


def test_the_largest_seed_is_one_for_every_library(params_file: Path) -> None:
    import numpy as np

    set_param(params_file, "seed", LARGEST_SEED)
    seed = load_params(params_file).seed
    np.random.seed(seed)
    torch.manual_seed(seed + LARGEST_SEED)  # a branch's is added to it
    assert torch.Generator().manual_seed(2 * seed + 10**9).initial_seed() == 2 * LARGEST_SEED + 10**9


CLOTHES = """# numbers in unusual clothes, and text that looks like numbers
seed: 010
data: {own_data: [on, 1-30, '010', data/own/é.txt]}   # a remark
cognate:
  weight_decay: 1e-05
  clip: 1_0.0
  names: [1-2x, yes, ~, null, .5, 5., 0x1F, +7, 1E5, -.inf]
edge:
  prune_ratio: 0.35  # of the core
"""


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_an_edit_keeps_every_other_value(ends: str) -> None:
    before = CLOTHES.replace("\n", ends)
    wanted, after = (parse_params_yaml(text, "p") for text in (before, edited(before, {"edge.prune_ratio": 0.25})))
    assert after["edge"]["prune_ratio"] == 0.25
    assert {**after, "edge": None} == {**wanted, "edge": None}
    assert (after["seed"], after["data"]["own_data"][:3]) == (10, ["on", "1-30", "010"])


def test_of_two_writers_one_is_told_that_it_came_too_late(params_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one writes between the other's look at the file and its own writing, if nothing keeps it from that."""
    before, late = params_file.read_bytes(), threading.Event()
    write, outcomes = loading.atomic_write_bytes, []

    def slow_write(path: Path, data: bytes) -> None:
        late.wait(0.3)
        write(path, data)

    def save(seed: int) -> None:
        try:
            outcomes.append(replace_params(params_file, before, before.replace(b"\nseed: 0\n", b"\nseed: %d\n" % seed)))
        except ParamsChanged:
            outcomes.append("late")
        late.set()

    monkeypatch.setattr(loading, "atomic_write_bytes", slow_write)
    writers = [threading.Thread(target=save, args=(seed,)) for seed in (1, 2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(map(str, outcomes)) == ["True", "late"]
    assert load_params(params_file).seed in (1, 2)
    assert [p.name for p in params_file.parent.iterdir()] == ["params.yaml"]


@pytest.mark.parametrize(("key", "value"), [("scales.tiny.edge.steps", 0), ("scale", "nope"), ("edge.prune", 1)])
def test_an_edit_that_breaks_the_file_is_undone(params_file: Path, key: str, value: Any) -> None:
    before = params_file.read_bytes()
    with pytest.raises(ForgeError, match=r"^params\.yaml: "):
        set_param(params_file, key, value)
    assert params_file.read_bytes() == before
    assert [p.name for p in params_file.parent.iterdir()] == ["params.yaml"]


@pytest.mark.parametrize("scale", ["smoke", "tiny", "spec"])
def test_shapes_come_to_the_parameter_target(scale: str) -> None:
    """Within the tolerance of the first handoff, and at `spec` within 10 % of the specification's figure."""
    from forge.model import TinyTitanConfig, TinyTitanForCausalLM

    file = load_params(ROOT / "params.yaml").file.scales[scale]
    shape = file.cognate.model_dump()
    names = set(TinyTitanConfig().to_dict()) & set(shape)
    assert {"hidden_size", "head_dim", "low_heads", "high_ffn", "memory", "halting"} <= names
    config = TinyTitanConfig(vocab_size=file.data.vocab_size, **{name: shape[name] for name in names})
    with torch.device("meta"):
        model = TinyTitanForCausalLM(config)
    count = sum(tensor.numel() for tensor in model.state_dict().values())
    tolerance = file.contracts.evomerge.parameter_tolerance
    assert abs(count / file.cognate.parameters_target - 1) <= tolerance
    if scale == "spec":
        assert abs(count / 25_069_534 - 1) <= 0.10
