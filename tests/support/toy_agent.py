"""A toy agent with random weights, as a model directory and as an agent.forge, for tests."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from forge.agentfile.model import save_agent_file
from forge.data.tokenizer import save_tokenizer, train_tokenizer
from forge.evals.bpb import bpb_held_out_texts
from forge.model import TinyTitanConfig, TinyTitanForCausalLM, save_model


def build_toy(folder: Path) -> Path:
    """Write folder/toy/ and folder/agent.forge, the same model twice, and return the folder."""
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
    )
    model = TinyTitanForCausalLM(config)
    save_model(model, folder / "toy")
    save_tokenizer(tokenizer, folder / "toy")
    (folder / "toy" / "metadata.json").write_text(json.dumps({"phase_name": "toy"}))
    save_agent_file(folder / "agent.forge", model, tokenizer, embed_bits=4, metadata={"made_by": "test"})
    return folder
