"""A stage's run as the phases see it, without a pipeline around it; rows and token sets to train on."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from forge.config import load_params
from forge.data.build import TASKS, Row, read_dataset_rows, tokenize_data_rows
from forge.data.dataset import KINDS, OWN, EncodedSet, build_set
from forge.data.declared.own_set import OwnTools
from forge.data.dialogues import TOOL_PROMPT, persona_dialogues, tool_dialogues
from forge.data.personas import PERSONA_PROMPTS
from forge.evals import answering, persona, tool_use
from forge.evals.claims import Claim, compare_for_claim
from forge.evals.evaluator import Evaluator
from forge.evals.ledger import LedgerScores
from forge.evals.measure import Measurement
from forge.evals.suite import SuiteScore
from forge.interface.run import Published
from forge.model import load_titan_tokenizer, save_model
from forge.model.packed import PACKED, pack_model
from forge.tools import set_up_tool_workspace
from tests.support.tiny_models import tiny_tokenizer, tokens

OF_DATA = tuple(kind for kind in KINDS if kind not in ("own_tool", OWN))  # kinds of rows that need nothing of a user


def watch_lengths(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Room for an answer, in tokens, of every scoring of tools and personas from now on; answers are given as ever."""
    lengths: list[int] = []

    def answer_all(*given: Any, max_new_tokens: int, **options: Any) -> Any:
        lengths.append(max_new_tokens)
        return answering.answer_all(*given, max_new_tokens=max_new_tokens, **options)

    for scorer in (tool_use, persona):
        monkeypatch.setattr(scorer, "answer_all", answer_all)
    return lengths


ROOT = Path(__file__).resolve().parents[2]


def smoke_params(phase: str, **changes: Any) -> dict[str, Any]:
    """A phase's parameters at scale smoke, some of them changed, for `StubRun`."""
    file = load_params(ROOT / "params.yaml").file
    return {**vars(getattr(file, phase)), **vars(getattr(file.scales["smoke"], phase)), **changes}


class StubRun:
    """A `forge.interface.run.PhaseRun` that keeps in attributes what a phase records and publishes.

    Args:
        folder: what would be the workspace; rows and sets are read from it as `<split>.jsonl` and `.safetensors`.
        params: the phase's parameters, those that the test needs.

    Attributes:
        models: what `load` gives, by name of the stage (and branch).
        blocks: what `parameters_of` gives, by model.
        stop_at: the progress at which it asks to stop.
    """

    name, branch, seconds = "stub", "reasoning", 1.0

    def __init__(self, folder: Path, seed: int = 3, **params: Any) -> None:
        self.folder, self.seed, self.params = folder, seed, SimpleNamespace(**params)
        self.checkpoint_dir, self.out_dir, self.workspace_dir = folder / "ckpt", folder / "out", folder / "workspace"
        self.checkpoint_dir.mkdir(parents=True, exist_ok=True)
        self.training: Any = load_params(ROOT / "params.yaml").file.training
        self.evaluation: Any = SimpleNamespace(
            bootstrap=200, seed=7, suite_n=2, tool_n=1, persona_n=1, answer_tokens=24, text_chars=200
        )
        self.stop_at, self.stop_requested = -1, False
        self.models: dict[str, Published] = {}
        self.blocks: dict[type[Any], Any] = {}
        self.logged: list[tuple[int, dict[str, Any]]] = []
        self.metrics: dict[str, Any] = {}
        self.headline: dict[str, Any] = {}
        self.claims: list[Claim] = []
        self.rows_of_ledger: list[tuple[LedgerScores, Path, float | None]] = []
        self.published: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self.own_tools = OwnTools()

    def prepare(self, stage: str, model: Any) -> None:
        """Write rows of every kind and the tools' workspace; ``model`` is what ``stage`` has published."""
        set_up_tool_workspace(self.workspace_dir)
        for split in ("train", "val", "test"):
            rows = [*conversations(4), *tool_dialogues(10, 1, split), *persona_dialogues(8, 1, split)]
            rows = [{key: value for key, value in row.items() if key != "expected"} for row in rows]
            write_rows(self.folder / f"{split}.jsonl", rows)
            tokenize_data_rows(tiny_tokenizer(), rows).save(self.folder / f"{split}.safetensors")
        save_model(model, self.folder / stage)
        self.models[stage] = Published(model, tiny_tokenizer(), self.folder / stage)

    def log(self, step: int, **metrics: Any) -> None:
        self.logged.append((step, metrics))

    def progress(self, step: int, total: int, note: str = "") -> None:
        assert 0 <= step <= total
        self.stop_requested = step == self.stop_at

    def parameters_of(self, block: type[Any]) -> Any:
        return self.blocks[block]

    def load(self, stage: str, branch: str | None = None) -> Published:
        return self.models[f"{stage}@{branch}" if branch else stage]

    def load_branches(self, stage: str) -> dict[str, Published]:
        return {name.split("@")[1]: found for name, found in self.models.items() if name.startswith(f"{stage}@")}

    def split(self, name: str) -> EncodedSet:
        return EncodedSet.load(self.folder / f"{name}.safetensors")

    def rows(self, name: str) -> list[Row]:
        return read_dataset_rows(self.folder / f"{name}.jsonl")

    def tokenizer(self) -> Any:
        return load_titan_tokenizer(self.folder / "tokenizer")

    def recorded_seconds(self, *stages: str) -> float:
        return float(len(stages))

    def evaluator(self, tokenizer: Any) -> Evaluator:
        return Evaluator(tokenizer, self.evaluation, self.workspace_dir, self.rows, own=self.own_tools)

    def compare(self, *given: Any, **options: Any) -> Claim:
        return compare_for_claim(*given, n_boot=self.evaluation.bootstrap, seed=self.seed, **options)

    def record(self, metrics: Any = None, *, headline: Any = None, claims: Any = ()) -> None:
        self.metrics |= {**(metrics or {}), **(headline or {})}
        self.headline |= headline or {}
        self.claims += claims

    def ledger(self, model: Any, scores: LedgerScores, directory: Path, seconds: float | None = None) -> None:
        self.rows_of_ledger.append((scores, directory, seconds))

    def save(self, model: Any, tokenizer: Any, *, packed: bool = False) -> Path:
        save_model(model, self.out_dir)
        tokenizer.save_pretrained(str(self.out_dir))
        if packed:
            pack_model(model, self.out_dir / PACKED)
        return self.out_dir

    def publish(self, metadata: Any, files: Any = None) -> Path:
        self.published.append((dict(metadata), dict(files or {})))
        return self.out_dir


def conversation(kind: str, number: int) -> Row:
    """A short training row of a kind; numbers tell rows apart."""
    question, answer = f"What is {number} + 30?", str(number + 30)
    user, said = {"role": "user", "content": question}, {"role": "assistant", "content": answer}
    thought = {"role": "thought", "content": f"{number}+30={answer}"}
    call, result = {"role": "call", "content": f"calculator {number}+30"}, {"role": "result", "content": answer}
    row: Row = {"kind": kind, "task": TASKS[0], "difficulty": (number % 10) / 10}
    if kind == "own":
        row |= {"task": "own", "own_share": 0.5}
    if kind == "text":
        return {"kind": kind, "task": "text", "text": f"the cat sat on mat {number}", "difficulty": 0.5}
    if kind in ("direct", "recall", "own"):
        return {**row, "messages": [user, said]}
    if kind == "worked":
        return {**row, "messages": [user, thought, said]}
    if kind == "persona":
        system = {"role": "system", "content": PERSONA_PROMPTS["teacher"]}
        return {**row, "task": "teacher", "messages": [system, user, said]}
    system = {"role": "system", "content": TOOL_PROMPT}
    task = "calculator" if kind == "tool" else row["task"]
    return {**row, "task": task, "messages": [system, user, call, result, said]}


def write_rows(path: Path, rows: list[Row]) -> None:
    """A split as the data stage writes it."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def conversations(each: int = 6) -> list[Row]:
    """``each`` rows of every kind."""
    return [conversation(kind, 11 + 7 * i + k) for k, kind in enumerate(OF_DATA) for i in range(each)]


def random_set(rows: int = 24, vocab: int = 48, kinds: tuple[str, ...] = OF_DATA, seed: int = 0) -> EncodedSet:
    """Random tokens of lengths 8 to 14, the last 3 to 6 supervised; kinds in turn."""
    made = []
    for i in range(rows):
        length, supervised = 8 + i % 7, 3 + i % 4
        ids = tokens(1, length, seed=100 * seed + i, vocab=vocab)[0].numpy()
        made.append((ids, np.arange(length) >= length - supervised))
    kind = [KINDS.index(kinds[i % len(kinds)]) for i in range(rows)]
    return build_set(made, kind, [0] * rows, np.linspace(0, 1, rows))


def suite(correct: list[float]) -> SuiteScore:
    """A suite score of one family."""
    accuracy = sum(correct) / len(correct)
    return SuiteScore({"x": {"n": len(correct), "accuracy": accuracy}}, accuracy, correct, 1.5, 0)


def measured(
    without: list[float],
    tools: list[float],
    prompted: list[float] | None = None,
    thoughts: list[float] | None = None,
    everything: list[float] | None = None,
) -> Measurement:
    """A phase's metrics from the answers that were right; thoughts as answers without them, where not given, and
    everything as tools."""
    return Measurement(
        no_tools=suite(without),
        thoughts=suite(without if thoughts is None else thoughts),
        tools=suite(tools),
        prompted=None if prompted is None else suite(prompted),
        everything=suite(tools if everything is None else everything),
        bpb=2.0,
    )
