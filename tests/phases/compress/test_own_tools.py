"""Declared tools in the file: its vocabulary can spell their calls, and its header says what these need."""

from __future__ import annotations

from pathlib import Path

import pytest

from forge.agentfile.model import load_agent_file
from forge.evals.own_tools import eval_rules_of_all_tools
from forge.files import save_safetensors_file
from forge.interface.paths import SETTLED
from forge.interface.run import Published
from forge.model import TinyTitanForCausalLM, save_model
from forge.phases.compress.run import run as run_phase
from forge.phases.compress.vocabulary_pruning import with_compressed_vocabulary
from forge.pipeline.metrics.catalog import list_optional_metrics
from forge.tools.declared.schema import DeclaredTool
from tests.support.own_tools import declare_own_tools
from tests.support.stub_run import StubRun, conversations, smoke_params
from tests.support.tiny_models import tiny_model, tiny_tokenizer

pytestmark = pytest.mark.long
PARAMS = smoke_params("compress", vocab_size=290, steps=2, batch_tokens=200, vq_groups=4, vq_codebook=16, embed_bits=4)


def ternary() -> TinyTitanForCausalLM:
    shape = {"weight_quant": "ternary", "act_bits": 8, "embed_bits": 8}
    return tiny_model(vocab_size=len(tiny_tokenizer()), max_steps=1, **shape)


def test_whatever_a_call_may_hold_can_be_spelled(tmp_path: Path) -> None:
    own = declare_own_tools(tmp_path)
    rows, weights = conversations(), PARAMS["token_weights"]
    for tools in ((), own.tools):
        _, tokenizer = with_compressed_vocabulary(ternary(), tiny_tokenizer(), rows, 290, weights, tools)
        spelled = tokenizer.decode(tokenizer("café")["input_ids"]) == "café"
        assert spelled == bool(tools)
    assert eval_rules_of_all_tools(tokenizer, own.tools).grammar is not None


def test_the_phase_with_declared_tools(tmp_path: Path) -> None:
    run, trunk = StubRun(tmp_path, **PARAMS), tmp_path / "trunk"
    run.evaluation.answer_tokens = 12
    run.prepare("edge", ternary())
    run.models["baking"] = run.models["edge"]
    run.models["trunk"] = Published(tiny_model(vocab_size=len(tiny_tokenizer())), tiny_tokenizer(), trunk)
    save_model(run.models["trunk"].model, trunk)
    save_safetensors_file(trunk / SETTLED, dict(run.models["trunk"].model.state_dict()))
    tiny_tokenizer().save_pretrained(str(trunk))
    run.own_tools = declare_own_tools(tmp_path / "own", rows=80)
    run_phase(run)  # type: ignore[arg-type]
    ((published, _),) = run.published
    noted = load_agent_file(run.out_dir / "agent.forge").metadata
    for metadata in (published, noted):
        tools = [DeclaredTool.model_validate(tool) for tool in metadata["declared_tools"]]
        assert [tool.name for tool in tools] == ["set_light", "set_lock", "tell_weather"]
        assert list(tools[0].arguments) == ["name", "brightness"]
        assert [persona["name"] for persona in metadata["declared_personas"]] == ["butler"]
    assert published["call_confidence"] == noted["call_confidence"]
    optional = {metric.name.removeprefix("compress/") for metric in list_optional_metrics("compress")}
    assert {name for name in run.metrics if name.startswith("own_tools/")} == optional
    controls = [claim.control for claim in run.claims if claim.claim.startswith("own tools")]
    assert controls == ["word matcher", "the same reading of a request, without a model", *["the target"] * 5]
