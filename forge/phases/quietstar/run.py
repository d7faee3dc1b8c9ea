"""Phase 3, Quiet-STaR: train on own thoughts, measure honestly, hand on what the measurement supports.

Validation problems choose the model, calibrate coherence and settle how answers are decoded; test problems are only
reported on, and pass or fail the claims.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from transformers import PreTrainedTokenizerFast

from forge.evals.ledger import LedgerScores
from forge.interface.run import PhaseRun
from forge.model import TinyTitanForCausalLM
from forge.phases.quietstar.choice import (
    Answered,
    quietstar_answer_after_likeliest,
    quietstar_best_by_validation,
    quietstar_thought_entropy,
    settle_thinker,
)
from forge.phases.quietstar.claims import quietstar_training_claims, thought_claims
from forge.phases.quietstar.decision import decide_quietstar_handoff
from forge.phases.quietstar.evaluation import evaluate_quietstar_thoughts
from forge.phases.quietstar.metrics import quietstar_extra_metrics, quietstar_phase_metrics, quietstar_step_metrics
from forge.phases.quietstar.params import Params
from forge.phases.quietstar.problems import Floats, Problem, fresh_quietstar_problems, quietstar_problems
from forge.phases.quietstar.training import Method, prepare_quietstar_tokens, train_on_own_thoughts
from forge.thinking.gate import ThoughtGate
from forge.thinking.thinker import THINKER_FILE

FRESH = 7919  # from the run's seed to that of the problems drawn here: the data stage has drawn others
Weights = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Arm:
    """A model that may be handed on: weights, validation problems answered, entropy of its thoughts; where it was
    trained here, its gate and what was seen of the training."""

    weights: Weights
    answered: Answered
    entropy: float
    gate: ThoughtGate | None = None
    final_loss: float | None = None


def run(run: PhaseRun[Params]) -> None:
    """Train the model by each method, choose by validation, calibrate what a coherent thought is, and let it think on
    where that measurably helps.

    Raises:
        ForgeError: thoughts do not help and `on_fail` is stop, or a row of thoughts does not fit into memory.
    """
    p = run.params
    model, tokenizer, _ = run.load("evomerge")
    held_out = quietstar_problems(tokenizer, p.validation_n, run.seed + FRESH, "val")
    arms = train_quietstar_arms(run, model, tokenizer, held_out)
    answered = {name: arm.answered for name, arm in arms.items()}
    kept = quietstar_best_by_validation(answered)
    method = quietstar_best_by_validation({name: found for name, found in answered.items() if name != "input"})

    problems = quietstar_problems(tokenizer, run.evaluation.suite_n, run.evaluation.seed, "test")
    others = {name: arm for name, arm in arms.items() if name != kept}
    tested = quietstar_arm_answers(model, tokenizer, others, problems, p)
    model.load_state_dict(arms[kept].weights)
    gate = arms[method].gate
    assert gate is not None  # every method trains one
    thinker, settled = settle_thinker(model, tokenizer, gate, held_out, answered[kept], p, run.seed)
    found = evaluate_quietstar_thoughts(model, thinker, problems, max_new_tokens=p.answer_tokens, seed=run.seed)
    tested[kept] = found.correct["one"]
    for index, part in enumerate(found.thoughts):
        run.log((len(arms) - 1) * p.steps + 1 + index, **quietstar_step_metrics([part]))

    claims = thought_claims(run, found)
    entropy = {name: arm.entropy for name, arm in arms.items()}
    claims += quietstar_training_claims(run, {name: tested[name] for name in arms}, method, entropy)
    validation = {name: arm.accuracy for name, arm in answered.items()}
    decision = decide_quietstar_handoff(p.on_fail, claims, kept, validation)
    measured = run.evaluator(tokenizer).measure(model)

    run.record(claims=decision.noted(claims))
    metrics = quietstar_phase_metrics(found)
    shown = {
        **{f"val/accuracy_{name}": value for name, value in validation.items()},
        **{f"val/entropy_{name}": value for name, value in entropy.items()},
        **{f"train/final_loss_{name}": arm.final_loss for name, arm in arms.items() if arm.final_loss is not None},
        **settled,
        **quietstar_extra_metrics(found),
        "thoughts_enabled": float(decision.helped),
        **metrics,
        **measured.headline(),
    }
    run.record(metrics | quietstar_step_metrics(found.thoughts), headline=shown)
    run.save(model, tokenizer)
    target = run.publish(
        {
            "thoughts_enabled": decision.helped,
            "kept": decision.kept,
            "coherence_score": metrics["phase/avg_coherence"],
            "validity_rate": metrics["phase/overall_validity_rate"],
            "anti_theater": {claim.claim: claim.passed for claim in claims},
        },
        {THINKER_FILE: thinker.to_bytes()} if decision.helped else {},
    )
    run.ledger(model, LedgerScores(measured), target)


def train_quietstar_arms(
    run: PhaseRun[Params],
    model: TinyTitanForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    held_out: list[Problem],
) -> dict[str, Arm]:
    """The model as it came in and as each method trains it, all from the same weights on the same problems."""
    p, data = run.params, run.split("train")
    given = _copied(model)

    def arm(gate: ThoughtGate | None = None, final_loss: float | None = None) -> Arm:
        answered = quietstar_answer_after_likeliest(model, tokenizer, held_out, p)
        return Arm(
            _copied(model), answered, quietstar_thought_entropy(model, held_out, answered.thoughts), gate, final_loss
        )

    arms = {"input": arm()}
    solved = arms["input"].answered.by_family(held_out)
    fresh = fresh_quietstar_problems(tokenizer, p.steps * p.batch, run.seed + FRESH, solved, p.even_share)
    methods: tuple[Method, ...] = ("star", "reinforce") if p.method == "both" else (p.method,)
    for place, method in enumerate(methods):
        model.load_state_dict(given)
        prepare_quietstar_tokens(model)
        gate, result = train_on_own_thoughts(run, model, tokenizer, fresh, data, method, place * p.steps)
        arms[method] = arm(gate, result.final_loss)
    return arms


def quietstar_arm_answers(
    model: TinyTitanForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    arms: Mapping[str, Arm],
    problems: list[Problem],
    params: Params,
) -> dict[str, Floats]:
    """Verdicts on ``problems`` by arm, after one thought each; ``model`` serves to run weights."""
    tested = {}
    for name, arm in arms.items():
        model.load_state_dict(arm.weights)
        tested[name] = quietstar_answer_after_likeliest(model, tokenizer, problems, params).correct
    return tested


def _copied(model: TinyTitanForCausalLM) -> Weights:
    return {name: value.clone() for name, value in model.state_dict().items()}
