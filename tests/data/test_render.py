"""The renderer: the exact tokens and loss mask of every role, and nobody writes role tokens in plain text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forge.data.personas import PERSONAS
from forge.data.render import ID, encode_many, render, render_text, tokenize_text
from forge.data.tokenizer import SPECIAL_TOKENS
from forge.errors import ForgeError
from tests.support.tiny_models import tiny_tokenizer


def _expected(parts: list[tuple[str, int]]) -> tuple[list[int], list[int]]:
    """Ids and mask from (text or <|role|>, mask) pieces."""
    ids: list[int] = []
    mask: list[int] = []
    for text, supervised in parts:
        piece = [SPECIAL_TOKENS.index(text)] if text in SPECIAL_TOKENS else tokenize_text(tiny_tokenizer(), text)
        ids += piece
        mask += [supervised] * len(piece)
    return ids, mask


def test_every_role_is_rendered_and_masked_as_documented() -> None:
    messages = [
        {"role": "system", "content": "the cat"},
        {"role": "user", "content": "What is 3+4?"},
        {"role": "call", "content": "calculator 3+4"},
        {"role": "result", "content": "7"},
        {"role": "call", "content": "calculator 7*1"},
        {"role": "result", "content": "8"},
        {"role": "assistant", "content": "It is 7."},
        {"role": "user", "content": "sat"},
        {"role": "assistant", "content": "mat"},
    ]
    assert render(tiny_tokenizer(), messages) == _expected(
        [
            ("<|system|>", 0),
            ("the cat", 0),
            ("<|user|>", 0),
            ("What is 3+4?", 0),
            ("<|assistant|>", 0),
            ("<|call|>", 1),
            ("calculator 3+4", 1),
            ("<|result|>", 1),
            ("7", 0),
            ("<|assistant|>", 0),
            ("<|call|>", 1),
            ("calculator 7*1", 1),
            ("<|result|>", 1),
            ("8", 0),
            ("<|assistant|>", 0),
            ("It is 7.", 1),
            ("<|end|>", 1),
            ("<|user|>", 0),
            ("sat", 0),
            ("<|assistant|>", 0),
            ("mat", 1),
            ("<|end|>", 1),
        ]
    )


@pytest.mark.parametrize(
    ("result", "answer", "written"),
    [
        ("7", "It is 7.", "It is 7."),
        ("7", "7", ""),
        ("7", "7.", "7."),
        ("error: division by zero", "I could not do that: division by zero.", ""),
        ("error: division by zero", "error: division by zero", "error: division by zero"),
    ],
)
def test_an_answer_that_is_the_result_is_written_as_nothing(result: str, answer: str, written: str) -> None:
    """Else as it is: the example at the top of the module."""
    messages = [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "U"},
        {"role": "call", "content": "calculator 3+4"},
        {"role": "result", "content": result},
        {"role": "assistant", "content": answer},
    ]
    tokenizer = tiny_tokenizer()
    ids, mask = render(tokenizer, messages)
    text = f"<|system|>S<|user|>U<|assistant|><|call|>calculator 3+4<|result|>{result}<|assistant|>{written}<|end|>"
    assert tokenizer.decode(ids) == text
    assert mask[-1] == 1
    assert tokenizer.apply_chat_template(messages, tokenize=False) == text
    # Only right after the result: what else is said is said in words.
    asked = [*messages[:2], messages[4]]
    assert tokenizer.decode(render(tokenizer, asked)[0]).endswith(f"<|assistant|>{answer}<|end|>")


@pytest.mark.parametrize("persona", PERSONAS)
def test_a_persona_is_its_handle(persona: str) -> None:
    messages = [{"role": "persona", "content": persona}, {"role": "user", "content": "cat"}]
    assert render(tiny_tokenizer(), messages, generation_prompt=True) == _expected(
        [(f"<|{persona}|>", 0), ("<|user|>", 0), ("cat", 0), ("<|assistant|>", 0)]
    )


def test_generation_prompt_opens_one_assistant_turn() -> None:
    user = {"role": "user", "content": "cat"}
    call, result = {"role": "call", "content": "search x"}, {"role": "result", "content": "y"}
    for messages in ([user], [user, call, result]):
        ids, mask = render(tiny_tokenizer(), messages, generation_prompt=True)
        assert ids[-1] == ID["assistant"]
        assert ids[-2] != ID["assistant"]
        assert mask[-1] == 0
        thinking = render(tiny_tokenizer(), messages, generation_prompt=True, thinking=True)
        assert thinking == ([*ids, ID["think"]], [*mask, 0])


@pytest.mark.parametrize(
    "message",
    [
        {"role": "tool", "content": "x"},
        {"role": "persona", "content": "pirate"},
        {"role": "persona", "content": "end"},
        {"role": "persona", "content": "assistant"},
    ],
)
def test_unknown_roles_and_personas_are_refused(message: dict[str, str]) -> None:
    with pytest.raises(ForgeError, match=r"unknown (role|persona)"):
        render(tiny_tokenizer(), [message])


_TEXT = st.one_of(
    st.text(max_size=20),
    st.lists(st.sampled_from([*SPECIAL_TOKENS, "<", "|", ">", "<|", "|>", "end", " ", "7"]), max_size=8).map("".join),
)


@given(
    st.lists(
        st.tuples(st.sampled_from(["system", "user", "call", "result", "thought", "assistant"]), _TEXT), max_size=6
    )
)
@settings(max_examples=250, deadline=None)
def test_no_text_smuggles_in_a_role_token(turns: list[tuple[str, str]]) -> None:
    tokenizer = tiny_tokenizer()
    messages = [{"role": role, "content": text} for role, text in turns]
    ids, mask = render(tokenizer, messages)
    harmless = [{"role": role, "content": "x"} for role, _ in turns]
    roles = [i for i in ids if i < len(SPECIAL_TOKENS)]
    assert roles == [i for i in render(tokenizer, harmless)[0] if i < len(SPECIAL_TOKENS)]
    assert len(ids) == len(mask)
    known = encode_many(tokenizer, [text for _, text in turns])
    assert render(tokenizer, messages, known=known) == (ids, mask)


@given(_TEXT)
@settings(max_examples=100, deadline=None)
def test_plain_text_stands_between_two_ends(text: str) -> None:
    ids, mask = render_text(tiny_tokenizer(), text)
    assert ids == [ID["end"], *tokenize_text(tiny_tokenizer(), text), ID["end"]]
    assert min(ids[1:-1], default=14) >= 14
    assert mask == [0] + [1] * (len(ids) - 1)
