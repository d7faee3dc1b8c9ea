"""Requests to tools as people put them who never saw the tools' examples.

tests/strangers/ holds three tools files, each written in the ten minutes that a developer takes, and for each 150
conversations by writers who knew names, descriptions and parameters of the tools alone. What a reading is made of was
chosen on kitchen and office; van is for the report.
"""

from __future__ import annotations

import json
from collections import defaultdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from forge.data.asked_forms import asks_for_own_call
from forge.tools.calls import call_text
from forge.tools.declared.checking import read_sound_tools
from forge.tools.declared.requests import Requests

STRANGERS = Path(__file__).resolve().parents[2] / "strangers"
# Share right with no model. call: once one is made; whether one is due, where that is not plain, only a model can say.
LEAST = {"call": 0.85, "due": 0.75, "two": 0.7, "missing": 0.85, "follow_up": 0.6, "off_topic": 0.9}


def _plain(calls: list[tuple[str, dict[str, Any]]]) -> list[tuple[str, dict[str, Any]]]:
    """Without capitals, which a person may leave out."""
    return [(name, {k: v.lower() if isinstance(v, str) else v for k, v in said.items()}) for name, said in calls]


def _search(requests: Requests, asked: str, *, due: bool) -> tuple[list[tuple[str, dict[str, Any]]], str]:
    """The likeliest calls of a conversation, and the question that is asked in place of one. due: the first is made."""
    calls, made = list[tuple[str, dict[str, Any]]](), list[str]()
    while (due and not made) or (asks_for_own_call(requests, asked) and (not made or requests.more(asked, made))):
        tool, schema = requests.forms(asked, made)[0]
        if isinstance(schema, str):
            return calls, tool.question_for(schema)
        values = {n: s["const"] if "const" in s else s.get("enum", [None])[0] for n, s in schema["properties"].items()}
        calls.append((tool.name, values))
        made.append(call_text(tool, values))
    return calls, ""


@lru_cache(maxsize=1)
def _shares_right() -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for folder in sorted(STRANGERS.iterdir()):
        tools = [tool for file in read_sound_tools(str(folder / "tools.yaml")) for tool in file.tools]
        requests, right = Requests(tools, bool), defaultdict[str, list[bool]](list)
        for line in (folder / "sentences.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            asked, wanted = "\n".join(row["turns"]), _plain([(c["name"], c["arguments"]) for c in row["calls"]])
            calls, question = _search(requests, asked, due=row["category"] == "call")
            right[row["category"]].append(_plain(calls) == wanted and bool(question) == (row["category"] == "missing"))
            if row["category"] == "call":
                right["due"].append(_plain(_search(requests, asked, due=False)[0]) == wanted)
        found[folder.name] = {category: sum(known) / len(known) for category, known in right.items()}
    return found


@pytest.mark.parametrize("category", LEAST)
@pytest.mark.parametrize("place", ["kitchen", "office", "van"])
def test_requests_of_strangers_are_understood(place: str, category: str) -> None:
    share = _shares_right()[place][category]
    assert LEAST[category] <= share <= 1
