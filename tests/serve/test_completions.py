"""Completions: what follows a text and how likely each token is, against the model itself."""

from __future__ import annotations

from typing import Any

import httpx
import openai
import pytest
import torch
from openai import OpenAI

from forge.data.render import ID, tokenize_text
from forge.model.engine import generate
from forge.serve.scoring import served_token_bytes, served_token_name
from tests.support.tiny_models import tiny_tokenizer

TOKENIZER = tiny_tokenizer()
TEXT = "the cat sat: 日本 12"


def _ask(client: OpenAI, prompt: Any = TEXT, **options: Any) -> Any:
    return client.completions.create(model="toy", prompt=prompt, **options)


def _generated(service: Any, ids: list[int], tokens: int) -> list[int]:
    made = generate(service.agent.model, [ids], max_new_tokens=tokens, tokenizer=TOKENIZER)[0].ids
    return made[: next((i + 1 for i, token in enumerate(made) if token in (ID["end"], ID["result"])), tokens)]


@torch.no_grad()
def _log_probs(service: Any, ids: list[int]) -> torch.Tensor:
    return service.agent.model(torch.tensor([ids])).logits[0].log_softmax(-1)


@pytest.mark.parametrize("prompt", [TEXT, tokenize_text(TOKENIZER, TEXT), [TEXT], [tokenize_text(TOKENIZER, TEXT)]])
def test_the_likeliest_text_follows_whatever_form_the_prompt_has(service: Any, client: OpenAI, prompt: Any) -> None:
    made = _generated(service, tokenize_text(TOKENIZER, TEXT), 12)
    answer = _ask(client, prompt, max_tokens=12, temperature=0)
    assert answer.choices[0].text == TOKENIZER.decode([token for token in made if token >= len(ID)])
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (
        len(tokenize_text(TOKENIZER, TEXT)),
        len(made),
    )
    assert answer.choices[0].finish_reason == ("stop" if made[-1] < len(ID) else "length")


@pytest.mark.parametrize(("echo", "tokens"), [(True, 0), (True, 1), (False, 5), (True, 5)])
def test_log_probabilities_are_the_models(service: Any, client: OpenAI, echo: bool, tokens: int) -> None:
    prompt = tokenize_text(TOKENIZER, TEXT)
    ids = [*prompt, *(_generated(service, prompt, tokens) if tokens else [])]
    told = _ask(client, echo=echo, max_tokens=tokens, logprobs=2).choices[0].logprobs
    chances, first = _log_probs(service, ids), 0 if echo else len(prompt)
    assert told.tokens == [served_token_name(TOKENIZER, token) for token in ids[first:]]
    for place, token in enumerate(ids[first:], first):
        if place == 0:
            assert (told.token_logprobs[0], told.top_logprobs[0]) == (None, None)
            continue
        own, top = told.token_logprobs[place - first], told.top_logprobs[place - first]
        assert own == pytest.approx(float(chances[place - 1, token]), abs=1e-5)
        assert max(top.values()) == pytest.approx(float(chances[place - 1].max()), abs=1e-5)
        assert top[served_token_name(TOKENIZER, token)] == own
        assert 2 <= len(top) <= 3


def test_offsets_are_places_in_the_text(client: OpenAI) -> None:
    choice = _ask(client, echo=True, max_tokens=0, logprobs=0).choices[0]
    assert (choice.text, choice.logprobs.top_logprobs) == (TEXT, None)
    for token, place in zip(choice.logprobs.tokens, choice.logprobs.text_offset, strict=True):
        if token.startswith("bytes:"):
            assert choice.text[place] in "日本"
        else:
            assert choice.text.startswith(token, place)


def test_tokens_have_the_bytes_that_they_are_written_with() -> None:
    for text in ("hello world", TEXT, "a\tb\n", "Tell me please what is 5"):
        ids = tokenize_text(TOKENIZER, text)
        assert b"".join(served_token_bytes(TOKENIZER, token) for token in ids).decode() == text
    assert served_token_name(TOKENIZER, ID["end"]) == "<|end|>"


def test_the_tokenizer_can_be_asked(service: Any) -> None:
    with httpx.Client(base_url=service.address.removesuffix("/v1"), timeout=60) as web:
        text = f"<|user|>{TEXT}"
        ids = web.post("/tokenize", json={"prompt": text, "add_special_tokens": False}).json()
        assert ids == {"tokens": [ID["user"], *tokenize_text(TOKENIZER, TEXT)], "count": len(ids["tokens"])}
        assert web.post("/detokenize", json={"tokens": ids["tokens"]}).json() == {"prompt": text}
        assert web.post("/detokenize", json={"tokens": [10**6]}).json()["error"]["param"] == "tokens"
        assert web.get("/tokenizer_info").json()["eos_token"] == "<|end|>"


def test_a_text_ends_before_a_stop_string(client: OpenAI) -> None:
    whole = _ask(client, max_tokens=40).choices[0].text
    stop = whole[7:9]
    ended = _ask(client, max_tokens=40, stop=[stop, "never seen"]).choices[0]
    assert (ended.text, ended.finish_reason) == (whole[: whole.index(stop)], "stop")


def test_prompts_are_answered_each_and_streamed_when_they_are_done(client: OpenAI) -> None:
    prompts = ["the cat", "hello", ""]
    answer = _ask(client, prompts, max_tokens=6, echo=True)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert [choice.text for choice in answer.choices[:2]] == [
        prompt + _ask(client, prompt, max_tokens=6).choices[0].text for prompt in prompts[:2]
    ]
    pieces = list(_ask(client, prompts, max_tokens=6, echo=True, stream=True))
    assert [piece.choices[0].text for piece in pieces] == [choice.text for choice in answer.choices]


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"prompt": [-1, 4]}, "prompt"),
        ({"prompt": [[10**6]]}, "prompt"),
        ({"prompt": ["x"] * 200}, "prompt"),
        ({"prompt": [20] * 3000}, "prompt"),
        ({"logprobs": 99}, "logprobs"),
        ({"suffix": "end"}, "suffix"),
        ({"best_of": 2}, "best_of"),
        ({"max_tokens": -1}, "max_tokens"),
    ],
)
def test_what_cannot_be_completed_is_refused(client: OpenAI, options: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.post("/completions", body={"model": "toy", "prompt": "x", **options}, cast_to=object)
    body: Any = refused.value.body
    assert str(body["param"]).startswith(param)
