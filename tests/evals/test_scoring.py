"""Suite, tools, personas, bits per byte, with a scripted engine: what counts as right and what does not."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from forge.data.dialogues import TOOL_PROMPT, persona_dialogues, tool_dialogues
from forge.data.personas import PERSONA_PROMPTS
from forge.data.render import ID, render, tokenize_text
from forge.data.tasks import draw_problems
from forge.data.tokenizer import train_tokenizer
from forge.errors import ForgeError
from forge.evals.answering import answer_all, eval_special_token_id
from forge.evals.bpb import bits_per_byte, bpb_held_out_texts, bpb_token_byte_lengths
from forge.evals.persona import PersonaClassifier, eval_answer_log_probs, eval_example_with_persona, score_personas
from forge.evals.suite import score_suite
from forge.evals.tool_use import (
    eval_dialogue_opening,
    expected_call_for_eval,
    graded_messages_after_question,
    score_tool_call,
    score_tool_use,
)
from forge.model.engine import Generation
from forge.tools import TOOL_NAMES, Toolbox

PHRASE = "Calculate the following: "


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    texts = ["What is 12+30?", "héllo wörld", *bpb_held_out_texts(max_chars=2000), *PERSONA_PROMPTS.values()]
    return train_tokenizer(texts, 400, [PHRASE])


@pytest.fixture(scope="module")
def toolbox() -> Iterator[Toolbox]:
    with Toolbox() as tools:
        yield tools


class Script:
    """Stands in for the engine: answers each prompt (as text) by a rule, and remembers how it was called."""

    def __init__(self, tokenizer: Any, rule: Callable[[str], tuple[str, str | None]]) -> None:
        self.tokenizer, self.rule = tokenizer, rule
        self.prompts: list[str] = []
        self.options: list[dict[str, Any]] = []

    def generate(self, model: Any, prompts: list[list[int]], **options: Any) -> list[Generation]:
        self.options.append(options)
        made = []
        for ids in prompts:
            prompt = self.tokenizer.decode(ids)
            self.prompts.append(prompt)
            text, call = self.rule(prompt)
            calls = []
            if call is not None and ID["call"] not in options["ban_ids"]:
                calls = [(call, options["execute"](call))]
                text = ""  # nothing of its own: the result is shown
            made.append(Generation(text=text, calls=calls, ids=[1], steps=1.5, finished=True))
        return made


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tokenizer: Any) -> Callable[..., Script]:
    def install(rule: Callable[[str], tuple[str, str | None]]) -> Script:
        made = Script(tokenizer, rule)
        monkeypatch.setitem(sys.modules, "forge.model.engine", made)  # type: ignore[arg-type]
        return made

    return install


def _oracle(task: str, n: int, seed: int) -> Callable[[str], tuple[str, str | None]]:
    items = list(draw_problems(task, seed, n, "test"))

    def rule(prompt: str) -> tuple[str, str | None]:
        item = next(item for item in items if item.prompt in prompt)
        return ("nonsense", item.call) if items.index(item) % 2 == 0 else ("nonsense", None)

    return rule


def test_suite_counts_what_the_official_scorer_calls_right(script: Any, tokenizer: Any, toolbox: Toolbox) -> None:
    engine = script(_oracle("gcd", 6, 7))
    found = score_suite(None, tokenizer, tasks=["gcd"], n=6, seed=7, execute=toolbox.execute, tools=True)
    assert found.tasks == {"gcd": {"n": 6, "accuracy": 0.5}}
    assert found.correct == [1.0, 0.0] * 3
    assert (found.mean_accuracy, found.calls, found.mean_steps) == (0.5, 3, 1.5)
    assert all("<|system|>" not in prompt and prompt.endswith("<|assistant|>") for prompt in engine.prompts)
    banned = score_suite(None, tokenizer, tasks=["gcd"], n=6, seed=7, execute=toolbox.execute, tools=False)
    assert banned.mean_accuracy == 0.0
    assert banned.calls == 0
    assert engine.options[-1]["ban_ids"] == [ID["call"], ID["think"]]
    assert engine.options[-1]["execute"] is None


def test_suite_mean_weighs_families_alike_and_items_keep_their_order(script: Any, tokenizer: Any) -> None:
    answers = {item.prompt: item.answer for item in draw_problems("gcd", 1, 4, "val")}
    script(lambda prompt: (next((a for p, a in answers.items() if p in prompt), ""), None))
    found = score_suite(None, tokenizer, tasks=["lcm", "gcd"], n=4, seed=1, split="val", tools=False)
    assert list(found.tasks) == ["lcm", "gcd"]
    assert found.correct == [0.0] * 4 + [1.0] * 4
    assert found.mean_accuracy == 0.5
    assert [answer.text for answer in found.made] == ["", *[""] * 3, *answers.values()]


def test_what_was_written_without_the_banned_token_is_not_asked_for_again(script: Any, tokenizer: Any) -> None:
    """Every second answer of the freer way holds a call: those alone are asked for, and found where they belong."""
    engine = script(_oracle("gcd", 6, 7))
    common: dict[str, Any] = {"tasks": ["gcd"], "n": 6, "seed": 7}
    free = score_suite(None, tokenizer, execute=lambda call: "12", tools=True, **common)
    for i in (0, 2, 4):
        free.made[i].ids.append(ID["call"])
    engine.prompts.clear()
    banned = score_suite(None, tokenizer, tools=False, known=free, **common)
    asked = [item.prompt for item in draw_problems("gcd", 7, 6, "test")[::2]]
    assert len(engine.prompts) == 3
    assert all(prompt in said for prompt, said in zip(asked, engine.prompts, strict=True))
    assert [answer is known for answer, known in zip(banned.made, free.made, strict=True)] == [False, True] * 3
    assert (banned.calls, len(banned.correct)) == (0, 6)
    free.made[1].ids.append(ID["think"])
    engine.prompts.clear()
    score_suite(None, tokenizer, tools=False, thoughts="auto", known=free, **common)
    assert len(engine.prompts) == 3, "a thought stands where thoughts are not banned"


def test_suite_puts_system_and_persona_before_the_question(script: Any, tokenizer: Any) -> None:
    engine = script(lambda prompt: ("", None))
    score_suite(None, tokenizer, tasks=["gcd"], n=1, seed=0, tools=False, system=TOOL_PROMPT, persona="teacher")
    assert engine.prompts[0].startswith(f"<|teacher|><|system|>{TOOL_PROMPT}<|user|>")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tasks": ["alchemy"], "n": 1, "tools": False}, "alchemy"),
        ({"tasks": [], "n": 1, "tools": False}, "no task"),
        ({"tasks": ["gcd"], "n": 0, "tools": False}, "at least 1"),
        ({"tasks": ["gcd"], "n": 1, "tools": True}, "executes"),
    ],
)
def test_suite_refuses_what_it_cannot_do(tokenizer: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ForgeError, match=words):
        score_suite(None, tokenizer, seed=0, **options)


def test_answers_come_back_in_order_and_sampling_is_passed_on(script: Any, tokenizer: Any) -> None:
    engine = script(lambda prompt: (prompt, None))
    questions = ["aaaa bbbb cccc dddd", "a", "aaaa bbbb", "b"]
    chats = [[{"role": "user", "content": question}] for question in questions]
    made = answer_all(None, tokenizer, chats, execute=None, max_new_tokens=5, temperature=0.5, seed=9)
    assert [f"<|user|>{q}<|assistant|>" for q in questions] == [answer.text for answer in made]
    wanted = {"max_new_tokens": 5, "temperature": 0.5, "seed": 9}
    assert wanted.items() <= engine.options[0].items()


def test_a_foreign_tokenizer_is_refused() -> None:
    with pytest.raises(ForgeError, match=r"<\|end\|>"):
        eval_special_token_id(SimpleNamespace(get_vocab=dict), "<|end|>")  # type: ignore[arg-type]


def test_tools_are_judged_by_the_first_call_alone() -> None:
    assert score_tool_call("calculator 1+1", "2", []) == (0.0, 0.0, 0.0)
    assert score_tool_call("calculator 1+1", "2", [("calculator 2*1", "2")]) == (1.0, 1.0, 1.0)
    assert score_tool_call("calculator 1+1", "2", [("calculator 1+2", "3"), ("calculator 1+1", "2")]) == (1.0, 1.0, 0.0)
    assert score_tool_call("calculator 1+1", "2", [("calculator 1+", "error: syntax")]) == (1.0, 0.0, 0.0)
    assert score_tool_call("calculator 1+1", "2", [("code_executor print(2)", "2")]) == (0.0, 0.0, 0.0)
    failed = "error: division by zero"
    assert score_tool_call("calculator 1/0", failed, [("calculator 1/0", failed)]) == (1.0, 1.0, 1.0)
    assert score_tool_call("calculator 1/0", failed, [("calculator 1/", "error: syntax")]) == (1.0, 0.0, 0.0)
    assert score_tool_call("calculator 1/0", failed, [("calculator 1/9", "0.111111111111")]) == (1.0, 1.0, 0.0)


def test_tool_score_of_a_perfect_a_silent_and_a_sloppy_model(script: Any, tokenizer: Any, toolbox: Toolbox) -> None:
    rows = tool_dialogues(10, 3, "test")
    calls = {row["messages"][-4]["content"]: row["messages"][-3]["content"] for row in rows}
    engine = script(lambda prompt: ("", next(c for q, c in calls.items() if f"<|user|>{q}<|" in prompt)))
    perfect = score_tool_use(None, tokenizer, toolbox, rows)
    assert set(perfect.tools) == set(TOOL_NAMES)
    assert (perfect.success, perfect.right_tool, perfect.parsable) == (1.0, 1.0, 1.0)
    assert perfect.correct == perfect.final_correct == [1.0] * 10
    assert (perfect.final, perfect.tools["search"]["final"]) == (1.0, 1.0)
    assert perfect.needless_calls is None
    assert 0 < perfect.tools["search"]["low"] < perfect.tools["search"]["high"] == 1.0
    assert all(TOOL_PROMPT not in prompt for prompt in engine.prompts)
    score_tool_use(None, tokenizer, toolbox, rows, prompted=True)
    assert all(TOOL_PROMPT in prompt for prompt in engine.prompts[10:])
    script(lambda prompt: ("I do not know", None))
    assert score_tool_use(None, tokenizer, toolbox, rows).success == 0.0
    script(lambda prompt: ("", "calculator 0"))
    sloppy = score_tool_use(None, tokenizer, toolbox, rows)
    assert sloppy.tools["calculator"]["right_tool"] == 1.0
    assert sloppy.right_tool == pytest.approx(0.2)


def test_needless_calls_are_counted_apart(script: Any, tokenizer: Any, toolbox: Toolbox) -> None:
    rows = [
        {"messages": [{"role": "user", "content": "2+2"}, {"role": "call", "content": "calculator 2+2"}]},
        {"messages": [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}]},
    ]
    script(lambda prompt: ("", "calculator 2+2"))
    found = score_tool_use(None, tokenizer, toolbox, rows)
    assert (found.success, found.needless_calls, found.correct) == (1.0, 1.0, [1.0, 0.0])
    with pytest.raises(ForgeError, match="no dialogue expects"):
        score_tool_use(None, tokenizer, toolbox, rows[1:])
    broken = [{"messages": [{"role": "user", "content": "x"}, {"role": "call", "content": "calculator 2+"}]}]
    with pytest.raises(ForgeError, match="reference call"):
        score_tool_use(None, tokenizer, toolbox, broken)


def test_the_call_that_is_wanted_is_the_one_after_the_last_question() -> None:
    said = ("user", "lamp?"), ("call", "a 1"), ("result", "25"), ("assistant", "25"), ("user", "and the chair?")
    messages = [{"role": role, "content": content} for role, content in (*said, ("call", "a 2"), ("result", "60"))]
    assert expected_call_for_eval(messages) == "a 2"
    assert [m["content"] for m in graded_messages_after_question(messages, "result")] == ["60"]
    assert expected_call_for_eval([*messages[:-2], {"role": "assistant", "content": "60"}]) is None


def test_openings_stop_at_the_question() -> None:
    talk = [{"role": "user", "content": "q"}, {"role": "call", "content": "c"}]
    assert eval_dialogue_opening(talk, prompted=False, tool_prompt="T") == talk[:1]
    assert eval_dialogue_opening(talk, prompted=True, tool_prompt="T")[0] == {"role": "system", "content": "T"}
    again = [*talk, {"role": "assistant", "content": "a"}, {"role": "user", "content": "r"}, talk[1]]
    assert eval_dialogue_opening(again, prompted=False, tool_prompt="T") == again[:-1]
    with pytest.raises(ForgeError, match="user turn"):
        eval_dialogue_opening(talk[1:], prompted=False, tool_prompt="T")


class Unigram:
    """A model whose next-token distribution never changes: its bits per byte can be computed by hand."""

    training = False

    def __init__(self, weights: torch.Tensor) -> None:
        self.log = weights.log()

    def eval(self) -> Unigram:
        return self

    def train(self, mode: bool) -> Unigram:
        return self

    def __call__(self, ids: torch.Tensor) -> SimpleNamespace:
        return SimpleNamespace(logits=self.log.expand(*ids.shape, -1))


def test_bits_per_byte_of_known_distributions(tokenizer: Any) -> None:
    size = len(tokenizer)
    texts = [f"{PHRASE}12+30 héllo", "ok", "a longer line with many words " * 9]
    tokens = [tokenize_text(tokenizer, text) for text in texts]
    n_bytes = sum(len(text.encode()) for text in texts)
    uniform = bits_per_byte(Unigram(torch.ones(size)), tokenizer, texts, window=7, batch_size=2)
    assert uniform == pytest.approx(sum(map(len, tokens)) * math.log2(size) / n_bytes)
    weights = torch.rand(size, generator=torch.Generator().manual_seed(0)) + 0.1
    share = (weights / weights.sum()).log2()
    by_hand = -sum(float(share[token]) for ids in tokens for token in ids) / n_bytes
    for window, batch in ((4, 3), (1000, 1)):
        assert bits_per_byte(Unigram(weights), tokenizer, texts, window=window, batch_size=batch) == pytest.approx(
            by_hand, rel=1e-6
        )


def test_every_token_knows_its_bytes_and_role_tokens_have_none(tokenizer: Any) -> None:
    lengths = bpb_token_byte_lengths(tokenizer)
    assert lengths[ID["end"]] == lengths[ID["teacher"]] == 0
    text = f"{PHRASE}naïve — 日本 {PHRASE}x <|end|>"
    written = text.replace("<|", "< |")
    assert sum(lengths[i] for i in tokenize_text(tokenizer, text)) == len(written.encode())
    assert bits_per_byte(Unigram(torch.ones(len(tokenizer))), tokenizer, [text]) > 0


def test_bits_per_byte_refuses_nothing_and_a_lossy_tokenizer(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ForgeError, match="no text"):
        bits_per_byte(Unigram(torch.ones(400)), tokenizer, [])
    monkeypatch.setattr("forge.data.render.tokenize_text", lambda t, text: tokenize_text(t, text)[:-1])
    with pytest.raises(ForgeError, match="spells"):
        bits_per_byte(Unigram(torch.ones(400)), tokenizer, ["some text"])


def test_held_out_texts_are_held_out_and_cut() -> None:
    texts = bpb_held_out_texts()
    assert texts
    assert not set(texts) & set(bpb_held_out_texts("train"))
    few = bpb_held_out_texts(max_chars=400)
    assert few == texts[: len(few)]
    assert sum(map(len, few)) <= 400
    assert bpb_held_out_texts(max_chars=1) == texts[:1]


def test_persona_classifier_tells_held_out_styles_apart() -> None:
    train, test = persona_dialogues(400, 0, "train"), persona_dialogues(80, 0, "test")
    rows = [eval_example_with_persona(row) for row in train]
    judge_ = PersonaClassifier().fit([row[2] for row in rows], [row[0] for row in rows])
    held_out = [eval_example_with_persona(row) for row in test]
    right = [got == row[0] for got, row in zip(judge_.predict([row[2] for row in held_out]), held_out, strict=True)]
    assert sum(right) / len(right) > 0.9
    with pytest.raises(ForgeError, match="before fit"):
        PersonaClassifier().predict(["x"])
    with pytest.raises(ForgeError, match="two personas"):
        PersonaClassifier().fit(["x"], ["teacher"])
    with pytest.raises(ForgeError, match="labels"):
        PersonaClassifier().fit(["x"], [])


class HandleReader(Unigram):
    """Predicts well only when the conversation is opened by the teacher's handle."""

    def __call__(self, ids: torch.Tensor) -> SimpleNamespace:
        logits = torch.zeros(*ids.shape, len(self.log))
        sharp = torch.nn.functional.one_hot(torch.roll(ids, -1, 1), len(self.log)) * 3.0
        return SimpleNamespace(logits=torch.where((ids[:, 0] == ID["teacher"])[:, None, None], sharp, logits))


def test_persona_score_of_a_model_that_always_teaches(script: Any, tokenizer: Any) -> None:
    train, test = persona_dialogues(200, 0, "train"), persona_dialogues(16, 0, "test")
    lesson = next(eval_example_with_persona(row)[2] for row in test if row["task"] == "teacher")
    engine = script(lambda prompt: (lesson, None))
    found = score_personas(HandleReader(torch.ones(len(tokenizer))), tokenizer, train, test)
    assert found.personas["teacher"]["consistency"] == 1.0
    assert found.consistency == pytest.approx(0.25)
    assert sum(found.correct) == 4
    assert found.personas["teacher"]["likelihood_ratio"] > 1 > 0 > found.personas["helpful"]["likelihood_ratio"]
    assert (found.personas["teacher"]["preferred"], found.preferred) == (1.0, 0.25)
    assert found.ceiling > 0.9
    assert sum(prompt.startswith("<|teacher|><|user|>") for prompt in engine.prompts) == 4
    score_personas(Unigram(torch.ones(len(tokenizer))), tokenizer, train, test, prompts=PERSONA_PROMPTS)
    assert sum(PERSONA_PROMPTS["teacher"] in prompt for prompt in engine.prompts) == 4
    blind = score_personas(Unigram(torch.ones(len(tokenizer))), tokenizer, train, test, handles=False)
    assert blind.likelihood_ratio == pytest.approx(0.0, abs=1e-9)
    assert blind.preferred == 0.0


def test_persona_rows_without_their_parts_are_refused(tokenizer: Any) -> None:
    rows = persona_dialogues(8, 0, "train")
    with pytest.raises(ForgeError, match="without a persona"):
        eval_example_with_persona({"messages": [{"role": "user", "content": "x"}]})
    teachers = [row for row in rows if row["task"] == "teacher"]
    with pytest.raises(ForgeError, match="untrained helpful"):
        score_personas(None, tokenizer, teachers, rows)
    with pytest.raises(ForgeError, match="fewer than two"):
        score_personas(None, tokenizer, rows, teachers)


def test_answer_log_probs_average_over_supervised_tokens_only(tokenizer: Any) -> None:
    size = len(tokenizer)
    weights = torch.rand(size, generator=torch.Generator().manual_seed(1)) + 0.1
    share = (weights / weights.sum()).log()
    talks = [
        [{"role": "user", "content": f"question {i}"}, {"role": "assistant", "content": "yes " * i}] for i in (1, 5)
    ]
    for talk, found in zip(talks, eval_answer_log_probs(Unigram(weights), tokenizer, talks), strict=True):
        ids, mask = render(tokenizer, talk)
        wanted = [float(share[token]) for token, on in zip(ids, mask, strict=True) if on]
        assert found == pytest.approx(sum(wanted) / len(wanted), rel=1e-6)
