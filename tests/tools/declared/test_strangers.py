"""Requests to tools as people put them who never saw the tools' examples.

tests/strangers/ holds three tools files, each written in the ten minutes that a developer takes, and for each 150
conversations by writers who knew names, descriptions and parameters of the tools alone. What a reading is made of was
chosen on kitchen and office; van is for the report.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from forge.evals.word_matcher import match_own_calls_for_eval
from forge.tools.calls import parse_tool_call
from forge.tools.declared.checking import read_sound_tools

STRANGERS = Path(__file__).resolve().parents[2] / "strangers"
# Share right with no model. call: once one is made; whether one is due, where that is not plain, only a model can say.
LEAST = {"call": 0.85, "due": 0.75, "two": 0.7, "missing": 0.85, "follow_up": 0.6, "off_topic": 0.9}


def _plain(calls: Sequence[tuple[str, Mapping[str, Any]]]) -> list[tuple[str, dict[str, Any]]]:
    """Without capitals, which a person may leave out."""
    return [(name, {k: v.lower() if isinstance(v, str) else v for k, v in said.items()}) for name, said in calls]


@lru_cache(maxsize=1)
def _shares_right() -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for folder in sorted(STRANGERS.iterdir()):
        tools = [tool for file in read_sound_tools(str(folder / "tools.yaml")) for tool in file.tools]
        by_name, right = {tool.name: tool for tool in tools}, defaultdict[str, list[bool]](list)
        for line in (folder / "sentences.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            asked, wanted = "\n".join(row["turns"]), _plain([(c["name"], c["arguments"]) for c in row["calls"]])
            calls, question = match_own_calls_for_eval(asked, tools, due=row["category"] == "call")
            called = _plain([parse_tool_call(call, by_name) for call in calls])
            right[row["category"]].append(called == wanted and bool(question) == (row["category"] == "missing"))
            if row["category"] == "call":
                sure, _ = match_own_calls_for_eval(asked, tools)
                right["due"].append(_plain([parse_tool_call(call, by_name) for call in sure]) == wanted)
        found[folder.name] = {category: sum(known) / len(known) for category, known in right.items()}
    return found


@pytest.mark.parametrize("category", LEAST)
@pytest.mark.parametrize("place", ["kitchen", "office", "van"])
def test_requests_of_strangers_are_understood(place: str, category: str) -> None:
    share = _shares_right()[place][category]
    assert share >= LEAST[category]
