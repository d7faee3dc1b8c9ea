"""Temporary folders: whose owner was killed goes, whose owner lives stays, and others' stay anyway."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from forge.tools import scratch
from forge.tools.scratch import PREFIX, ScratchFolder, abandoned_tool_scratch, remove_tool_scratch

# Holds a folder with something deep in it, says so, and waits to be killed.
HOLD = """
import os, sys, time
from forge.tools.scratch import ScratchFolder
folder = ScratchFolder("workspace")
(folder.path / "a" / "b").mkdir(parents=True)
(folder.path / "a" / "b" / "c").write_text("x")
print(folder.path, flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    scratch.remove_abandoned_tool_scratch.cache_clear()
    yield tmp_path
    scratch.remove_abandoned_tool_scratch.cache_clear()


@pytest.fixture
def killed(temporary: Path) -> Path:
    process = subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    path = Path(process.stdout.readline().strip())
    assert abandoned_tool_scratch() == []  # its owner lives
    assert not remove_tool_scratch(path)
    process.kill()
    process.communicate()
    assert path.is_dir()
    return path


def test_the_next_start_removes_what_a_killed_agent_left(killed: Path, temporary: Path) -> None:
    assert abandoned_tool_scratch() == [killed]
    folder = ScratchFolder("sandbox")
    assert list(temporary.iterdir()) == [folder.path]
    folder.close()
    folder.close()
    assert list(temporary.iterdir()) == []


def test_clean_removes_it_at_any_age(killed: Path, project: Path) -> None:
    from forge.config import load_params
    from forge.pipeline.upkeep.retention import leftovers

    (found,) = (each for each in leftovers(load_params(), 7 * 86400.0) if each.kind == "folder of a killed agent")
    assert (found.path, found.size) == (killed, 1)
    assert found.remove()
    assert not killed.exists()


def test_what_is_not_ours_stays(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = temporary / "target"
    target.mkdir()
    (target / "kept").write_text("x")
    (temporary / f"{PREFIX}link").symlink_to(target)
    (temporary / f"{PREFIX}file").write_text("x")
    (temporary / "workspace-of-somebody").mkdir()
    assert abandoned_tool_scratch() == []
    (temporary / f"{PREFIX}folder").mkdir()
    assert [path.name for path in abandoned_tool_scratch()] == [f"{PREFIX}folder"]
    monkeypatch.setattr(os, "getuid", lambda: -1)  # it is another user's
    assert abandoned_tool_scratch() == []
    assert (target / "kept").exists()


def test_a_folder_of_any_depth_can_be_closed(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`shutil` needs a frame of the stack for each level."""
    folder = ScratchFolder("sandbox")
    deep = folder.path
    for _ in range(100):
        deep = deep / "d"
        deep.mkdir()
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(150)
    try:
        folder.close()
    finally:
        sys.setrecursionlimit(before)
    assert list(temporary.iterdir()) == []
