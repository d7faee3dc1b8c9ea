"""A model with its tokenizer as one agent.forge, and back: `forge.agentfile.container` knows only named tensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from transformers import PreTrainedTokenizerFast

from forge.agentfile.container import decode_agent, encode_agent, read_agent, write_agent
from forge.agentfile.vq import FrozenVQ
from forge.errors import ForgeError
from forge.model import TinyTitanConfig, TinyTitanForCausalLM, names_of_core_model_weights

# What a reader builds the model from; the rest of a configuration only takes bytes.
CONFIG_FIELDS = (
    "vocab_size",
    "hidden_size",
    "head_dim",
    "low_heads",
    "high_heads",
    "low_ffn",
    "high_ffn",
    "max_steps",
    "window",
    "token_shift",
    "memory",
    "memory_heads",
    "memory_head_dim",
    "memory_chunk",
    "memory_capacity",
    "halting",
    "halt_threshold",
    "act_bits",
    "architecture",
    "rope_theta",
)


class LoadedModel(NamedTuple):
    """What a file holds. ``metadata``: what its maker wrote down."""

    model: TinyTitanForCausalLM
    tokenizer: PreTrainedTokenizerFast
    metadata: dict[str, Any]


def save_agent_file(
    path: Path | str,
    model: TinyTitanForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    *,
    vq: FrozenVQ | None = None,
    embed_bits: int,
    metadata: Mapping[str, Any] | None = None,
) -> dict[str, int]:
    """Entropy-code everything into one file; its bytes by component.

    The core becomes trits, except the matrices that ``vq`` holds; errors as `encode_agent`.
    """
    config = {key: value for key, value in model.config.to_dict().items() if key in CONFIG_FIELDS}
    parts = encode_agent(
        config,
        dict(model.state_dict()),
        tokenizer,
        names_of_core_model_weights(model),
        vq=vq,
        embed_bits=embed_bits,
        frozen=model.config.weight_quant == "frozen",
        metadata=metadata,
    )
    return write_agent(path, parts)


def load_agent_file(path: Path | str) -> LoadedModel:
    """The model, in evaluation mode, the tokenizer and the metadata of a file; nothing else is read.

    ForgeError as `read_agent`, and when the weights do not fit the configuration.
    """
    parts = read_agent(path)
    config, weights, tokenizer = decode_agent(parts)
    model = TinyTitanForCausalLM(TinyTitanConfig(**config))
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise ForgeError(f"{path}: its weights do not fit its configuration ({str(error).splitlines()[0]})") from error
    return LoadedModel(model.eval(), tokenizer, dict(parts.metadata))
