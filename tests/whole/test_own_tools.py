"""Three declared tools, from a file to an agent, after a run without any: what becomes stale, and what is made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forge.agentfile.header import open_agent_file
from forge.config import set_param
from forge.files import read_json
from forge.pipeline.dvc.runner import run_pipeline
from forge.pipeline.dvc.states import stage_states
from forge.tools.declared.schema import DeclaredTool
from tests.support.own_tools import TOOLS_YAML
from tests.support.smoke_runs import Ran, python_in

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("untraced")]
AFTER = ["tools", "baking", "edge", "compress", "report"]


def stale(root: Path) -> list[str]:
    return [state.name for state in stage_states(root) if state.state != "fresh"]


def test_tools_are_declared_trained_and_changed(second: Ran) -> None:
    root = second.root
    params = (root / "params.yaml").read_text(encoding="utf-8")
    assert stale(root) == []
    assert read_json(root / "data/own_tools/tools.json") == {"tools": [], "personas": []}
    assert "declared_tools" not in read_json(root / "models/baking/metadata.json")
    assert not [claim for claim in read_json(root / "results/baking/claims.json") if "own" in claim["claim"]]
    file = root / "data/tools/house.yaml"
    file.write_text(TOOLS_YAML, encoding="utf-8")
    try:
        assert stale(root) == AFTER
        assert set(json.loads(python_in(root, "-m", "dvc", "status", "--json"))) == {
            "tools"
        }  # the first; others follow
        ran = run_pipeline(root=root)
        assert (ran.exit_code, ran.ran) == (0, AFTER), ran.message
        check_what_was_made(root)
        file.write_text(TOOLS_YAML.replace("will it rain", "will it be wet"), encoding="utf-8")
        assert stale(root) == AFTER
        set_param(root / "params.yaml", "data.tools", "data/tools/house.yaml")
        assert stale(root) == AFTER
    finally:
        file.unlink()
        (root / "params.yaml").write_text(params, encoding="utf-8")
    assert stale(root) == AFTER
    assert run_pipeline(root=root).cached == AFTER[:-1]


def check_what_was_made(root: Path) -> None:
    names = ["set_light", "set_lock", "tell_weather"]
    told = [read_json(root / f"models/{stage}/metadata.json") for stage in ("baking", "edge", "compress")]
    told.append(open_agent_file(root / "models/compress/agent.forge").metadata)
    for metadata in told:
        tools = [DeclaredTool.model_validate(tool) for tool in metadata["declared_tools"]]
        assert [tool.name for tool in tools] == names
        assert list(tools[0].arguments) == ["name", "brightness"]
        assert set(metadata["call_confidence"]) == {"slope", "intercept"}
        assert "home-lights" not in json.dumps(metadata)
    for phase in ("baking", "compress"):
        claims = read_json(root / f"results/{phase}/claims.json")
        controls = [claim["control"] for claim in claims if claim["claim"].startswith("own tools")]
        assert controls[:2] == ["word matcher", "the same reading of a request, without a model"]
        assert set(controls[2:]) == {"the target"}
    assert "call_right" in read_json(root / "results/edge/metrics.json")["own_tools"]
    assert python_in(root, "-m", "forge.cli.main", "metrics", "--missing") == ""
    assert "edge/own_tools/call_right" in python_in(root, "-m", "forge.cli.main", "metrics", "--phase", "edge")
