"""Views of the rows: without prompts, as a model with baked prompts sees them."""

from __future__ import annotations

from forge.data.build import tokenize_data_rows
from forge.data.render import ID
from forge.data.views import dataset_without_prompts, dialogue_without_prompt
from tests.support.stub_run import conversation, conversations
from tests.support.tiny_models import tiny_tokenizer


def test_without_prompt_and_the_bare_view() -> None:
    rows = conversations(2)
    assert [m["role"] for m in dialogue_without_prompt(conversation("tool", 1))] == [
        "user",
        "call",
        "result",
        "assistant",
    ]
    assert dialogue_without_prompt(conversation("persona", 1))[0] == {"role": "persona", "content": "teacher"}
    assert dialogue_without_prompt(conversation("direct", 1)) == conversation("direct", 1)["messages"]
    row = conversation("tool", 5)
    dialogue_without_prompt(row)[0]["content"] = "changed"
    assert row == conversation("tool", 5)
    bare, whole = dataset_without_prompts(tiny_tokenizer(), rows), tokenize_data_rows(tiny_tokenizer(), rows)
    assert ID["system"] not in bare.ids
    assert ID["system"] in whole.ids
    assert (bare.row(10)[0] == whole.row(10)[0]).all()  # plain text has no prompt to lose
    assert (bare.kind == whole.kind).all()
