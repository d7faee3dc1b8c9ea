"""A tiny agent, and what it writes put into its mouth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from forge.data.render import ID, tokenize_text
from forge.model import engine
from forge.runtime.agent import Agent
from tests.support.tiny_models import tiny_model, tiny_tokenizer


def tiny_agent() -> Agent:
    """An agent with random weights."""
    return Agent(tiny_model(vocab_size=len(tiny_tokenizer())), tiny_tokenizer(), Path("toy"), "directory")


def script_engine(monkeypatch: pytest.MonkeyPatch, *parts: str) -> None:
    """Make the model write these first: texts, and role tokens by their names in brackets."""
    left: list[int] | None = None
    advance = engine._Decoder.advance

    def scripted(self: Any, row: Any, token: int, steps: int) -> int:
        nonlocal left
        if left is None:  # in the tokens of the model that writes
            spelled = [[ID[part[1:-1]]] if part[0] == "[" else tokenize_text(self.tokenizer, part) for part in parts]
            left = [number for numbers in spelled for number in numbers]
        if not row.forced and left:
            token = left.pop(0)
            if row.matcher is not None:  # which has heard what the model would have written
                row.matcher.question = ""
        return advance(self, row, token, steps)

    monkeypatch.setattr(engine._Decoder, "advance", scripted)
