"""Phase 3, Quiet-STaR: train with thoughts, measure honestly, hand on what the measurement supports.

Validation data calibrates coherence and chooses between the model that came in and the trained one; test problems are
only reported on, and pass or fail the claims.
"""

from __future__ import annotations

from forge.evals.likelihood import likelihood
from forge.interface.run import PhaseRun
from forge.phases.quietstar.batches import split_quietstar_row, spread_quietstar_examples
from forge.phases.quietstar.claims import thought_claims
from forge.phases.quietstar.decision import decide_quietstar_handoff
from forge.phases.quietstar.evaluation import evaluate_thoughts, quietstar_suite_problems
from forge.phases.quietstar.metrics import quietstar_phase_metrics, quietstar_step_metrics
from forge.phases.quietstar.params import Params
from forge.phases.quietstar.training import train_thoughts
from forge.thinking.thinker import THINKER_FILE, calibrate_thinker


def run(run: PhaseRun[Params]) -> None:
    """Train the model to think, calibrate what a coherent thought is, and let it think on where that measurably helps.

    Raises:
        ForgeError: thoughts do not help and `on_fail` is stop, or a row of thoughts does not fit into memory.
    """
    p, val = run.params, run.split("val")
    model, tokenizer, _ = run.load("evomerge")
    given = {name: value.clone() for name, value in model.state_dict().items()}
    held_out = spread_quietstar_examples(val, p.validation_rows)
    loss_before = likelihood(model, val, held_out).loss
    gate, result = train_thoughts(run, model, run.split("train"))
    loss_after = likelihood(model, val, held_out).loss

    thinker = calibrate_thinker(
        model,
        gate,
        [split_quietstar_row(val, int(i))[0] for i in spread_quietstar_examples(val, p.validation_rows, "direct")],
        p.thought_weights.model_dump(),
        thoughts=p.thoughts,
        tokens=p.thought_tokens,
        threshold=p.coherence_threshold,
        max_new_tokens=p.answer_tokens,
        seed=run.seed,
    )
    problems = quietstar_suite_problems(tokenizer, run.evaluation.suite_n, run.evaluation.seed, "test")
    found = evaluate_thoughts(model, tokenizer, thinker, problems, max_new_tokens=p.answer_tokens, seed=run.seed)
    for index, part in enumerate(found.thoughts):
        run.log(p.steps + 1 + index, **quietstar_step_metrics([part], thinker.threshold))

    claims = thought_claims(run, found)
    decision = decide_quietstar_handoff(p.on_fail, claims, loss_before, loss_after)
    if decision.kept == "input":
        model.load_state_dict(given)
    measured = run.evaluator(tokenizer).measure(model)

    run.record(claims=decision.noted(claims))
    metrics = quietstar_phase_metrics(found, thinker.threshold)
    losses = {"val/loss_before": loss_before, "val/loss_after": loss_after, "train/final_loss": result.final_loss}
    shown = {**losses, "thoughts_enabled": float(decision.helped), **metrics, **measured.headline()}
    run.record(metrics | quietstar_step_metrics(found.thoughts, thinker.threshold), headline=shown)
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
    run.ledger(model, measured, target)
