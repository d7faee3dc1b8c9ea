"""Calls in an answer: several of them, their probabilities, and those that are asked about or left to the caller."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from forge.data.render import ID, render, tokenize_text
from forge.model import TinyTitanForCausalLM, engine
from forge.model.calling import Calibration, CallRules
from forge.model.constrain import CallGrammar
from forge.model.engine import MAX_CALLS, Generation, generate
from tests.support.tiny_models import tiny_model, tiny_tokenizer, tokens
from tests.support.toy_tools import LIGHT, STATUS

torch.set_num_threads(1)
VOCAB = len(tiny_tokenizer())
LONE = [[ID["assistant"]]]


def _model(**changes: Any) -> TinyTitanForCausalLM:
    return tiny_model(dtype=torch.float64, vocab_size=VOCAB, **changes)


def _say(monkeypatch: pytest.MonkeyPatch, *parts: str | int) -> list[int]:
    """Make the model predict these texts and role tokens, then what it likes."""
    script = [
        token
        for part in parts
        for token in ([part] if isinstance(part, int) else tokenize_text(tiny_tokenizer(), part))
    ]
    left, advance = list(script), engine._Decoder.advance

    def scripted(self: Any, row: Any, token: int, steps: int) -> int:
        if not row.forced and left:
            token = left.pop(0)
        return advance(self, row, token, steps)

    monkeypatch.setattr(engine._Decoder, "advance", scripted)
    return script


def _answered(rules: CallRules | None = None, execute: Any = lambda call: f"<{call}>", **options: Any) -> Generation:
    options = {"max_new_tokens": 200, "tokenizer": tiny_tokenizer(), **options}
    return generate(_model(), LONE, execute=execute, rules=rules, **options)[0]


def test_an_answer_with_two_calls_reads_as_such_a_row_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = 'set_light {"name":"hall light","brightness":30}', "lookup the weather"
    _say(monkeypatch, ID["call"], one, ID["result"], ID["call"], two, ID["result"], "done", ID["end"])
    made = _answered(execute={one: "ok", two: "rain"}.__getitem__)
    assert made.calls == [(one, "ok"), (two, "rain")]
    messages = [
        ("user", "x"),
        ("call", one),
        ("result", "ok"),
        ("call", two),
        ("result", "rain"),
        ("assistant", "done"),
    ]
    ids, _ = render(tiny_tokenizer(), [{"role": role, "content": content} for role, content in messages])
    assert [ID["assistant"], *made.ids] == ids[ids.index(ID["assistant"]) :]
    assert (made.text, made.finished, made.pending) == ("done", True, "")


def test_after_as_many_calls_as_are_allowed_comes_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    model = _model()
    with torch.no_grad():  # now every other token would be a call
        model.embed.weight[ID["call"]] *= -30
    ban = [ID["end"], ID["result"], ID["think"]]
    options: dict[str, Any] = {"max_new_tokens": 170, "tokenizer": tiny_tokenizer(), "temperature": 1.0, "ban_ids": ban}
    assert ID["call"] in generate(model, LONE, **options)[0].ids
    _say(monkeypatch, *[ID["call"], "status {}", ID["result"]] * MAX_CALLS)
    made = generate(model, LONE, execute=lambda call: "ok", **options)[0]
    assert made.calls == [("status {}", "ok")] * MAX_CALLS
    answer = made.ids[len(made.ids) - made.ids[::-1].index(ID["assistant"]) :]
    assert len(answer) > 50
    assert ID["call"] not in answer
    assert made.text


def test_a_call_that_the_caller_runs_ends_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    script = _say(monkeypatch, ID["call"], "status {}", ID["result"], "never")
    made = _answered(execute=lambda call: None)
    assert made.ids == script[: script.index(ID["result"]) + 1]
    assert (made.pending, made.calls, made.text, made.finished) == ("status {}", [], "", True)
    assert (made.call_scores, made.unsure) == ([], False)


@pytest.mark.parametrize("ask_below", [0.0, 0.2, 0.9])
def test_an_unsure_call_is_asked_about_and_not_run(ask_below: float) -> None:
    """A calibration without slope trusts every call alike."""
    ran: list[str] = []
    rules = CallRules(CallGrammar(tiny_tokenizer(), [LIGHT]), True, ask_below, Calibration(0.0, 0.0))
    made = _answered(rules, execute=lambda call: ran.append(call) or "ok")
    assert made.confidences[0] == pytest.approx(0.5)
    if ask_below < 0.5:
        assert [call for call, _ in made.calls] == ran
        assert (made.unsure, made.pending) == (False, "")
        return
    assert ran == []
    assert made.unsure
    assert made.finished
    assert made.pending.startswith('set_light {"name":"')
    assert made.text.startswith("Did you mean: set_light, name ")


@torch.no_grad()
def test_a_call_is_as_likely_as_a_full_pass_says() -> None:
    """The product over its tokens from its beginning to its end, of probabilities that no grammar has touched."""
    model, grammar = _model(halting=False, max_steps=1), CallGrammar(tiny_tokenizer(), [STATUS, LIGHT])
    prompts = [[*tokens(1, 3, seed=i, vocab=VOCAB)[0].tolist(), ID["assistant"]] for i in range(200)]
    for due in (False, True):
        made = generate(
            model,
            prompts,
            max_new_tokens=240,
            tokenizer=tiny_tokenizer(),
            execute=lambda call: None,
            temperature=1.5,
            rules=CallRules(grammar, due=due),
        )
        called = [(prompt, answer) for prompt, answer in zip(prompts, made, strict=True) if answer.pending]
        assert len(called) == len(prompts) if due else len(called) > 3
        for prompt, answer in called[:5]:
            begin = answer.ids.index(ID["call"])
            logits = model(torch.tensor([[*prompt, *answer.ids]])).logits[0]
            logits[:, ID["pad"]] = -torch.inf
            shares = logits.log_softmax(-1)
            expected = sum(
                float(shares[len(prompt) + i - 1, answer.ids[i]]) for i in range(begin + due, len(answer.ids))
            )
            assert answer.call_scores == [pytest.approx(expected, abs=1e-3)]
            assert answer.confidences == [pytest.approx(math.exp(expected), abs=1e-4)]


def test_a_call_that_is_due_comes_after_the_thought(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = CallRules(CallGrammar(tiny_tokenizer(), [STATUS]), due=True)
    options: dict[str, Any] = {"tokenizer": tiny_tokenizer(), "execute": lambda call: None, "rules": rules}
    at_once, thought = (
        generate(_model(), [[ID["assistant"], *[ID["think"]] * n]], max_new_tokens=60, **options)[0] for n in (0, 1)
    )
    assert at_once.ids[0] == ID["call"]
    assert at_once.pending == "status {}"
    assert thought.ids[0] != ID["call"]
    _say(monkeypatch, "hm", ID["/think"])
    ended = generate(_model(), [[ID["assistant"], ID["think"]]], max_new_tokens=60, **options)[0]
    assert ended.thought == "hm"
    assert ended.ids[ended.ids.index(ID["/think"]) + 1] == ID["call"]
    assert ended.pending == "status {}"
