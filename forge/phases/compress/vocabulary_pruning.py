"""The first stage of the chain: a vocabulary of the tokens that the tasks need, and a short training on it."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from forge.agentfile.vocabulary import (
    count_characters_for_agent_file,
    count_tokens_for_agent_file,
    prune_agent_file_vocabulary,
)
from forge.data.build import Row, data_row_texts
from forge.data.dataset import OWN, EncodedSet
from forge.data.declared.own_set import declared_tool_for_dataset
from forge.interface.run import PhaseRun
from forge.model import TinyTitanConfig, TinyTitanForCausalLM
from forge.phases.compress.params import Params, TokenWeights
from forge.tools.declared.schema import DeclaredTool
from forge.train import (
    distillation_loss,
    loss_flags_without_call,
    loss_settings,
    train_on_planned_batches,
    training_settings_of_one_rate,
)

ASKED = ("user", "call")
SPELLED = ("thought", "assistant")  # of a worked row: a token a character
MOST_ROWS = 20_000  # of a kind that are tokenized to count: its problems are asked in a few forms


def with_compressed_vocabulary(
    model: TinyTitanForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    rows: Sequence[Row],
    size: int,
    weights: TokenWeights,
    tools: Sequence[DeclaredTool] = (),
) -> tuple[TinyTitanForCausalLM, PreTrainedTokenizerFast]:
    """Model and tokenizer with the ``size`` tokens that ``rows`` need most, counted by the ``weights`` of their kinds.

    Plain prose is not what the agent is for, so it has no weight; own rows count as dialogues with tools do, their
    answers included. What calls and results of declared ``tools`` may hold can still be spelled, whether a row has it
    or not.
    """
    counts = np.zeros(len(tokenizer), dtype=np.int64)
    for kind, weight in {**weights.model_dump(), OWN: weights.tool}.items():
        of_kind = [row for row in rows if row["kind"] == kind]
        every = max(1, len(of_kind) // MOST_ROWS)
        few = of_kind[::every]
        texts = [text for row in few for text in _compression_vocabulary_texts(row)]
        counts += weight * every * count_tokens_for_agent_file(tokenizer, texts)
        if kind == "worked":
            spelled = [m["content"] for row in few for m in row["messages"] if m["role"] in SPELLED]
            counts += weight * every * count_characters_for_agent_file(tokenizer, spelled)
    spelled = [json.dumps(declared_tool_for_dataset(tool), ensure_ascii=False) for tool in tools]
    counts += count_characters_for_agent_file(tokenizer, spelled)
    pruned = prune_agent_file_vocabulary(tokenizer, counts, size=min(size, len(tokenizer)))
    state = dict(model.state_dict())
    state["embed.weight"] = state["embed.weight"][torch.tensor(pruned.kept_ids)].clone()
    settings = {**model.config.to_dict(), "vocab_size": len(pruned.kept_ids)}
    smaller = TinyTitanForCausalLM(TinyTitanConfig(**settings))
    smaller.load_state_dict(state)
    return smaller.eval(), pruned.tokenizer


def _compression_vocabulary_texts(row: Row) -> list[str]:
    """Texts whose tokens are worth keeping: a tool's result is only copied, so pieces will do for it; answers are the
    agent's own words in a persona's voice, in talk without a call, and with declared tools."""
    if row["kind"] == "own_tool":
        return [m["content"] for m in row["messages"] if m["role"] != "result"]
    talk = row["kind"] == "tool" and all(m["role"] != "call" for m in row["messages"])
    if talk or row["kind"] in ("persona", OWN):
        return data_row_texts(row)
    return [m["content"] for m in row["messages"] if m["role"] in ASKED]


def train_compressed_vocabulary(
    run: PhaseRun[Params], model: TinyTitanForCausalLM, data: EncodedSet, name: str
) -> None:
    """Train a model in place on its new tokens, its embedding as the file stores it; ``name`` is that of the loop."""
    p, training = run.params, run.training
    model.config.embed_bits = p.embed_bits
    settings = training_settings_of_one_rate(
        training,
        max(1, int(p.steps * p.vocabulary_steps)),
        p.lr,
        p.vocabulary_decay_fraction,
        p.checkpoint_every,
    )
    # The old tokens cannot teach the new ones position by position, so labels do.
    silent = loss_flags_without_call(data)
    loss = distillation_loss(None, 0.0, without_call=silent, **loss_settings(training))
    train_on_planned_batches(run, model, data, p.mix.model_dump(), loss, settings, p.batch_tokens, name=name)
    model.eval()
