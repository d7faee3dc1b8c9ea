"""Prompt baking (arXiv 2409.13697): the model *with* the prompt teaches itself *without* it, by KL on sampled
trajectories."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from transformers import PreTrainedTokenizerFast

from forge.data.dataset import EncodedSet
from forge.data.personas import PERSONA_PROMPTS
from forge.data.render import ID, tokenize_text
from forge.interface.run import PhaseRun
from forge.model import TinyTitanForCausalLM
from forge.phases.baking.lora import add_lora, merge_lora
from forge.phases.baking.params import Params
from forge.phases.baking.trajectories import Trajectories, baking_shares
from forge.train import (
    Batch,
    TrainResult,
    distillation_loss,
    gather_batch,
    loss_flags_without_call,
    loss_settings,
    train_on_planned_batches,
    training_loop_settings,
)

OnStep = Callable[[int, dict[str, float]], None]


def bake(
    run: PhaseRun[Params],
    teacher: TinyTitanForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    trajectories: Trajectories,
    watch: Callable[[TinyTitanForCausalLM], OnStep] | None = None,
) -> tuple[TinyTitanForCausalLM, TinyTitanForCausalLM, TrainResult]:
    """The baked model, the half-baked control and the training's result; ``teacher`` stays as it is.

    ``watch`` gets the student with its adapters and returns what is called after each of its steps.
    """
    p, shares = run.params, baking_shares(run.params.mix)
    student = copy.deepcopy(teacher)
    start_baked_persona_handles(student, tokenizer)
    add_lora(student, p.lora_rank, run.seed)
    loss = distillation_loss(
        teacher.eval(),
        p.kd_weight,
        p.kd_temperature,
        teacher_batch=baking_teacher_batches(trajectories.prompted),
        without_call=loss_flags_without_call(trajectories.bare),
        **loss_settings(run.training),
    )
    # Adapters are no matrices of the core: AdamW trains them all.
    settings = training_loop_settings(p, run.training, adam_ratio=1.0)
    on_step = watch(student) if watch is not None else None
    result = train_on_planned_batches(
        run, student, trajectories.bare, shares, loss, settings, p.batch_tokens, on_step=on_step, teacher=True
    )
    half = copy.deepcopy(student)
    merge_lora(half, p.half_bake)
    merge_lora(student)
    return student.eval(), half.eval(), result


def baking_teacher_batches(data: EncodedSet) -> Callable[[Batch], Batch]:
    """Maps a batch of another set to the same examples of ``data``: what the teacher sees of a bare batch."""
    return lambda batch: gather_batch(data, batch.index)


@torch.no_grad()
def start_baked_persona_handles(model: TinyTitanForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    """Let each persona's handle start as the mean embedding of the prompt that it will replace."""
    for name, prompt in PERSONA_PROMPTS.items():
        tokens = torch.tensor(tokenize_text(tokenizer, prompt))
        model.embed.weight[ID[name]] = model.embed.weight[tokens].mean(0)
