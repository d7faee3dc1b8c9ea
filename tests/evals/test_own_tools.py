"""The controls without a model and the score of own calls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from forge.data.declared.rows import own_tool_rows
from forge.data.render import ID, tokenize_text
from forge.errors import ForgeError
from forge.evals.own_tools import eval_row_opening, score_own_calls, score_own_tools, score_word_matcher
from forge.evals.word_matcher import match_builtin_calls_for_eval, score_phrasing_search
from forge.model.engine import Generation
from forge.tools import Toolbox
from forge.tools.declared.reading import read_tools_file
from tests.support.tiny_models import tiny_model, tiny_tokenizer

TOKENIZER = tiny_tokenizer()
HOME = Path(__file__).resolve().parents[2] / "examples" / "home" / "tools.yaml"
TOOLS = {tool.name: tool for tool in read_tools_file(HOME).tools}
ROWS = own_tool_rows(list(TOOLS.values()), {"train": 0, "val": 0, "test": 150}, 0)["test"]


@pytest.mark.parametrize(
    ("sentence", "calls"),
    [
        ("Turn on the hall light!", ['set_light {"name":"hall light","brightness":100}']),
        ("set the corridor light to 40 percent", ['set_light {"name":"hall light","brightness":40}']),
        ("heat the study to 21.5 degrees", ['set_thermostat {"room":"study","temperature":21.5}']),
        ("add green tea to the shopping list", ["add_to_list green tea"]),
        ("who wrote the first novel about whales", []),
        (
            "lock the shed and turn off the desk lamp",
            ['set_lock {"name":"shed","locked":true}', 'set_light {"name":"desk lamp","brightness":0}'],
        ),
    ],
)
def test_words_are_matched(sentence: str, calls: list[str]) -> None:
    assert match_builtin_calls_for_eval(sentence, TOOLS.values()) == calls


def test_right_calls_are_right_and_others_are_not() -> None:
    wanted = [row["expected"] for row in ROWS]
    asked = [row["messages"][-1]["content"] for row in ROWS]
    score = score_own_calls(ROWS, wanted, TOOLS, asked)
    assert score.right == [1.0] * len(ROWS)
    assert sum(entry["n"] for entry in score.categories.values()) == len(ROWS)
    loose = [[call.replace(":", ": ") if "{" in call else call for call in calls] for calls in wanted]
    assert score_own_calls(ROWS, loose, TOOLS).right == score.right
    nothing = score_own_calls(ROWS, [[] for _ in ROWS], TOOLS)
    assert nothing.calls is not None
    assert nothing.idle is not None
    assert (nothing.calls["right"], nothing.idle["right"]) == (0.0, 1.0)
    wrong = score_own_calls(ROWS, wanted, TOOLS, ["Which one?"] * len(ROWS))
    assert wrong.categories["missing"]["right"] == 0.0
    broken = score_own_calls(ROWS, [['set_light {"name'] for _ in ROWS], TOOLS)
    assert sum(broken.right) == 0


def test_what_the_model_is_given_ends_with_the_user() -> None:
    for row in ROWS:
        opening = eval_row_opening(row)
        assert opening[-1]["role"] == "user"
        assert opening == row["messages"][: len(opening)]
        assert all(m["role"] != "user" for m in row["messages"][len(opening) :])
    with pytest.raises(ForgeError, match="without a turn of the user"):
        eval_row_opening({"messages": []})


def test_a_model_that_does_as_its_rows_do_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given the openings, may write every call that is expected, and sees the results that the rows tell."""
    rows = ROWS[:60]
    assert {row["category"] for row in rows} > {"call", "two", "missing", "followup"}

    def as_the_rows(model: Any, prompts: Any, *, execute: Any, rules: Any, **options: Any) -> list[Generation]:
        made = []
        for row, prompt in zip(rows, prompts, strict=True):
            assert prompt[-1] == ID["assistant"]
            answer = Generation(text=row["messages"][-1]["content"])
            for call in row["expected"]:
                writing = rules.grammar.begin()
                assert all(writing.take(token) for token in [*tokenize_text(TOKENIZER, call), ID["result"]])
                answer.calls.append((call, execute(call)))
            assert execute("calculator 1+1") == "ok"
            assert all(not result.startswith("error") for _, result in answer.calls)
            made.append(answer)
        return made

    monkeypatch.setattr("forge.model.engine.generate", as_the_rows)
    score = score_own_tools(None, TOKENIZER, list(TOOLS.values()), rows, max_new_tokens=144)
    assert score.right == [1.0] * len(rows)


def test_a_model_that_knows_nothing_is_scored_all_the_same() -> None:
    model = tiny_model(vocab_size=len(TOKENIZER))
    score = score_own_tools(model, TOKENIZER, list(TOOLS.values()), ROWS[:4], max_new_tokens=4)
    assert len(score.right) == 4
    with pytest.raises(ForgeError, match="0 rows"):
        score_own_tools(model, TOKENIZER, list(TOOLS.values()), [], max_new_tokens=4)


def test_the_control_is_scored_as_the_model_is() -> None:
    score = score_word_matcher(list(TOOLS.values()), ROWS)
    assert score.calls is not None
    assert 0.1 < score.calls["right"] < 0.95
    assert score.categories["unknown"]["n"] > 0


def test_lengths_must_agree() -> None:
    with pytest.raises(ForgeError, match="150 rows and 1 predictions"):
        score_own_calls(ROWS, [[]], TOOLS)


def test_the_search_for_a_phrasing_calls_built_in_tools() -> None:
    def asked(question: str, result: str) -> dict[str, Any]:
        turns = {"user": question, "call": "-", "result": result, "assistant": ""}
        return {"messages": [{"role": role, "content": content} for role, content in turns.items()]}

    with Toolbox() as toolbox:
        rows = [
            asked("how much is the chair?", "60"),
            asked("multiply 6 by 7", "42"),
            asked("6*7", "42"),
            asked("what is the capital of norway?", "Oslo is the capital of Norway."),
            asked("show me notes.txt", "no such file"),
            asked("multiply 6 by 7", "43"),
        ]
        assert score_phrasing_search(rows, toolbox) == [1.0, 1.0, 1.0, 1.0, 0.0, 0.0]
        silent = {"messages": [{"role": "user", "content": "zxqv"}, {"role": "assistant", "content": "?"}]}
        assert score_phrasing_search([silent], toolbox) == [1.0]
