"""Views of the rows: the same conversations as a phase wants to see them."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import PreTrainedTokenizerFast

from forge.data.build import Row, tokenize_data_rows
from forge.data.dataset import EncodedSet


def dialogue_without_prompt(row: Row) -> list[dict[str, str]]:
    """The conversation without its system turn; a persona's prompt is replaced by its handle. A declared persona has no
    handle, so its prompt stays."""
    if row["kind"] == "own_tool":
        return [dict(m) for m in row["messages"]]
    messages = [dict(m) for m in row["messages"] if m["role"] != "system"]
    handle = [{"role": "persona", "content": row["task"]}] if row["kind"] == "persona" else []
    return [*handle, *messages]


def dataset_without_prompts(tokenizer: PreTrainedTokenizerFast, rows: Sequence[Row]) -> EncodedSet:
    """Training rows as a model with baked prompts sees them."""
    return tokenize_data_rows(
        tokenizer, [row if "text" in row else {**row, "messages": dialogue_without_prompt(row)} for row in rows]
    )
