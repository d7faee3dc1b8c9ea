"""Phase 7, edge: prune a third of the core, recover by distillation, fuse, and time it on this machine."""

from __future__ import annotations

from forge.data.build import read_rows
from forge.evals.measure import measure_run, record_ledger
from forge.model import load_model, load_tokenizer, save_model
from forge.phases.baking.trajectories import bare_view
from forge.phases.bitnet.finetune import PACKED, pack_model
from forge.phases.edge.metrics import HEADLINE, phase_metrics
from forge.phases.edge.recovery import edge_claims, pruned_copy, recover
from forge.pipeline.lifecycle.stage import stage


def main() -> None:
    """Run the stage."""
    with stage("edge") as run:
        source = run.model_dir("baking")
        teacher, tokenizer = load_model(source), load_tokenizer(source)
        data = bare_view(tokenizer, read_rows(run.data_dir / "train.jsonl"))
        student, plan = pruned_copy(run, teacher, data)
        before, broken = (measure_run(run, m, tokenizer, prompted=False) for m in (teacher, student))
        result = recover(run, student, teacher, data)
        after = measure_run(run, student, tokenizer, prompted=False)
        run.claims(edge_claims(run, before, broken, after))
        save_model(student, run.out_dir)
        tokenizer.save_pretrained(str(run.out_dir))
        pack_model(student, run.out_dir / PACKED)
        metrics = phase_metrics(run, tokenizer, plan, result, (teacher, before, source), (student, after, run.out_dir))
        headline = {"final_loss": result.final_loss, **{k: metrics[k] for k in HEADLINE}, **after.headline()}
        run.summary(metrics, headline=headline)
        kept = metrics["quality/accuracy_retention"]
        target = run.publish(metadata={"accuracy_retention": kept, "accuracy_tools": after.tools.mean_accuracy})
        record_ledger(run, "edge", target, student, after)


if __name__ == "__main__":
    main()
