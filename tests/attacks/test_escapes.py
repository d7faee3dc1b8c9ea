"""The corpus of escapes on every kind of system on which the code tool runs; a longer run is `escape_soak.py`."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Iterator
from pathlib import Path

import pytest

from forge.tools.code_executor import CodeExecutor
from tests.attacks.escapes import World, corpus, escaped, generate
from tests.support.sandboxes import SYSTEMS, start_sandbox


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    (tmp_path / "outside").mkdir()
    made = World(tmp_path / "outside")
    yield made
    made.close()


@pytest.mark.long
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers of calls are those of x86_64")
@pytest.mark.parametrize("system", list(SYSTEMS))
def test_nothing_gets_out(system: str, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executor = start_sandbox(tmp_path, monkeypatch, SYSTEMS[system])
    if (first := executor.run("print(1)")) != "1":
        pytest.skip(f"no sandbox of this kind here: {first}")
    if not executor.layers["namespaces"] and "no namespaces" not in system:
        pytest.skip("this system grants no namespaces")
    sandbox, before = executor.pid, world.state()
    for attack in [*corpus(world), *generate(world, 30, seed=0)]:
        answers = [executor.run(snippet) for snippet in attack.snippets]
        assert not escaped(answers[-1]), (attack.name, answers)
    assert world.state() == before
    assert executor.run("print(3**4)") == "81"
    assert executor.pid == sandbox  # none has stopped it
    executor.close()


def test_an_escape_is_seen(world: World) -> None:
    """The judge, on an executor that isolates nothing, with attempts that do no harm."""
    harmless = ("reads: open", "reads: list", "signals: kill", "network: tcp", "lasting: memfd", "writes: new")
    with contextlib.closing(CodeExecutor(5.0, unsafe=True)) as executor:
        before = world.state()
        for attack in (attack for attack in corpus(world) if attack.name in harmless):
            answer = executor.run(attack.snippets[0])
            changed = world.state() != before
            assert escaped(answer) or changed, (attack.name, answer)
