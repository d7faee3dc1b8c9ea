"""Phase 3, Quiet-STaR: train with thoughts, measure honestly, hand on what the measurement supports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerFast

from forge.data.dataset import KINDS, EncodedSet
from forge.errors import ForgeError
from forge.evals.claims import Claim
from forge.evals.likelihood import likelihood
from forge.interface.run import LoopRun
from forge.model.titan import TinyTitanForCausalLM
from forge.phases.quietstar.evaluation import (
    MAIN,
    evaluate_thoughts,
    phase_metrics,
    step_metrics,
    suite_problems,
    thought_claims,
)
from forge.phases.quietstar.training import (
    ThoughtSettings,
    prepare_thought_tokens,
    split_row,
    thought_loss,
    thought_source,
)
from forge.thinking.gate import ThoughtGate
from forge.thinking.thinker import Thinker, calibrate
from forge.train import ADAM_RATIO, MIX, TrainResult, TrainSettings, train
from forge.train.memory import check_training_memory

MAX_NEW_TOKENS = 24  # the longest true answer of the suite has 12 tokens
REPLAY = {kind: share for kind, share in MIX.items() if kind != "direct"}  # direct rows are thought about


@dataclass(frozen=True)
class Outcome:
    """What the phase hands on. ``thinker`` is None where thoughts are off.

    metrics: the phase's own metrics but its duration. facts: for metadata.json; none depends on time.
    """

    thinker: Thinker | None
    metrics: dict[str, float]
    headline: dict[str, float]
    claims: list[Claim]
    facts: dict[str, Any]


def quiet_star(
    run: LoopRun,
    params: Any,
    evaluation: Any,
    model: TinyTitanForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    train_set: EncodedSet,
    val_set: EncodedSet,
) -> Outcome:
    """Train ``model`` in place and decide whether it thinks.

    Args:
        run: the stage (seed, checkpoints, logging). params: the quietstar block. evaluation: test sizes.
    Validation data calibrates coherence and chooses between the model that came in and the trained one; test
    problems are only reported on, and pass or fail the claims.
    Raises ForgeError when the main claim fails and ``on_fail`` is stop, Interrupted on a signal.
    """
    before = {name: value.clone() for name, value in model.state_dict().items()}
    held_out = spread(val_set, params.validation_rows)
    loss_before = validation_loss(model, val_set, held_out)
    gate, result = train_thoughts(run, params, model, train_set)
    loss_after = validation_loss(model, val_set, held_out)
    direct = spread(val_set, params.validation_rows, "direct")
    thinker = calibrate(
        model,
        gate,
        [split_row(val_set, int(i))[0] for i in direct],
        params.thought_weights.model_dump(),
        thoughts=params.thoughts,
        tokens=params.thought_tokens,
        threshold=params.coherence_threshold,
        max_new_tokens=MAX_NEW_TOKENS,
        seed=run.seed,
    )
    problems = suite_problems(tokenizer, evaluation.suite_n, evaluation.seed, "test")
    measured = evaluate_thoughts(
        model,
        tokenizer,
        thinker,
        problems,
        max_new_tokens=MAX_NEW_TOKENS,
        seed=run.seed,
        log=lambda index, **series: run.log(params.steps + 1 + index, **series),
    )
    claims = thought_claims(measured, n_boot=evaluation.bootstrap, seed=run.seed)
    helped, kept = thoughts_help(claims), decide(params.on_fail, claims, loss_before, loss_after)
    if kept == "input":
        model.load_state_dict(before)
    phase = phase_metrics(measured, thinker.threshold)
    headline = {
        "val/loss_before": loss_before,
        "val/loss_after": loss_after,
        "train/final_loss": result.final_loss,
        "thoughts_enabled": float(helped),
        **phase,
    }
    facts = {
        "thoughts_enabled": helped,
        "kept": kept,
        "coherence_score": phase["phase/avg_coherence"],
        "validity_rate": phase["phase/overall_validity_rate"],
        "anti_theater": {claim.claim: claim.passed for claim in claims},
    }
    metrics = phase | step_metrics(measured.thoughts, thinker.threshold)
    noted = note_decision(claims, kept, loss_before, loss_after)
    return Outcome(thinker if helped else None, metrics, headline, noted, facts)


def train_thoughts(
    run: LoopRun, params: Any, model: TinyTitanForCausalLM, data: EncodedSet
) -> tuple[ThoughtGate, TrainResult]:
    """Train a model and a new gate together.

    The gate is a submodule meanwhile, so that the optimizer moves it and checkpoints hold it.
    """
    settings = ThoughtSettings(
        params.thoughts,
        params.thought_tokens,
        params.batch,
        params.replay_tokens,
        params.policy_weight,
        params.alone_weight,
        run.seed,
    )
    loop = TrainSettings(
        steps=params.steps, muon_lr=params.lr, adam_lr=params.lr * ADAM_RATIO, checkpoint_every=params.checkpoint_every
    )
    check_thought_memory(model, data, settings)
    prepare_thought_tokens(model)
    gate = ThoughtGate(model.config.hidden_size, run.seed)
    model.think_gate = gate

    def log(step: int, **metrics: float) -> None:
        run.log(step, **{f"train/{key}": value for key, value in metrics.items()})

    try:
        result = train(
            model,
            thought_source(data, REPLAY, params.steps, settings),
            thought_loss(gate, settings),
            loop,
            name="thoughts",
            checkpoint_dir=run.checkpoint_dir / "thoughts",
            log=log,
            stop=lambda: run.stop_requested,
            on_step=lambda step, metrics: run.progress(step, params.steps, f"loss {metrics['loss']:.3f}"),
        )
    finally:
        del model.think_gate
    return gate.eval(), result


def check_thought_memory(model: TinyTitanForCausalLM, data: EncodedSet, settings: ThoughtSettings) -> None:
    """Refuse thoughts that cannot fit into memory: a row a thought and one a pause for each prompt, the plain
    rows, and the replayed ones.

    Raises:
        ForgeError: with the factor by which `quietstar.batch` must shrink.
    """
    pool = data.where("direct")
    longest = int(data.lengths[pool].max(initial=1))
    answer = max((int(data.row(int(i))[1].sum()) for i in pool), default=1)
    rows = settings.prompts * (settings.thoughts + 1)
    tokens = rows * (longest + settings.tokens + 2) + settings.prompts * longest + settings.replay_tokens
    supervised = rows * (answer + settings.tokens) + settings.prompts * answer + settings.replay_tokens
    device = model.embed.weight.device.type
    check_training_memory(model.config, tokens, supervised_tokens=supervised, device=device, dial="quietstar.batch")


def spread(data: EncodedSet, count: int, *kinds: str) -> np.ndarray:
    """At most ``count`` examples (of some kinds, default all), evenly spread over the set."""
    pool = data.where(*(kinds or KINDS))
    if not len(pool):
        raise ForgeError(f"no validation examples of the kinds {', '.join(kinds or KINDS)}")
    picked: np.ndarray = pool[np.linspace(0, len(pool) - 1, min(count, len(pool))).round().astype(int)]
    return picked


def validation_loss(model: TinyTitanForCausalLM, data: EncodedSet, index: np.ndarray) -> float:
    """Mean loss per supervised token (nats), thoughts off."""
    found = likelihood(model, data, index)
    return float(found.nll.sum() / found.tokens.sum())


def thoughts_help(claims: list[Claim]) -> bool:
    """Thoughts raise exact match, and it is what they say that helps.

    The latter: the true answer becomes likelier than after pause tokens and after another problem's thoughts.
    """
    content = [
        claim.passed
        for claim in claims
        if claim.control in ("pause", "shuffled") and claim.metric.startswith("log-likelihood")
    ]
    return all(content) and all(claim.passed for claim in claims if claim.claim == MAIN)


def decide(on_fail: str, claims: list[Claim], loss_before: float, loss_after: float) -> str:
    """Which weights go on: 'trained' where thoughts help, else the better by validation loss (thoughts off).

    'trained' or 'input'. Raises ForgeError where thoughts do not help and ``on_fail`` is stop.
    """
    if thoughts_help(claims):
        return "trained"
    if on_fail == "stop":
        main = next(claim for claim in claims if claim.claim == MAIN)
        low, high = main.ci95 or (0.0, 0.0)
        raise ForgeError(
            f"thoughts do not help (exact match {main.value:.3f} with, {main.control_value:.3f} without, "
            f"95 % interval of the difference {low:+.3f} to {high:+.3f}) and quietstar.on_fail is stop"
        )
    return "trained" if loss_after <= loss_before else "input"


def note_decision(claims: list[Claim], kept: str, loss_before: float, loss_after: float) -> list[Claim]:
    """The claims, the main one's note saying what was handed on and why."""
    thinks = thoughts_help(claims)
    words = (
        f"handed on: the {kept} model, thoughts {'on' if thinks else 'off'}; "
        f"validation loss without thoughts {loss_before:.4f} before, {loss_after:.4f} after training"
    )
    return [
        claim.model_copy(update={"note": f"{claim.note}; {words}"}) if claim.claim == MAIN else claim
        for claim in claims
    ]
