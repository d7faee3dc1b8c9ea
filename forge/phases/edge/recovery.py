"""What is pruned, and how the pruned model learns back what it lost."""

from __future__ import annotations

from forge.data.dataset import EncodedSet
from forge.interface.run import PhaseRun
from forge.model import TinyTitanForCausalLM
from forge.phases.edge.importance import taylor_importance
from forge.phases.edge.params import Params
from forge.phases.edge.pruning import PruningPlan, plan_pruning, prune_heads_and_units
from forge.train import (
    TrainResult,
    distillation_loss,
    gather_batch,
    language_loss,
    loss_flags_without_call,
    loss_settings,
    plan_batches,
    train_on_planned_batches,
    training_loop_settings,
)


def pruned_copy(
    run: PhaseRun[Params], model: TinyTitanForCausalLM, data: EncodedSet
) -> tuple[TinyTitanForCausalLM, PruningPlan]:
    """The model without the least important part of its core, not yet recovered."""
    p, training = run.params, run.training
    # What tools have made needless has no say in what stays.
    shares = training.mix.model_dump() | {"direct": 0.0}
    batches = plan_batches(data, shares, p.importance_batches, p.batch_tokens, run.seed)
    loss = language_loss(**loss_settings(training))
    importance = taylor_importance(model, [gather_batch(data, index) for index in batches], loss)
    plan = plan_pruning(importance, model.config, p.prune_ratio, p.unit_multiple)
    return prune_heads_and_units(model, plan), plan


def recover_by_distillation(
    run: PhaseRun[Params], student: TinyTitanForCausalLM, teacher: TinyTitanForCausalLM, data: EncodedSet
) -> TrainResult:
    """Train the pruned ``student`` in place on the whole model's distribution, ternary weights seen throughout."""
    p, training = run.params, run.training
    silent = loss_flags_without_call(data)
    loss = distillation_loss(
        teacher.eval(), p.kd_weight, p.kd_temperature, without_call=silent, **loss_settings(training)
    )
    settings = training_loop_settings(p, training)
    return train_on_planned_batches(
        run, student, data, training.mix.model_dump(), loss, settings, p.batch_tokens, teacher=True
    )
