"""A configuration takes its own keys alone, and every value of them within bounds."""

from __future__ import annotations

import pytest

from forge.errors import ForgeError
from forge.model import TinyTitanConfig
from tests.attacks.model_directories import BLOCKS, CHOICES, RATES, SIZES, hostile_configurations, known_keys


def test_every_key_of_a_configuration_is_attacked() -> None:
    assert {*SIZES, *BLOCKS, *CHOICES, *RATES} == known_keys()


def test_values_out_of_bounds_and_keys_of_others_are_refused_in_one_line() -> None:
    for key, value in hostile_configurations():
        with pytest.raises(ForgeError, match=f"{key[:20]}|configuration") as caught:
            TinyTitanConfig(**{key: value})
        assert len(str(caught.value)) < 300, key


def test_what_it_writes_and_what_transformers_sets_is_taken() -> None:
    config = TinyTitanConfig(low_heads=[1], low_ffn=[3], eos_token_id=1, use_cache=True, dtype="float32")
    assert TinyTitanConfig(**config.to_dict()).to_dict() == config.to_dict()
    assert TinyTitanConfig.from_dict(config.to_dict(), attn_implementation="sdpa").low_heads == [1]
