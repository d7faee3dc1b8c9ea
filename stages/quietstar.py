"""Phase 3: the model learns to think before it answers, and keeps to it only if that measurably helps."""

from __future__ import annotations

from forge.data.dataset import EncodedSet
from forge.evals.measure import measure_run, record_ledger
from forge.model import load_model, load_tokenizer
from forge.phases.quietstar.method import quiet_star
from forge.pipeline.lifecycle.stage import stage
from forge.thinking.thinker import FILE


def main() -> None:
    """Run the stage."""
    with stage("quietstar") as run:
        source = run.model_dir("evomerge")
        model, tokenizer = load_model(source), load_tokenizer(source)
        data = [EncodedSet.load(run.data_dir / f"{split}.safetensors") for split in ("train", "val")]
        outcome = quiet_star(run, run.params, run.evaluation, model, tokenizer, *data)
        run.claims(outcome.claims)
        measured = measure_run(run, model, tokenizer)
        run.summary(outcome.metrics, headline={**outcome.headline, **measured.headline()})
        extra = {FILE: outcome.thinker.to_bytes()} if outcome.thinker is not None else {}
        target = run.publish(model, tokenizer, metadata=outcome.facts, files=extra)
        record_ledger(run, "quietstar", target, model, measured)


if __name__ == "__main__":
    main()
