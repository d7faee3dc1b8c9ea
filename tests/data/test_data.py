"""The data stage: a user's own files, the rows of each split, the files on disk."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from forge.data.build import TASKS, build_data, read_dataset_rows, tokenize_data_rows, tooled_problem_row
from forge.data.dataset import KINDS, EncodedSet, build_set
from forge.data.render import ID, render, render_text
from forge.data.splits import dataset_split_by_hash
from forge.data.tasks import SUITE, dataset_split_of_problem, draw_problems
from forge.data.texts import book_chunks, recall_dialogues
from forge.data.thoughts.replay import replay
from forge.errors import ForgeError
from forge.files import safetensors_file_entries
from forge.model import load_titan_tokenizer
from forge.tools import Toolbox
from tests.support.tiny_models import tiny_tokenizer

pytestmark = pytest.mark.long

TURNS = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]


def _params(**changes: Any) -> SimpleNamespace:
    sizes = {"vocab_size": 420, "train_direct": 3, "train_tooled": 4, "train_tool": 10, "train_persona": 8}
    sizes |= {"train_worked": 4, "train_recall": 6, "train_text": 12, "eval_per_family": 2, "val_per_family": 2}
    return SimpleNamespace(
        **{**sizes, "own_data": [], "own_share": 0.25, "talk_share": 0.125, "fact_share": 0.1, **changes}
    )


# ---- texts and recall
# --------------------------------------------------------------------------------------------


def test_the_book_is_cut_and_split_by_hash() -> None:
    chunks = book_chunks()
    assert len(chunks) > 50
    assert not any("***" in chunk or "license" in chunk.lower() for chunk in chunks)  # the wrapping is off
    assert {dataset_split_by_hash(chunk) for chunk in chunks} == {"train", "val", "test"}


def test_recall_asks_for_a_pair_that_was_given() -> None:
    rows = {split: recall_dialogues(40, 0, split) for split in ("train", "val", "test")}
    assert rows["val"] == recall_dialogues(40, 0, "val")
    prompts = [row["messages"][0]["content"] for part in rows.values() for row in part]
    assert len(set(prompts)) == len(prompts) == 120
    for row in rows["test"]:
        prompt, answer = (m["content"] for m in row["messages"])
        asked = prompt.rsplit(" ", 1)[1].rstrip("?")
        assert f"{asked} {answer}" in prompt.split(".")[0]
        assert 0 < row["difficulty"] <= 1


# ---- sets on disk
# ------------------------------------------------------------------------------------------------


def _set() -> EncodedSet:
    rows = [([ID["system"], 20, 21, ID["user"], 22, ID["assistant"], 23, 1], [0, 0, 0, 0, 0, 0, 1, 1])]
    rows += [([ID["user"], 30, ID["assistant"], 31, 1], [0, 0, 0, 1, 1]), ([1, 40, 1], [0, 1, 1])]
    return build_set(rows, [KINDS.index(k) for k in ("tool", "direct", "text")], [3, 1, 2], [0.25, 0.5, 1.0])


def test_sets_are_joined() -> None:
    data = _set()
    both = data.joined(data.subset(np.array([2, 0])))
    assert [list(both.row(i)[0]) for i in range(5)] == [list(data.row(i)[0]) for i in (0, 1, 2, 2, 0)]
    assert [list(both.row(i)[1]) for i in range(5)] == [list(data.row(i)[1]) for i in (0, 1, 2, 2, 0)]
    assert (list(both.kind), list(both.task)) == ([*data.kind, *data.kind[[2, 0]]], [3, 1, 2, 2, 3])
    assert both.offsets.dtype == data.offsets.dtype


def test_a_set_survives_its_file(tmp_path: Path) -> None:
    data = _set()
    data.save(tmp_path / "x.safetensors")
    loaded = EncodedSet.load(tmp_path / "x.safetensors")
    for name in ("ids", "mask", "offsets", "kind", "task", "difficulty"):
        assert getattr(loaded, name).dtype == getattr(data, name).dtype
        assert np.array_equal(getattr(loaded, name), getattr(data, name))
    assert len(loaded) == 3
    assert loaded.lengths.tolist() == [8, 5, 3]
    assert loaded.where("tool", "text").tolist() == [0, 2]
    assert [part.tolist() for part in loaded.row(2)] == [[1, 40, 1], [0, 1, 1]]


def test_a_damaged_set_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with pytest.raises(ForgeError, match=r"x\.safetensors"):
        EncodedSet.load(path)
    _set().save(path)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ForgeError, match=r"x\.safetensors"):
        EncodedSet.load(path)
    with pytest.raises(ForgeError, match="must not be empty"):
        build_set([], [], [], [])


def test_the_system_turn_comes_off_alone() -> None:
    bare = _set().without_system()
    assert [part.tolist() for part in bare.row(0)] == [
        [ID["user"], 22, ID["assistant"], 23, 1],
        [0, 0, 0, 1, 1],
    ]
    assert bare.row(1)[0].tolist() == _set().row(1)[0].tolist()
    headed = _set().without_system(head=ID["teacher"])
    assert headed.row(0)[0].tolist() == [ID["teacher"], ID["user"], 22, ID["assistant"], 23, 1]
    assert headed.row(0)[1].tolist() == [0, 0, 0, 0, 1, 1]
    assert headed.row(2)[0].tolist() == [1, 40, 1]
    assert (headed.kind == _set().kind).all()
    no_question = [ID["system"], 20, ID["assistant"], 23, 1], [0, 0, 0, 1, 1]
    assert build_set([no_question], [0], [0], [0.0]).without_system().row(0)[0].tolist() == [ID["assistant"], 23, 1]


def test_a_subset_keeps_order_and_labels() -> None:
    part = _set().subset(np.array([2, 0]))
    assert part.row(0)[0].tolist() == [1, 40, 1]
    assert part.task.tolist() == [2, 3]
    assert part.difficulty.tolist() == [1.0, 0.25]


def test_rows_are_encoded_by_the_renderer() -> None:
    rows = [
        {"kind": "text", "task": "text", "text": "the cat", "difficulty": 0.5},
        {"kind": "direct", "task": "gcd", "messages": TURNS, "difficulty": 0.25},
    ]
    data = tokenize_data_rows(tiny_tokenizer(), rows)
    for i, expected in enumerate((render_text(tiny_tokenizer(), "the cat"), render(tiny_tokenizer(), TURNS))):
        assert tuple(part.tolist() for part in data.row(i)) == expected
    assert [KINDS[k] for k in data.kind] == ["text", "direct"]
    assert [TASKS[t] for t in data.task] == ["text", "gcd"]


def test_a_call_that_does_not_solve_its_problem_stops_the_build() -> None:
    item = draw_problems("gcd", 0, 1, "train")[0]

    class Wrong:
        def execute(self, call: str) -> str:
            return "error: broken"

    with pytest.raises(ForgeError, match=r"gcd: the call 'calculator gcd.*gives 'error: broken'"):
        tooled_problem_row(item, 0.5, Wrong())  # type: ignore[arg-type]
    with Toolbox() as toolbox:
        row = tooled_problem_row(item, 0.5, toolbox)
    assert [m["role"] for m in row["messages"]] == ["system", "user", "call", "result", "assistant"]
    assert row["messages"][3]["content"] == item.answer


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("data")
    own = [
        {
            "messages": [
                {"role": "system", "content": "Be kind."},
                {"role": "user", "content": f"Say {n}"},
                {"role": "assistant", "content": str(n)},
            ]
        }
        for n in range(40)
    ]
    own[0]["messages"][1]["content"] = "Odd\u2028separator"
    (folder / "own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in own), encoding="utf-8")
    params = _params(own_data=[str(folder / "own.jsonl")])
    return folder, build_data(params, 0, folder / "prepared", folder / "workspace")


def test_the_build_holds_what_was_asked_for(built: tuple[Path, dict[str, Any]]) -> None:
    folder, summary = built
    rows = {split: read_dataset_rows(folder / "prepared" / f"{split}.jsonl") for split in ("train", "val", "test")}
    assert summary == json.loads((folder / "prepared" / "summary.json").read_text(encoding="utf-8"))
    assert summary["families"] == list(SUITE)
    assert max(summary["majority_answer_rate"].values()) < 0.4
    for split, tooled in (("train", 4), ("val", 2), ("test", 2)):
        kinds = [row["kind"] for row in rows[split]]
        assert {kind: kinds.count(kind) for kind in set(kinds)} == summary["counts"][split]
        for kind, shares in (("tooled", "weight"), ("worked", "worked")):
            weights = [getattr(spec, shares) if split == "train" else 1.0 for spec in SUITE.values()]
            assert kinds.count(kind) == sum(round(tooled * weight) for weight in weights)
        assert all(0 <= row["difficulty"] <= 1 for row in rows[split])
        for row in rows[split]:
            if row["task"] in SUITE:
                prompt = next(m["content"] for m in row["messages"] if m["role"] == "user")
                assert dataset_split_of_problem(prompt) == split
    for task in SUITE:
        own = [row for row in rows["train"] if (row["kind"], row["task"]) == ("worked", task)]
        own.sort(key=lambda row: row["difficulty"])
        thoughts = [len(row["messages"][1]["content"]) for row in own]
        assert thoughts == sorted(thoughts), "the longer a thought, the harder its problem"
        assert (own[0]["difficulty"], own[-1]["difficulty"]) == (0.0, 1.0)
    worked = [row["messages"] for split in rows for row in rows[split] if row["kind"] == "worked"]
    assert all([m["role"] for m in messages] == ["user", "thought", "assistant"] for messages in worked)
    assert all(replay(problem["content"], thought["content"]).sound == 1 for problem, thought, _ in worked)
    official = [row for split in rows for row in rows[split] if row["task"] in SUITE]
    prompts = [next(m["content"] for m in row["messages"] if m["role"] == "user") for row in official]
    assert len(set(prompts)) == len(prompts)  # a problem has one row, of one kind, in one split
    assert sum(row["kind"] == "tool" for row in rows["train"]) == 10
    own = {split: [row for row in rows[split] if row["task"] == "own"] for split in rows}
    assert sum(map(len, own.values())) == 40
    assert len(own["train"]) > 20  # a system prompt that all share does not send them all one way
    assert own["val"]
    assert own["test"]
    assert {(row["kind"], row["own_share"]) for split in own for row in own[split]} == {("own", 0.25)}
    for split in own:  # as docs/data.md has it: by the hash of the contents without the system's
        for row in own[split]:
            assert dataset_split_by_hash("\n".join(m["content"] for m in row["messages"][1:])) == split
    prepared = {split: EncodedSet.load(folder / "prepared" / f"{split}.safetensors") for split in rows}
    assert {data.own_share for data in prepared.values()} == {0.25}


def test_files_of_an_own_folder_that_are_not_read_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "a.jsonl").write_text('{"text": "A row."}\n')
    (tmp_path / "own" / "b.csv").touch()

    def enough(workspace: Path) -> None:
        raise InterruptedError(workspace)

    monkeypatch.setattr("forge.data.build.set_up_tool_workspace", enough)
    with pytest.raises(InterruptedError):
        build_data(_params(own_data=[str(tmp_path / "own")]), 0, tmp_path / "prepared", tmp_path / "workspace")
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert f"files read: 1; not read: {tmp_path / 'own' / 'b.csv'}" in record.getMessage()


def test_without_own_data_the_share_leaves_no_trace(tmp_path: Path) -> None:
    rows = [{"kind": "text", "task": "text", "text": "the cat sat", "difficulty": 0.5}]
    data = tokenize_data_rows(tiny_tokenizer(), rows)
    assert data.own_share == 0.0
    data.save(tmp_path / "train.safetensors")
    assert "own_share" not in safetensors_file_entries(tmp_path / "train.safetensors")
    assert EncodedSet.load(tmp_path / "train.safetensors").own_share == 0.0


def test_the_build_encodes_every_row_with_its_own_tokenizer(built: tuple[Path, dict[str, Any]]) -> None:
    prepared = built[0] / "prepared"
    tokenizer = load_titan_tokenizer(prepared / "tokenizer")
    assert 330 < len(tokenizer) <= 420  # as many as there are common words, and no more than are asked for
    for split in ("train", "val", "test"):
        data, rows = (
            EncodedSet.load(prepared / f"{split}.safetensors"),
            read_dataset_rows(prepared / f"{split}.jsonl"),
        )
        assert len(data) == len(rows)
        for i in range(0, len(rows), 7):
            row = rows[i]
            ids, mask = render_text(tokenizer, row["text"]) if "text" in row else render(tokenizer, row["messages"])
            assert data.row(i)[0].tolist() == ids
            assert data.row(i)[1].tolist() == mask
            assert sum(mask) > 0
            assert TASKS[data.task[i]] == row["task"]
        assert int(data.ids.max()) < len(tokenizer)


def test_own_data_is_looked_at_before_problems_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forge.data.build.draw_dataset_split", lambda *_: pytest.fail("drawn before it was looked at"))
    (tmp_path / "own.jsonl").write_text('{"text": "fine"}\n{"text": 3}\n')
    with pytest.raises(ForgeError, match=r"own\.jsonl:2: needs text as 'text', not a number"):
        build_data(_params(own_data=[str(tmp_path / "own.jsonl")]), 0, tmp_path / "prepared", tmp_path / "workspace")
    assert not (tmp_path / "workspace").exists()


def test_the_build_is_repeatable(built: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, _ = built
    build_data(_params(own_data=[str(folder / "own.jsonl")]), 0, tmp_path / "prepared", tmp_path / "workspace")
    for part in ("prepared", "workspace"):
        first = sorted(p.relative_to(folder) for p in (folder / part).rglob("*") if p.is_file())
        assert first == sorted(p.relative_to(tmp_path) for p in (tmp_path / part).rglob("*") if p.is_file())
        for name in first:
            assert (folder / name).read_bytes() == (tmp_path / name).read_bytes(), name
