"""Phase 5, Forge: the long training loop on the ternary model."""

from __future__ import annotations

from forge.data.dataset import EncodedSet
from forge.evals.likelihood import likelihood
from forge.evals.measure import measure_run, record_ledger
from forge.model import load_model, load_tokenizer
from forge.pipeline.stage import stage
from forge.quant.claims import gain_claim
from forge.quant.finetune import publish_ternary
from forge.quant.longrun import train_long
from forge.train import MIX
from forge.train.grokking import detect_grokking


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
        run.claims([gain_claim(run, "the long run improves on phase 4", after, before, "phase 4's model")])
        grokking = {"grokking_detected": verdict.detected, "grokking_step": verdict.grokking_step}
        run.summary(
            {f"grokking/{key}": value for key, value in vars(verdict).items()},
            headline={
                "final_loss": result.final_loss,
                "val/accuracy": final.accuracy,
                "val/perplexity": final.perplexity,
                "val/accuracy_before": initial.accuracy,
                "grokking/detected": verdict.detected,
                **after.headline(),
            },
        )
        target = publish_ternary(
            run,
            model,
            tokenizer,
            {
                "perplexity": final.perplexity,
                "validation_accuracy": final.accuracy,
                "initial_validation_accuracy": initial.accuracy,
                "grokfast_lambda": run.params.grokfast_lambda,
                **grokking,
            },
        )
        record_ledger(run, "forge", target, model, after)


if __name__ == "__main__":
    main()
