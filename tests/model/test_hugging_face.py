"""What callers of Hugging Face models rely on: masks, caches, positions, generation, templates; or one clear line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from forge.data.layouts import own_record_rows
from forge.data.render import render
from forge.errors import ForgeError
from forge.model import TinyTitanForCausalLM, load_model, load_titan_tokenizer, save_model, titan
from forge.model import engine as engine_module
from forge.model.beside import AUTO_MAP
from tests.attacks.rows import ASK, CALLS, SAY, TOOL, calling, chat_call
from tests.support.tiny_models import publish_tiny_model, tiny_model, tiny_tokenizer, tokens

pytestmark = pytest.mark.long

torch.set_num_threads(1)
VARIANTS: dict[str, dict[str, Any]] = {
    "titan": {},
    "window": {"window": 6},
    "plain": {"architecture": "plain", "window": 4},
    "no memory": {"memory": False, "token_shift": False},
}
LENGTHS = (14, 5, 9)


def as_hugging_face(folder: Path, dtype: torch.dtype = torch.float64, **changes: Any) -> Any:
    save_model(tiny_model(**changes), folder)
    return TinyTitanForCausalLM.from_pretrained(str(folder), dtype=dtype).eval()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return as_hugging_face(tmp_path_factory.mktemp("titan"))


def padded(side: str) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Rows of LENGTHS, padded on one side: ids, mask, and the rows alone."""
    rows = [tokens(1, n, seed=n)[0] for n in LENGTHS]
    ids, mask = torch.zeros(3, max(LENGTHS), dtype=torch.long), torch.zeros(3, max(LENGTHS), dtype=torch.long)
    for i, row in enumerate(rows):
        place = slice(-len(row), None) if side == "left" else slice(0, len(row))
        ids[i, place], mask[i, place] = row, 1
    return ids, mask, rows


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("name", VARIANTS)
@torch.no_grad()
def test_a_padded_row_gives_what_it_gives_alone(name: str, side: str, tmp_path: Path) -> None:
    model = as_hugging_face(tmp_path, **VARIANTS[name])
    ids, mask, rows = padded(side)
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    together = model(ids, attention_mask=mask, position_ids=positions, labels=ids)
    for row, logits, seen in zip(rows, together.logits, mask.bool(), strict=True):
        torch.testing.assert_close(logits[seen], model(row[None]).logits[0], atol=1e-9, rtol=0)
    losses = [model(row[None], labels=row[None]).loss * (len(row) - 1) for row in rows]
    torch.testing.assert_close(together.loss, sum(losses) / (sum(LENGTHS) - 3))


@torch.no_grad()
def test_a_masked_token_in_the_middle_is_not_there(model: Any) -> None:
    ids, mask = tokens(1, 12), torch.ones(1, 12)
    mask[0, [3, 4, 9]] = 0
    kept = mask.bool()
    found = model(ids, attention_mask=mask).logits
    expected = model(ids[kept][None]).logits[0]
    torch.testing.assert_close(found[kept], expected, atol=1e-9, rtol=0)
    assert torch.equal(found[0, 4], found[0, 2])


@pytest.mark.parametrize("side", ["left", "right"])
@torch.no_grad()
def test_a_cache_goes_on_by_one_token_or_several(model: Any, side: str) -> None:
    ids, mask, rows = padded(side)
    more = tokens(3, 6, seed=3)
    out = model(ids, attention_mask=mask, use_cache=True)
    made = []
    for part, count in ((more[:, :1], 1), (more[:, 1:5], 4), (more[:, 5:], 1)):
        seen = out.past_key_values.get_seq_length()
        full = torch.cat((mask, torch.ones(3, seen + count - mask.shape[1], dtype=torch.long)), dim=1)
        out = model(part, attention_mask=full, past_key_values=out.past_key_values, use_cache=True)
        made.append(out.logits)
    for row, tail, logits in zip(rows, more, torch.cat(made, dim=1), strict=True):
        whole = model(torch.cat((row, tail))[None]).logits[0, len(row) :]
        torch.testing.assert_close(logits, whole, atol=1e-9, rtol=0)


@torch.no_grad()
def test_long_rows_are_read_in_pieces(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ids, mask, _ = padded("left")
    expected = model(ids, attention_mask=mask, output_hidden_states=True)
    monkeypatch.setattr(titan, "PIECE", 4)
    monkeypatch.setattr("forge.model.hugging_face.PIECE", 4)
    found = model(ids, attention_mask=mask, output_hidden_states=True, use_cache=True)
    seen = mask.bool()
    torch.testing.assert_close(found.logits[seen], expected.logits[seen], atol=1e-9, rtol=0)
    last = model(ids, attention_mask=mask, use_cache=True, logits_to_keep=1)
    torch.testing.assert_close(last.logits[:, 0], expected.logits[:, -1], atol=1e-9, rtol=0)
    assert model(ids, attention_mask=mask).past_key_values is None


@torch.no_grad()
def test_states_tuples_and_kept_places(model: Any) -> None:
    ids = tokens(2, 9)
    out = model(ids, output_hidden_states=True)
    assert 1 <= len(out.hidden_states) <= model.config.max_steps
    table = model.embedding_weight()
    torch.testing.assert_close(out.hidden_states[-1] @ table.T, out.logits)
    assert torch.equal(model(ids, steps=1).logits, out.hidden_states[0] @ table.T)
    logits = model(ids, return_dict=False)[0]
    assert torch.equal(logits, out.logits)
    for kept in (1, 3):
        torch.testing.assert_close(model(ids, logits_to_keep=kept).logits, out.logits[:, -kept:])
    assert out.past_key_values is None
    assert model(ids).hidden_states is None


def refused(model: Any) -> list[tuple[dict[str, Any], str]]:
    ids, past = tokens(2, 4), model(tokens(2, 3), use_cache=True).past_key_values
    return [
        ({"inputs_embeds": torch.zeros(2, 4, 24)}, "inputs_embeds"),
        ({"input_ids": ids, "output_attentions": True}, "output_attentions"),
        ({}, "input_ids"),
        ({"input_ids": ids[:, :0]}, "input_ids"),
        ({"input_ids": ids[0]}, "input_ids"),
        ({"input_ids": ids, "attention_mask": torch.ones(2, 5)}, "attention_mask: shape"),
        ({"input_ids": ids, "attention_mask": torch.ones(2, 1, 4, 4)}, "attention_mask: shape"),
        ({"input_ids": ids, "attention_mask": torch.full((2, 4), 0.5)}, "other values"),
        ({"input_ids": ids, "attention_mask": torch.tensor([[0] * 4, [1] * 4])}, "no token"),
        ({"input_ids": ids, "position_ids": torch.arange(4)[None] + 1}, "position_ids"),
        ({"input_ids": ids, "position_ids": torch.tensor([[0, 1, 0, 1]])}, "position_ids"),
        ({"input_ids": ids, "position_ids": torch.arange(4)}, "position_ids: shape"),
        ({"input_ids": ids, "past_key_values": ((ids, ids),)}, "past_key_values"),
        ({"input_ids": ids[:1], "past_key_values": past}, "another number of rows"),
        ({"input_ids": ids, "past_key_values": past, "position_ids": torch.arange(4)[None]}, "position_ids"),
        (
            {
                "input_ids": ids,
                "past_key_values": past,
                "attention_mask": torch.tensor([[1] * 7, [1] * 6 + [0]]),
            },
            "after the first call",
        ),
        (
            {"input_ids": ids, "past_key_values": past, "attention_mask": torch.tensor([[0] + [1] * 6, [1] * 7])},
            "earlier tokens",
        ),
        ({"input_ids": ids, "labels": ids[:, :2]}, "labels"),
        ({"input_ids": ids, "labels": ids, "logits_to_keep": 1}, "labels"),
        ({"input_ids": ids, "logits_to_keep": torch.tensor([1])}, "logits_to_keep"),
        ({"input_ids": ids, "logits_to_keep": -1}, "logits_to_keep"),
        ({"input_ids": ids, "steps": 0}, "steps: a number from 1"),
        ({"input_ids": ids, "steps": 1.5}, "steps: a number from 1"),
    ]


@torch.no_grad()
def test_what_cannot_be_honoured_is_refused(model: Any) -> None:
    for arguments, words in refused(model):
        with pytest.raises(ValueError, match=words):
            model(**arguments)
    for name in ("token_type_ids", "cache_position", "head_mask", "anything"):
        with pytest.raises(TypeError, match=name):
            model(tokens(1, 3), **{name: 1})
        with pytest.raises(TypeError, match=name):
            tiny_model()(tokens(1, 3), **{name: 1})


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_refused_at_loading(dtype: torch.dtype, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="float32 or float64"):
        as_hugging_face(tmp_path, dtype=dtype)
    model = as_hugging_face(tmp_path, dtype=torch.float32)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert bool(torch.isfinite(model(tokens(2, 9)).logits).all())
    model.to(dtype)
    with pytest.raises(ValueError, match="float32 or float64"):
        model(tokens(1, 3))


def test_what_is_saved_has_the_code_that_it_names(model: Any, tmp_path: Path) -> None:
    model.save_pretrained(str(tmp_path))
    named = json.loads((tmp_path / "config.json").read_text())["auto_map"]
    assert named == AUTO_MAP
    beside = {path.stem for path in tmp_path.glob("*.py")}
    assert {place.partition(".")[0] for place in named.values()} <= beside
    assert type(AutoModelForCausalLM.from_pretrained(tmp_path)) is type(model)  # a path, not a text
    again = load_model(tmp_path)
    assert torch.equal(again.double()(tokens(1, 5)).logits, model(tokens(1, 5)).logits)


def test_weights_that_do_not_fit_are_refused_by_auto_classes_too(tmp_path: Path) -> None:
    save_model(tiny_model(), tmp_path / "other")
    save_model(tiny_model(hidden_size=16), tmp_path / "model")
    (tmp_path / "other/config.json").replace(tmp_path / "model/config.json")
    with pytest.raises(ForgeError, match="has shape"):
        TinyTitanForCausalLM.from_pretrained(str(tmp_path / "model"))


# ---- generation


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return publish_tiny_model(tmp_path_factory.mktemp("published") / "toy-model")


@pytest.fixture(scope="module")
def generating(published: Path) -> Any:
    return TinyTitanForCausalLM.from_pretrained(str(published)).eval()


@pytest.mark.parametrize("side", ["left", "right"])
def test_generate_answers_as_our_engine_does(generating: Any, side: str) -> None:
    """In the same numbers, for a batch of rows of different lengths, whichever side is padded."""
    ids, mask, rows = padded(side)
    made = generating.generate(input_ids=ids, attention_mask=mask, max_new_tokens=12)[:, ids.shape[1] :]
    ours = engine_module.generate(generating, [row.tolist() for row in rows], max_new_tokens=12)
    for found, expected in zip(made.tolist(), ours, strict=True):
        stop = next((i + 1 for i, token in enumerate(expected.ids) if token in (1, 6)), len(expected.ids))
        assert found[:stop] == expected.ids[:stop]
        assert all(token == 0 for token in found[stop:])


def test_ways_of_generating(generating: Any) -> None:
    ids = tokens(2, 7)
    greedy = {"max_new_tokens": 6, "do_sample": False}
    once = generating.generate(ids, **greedy)
    assert torch.equal(generating.generate(ids, use_cache=False, **greedy), once)
    assert torch.equal(generating.generate(ids, prefill_chunk_size=None, **greedy), once)
    beams = generating.generate(ids, num_beams=3, **greedy)
    assert torch.equal(generating.generate(ids, num_beams=3, use_cache=False, **greedy), beams)
    torch.manual_seed(0)
    drawn = generating.generate(ids, do_sample=True, num_return_sequences=2, max_new_tokens=4)
    assert drawn.shape[0] == 4
    with pytest.raises(ValueError, match="stateful"):
        generating.generate(ids, prompt_lookup_num_tokens=2, **greedy)
    out = generating.generate(
        ids[:1], return_dict_in_generate=True, output_hidden_states=True, output_scores=True, **greedy
    )
    longer = torch.cat((out.sequences, tokens(1, 5, seed=4)), dim=1)
    on = generating.generate(longer, past_key_values=out.past_key_values, **greedy)
    assert torch.equal(on, generating.generate(longer, **greedy))


CONVERSATIONS: list[list[dict[str, str]]] = [
    [{"role": "user", "content": "What is 12 + 30?"}],
    [{"role": "system", "content": "Give only the result."}, {"role": "user", "content": " 3*4 <|end|> hello"}],
    [
        {"role": "persona", "content": "teacher"},
        {"role": "user", "content": "the cat\nsat"},
        {"role": "call", "content": "calculator 3*4"},
        {"role": "result", "content": "12"},
        {"role": "call", "content": "calculator 12+1"},
        {"role": "result", "content": "13"},
    ],
    [
        {"role": "user", "content": "hello"},
        {"role": "call", "content": "calculator 3*4"},
        {"role": "result", "content": "12"},
        {"role": "assistant", "content": "12"},
        {"role": "user", "content": "hello world  "},
        {"role": "assistant", "content": ""},
    ],
]


@pytest.mark.parametrize("open_turn", [False, True])
def test_the_chat_template_renders_as_we_do(published: Path, open_turn: bool) -> None:
    from transformers import AutoTokenizer

    for tokenizer in (AutoTokenizer.from_pretrained(str(published)), load_titan_tokenizer(published)):
        for messages in CONVERSATIONS:
            made = tokenizer.apply_chat_template(messages, add_generation_prompt=open_turn, return_dict=False)
            assert made == render(tiny_tokenizer(), messages, open_turn)[0]


@pytest.mark.parametrize("call", CALLS)
def test_the_chat_template_takes_calls_as_own_data_does(call: dict[str, Any]) -> None:
    messages = [ASK, call, TOOL, SAY]
    row = own_record_rows({"messages": messages}, "here")[0]["messages"]
    assert tiny_tokenizer().apply_chat_template(messages, return_dict=False) == render(tiny_tokenizer(), row)[0]


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (calling(chat_call("3"), chat_call("4")), "one call"),
        (calling(chat_call("3"), content="Let me see."), "without text"),
        ({"role": "user", "content": "x", "tool_calls": [chat_call("3")]}, "of the assistant"),
        (calling(chat_call('{"a": 3}')), "written as JSON"),
        (calling(chat_call([3])), "an object or a text"),
        (calling(chat_call("3", None)), "name of a tool"),
        ({"role": "assistant", "tool_calls": "calculator"}, "one call"),
        ({"role": "user", "content": None}, "not text"),
        ({"role": "user", "content": [{"type": "text", "text": "x"}]}, "not text"),
        ({"role": "persona", "content": "pirate"}, "persona"),
        ({"role": "developer", "content": "x"}, "developer"),
        ({"role": "thought", "content": "x"}, "leave it out"),
    ],
)
def test_the_chat_template_refuses_what_it_cannot_say(message: dict[str, Any], words: str) -> None:
    from jinja2.exceptions import TemplateError

    with pytest.raises(TemplateError, match=words):
        tiny_tokenizer().apply_chat_template([message])


def test_a_pipeline_talks(published: Path) -> None:
    from transformers import pipeline

    talk = pipeline("text-generation", model=str(published), device="cpu")
    out = talk(CONVERSATIONS[0], max_new_tokens=5, do_sample=False)[0]["generated_text"]
    assert out[-1]["role"] == "assistant"
    texts = talk(["hello world", "What is"], batch_size=2, max_new_tokens=5, do_sample=False)
    alone = [talk(text, max_new_tokens=5, do_sample=False) for text in ("hello world", "What is")]
    assert texts == alone
