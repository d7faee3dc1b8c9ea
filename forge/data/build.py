"""The data stage: draw problems and dialogues, train the tokenizer, write tokenized splits."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any, cast

from transformers import PreTrainedTokenizerFast

from forge.data.dataset import KINDS, OWN, EncodedSet, build_set
from forge.data.dialogues import (
    TOOL_PROMPT,
    Split,
    fact_dialogues,
    persona_dialogues,
    talk_dialogues,
    tool_dialogues,
)
from forge.data.own import read_own_data
from forge.data.personas import PERSONA_PROMPTS
from forge.data.render import encode_many, render, render_text
from forge.data.splits import SPLITS, dataset_split_by_hash
from forge.data.talk import TALK
from forge.data.tasks import SUITE, Item, draw_problems, reasoning_gym_accepts_answer
from forge.data.texts import book_chunks, recall_dialogues
from forge.data.tokenizer import mine_tokenizer_phrases, save_tokenizer, train_tokenizer
from forge.errors import ForgeError
from forge.files import atomic_write_json, atomic_write_text, read_jsonl
from forge.tools import TOOL_NAMES, Toolbox, set_up_tool_workspace

LOG = logging.getLogger(__name__)
Row = dict[str, Any]
MAX_PHRASES = 40
TASKS = (*SUITE, *TOOL_NAMES, *PERSONA_PROMPTS, "recall", "text", OWN, TALK.name)


def multi_step_tasks() -> list[int]:
    """Places in TASKS of the families that take several steps to solve."""
    return [TASKS.index(name) for name, spec in SUITE.items() if spec.multi_step]


def build_data(params: Any, seed: int, prepared: Path, workspace: Path) -> dict[str, Any]:
    """Write ``prepared`` (tokenizer, splits as .jsonl and .safetensors, summary.json) and ``workspace``."""
    own = read_own_data(list(params.own_data))  # first: a row that cannot be used is told before the long drawing
    if own.files:
        LOG.log(logging.WARNING if own.skipped else logging.INFO, "own data: %s", own.summary())
    set_up_tool_workspace(workspace)
    with Toolbox(workspace) as toolbox:
        rows = {split: draw_dataset_split(params, seed, split, toolbox) for split in SPLITS}
    for row in own.rows:
        # Not the first turn alone: a system prompt shared by all rows would send them all to one split.
        text = row.get("text") or "\n".join(m["content"] for m in row["messages"] if m["role"] != "system")
        about = {"kind": OWN, "task": OWN, "difficulty": 0.5, "own_share": params.own_share}
        rows[dataset_split_by_hash(text)].append({**about, **row})
    tokenizer = corpus_tokenizer(rows["train"], params)
    save_tokenizer(tokenizer, prepared / "tokenizer")
    for split, examples in rows.items():
        lines = "".join(json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in examples)
        atomic_write_text(prepared / f"{split}.jsonl", lines)
        tokenize_data_rows(tokenizer, examples).save(prepared / f"{split}.safetensors")
    summary = summarize_dataset_rows(rows, seed)
    atomic_write_json(prepared / "summary.json", summary)
    return summary


def draw_dataset_split(params: Any, seed: int, split: str, toolbox: Toolbox) -> list[Row]:
    """All rows of one split, in a fixed order."""
    train = split == "train"
    held_out = params.eval_per_family if split == "test" else params.val_per_family
    direct, tooled = (params.train_direct, params.train_tooled) if train else (held_out, held_out)
    rows: list[Row] = []
    for task in SUITE:
        weight, worked = (SUITE[task].weight, SUITE[task].worked) if train else (1.0, 1.0)
        counts = (direct, round(tooled * weight), round((params.train_worked if train else held_out) * worked))
        items = draw_problems(task, seed, sum(counts), split)
        ranked = zip(items, _rank_dataset_problems([item.difficulty for item in items]), strict=True)
        rows += [direct_problem_row(item, rank) for item, rank in islice(ranked, counts[0])]
        rows += [tooled_problem_row(item, rank, toolbox) for item, rank in islice(ranked, counts[1])]
        rows += _ranked_worked_rows([item for item, _ in ranked])
    small = (lambda n: n) if train else (lambda n: max(20, min(n, 4 * held_out)))
    # A few points decide the claims about tools: seven times as many to test with.
    dialogues = small(params.train_tool) * (7 if split == "test" else 1)
    talk, facts = int(dialogues * params.talk_share), int(dialogues * params.fact_share) if train else 0
    called = tool_dialogues(dialogues - talk - facts, seed, cast(Split, split))
    rows += [{k: v for k, v in row.items() if k != "expected"} for row in called]
    rows += talk_dialogues(talk, seed, cast(Split, split)) + fact_dialogues(facts, seed)
    rows += persona_dialogues(small(params.train_persona), seed, cast(Split, split))
    # Pairs differ more than other rows in how hard they are: three times as many for the claims.
    rows += recall_dialogues(small(params.train_recall) * (3 if split == "test" else 1), seed, split)
    rows += [
        {"kind": "text", "task": "text", "text": chunk, "difficulty": 0.5}
        for chunk in book_chunks()[: params.train_text or None]
        if dataset_split_by_hash(chunk) == split
    ]
    return rows


def _rank_dataset_problems(difficulties: Sequence[float]) -> list[float]:
    """Each of a family's difficulties as its rank among them, 0..1."""
    order = sorted(range(len(difficulties)), key=lambda i: (difficulties[i], i))
    ranks = [0.0] * len(order)
    for place, index in enumerate(order):
        ranks[index] = round(place / max(1, len(order) - 1), 4)
    return ranks


def _ranked_worked_rows(items: Sequence[Item]) -> list[Row]:
    """Worked rows of one family; what is hard about them is how long their thought is, not how long the call would
    be."""
    rows = [worked_problem_row(item, 0.0) for item in items]
    ranks = _rank_dataset_problems([len(row["messages"][1]["content"]) for row in rows])
    return [{**row, "difficulty": rank} for row, rank in zip(rows, ranks, strict=True)]


def direct_problem_row(item: Item, difficulty: float) -> Row:
    """A problem answered without tools."""
    messages = [{"role": "user", "content": item.prompt}, {"role": "assistant", "content": item.answer}]
    return {"kind": "direct", "task": item.task, "messages": messages, "difficulty": difficulty}


def worked_problem_row(item: Item, difficulty: float) -> Row:
    """A problem answered after a worked thought."""
    messages = [
        {"role": "user", "content": item.prompt},
        {"role": "thought", "content": item.thought()},
        {"role": "assistant", "content": item.answer},
    ]
    return {"kind": "worked", "task": item.task, "messages": messages, "difficulty": difficulty}


def tooled_problem_row(item: Item, difficulty: float, toolbox: Toolbox) -> Row:
    """A problem under the tool prompt, solved by one call whose result is the answer."""
    result = item.answer if item.call.startswith("code_executor") else toolbox.execute(item.call)
    if not reasoning_gym_accepts_answer(item, result):
        raise ForgeError(f"{item.task}: the call '{item.call}' gives '{result}', not '{item.answer}'")
    messages = [
        {"role": "system", "content": TOOL_PROMPT},
        {"role": "user", "content": item.prompt},
        {"role": "call", "content": item.call},
        {"role": "result", "content": result},
        {"role": "assistant", "content": result},
    ]
    return {"kind": "tooled", "task": item.task, "messages": messages, "difficulty": difficulty}


def corpus_tokenizer(rows: list[Row], params: Any) -> PreTrainedTokenizerFast:
    """Phrases from the suite's prompts (and the tool and persona prompts), words from everything."""
    official = [row for row in rows if row["kind"] == "direct" and row["task"] in SUITE]
    prompts = [row["messages"][0]["content"] for row in official]
    per_family = max(1, len(prompts) // (len(SUITE) * 200))
    phrases = mine_tokenizer_phrases(prompts[::per_family], MAX_PHRASES, min_gain=200)
    phrases += [p for p in (TOOL_PROMPT, *PERSONA_PROMPTS.values(), *TOOL_NAMES) if p not in phrases]
    # Words drawn at random from a dictionary would fill the vocabulary with what is seen once; they are spelled. Worked
    # rows are written a token a character.
    texts = [
        text
        for row in rows
        if row["task"] != "spell_backward" and row["kind"] != "worked"
        for text in data_row_texts(row)
    ]
    return train_tokenizer(texts, params.vocab_size, phrases)


def data_row_texts(row: Row) -> list[str]:
    """The texts in a row that are tokenized as texts: a persona is one token, a thought a token a character."""
    if "text" in row:
        return [row["text"]]
    return [m["content"] for m in row["messages"] if m["role"] not in ("persona", "thought")]


def tokenize_data_rows(tokenizer: PreTrainedTokenizerFast, rows: list[Row]) -> EncodedSet:
    """Tokenise rows with the renderer."""
    known = encode_many(tokenizer, [text for row in rows for text in data_row_texts(row)])
    encoded = [
        render_text(tokenizer, row["text"]) if "text" in row else render(tokenizer, row["messages"], known=known)
        for row in rows
    ]
    return build_set(
        encoded,
        [KINDS.index(row["kind"]) for row in rows],
        # Tools of a user's have any name; what is read, written and chosen by task knows none of them.
        [TASKS.index("own" if row["kind"] == "own_tool" else row["task"]) for row in rows],
        [row["difficulty"] for row in rows],
        max((row.get("own_share", 0.0) for row in rows), default=0.0),
    )


def summarize_dataset_rows(rows: dict[str, list[Row]], seed: int) -> dict[str, Any]:
    """Counts per split and kind, and per family the share of the most frequent answer."""
    majority = {}
    for task in SUITE:
        answers = Counter(item.answer for item in draw_problems(task, seed, 400, "val"))
        majority[task] = round(answers.most_common(1)[0][1] / 400, 4)
    counts = {split: dict(sorted(Counter(row["kind"] for row in examples).items())) for split, examples in rows.items()}
    return {"counts": counts, "majority_answer_rate": majority, "families": list(SUITE)}


def read_dataset_rows(path: Path) -> list[Row]:
    """The rows of a .jsonl split."""
    return [row for _, row in read_jsonl(path)]
