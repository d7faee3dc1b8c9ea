"""The files that a row of the ledger counts are an agent: nothing else has to be copied."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from forge.errors import ForgeError
from forge.evals.ledger import ledger_deployable_files
from forge.phases.edge.phase import PHASE
from forge.runtime.load import load_agent
from forge.runtime.size import size_report
from tests.support.toy_agent import build_ternary_toy

QUESTION = [{"role": "user", "content": "What is 12+30?"}]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_ternary_toy(tmp_path_factory.mktemp("models") / "edge")


@pytest.fixture(scope="module")
def copied(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("elsewhere")
    for file in ledger_deployable_files(PHASE.deployed, whole):
        shutil.copy(file, folder)
    return folder


def test_the_copied_files_answer_as_the_directory_does(whole: Path, copied: Path) -> None:
    assert not (copied / "model.safetensors").exists()
    with load_agent(whole) as here, load_agent(copied) as there:
        assert there.kind == "directory"
        assert there.parameters == here.parameters
        for options in ({}, {"tools": False}, {"thoughts": "off"}, {"temperature": 0.7, "seed": 3}):
            assert there.reply(QUESTION, max_new_tokens=24, **options) == here.reply(
                QUESTION, max_new_tokens=24, **options
            )


def test_they_weigh_what_the_ledger_says(whole: Path, copied: Path) -> None:
    report = size_report(copied)
    assert report == size_report(whole)
    assert report["total_bytes"] == sum(file.stat().st_size for file in copied.iterdir())


@pytest.mark.parametrize("name", ["packed.safetensors", "config.json", "tokenizer.json"])
def test_none_of_them_may_be_missing(name: str, copied: Path, tmp_path: Path) -> None:
    folder = tmp_path / "part"
    shutil.copytree(copied, folder)
    (folder / name).unlink()
    with pytest.raises(ForgeError, match=r"not a model directory, \w+\.\w+ is missing"):
        load_agent(folder)
