"""A model with its tokenizer as one agent.forge, and back: `forge.agentfile.container` knows only named tensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from transformers import PreTrainedTokenizerFast

from forge.agentfile.container import decode_agent, decode_agent_file, encode_agent, write_agent
from forge.agentfile.header import OpenAgentFile, guard_agent_file, open_agent_file
from forge.agentfile.vq import FrozenVQ
from forge.errors import ForgeError
from forge.model import TinyTitanConfig, TinyTitanForCausalLM, names_of_core_model_weights
from forge.model.fit import check_model_cost, model_without_weights

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

    ForgeError as `read_agent`, and when the weights do not fit the configuration, or either is out of bounds. All of
    that is decided before a weight is decoded.
    """
    opened = open_agent_file(path)
    model = guard_agent_file(opened.label, lambda: _model_without_weights(opened))
    parts = decode_agent_file(opened)
    _, weights, tokenizer = guard_agent_file(opened.label, lambda: decode_agent(parts))
    model.load_state_dict(weights, assign=True)
    return LoadedModel(model.eval(), tokenizer, dict(opened.metadata))


def _model_without_weights(opened: OpenAgentFile) -> TinyTitanForCausalLM:
    """The model of the configuration on the device `meta`, once the table of tensors lists what it needs."""
    given, known = opened.config.keys(), {*CONFIG_FIELDS, "weight_quant"}
    if odd := sorted(given ^ known):
        raise ForgeError(f"its configuration {'lacks' if odd[0] in known else 'has an unknown key,'} {odd[0][:40]}")
    if opened.config["weight_quant"] != "frozen":
        raise ForgeError("its configuration does not say that its weights are frozen")
    config = TinyTitanConfig(**opened.config)
    check_model_cost(config, opened.parameters, opened.before + sum(len(raw) for _, raw in opened.sections))
    model = model_without_weights(config, TinyTitanForCausalLM)
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {entry.name: entry.shape for entry in opened.entries}
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name):
            shapes = f"{name} is {found.get(name, 'absent')}, not {wanted.get(name, 'asked for')}"
            raise ForgeError(f"its weights do not fit its configuration ({shapes})")
    return model
