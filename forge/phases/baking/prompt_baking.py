"""Prompt baking (arXiv 2409.13697): the model *with* the prompt teaches itself *without* it, by KL on sampled
trajectories."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from transformers import PreTrainedTokenizerFast

from forge.data.dialogues import PERSONA_PROMPTS
from forge.data.render import ID, encode
from forge.model import TinyTitanForCausalLM
from forge.phases.baking.lora import add_lora, merge_lora
from forge.phases.baking.trajectories import Trajectories
from forge.train import Batch, TrainResult, TrainSettings, distillation_loss, fit, gather_batch

KD_WEIGHT = 0.8  # the rest is cross-entropy on the trajectory's own tokens, which its verifier has accepted

SHARES = {"tooled": 0.35, "tool": 0.35, "persona": 0.22, "direct": 0.08}
OnStep = Callable[[int, dict[str, float]], None]


def bake(
    run: Any,
    teacher: TinyTitanForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    trajectories: Trajectories,
    watch: Callable[[TinyTitanForCausalLM], OnStep] | None = None,
) -> tuple[TinyTitanForCausalLM, TinyTitanForCausalLM, TrainResult]:
    """The baked model, the half-baked control and the training's result; ``teacher`` stays as it is.

    ``watch`` gets the student with its adapters and returns what is called after each of its steps.
    """
    p = run.params
    student = copy.deepcopy(teacher)
    start_handles(student, tokenizer)
    add_lora(student, p.lora_rank, run.seed)

    def with_prompt(batch: Batch) -> Batch:
        return gather_batch(trajectories.prompted, batch.index)

    loss = distillation_loss(
        teacher.eval(), KD_WEIGHT, teacher_batch=with_prompt, without_call=trajectories.without_call
    )
    settings = TrainSettings(steps=p.steps, adam_lr=p.lr, decay_fraction=0.7, checkpoint_every=p.checkpoint_every)
    on_step = watch(student) if watch is not None else None
    result = fit(run, student, trajectories.bare, SHARES, loss, settings, p.batch_tokens, on_step=on_step, teacher=True)
    half = copy.deepcopy(student)
    merge_lora(half, p.half_bake)
    merge_lora(student)
    return student.eval(), half.eval(), result


@torch.no_grad()
def start_handles(model: TinyTitanForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    """Let each persona's handle start as the mean embedding of the prompt that it will replace."""
    for name, prompt in PERSONA_PROMPTS.items():
        tokens = torch.tensor(encode(tokenizer, prompt))
        model.embed.weight[ID[name]] = model.embed.weight[tokens].mean(0)
