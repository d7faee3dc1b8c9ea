"""The chain of phase 8: vocabulary pruning, trained-in vector quantization, entropy coding; each gated, each
undoable."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from forge.agentfile.container import decode_agent, encode_agent, read_agent, write_agent
from forge.agentfile.vocabulary import count_tokens, prune_vocabulary
from forge.agentfile.vq import FrozenVQ, VQState, decode_vq
from forge.data.build import Row, contents
from forge.data.dataset import EncodedSet
from forge.model import TinyTitanConfig, TinyTitanForCausalLM, core_weight_names
from forge.train import ADAM_RATIO, MIX, Batch, TrainSettings, answers_without_tools, distillation_loss, fit

# What the file is for: few weights are left, and copying digits into a call is what they lose first (docs/lab.md).
FILE_MIX = MIX | {"direct": 0.5, "tool": 3.5}
REASSIGN_EVERY = 2  # steps between moves of groups to their nearest code
PULL = 0.1  # commitment: how far latents move to their code then
LATENT_RATIO = 2.0  # learning rate of latents and codebooks against the phase's: they start far from a solution


@dataclass(frozen=True)
class Gate:
    """Outcome of one stage: accuracy kept against its input, the threshold, and what was kept of the attempt."""

    stage: str
    setting: str
    accuracy: float
    retention: float
    threshold: float
    passed: bool


def prune_to(
    model: TinyTitanForCausalLM, tokenizer: PreTrainedTokenizerFast, rows: Sequence[Row], size: int
) -> tuple[TinyTitanForCausalLM, PreTrainedTokenizerFast]:
    """Model and tokenizer with the ``size`` tokens that the tasks need most; plain prose is not what the agent is
    for."""
    counts = np.zeros(len(tokenizer), dtype=np.int64)
    for weight, kinds in TOKEN_WEIGHTS:
        texts = [text for row in rows if row["kind"] in kinds for text in _needed(row)]
        counts += weight * count_tokens(tokenizer, texts)
    pruned = prune_vocabulary(tokenizer, counts, size=min(size, len(tokenizer)))
    weights = dict(model.state_dict())
    weights["embed.weight"] = weights["embed.weight"][torch.tensor(pruned.kept_ids)].clone()
    settings = {**model.config.to_dict(), "vocab_size": len(pruned.kept_ids)}
    smaller = TinyTitanForCausalLM(TinyTitanConfig(**settings))
    smaller.load_state_dict(weights)
    return smaller.eval(), pruned.tokenizer


def _needed(row: Row) -> list[str]:
    """Texts whose tokens are worth keeping: a tool's result is only copied, so pieces will do for it."""
    return contents(row) if row["kind"] == "persona" else [m["content"] for m in row["messages"] if m["role"] in ASKED]


ASKED = ("user", "call")
# The names of things to look up are rare in the data and all-important in a call, so their tokens count more.
TOKEN_WEIGHTS = ((8, ("tool",)), (1, ("direct", "tooled", "persona", "recall")))


def settle_vocabulary(run: Any, model: TinyTitanForCausalLM, data: EncodedSet, name: str) -> None:
    """Train a model in place for half the phase's steps on its new tokens, with the embedding as the file
    stores it."""
    p = run.params
    model.config.embed_bits = p.embed_bits
    steps = max(1, p.steps // 2)
    settings = TrainSettings(
        steps=steps, muon_lr=p.lr, adam_lr=p.lr * ADAM_RATIO, decay_fraction=0.8, checkpoint_every=p.checkpoint_every
    )
    # The old tokens cannot teach the new ones position by position, so labels do.
    loss = distillation_loss(None, 0.0, without_call=answers_without_tools(data))
    fit(run, model, data, FILE_MIX, loss, settings, p.batch_tokens, name=name)
    model.eval()


def train_codes(
    run: Any, teacher: TinyTitanForCausalLM, data: EncodedSet, *, group: int
) -> tuple[TinyTitanForCausalLM, FrozenVQ]:
    """Vector-quantize the core *while training* against the teacher (VPTQ's codebooks, arXiv 2409.17066, but trained
    in: rounding finished ternary weights cannot keep them). The model returned computes with exactly what the file
    will hold."""
    p = run.params
    student = copy.deepcopy(teacher)
    student.set_weight_quant("none")
    student.config.embed_bits = p.embed_bits
    seen = {f"{name}.weight": linear.effective_weight().detach() for name, linear in teacher.core_linears().items()}
    vq = VQState.from_state_dict(seen, k=p.vq_codebook, v=group, role=codebook_role, seed=run.seed)
    student.add_module("vq", vq)  # trained and checkpointed with the model
    student.extra_matrices = tuple(f"vq.latents.{i}" for i in range(len(vq.latents)))
    view = _View(student, vq)
    base = distillation_loss(teacher, p.kd_weight, without_call=answers_without_tools(data))

    def loss(model: TinyTitanForCausalLM, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        view.refresh()
        return base(model, batch)

    def reassign(step: int, metrics: dict[str, float]) -> None:
        if step % REASSIGN_EVERY == 0 and step < p.steps:
            vq.reassign(pull=PULL)

    settings = TrainSettings(
        steps=p.steps,
        muon_lr=p.lr * LATENT_RATIO,
        adam_lr=p.lr * LATENT_RATIO,
        decay_fraction=0.9,
        checkpoint_every=p.checkpoint_every,
    )
    name = f"train-{group}" if group != p.vq_groups else "train"
    fit(run, student, data, FILE_MIX, loss, settings, p.batch_tokens, name=name, on_step=reassign, teacher=True)
    return settle(student, vq)


def codebook_role(name: str) -> str:
    """One codebook for attention and memory, one for feed-forward weights."""
    return "ffn" if ".ffn." in name else "attention"


class _View:
    """Lets every projection multiply by the codes' current values."""

    def __init__(self, model: TinyTitanForCausalLM, vq: VQState) -> None:
        self.vq = vq
        self.current: dict[str, Tensor] = {}
        for name, linear in model.core_linears().items():
            linear.weight.requires_grad_(False)
            linear.quantizer = lambda _, key=f"{name}.weight": self.current[key]

    def refresh(self) -> None:
        self.current = self.vq.weights()


def settle(student: TinyTitanForCausalLM, vq: VQState) -> tuple[TinyTitanForCausalLM, FrozenVQ]:
    """Write the decoded codes into the model and drop what was only for training."""
    frozen = vq.freeze()
    del student.vq
    student.extra_matrices = ()
    student.set_weight_quant("none")
    linears = student.core_linears()
    for name, value in decode_vq(frozen).items():
        linears[name.removesuffix(".weight")].weight.data.copy_(value)
    for parameter in student.parameters():
        parameter.requires_grad_(True)
    return student.eval(), frozen


def write_file(
    path: Path,
    model: TinyTitanForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    vq: FrozenVQ | None,
    embed_bits: int,
    metadata: dict[str, Any],
) -> dict[str, int]:
    """Entropy-code everything into one file; bytes by component."""
    config = {key: value for key, value in model.config.to_dict().items() if key in CONFIG_FIELDS}
    parts = encode_agent(
        config,
        dict(model.state_dict()),
        tokenizer,
        core_weight_names(model),
        vq=vq,
        embed_bits=embed_bits,
        metadata=metadata,
    )
    return write_agent(path, parts)


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


def read_file(path: Path) -> tuple[TinyTitanForCausalLM, PreTrainedTokenizerFast]:
    """The model and tokenizer that a file holds: what is judged is what was written."""
    config, weights, tokenizer = decode_agent(read_agent(path))
    model = TinyTitanForCausalLM(TinyTitanConfig(**config))
    model.load_state_dict(weights)
    return model.eval(), tokenizer


def gate(stage: str, setting: str, accuracy: float, before: float, threshold: float) -> Gate:
    """Judge one attempt."""
    retention = accuracy / before if before > 0 else 1.0
    return Gate(stage, setting, accuracy, retention, threshold, retention >= threshold)
