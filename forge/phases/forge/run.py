"""Phase 5: the long training loop on the ternary model; Grokfast is held against its controls on modular addition."""

from __future__ import annotations

from forge.errors import Interrupted
from forge.evals.ledger import LedgerScores
from forge.evals.likelihood import likelihood
from forge.evals.measure import mean, solved
from forge.interface.run import PhaseRun
from forge.phases.forge.claims import forge_gain_claim, forge_modular_claims
from forge.phases.forge.grokking import detect_grokking
from forge.phases.forge.long_training import train_forge_long_run
from forge.phases.forge.metrics import forge_metrics, modular_grokfast_metrics
from forge.phases.forge.modular import Comparison, compare_grokfast
from forge.phases.forge.params import Params


def run(run: PhaseRun[Params]) -> None:
    """Train for long from easy to hard, look for grokking in what was measured meanwhile, and weigh the filter."""
    train, val = run.split("train"), run.split("val")
    model, tokenizer, _ = run.load("bitnet")
    evaluator = run.evaluator(tokenizer)
    before, initial = evaluator.measure(model), likelihood(model, val)
    result, points = train_forge_long_run(run, model, train, val)
    after, final, verdict = evaluator.measure(model), likelihood(model, val), detect_grokking(points)
    modular = forge_grokfast_comparison(run)

    gained = forge_gain_claim(run, before, after)
    run.record(claims=[gained, *forge_modular_claims(run, modular)])
    metrics = forge_metrics(result, points, verdict, final, train) | modular_grokfast_metrics(modular)
    metrics |= {"phase/final_accuracy": mean(solved(after)), "phase/success": gained.passed}
    first = {"final_loss": result.final_loss, "val/accuracy_before": initial.accuracy}
    shown = ("val/accuracy", "val/perplexity", "grokking/detected", "phase/grokfast_speedup")
    run.record(metrics, headline={**first, **{name: metrics[name] for name in shown}, **after.headline()})
    run.save(model, tokenizer, packed=True)
    target = run.publish(
        {
            "perplexity": final.perplexity,
            "validation_accuracy": final.accuracy,
            "initial_validation_accuracy": initial.accuracy,
            "grokfast_lambda": run.params.grokfast_lambda,
            "grokking_detected": verdict.detected,
            "grokking_step": verdict.grokking_step,
        }
    )
    run.ledger(model, LedgerScores(after), target)


def forge_grokfast_comparison(run: PhaseRun[Params]) -> Comparison:
    """Grokfast and its controls with the phase's budget.

    Raises:
        Interrupted: a signal came; training itself is done, so a resumed run only measures again.
    """
    p = run.params

    def stop() -> None:
        if run.stop_requested:
            raise Interrupted(p.steps, p.steps)

    return compare_grokfast(
        cap=p.modular_steps, seeds=p.modular_seeds, seed=run.seed, alpha=p.grokfast_alpha, stop=stop
    )
