"""Phase 7 as a whole: prune by importance, recover by distillation, fuse, time."""

from __future__ import annotations

from typing import Any

from forge.data.dataset import EncodedSet
from forge.evals.claims import Claim, compare
from forge.evals.measure import Measurement
from forge.model import TinyTitanForCausalLM
from forge.phases.edge.importance import taylor_importance
from forge.phases.edge.prune import PruningPlan, plan_pruning, prune_model
from forge.train import (
    ADAM_RATIO,
    MIX,
    TrainResult,
    TrainSettings,
    answers_without_tools,
    distillation_loss,
    fit,
    gather_batch,
    language_loss,
    plan_batches,
)

IMPORTANCE_BATCHES = 8
KD_WEIGHT = 0.5


def pruned_copy(run: Any, model: TinyTitanForCausalLM, data: EncodedSet) -> tuple[TinyTitanForCausalLM, PruningPlan]:
    """The model without the least important part of its core, not yet recovered."""
    index = plan_batches(data, MIX | {"direct": 0.0}, IMPORTANCE_BATCHES, run.params.batch_tokens, run.seed)
    importance = taylor_importance(model, [gather_batch(data, i) for i in index], language_loss())
    plan = plan_pruning(importance, model.config, run.params.prune_ratio)
    return prune_model(model, plan), plan


def recover(run: Any, student: TinyTitanForCausalLM, teacher: TinyTitanForCausalLM, data: EncodedSet) -> TrainResult:
    """Distil the whole model into the pruned one, ternary weights seen throughout."""
    p = run.params
    settings = TrainSettings(
        steps=p.steps, muon_lr=p.lr, adam_lr=p.lr * ADAM_RATIO, decay_fraction=0.8, checkpoint_every=p.checkpoint_every
    )
    loss = distillation_loss(teacher.eval(), KD_WEIGHT, without_call=answers_without_tools(data))
    return fit(run, student, data, MIX, loss, settings, p.batch_tokens, teacher=True)


def edge_claims(run: Any, before: Measurement, broken: Measurement, after: Measurement) -> list[Claim]:
    """Pruned and recovered against the whole model, and against pruned without recovery."""
    boot = {"n_boot": run.evaluation.bootstrap, "seed": run.seed}
    whole, metric = before.tools, "suite exact match with tools, no tool text"
    return [
        compare(
            "the pruned model keeps at least 90 % of the accuracy",
            metric,
            after.tools.correct,
            whole.correct,
            control_name="the unpruned model",
            margin=-0.1 * whole.mean_accuracy,
            **boot,
        ),
        compare(
            "distillation recovers what pruning broke",
            metric,
            after.tools.correct,
            broken.tools.correct,
            control_name="pruned, not recovered",
            **boot,
        ),
    ]
