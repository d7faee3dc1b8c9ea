"""A toy agent with random weights, as a model directory and as an agent.forge, for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerFast

from forge.agentfile.model import save_agent_file
from forge.agentfile.vq import VQState
from forge.data.declared.own_set import OwnTools
from forge.data.tokenizer import save_tokenizer, train_tokenizer
from forge.evals.bpb import bpb_held_out_texts
from forge.model import TinyTitanConfig, TinyTitanForCausalLM, names_of_core_model_weights, save_model
from forge.model.packed import PACKED, pack_model
from forge.tools.declared.schema import DeclaredTool


def _toy(**changes: Any) -> tuple[TinyTitanForCausalLM, PreTrainedTokenizerFast]:
    torch.manual_seed(0)
    tokenizer = train_tokenizer(["What is 12+30?", *bpb_held_out_texts(max_chars=2000)], 320, ["calculator"])
    config = TinyTitanConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        head_dim=16,
        low_heads=[2],
        high_heads=[2],
        low_ffn=[32],
        high_ffn=[32],
        memory_heads=2,
        memory_head_dim=8,
        **changes,
    )
    return TinyTitanForCausalLM(config), tokenizer


def build_toy(folder: Path, **metadata: Any) -> Path:
    """Write folder/toy/ and folder/agent.forge, the same model twice, and return the folder. metadata: of both."""
    model, tokenizer = _toy()
    save_model(model, folder / "toy")
    save_tokenizer(tokenizer, folder / "toy")
    (folder / "toy" / "metadata.json").write_text(json.dumps({"phase_name": "toy", **metadata}))
    told = {"made_by": "test", **metadata}
    save_agent_file(folder / "agent.forge", model, tokenizer, embed_bits=4, metadata=told)
    return folder


def build_ternary_toy(folder: Path) -> Path:
    """Write a ternary agent with its packed weights beside the full ones, as phases 4 to 7 publish it."""
    model, tokenizer = _toy(weight_quant="ternary", embed_bits=4)
    save_model(model, folder)
    save_tokenizer(tokenizer, folder)
    pack_model(model, folder / PACKED)
    return folder


def declare_in_metadata(*tools: DeclaredTool) -> dict[str, Any]:
    """What training writes of tools into a model's metadata."""
    return dict(OwnTools(tools).metadata())


def build_quantized_toy(folder: Path) -> Path:
    """Write folder/quantized.forge, the same agent with a vector-quantized core, and return its path."""
    model, tokenizer = _toy()
    weights = dict(model.state_dict())
    core = {name: weights[name] for name in names_of_core_model_weights(model)}
    quantized = VQState.from_state_dict(core, k=16, v=4, role=lambda name: name.split(".")[0]).freeze()
    folder.mkdir(parents=True, exist_ok=True)
    save_agent_file(folder / "quantized.forge", model, tokenizer, vq=quantized, embed_bits=3)
    return folder / "quantized.forge"
