"""Trajectories: kept where the tool's result is right, filled up by references, resumed, and the same without the
prompt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from forge.data.build import Row
from forge.data.dataset import KINDS
from forge.data.personas import PERSONA_PROMPTS
from forge.data.render import ID
from forge.errors import Interrupted
from forge.interface.fields import Mix
from forge.model.engine import Generation
from forge.phases.baking import trajectories as module
from forge.phases.baking.params import Params
from forge.phases.baking.trajectories import baking_shares, sample_baking_trajectories
from forge.tools import Toolbox
from forge.train import gather_batch, loss_flags_without_call, plan_batches
from tests.support.stub_run import StubRun, conversation, conversations, smoke_params
from tests.support.tiny_models import tiny_model, tiny_tokenizer


class Answers:
    """Stands in for generation: what each prompt's row is answered with, by the number in its question."""

    def __init__(self, spoil: dict[int, Any]) -> None:
        self.spoil = spoil
        self.prompts: list[list[int]] = []

    def __call__(self, model: Any, prompts: list[list[int]], **options: Any) -> list[Generation]:
        self.prompts += prompts
        tokenizer = options["tokenizer"]
        return [self.answer(tokenizer.decode(prompt)) for prompt in prompts]

    def answer(self, prompt: str) -> Generation:
        number = int(prompt.split("What is ")[1].split(" +")[0])
        right = str(number + 30)
        if PERSONA_PROMPTS["teacher"] in prompt:
            made = Generation(text=f"own words {number}", finished=True)
        else:
            made = Generation(calls=[(f"calculator 30+{number}", right)], text=right, finished=True)
        for key, value in self.spoil.get(number, {}).items():
            setattr(made, key, value)
        return made


BAKING: dict[str, Any] = smoke_params("baking", trajectories=100, min_kept=0.5)


@pytest.fixture
def run(tmp_path: Path) -> StubRun:
    return StubRun(tmp_path, seed=1, **BAKING)


def sample(
    monkeypatch: pytest.MonkeyPatch, run: StubRun, rows: list[Row], spoil: dict[int, Any]
) -> tuple[module.Trajectories, Answers]:
    answers = Answers(spoil)
    monkeypatch.setattr(module, "generate", answers)
    with Toolbox() as toolbox:
        return sample_baking_trajectories(run, tiny_model(), tiny_tokenizer(), rows, toolbox), answers


def texts(data: Any) -> list[str]:
    return [tiny_tokenizer().decode(data.row(i)[0]) for i in range(len(data))]


def tool_rows(n: int) -> list[Row]:
    return [conversation("tooled", 40 + i) for i in range(n)]


def test_a_trajectory_is_kept_only_if_its_one_call_gave_the_reference(
    monkeypatch: pytest.MonkeyPatch, run: StubRun
) -> None:
    spoil = {
        40: {"finished": False},
        41: {"text": "72"},
        42: {"calls": []},
        43: {"calls": [("calculator 43+30", "73"), ("calculator 43+30", "73")]},
        44: {"calls": [("calculator 44*30", "1320")]},
    }
    rows = [*tool_rows(12), *(conversation("direct", 90 + i) for i in range(8))]
    made, answers = sample(monkeypatch, run, rows, spoil)
    assert len(answers.prompts) == 12
    assert made.kept == 7 / 12
    kept = [text for text in texts(made.bare) if "calculator" in text]
    assert {int(text.split("What is ")[1].split(" ")[0]) for text in kept} == set(range(45, 52))
    # The model's own call, not the reference's.
    assert all("<|call|>calculator 30+" in text for text in kept)
    plain = loss_flags_without_call(made.bare)
    assert plain.sum() == len(made.bare) - 7 == 7
    assert not plain[:7].any()
    assert made.callers == ["calculator"] * 7 + [None] * 7


def test_a_call_that_fails_as_it_should_is_kept_if_the_answer_says_so() -> None:
    failed, words = ("calculator 1/0", "error: division by zero"), "I could not do that: division by zero."
    asked = [{"role": "user", "content": "1/0"}, {"role": "call", "content": failed[0]}]
    turns = [*asked, {"role": "result", "content": failed[1]}, {"role": "assistant", "content": words}]
    row = {"kind": "tool", "task": "calculator", "messages": turns}
    for text, call, kept in (
        (words, failed, True),
        (failed[1], failed, False),
        (words, ("calculator 1/1", "1"), False),
        ("1", ("calculator 1/1", "1"), False),
    ):
        made = Generation(calls=[call], text=text, finished=True)
        assert (module._baking_trajectory(row, made) is not None) == kept, (text, call)


def test_talk_is_kept_if_it_is_answered_as_it_should_and_nothing_is_called() -> None:
    user, words = {"role": "user", "content": "thanks"}, "You are welcome!"
    row = {"kind": "tool", "task": "talk", "messages": [user, {"role": "assistant", "content": words}]}
    made = module._baking_trajectory(row, Generation(text=words, finished=True))
    assert made == row
    for calls, text, finished in (([("calculator 1", "1")], words, True), ([], "Hello!", True), ([], words, False)):
        assert module._baking_trajectory(row, Generation(calls=calls, text=text, finished=finished)) is None


def test_a_second_turn_is_what_is_sampled() -> None:
    first, second = conversation("tool", 41)["messages"], conversation("tool", 42)["messages"]
    row = {"kind": "tool", "task": "calculator", "messages": [*first, *second[1:]]}
    call = ("calculator 30+42", "72")
    made = module._baking_trajectory(row, Generation(calls=[call], text="72", finished=True))
    assert made is not None
    assert made["messages"][: len(first) + 1] == row["messages"][: len(first) + 1]
    assert [m["content"] for m in made["messages"][len(first) + 1 :]] == [*call, "72"]
    wrong = Generation(calls=[("calculator 30+41", "71")], text="71", finished=True)
    assert module._baking_trajectory(row, wrong) is None


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("Gravity is a pull between masses. Why is that?", True),
        ("Let us start simple: gravity is a cloud near the ground.", False),
        ("gravitatatatatatata", False),
        ("", False),
    ],
)
def test_a_persona_without_its_facts_gives_way_to_the_reference(said: str, kept: bool) -> None:
    row = conversation("persona", 20)
    row["messages"][1]["content"] = "What is gravity?"
    made = module._baking_trajectory(row, Generation(text=said, finished=True))
    assert made is not None
    assert made["messages"] == [*row["messages"][:2], {"role": "assistant", "content": said if kept else "50"}]


def test_a_persona_is_kept_if_it_ended_without_a_call(monkeypatch: pytest.MonkeyPatch, run: StubRun) -> None:
    spoil = {21: {"finished": False}, 22: {"calls": [("calculator 1", "1")]}, 23: {"text": ""}}
    rows = [*tool_rows(6), *(conversation("persona", 20 + i) for i in range(6)), conversation("direct", 99)]
    made, _ = sample(monkeypatch, run, rows, spoil)
    own = [text for text in texts(made.bare) if "own words" in text]
    assert len(own) == 3
    assert all(text.startswith("<|teacher|><|user|>") for text in own)
    assert not any(PERSONA_PROMPTS["teacher"] in text for text in texts(made.bare))
    assert made.kept == 1.0


def test_references_fill_in_where_too_few_are_usable(monkeypatch: pytest.MonkeyPatch, run: StubRun) -> None:
    spoil = {40 + i: {"finished": False} for i in range(7)}
    made, _ = sample(monkeypatch, run, [*tool_rows(12), conversation("direct", 99)], spoil)
    assert made.kept == 5 / 12
    calls = [text for text in texts(made.bare) if "<|call|>" in text]
    assert len(calls) == 12
    assert sum("calculator 30+" in text for text in calls) == 5


def test_a_model_that_knows_nothing_learns_from_references(tmp_path: Path) -> None:
    model, rows = tiny_model(vocab_size=320, max_steps=1), conversations(4)
    params = {**BAKING, "trajectories": 8, "answer_tokens": 8, "temperature": 0.7}
    runs = [StubRun(tmp_path / name, seed=1, **params) for name in "ab"]
    with Toolbox() as toolbox:
        first, second = (sample_baking_trajectories(run, model, tiny_tokenizer(), rows, toolbox) for run in runs)
    assert first.kept == 0.0
    assert sum("<|call|>" in text for text in texts(first.prompted)) == 6
    assert (first.prompted.ids == second.prompted.ids).all()


def test_sampling_stops_between_batches_and_goes_on_from_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS_AT_ONCE", 5)
    rows = [*tool_rows(12), conversation("direct", 99)]

    def sampled(run: StubRun) -> tuple[module.Trajectories, int]:
        with Toolbox() as toolbox:
            made = sample_baking_trajectories(run, tiny_model(), tiny_tokenizer(), rows, toolbox)
        return made, len(answers.prompts)

    answers = Answers({})
    monkeypatch.setattr(module, "generate", answers)
    whole, asked = sampled(StubRun(tmp_path / "whole", seed=1, **BAKING))
    assert asked == 12
    answers.prompts.clear()
    run = StubRun(tmp_path / "stopped", seed=1, **BAKING)
    run.stop_at = 10
    with pytest.raises(Interrupted, match="step 10 of 12"):
        sampled(run)
    assert len(answers.prompts) == 10
    resumed, asked = sampled(run)
    assert asked == 12, "only the last two are asked"
    assert texts(resumed.bare) == texts(whole.bare)
    assert resumed.kept == whole.kept


def test_prompted_and_bare_sets_supervise_the_same_tokens(monkeypatch: pytest.MonkeyPatch, run: StubRun) -> None:
    made, _ = sample(monkeypatch, run, conversations(), {})
    assert len(made.prompted) == len(made.bare)
    plain = loss_flags_without_call(made.bare)
    for i in range(len(made.bare)):
        with_prompt, bare = (data.row(i) for data in (made.prompted, made.bare))
        supervised = [ids[mask.astype(bool)].tolist() for ids, mask in (with_prompt, bare)]
        assert supervised[0] == supervised[1]
        assert ID["system"] not in bare[0]
        assert (ID["system"] in with_prompt[0]) == (not plain[i])
    assert (made.prompted.kind == made.bare.kind).all()
    batches = [gather_batch(data, made.bare.where("persona", "tool")) for data in (made.prompted, made.bare)]
    assert torch.equal(batches[0].valid, batches[1].valid)
    targets = [batch.targets[batch.valid] for batch in batches]
    assert torch.equal(*targets)


def test_shares_come_in_the_order_in_which_batches_draw_them() -> None:
    # Another order would be other batches, and another model.
    shares = baking_shares(BAKING["mix"])
    assert list(shares) == ["tooled", "tool", "persona", "direct", "worked", "own_tool"]
    assert shares["worked"] == BAKING["mix"].worked > 0


def test_kinds_that_are_never_sampled_are_refused() -> None:
    mix = Mix(direct=1.0, tooled=1.0, tool=1.0, persona=1.0, recall=0.5, text=0.0, worked=1.0, own_tool=0.0)
    with pytest.raises(ValidationError, match="recall and text must be 0"):
        Params(**{**BAKING, "mix": mix})


def test_one_in_so_many_is_a_personas_and_answers_without_tools_are_replayed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    few = StubRun(tmp_path, **{**BAKING, "trajectories": 12, "persona_every": 6, "replay_every": 4})
    made, answers = sample(monkeypatch, few, conversations(10), {})
    kinds = [KINDS[kind] for kind in made.bare.kind]
    assert kinds == ["tooled"] * 5 + ["tool"] * 5 + ["persona"] * 2 + ["direct"] * 3 + ["worked"] * 3
    thoughts = [(data.row(i), text) for data in (made.prompted, made.bare) for i, text in enumerate(texts(data))][-3:]
    for (ids, mask), text in thoughts:
        assert text.startswith("<|user|>")
        assert mask[ids.tolist().index(ID["think"]) :].all()
    assert len(answers.prompts) == 12


def test_own_rows_are_baked_with_their_share(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    prose = {"kind": "own", "task": "own", "text": "the cat sat on my mat", "difficulty": 0.5, "own_share": 0.5}
    spoken = {**conversation("own", 3), "messages": [{"role": "assistant", "content": "hello world"}]}
    run = StubRun(tmp_path, **{**BAKING, "trajectories": 12})
    made, _ = sample(monkeypatch, run, [*conversations(10), conversation("own", 1), prose, spoken], {})
    assert [KINDS[kind] for kind in made.bare.kind][-3:] == ["own"] * 3
    assert made.callers[-3:] == [None] * 3
    assert (made.bare.own_share, made.prompted.own_share) == (0.5, 0.5)
    plan = np.concatenate(plan_batches(made.bare, baking_shares(BAKING["mix"]), 60, 400, 0))
    assert (made.bare.kind[plan] == KINDS.index("own")).mean() == pytest.approx(0.5, abs=0.1)
