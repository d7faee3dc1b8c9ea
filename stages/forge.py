"""Phase 5, Forge: the long training loop on the ternary model."""

from __future__ import annotations

from forge.data.dataset import EncodedSet
from forge.evals.likelihood import likelihood
from forge.evals.measure import mean, measure_run, record_ledger, solved
from forge.model import load_model, load_tokenizer
from forge.phases.bitnet.claims import gain_claim
from forge.phases.bitnet.finetune import publish_ternary
from forge.phases.bitnet.metrics import forge_metrics, modular_comparison
from forge.phases.forge.grokking import detect_grokking
from forge.phases.forge.training import train_long
from forge.pipeline.lifecycle.stage import stage
from forge.train import MIX


def main() -> None:
    """Run the stage."""
    with stage("forge") as run:
        source = run.model_dir("bitnet")
        model, tokenizer = load_model(source), load_tokenizer(source)
        before = measure_run(run, model, tokenizer)
        train, val = (EncodedSet.load(run.data_dir / f"{split}.safetensors") for split in ("train", "val"))
        initial = likelihood(model, val)
        result, points = train_long(run, model, train, val, MIX)
        after, final, verdict = measure_run(run, model, tokenizer), likelihood(model, val), detect_grokking(points)
        gained = gain_claim(run, "the long run improves on phase 4", after, before, "phase 4's model")
        modular, modular_claims = modular_comparison(run)
        run.claims([gained, *modular_claims])
        metrics = forge_metrics(result, points, verdict, final, train)
        metrics |= {**modular, "phase/final_accuracy": mean(solved(after)), "phase/success": gained.passed}
        shown = ("val/accuracy", "val/perplexity", "grokking/detected", "phase/grokfast_speedup")
        first = {"final_loss": result.final_loss, "val/accuracy_before": initial.accuracy}
        run.summary(metrics, headline={**first, **{name: metrics[name] for name in shown}, **after.headline()})
        facts = {
            "perplexity": final.perplexity,
            "validation_accuracy": final.accuracy,
            "initial_validation_accuracy": initial.accuracy,
            "grokfast_lambda": run.params.grokfast_lambda,
            "grokking_detected": verdict.detected,
            "grokking_step": verdict.grokking_step,
        }
        target = publish_ternary(run, model, tokenizer, facts)
        record_ledger(run, "forge", target, model, after)


if __name__ == "__main__":
    main()
