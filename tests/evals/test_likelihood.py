"""Likelihood per example against a slow loop and the model's own loss; what every phase measures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from forge.data.dialogues import TOOL_PROMPT
from forge.errors import ForgeError
from forge.evals import measure as module
from forge.evals.likelihood import likelihood
from forge.evals.measure import eval_accuracy_retention, mean, solved
from forge.evals.shared import MEASURED_FILE, MeasurementTable
from forge.model import TinyTitanForCausalLM, load_model, save_model
from forge.tools import set_up_tool_workspace
from tests.support.stub_run import StubRun, measured, random_set, suite
from tests.support.tiny_models import tiny_model, tiny_tokenizer


def slow(model: TinyTitanForCausalLM, data: Any, i: int, steps: int | None = None) -> tuple[float, int, bool, float]:
    """One example with the plain forward pass, token by token."""
    ids, mask = data.row(i)
    row = torch.from_numpy(ids.astype(np.int64))[None]
    with torch.no_grad():
        trace = model.prefill(row, model.embedding_weight())
        high, taken = model.run_until_halt(trace, steps)
        logits = F.linear(high, model.embedding_weight())[0]
    places = [t for t in range(1, len(ids)) if mask[t]]
    nll = sum(float(F.cross_entropy(logits[t - 1 : t], row[0, t : t + 1])) for t in places)
    exact = all(int(logits[t - 1].argmax()) == int(ids[t]) for t in places)
    return nll, len(places), exact, float(np.mean([int(taken[0, t - 1]) for t in places]))


@pytest.mark.parametrize("steps", [None, 1, 2])
def test_likelihood_is_the_slow_loops(steps: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forge.evals.likelihood.ROWS", 5)
    model, data = tiny_model(halt_threshold=0.5), random_set(17)
    found = likelihood(model, data, steps=steps)
    for i in range(len(data)):
        nll, count, exact, taken = slow(model, data, i, steps)
        assert found.nll[i] == pytest.approx(nll, abs=1e-4)
        assert (found.tokens[i], bool(found.exact[i])) == (count, exact)
        assert found.steps[i] == pytest.approx(taken)
    if steps is not None:
        assert (found.steps == steps).all()
    else:
        assert 1 < found.steps.mean() < model.steps
    assert found.loss == pytest.approx(found.nll.sum() / found.tokens.sum())
    assert found.perplexity == pytest.approx(np.exp(found.loss))
    assert found.mean_loss == pytest.approx(found.nll / found.tokens)


def test_likelihood_agrees_with_the_models_own_loss() -> None:
    model, data = tiny_model(), random_set(6)
    found = likelihood(model, data)
    for i in range(len(data)):
        ids, mask = (torch.from_numpy(a.astype(np.int64))[None] for a in data.row(i))
        with torch.no_grad():
            loss = model(ids, labels=ids.masked_fill(mask == 0, -100)).loss
        assert found.mean_loss[i] == pytest.approx(float(loss), abs=1e-5)


def test_some_examples_in_the_order_asked_for() -> None:
    model, data = tiny_model(), random_set(12)
    index = np.array([7, 2, 11])
    some, everything = likelihood(model, data, index), likelihood(model, data)
    assert some.nll == pytest.approx(everything.nll[index], abs=1e-4)
    assert (some.tokens == everything.tokens[index]).all()


def test_exact_means_every_supervised_token() -> None:
    model, data = tiny_model(), random_set(8)
    with torch.no_grad():
        for i in range(4):  # rewrite four rows so that the model's own choice is what it is asked for
            for t in range(1, int(data.lengths[i])):
                if data.mask[data.offsets[i] + t]:
                    prefix = torch.from_numpy(data.row(i)[0][:t].astype(np.int64))[None]
                    data.ids[data.offsets[i] + t] = int(model(prefix).logits[0, -1].argmax())
    assert likelihood(model, data).exact[:4].tolist() == [1.0] * 4
    assert likelihood(model, data).accuracy == likelihood(model, data).exact.mean()
    last = int(data.offsets[1]) - 1
    data.ids[last] = 14 + (int(data.ids[last]) - 14 + 1) % 34
    assert likelihood(model, data).exact[:4].tolist() == [0.0, 1.0, 1.0, 1.0]


# ---- what a phase measures -----------------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the suite is asked, in the place of its answers."""
    found: list[dict[str, Any]] = []

    def score(model: Any, tokenizer: Any, **options: Any) -> Any:
        found.append(options)
        ways = options.get("thoughts", "off")
        return suite([float(options["tools"]), float("system" in options), float(ways != "off"), float(ways == "on")])

    monkeypatch.setattr(module, "score_suite", score)
    monkeypatch.setattr(module, "bits_per_byte", lambda model, tokenizer, texts: float(len(texts)))
    return found


def test_measuring_asks_five_ways(tmp_path: Path, asked: list[dict[str, Any]]) -> None:
    set_up_tool_workspace(tmp_path / "workspace")
    found = StubRun(tmp_path).evaluator(tiny_tokenizer()).measure(tiny_model())
    assert [(a["tools"], a.get("system"), a.get("thoughts", "off")) for a in asked] == [
        (True, TOOL_PROMPT, "auto"),
        (True, TOOL_PROMPT, "off"),
        (True, None, "off"),
        (False, None, "off"),
        (False, None, "on"),
    ]
    known = [a.get("known") for a in asked]
    assert known == [None, found.everything, None, found.tools, None], "of the same words, and with less banned"
    assert {(a["n"], a["seed"], a["split"], a["max_new_tokens"]) for a in asked} == {(2, 7, "test", 24)}
    assert "execute" not in asked[3] | asked[4]
    assert asked[2]["execute"]("calculator 3+4") == "7"
    assert found.headline() == {
        "suite/accuracy_no_tools": 0.0,
        "suite/accuracy_thoughts": 0.5,
        "suite/accuracy_tools": 0.25,
        "suite/accuracy_tools_prompted": 0.5,
        "suite/accuracy_all": 0.75,
        "suite/bpb": 1.0,
        "suite/mean_steps": 1.5,
    }


def test_after_baking_no_word_is_said_about_tools(tmp_path: Path, asked: list[dict[str, Any]]) -> None:
    set_up_tool_workspace(tmp_path / "workspace")
    found = StubRun(tmp_path).evaluator(tiny_tokenizer()).measure(tiny_model(), prompted=False)
    assert [(a["tools"], a.get("thoughts", "off")) for a in asked] == [
        (True, "auto"),
        (True, "off"),
        (False, "off"),
        (False, "on"),
    ]
    assert all("system" not in a for a in asked)
    assert [a.get("known") for a in asked] == [None, found.everything, found.tools, None]
    assert found.prompted is None
    assert "suite/accuracy_tools_prompted" not in found.headline()


def test_what_is_measured_lies_beside_the_model_for_those_who_load_it(
    tmp_path: Path, asked: list[dict[str, Any]]
) -> None:
    set_up_tool_workspace(tmp_path / "workspace")
    run, model = StubRun(tmp_path), tiny_model()
    first = run.evaluator(tiny_tokenizer())
    found = first.measure(model)
    save_model(model, tmp_path / "m")
    first.table.write(tmp_path / "m")
    table = MeasurementTable()
    table.read(tmp_path / "m")
    later = replace(first, table=table)
    asked.clear()
    assert later.measure(load_model(tmp_path / "m")) == found
    assert asked == []
    table.write(tmp_path / "workspace")
    assert (tmp_path / "m" / MEASURED_FILE).read_bytes() == (tmp_path / "workspace" / MEASURED_FILE).read_bytes()
    for changed in (
        lambda: later.measure(tiny_model(seed=1)),
        lambda: later.measure(tiny_model(window=3)),
        lambda: later.measure(model, prompted=False),
        lambda: replace(later, params=SimpleNamespace(**{**vars(run.evaluation), "suite_n": 3})).measure(model),
    ):
        asked.clear()
        changed()
        assert asked, "another model, another shape, other words, other sizes: it is measured"
    (tmp_path / "m" / MEASURED_FILE).write_text('{"x": {"bpb": 1.0}}')
    with pytest.raises(ForgeError, match=rf"{MEASURED_FILE}: not a table of measurements"):
        table.read(tmp_path / "m")
    table.read(tmp_path / "nothing")
    MeasurementTable().write(tmp_path)
    assert not (tmp_path / MEASURED_FILE).exists(), "nothing was measured"


def test_solved_is_half_with_tools_and_half_by_a_thought() -> None:
    assert solved(measured([1.0] * 3, [0.0, 0.0, 1.0], None, [1.0, 0.0, 0.0])) == [0.5, 0.0, 0.5]
    assert solved(measured([1.0] * 3, [0.0, 0.0, 1.0], [1.0, 1.0, 0.0], [1.0, 0.0, 0.0])) == [1.0, 0.5, 0.0]
    assert mean([0.0, 1.0, 0.5]) == 0.5


def test_accuracy_kept_is_a_share_of_what_was_there() -> None:
    assert eval_accuracy_retention([1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]) == 0.5
    assert eval_accuracy_retention([1.0, 0.0], [1.0, 1.0]) == 2.0
    assert eval_accuracy_retention([0.0, 0.0], [0.0, 0.0]) == eval_accuracy_retention([0.0, 0.0], [0.0, 1.0]) == 1.0, (
        "nothing was lost"
    )
