"""A tool more is a file more: with one in place, calls, prompts, rows and scores know it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from forge.pipeline.dvc.code import ProjectCode
from forge.pipeline.layout.phases import find_stage_in_layout

ROOT = Path(__file__).resolve().parents[2]
DICE = '''"""Dice, and how people ask for them."""

from __future__ import annotations

import random
from contextlib import ExitStack

from forge.tools.declaration import Answer, Drawn, Intent, Tool, ToolSetting

FRAMES = ("{}", "[can|could] you {}?", "i want to {}", "now {}", "let us {}")


def draw_sides(rng: random.Random) -> Drawn:
    """How many sides."""
    return {"n": str(rng.randint(2, 20))}, None


def open_dice(setting: ToolSetting, stack: ExitStack) -> Answer:
    """A die that always shows its highest side."""
    return lambda sides: sides if sides.isdigit() else "error: a number of sides is needed"


INTENT = Intent("throw", "{n}", draw_sides, ("throw a die of {n} sides", "roll {n}"), ("{n} sides, what comes up?",))
TOOL = Tool("dice", 6, open_dice, FRAMES, (INTENT,))
'''
ASK = """
from forge.data.dialogues import TOOL_PROMPT, tool_dialogues
from forge.pipeline.metrics.catalog import list_catalog_metrics
from forge.tools import TOOL_NAMES, Toolbox
print(TOOL_NAMES[-1], "|", TOOL_PROMPT)
with Toolbox() as toolbox:
    print(toolbox.execute("dice 12"), "|", toolbox.execute("dice x"))
rows = tool_dialogues(60, 0, "train")
own = [row for row in rows if row["task"] == "dice"]
print(len(own), "|", own[0]["messages"][2]["content"], "|", own[0]["expected"])
print(" | ".join(metric.name for metric in list_catalog_metrics("baking") if "dice" in metric.name))
"""


def test_a_sixth_tool_is_one_file(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "forge", tmp_path / "forge", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "stages", tmp_path / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "forge/tools/builtin/dice.py").write_text(DICE)
    done = subprocess.run([sys.executable, "-c", ASK], cwd=tmp_path, capture_output=True, text=True, check=True)
    names, results, rows, metrics = (line.split(" | ") for line in done.stdout.splitlines())
    assert names == ["dice", "Use calculator, code_executor, search, file_reader, database_query or dice."]
    assert results == ["12", "error: a number of sides is needed"]
    count, call, expected = rows
    assert int(count) == 10
    assert [name.removeprefix("baking/tool_dice/") for name in metrics] == [
        "baking_iterations",
        "success_rate",
        "convergence_step",
        "zero_shot_success_rate",
    ]
    assert call == f"dice {expected}"
    data = find_stage_in_layout("data")
    reached, ours = (set(ProjectCode(root).reached_by(data)) for root in (tmp_path, ROOT))
    assert reached - ours == {"forge/tools/builtin/dice.py"}
