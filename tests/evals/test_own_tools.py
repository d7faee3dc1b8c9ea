"""The word matcher and the score of own calls."""

from __future__ import annotations

from pathlib import Path

import pytest

from forge.data.declared.rows import own_tool_rows
from forge.errors import ForgeError
from forge.evals.own_tools import own_row_opening, score_own_calls
from forge.evals.word_matcher import match_calls_by_words
from forge.tools.declared.reading import read_tools_file

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
    assert match_calls_by_words(sentence, TOOLS.values()) == calls


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
        opening = own_row_opening(row)
        assert opening[-1]["role"] == "user"
        assert opening == row["messages"][: len(opening)]
        assert all(m["role"] != "user" for m in row["messages"][len(opening) :])
    with pytest.raises(ForgeError, match="without a turn of the user"):
        own_row_opening({"messages": []})


def test_lengths_must_agree() -> None:
    with pytest.raises(ForgeError, match="150 rows and 1 predictions"):
        score_own_calls(ROWS, [[]], TOOLS)
