"""Phase 7, edge: prune a third of the core, recover by distillation, fuse, and time it on this machine."""

from __future__ import annotations

from forge.bake.trajectories import bare_view
from forge.data.build import read_rows
from forge.edge.figures import HEADLINE, edge_figures
from forge.edge.phase import edge_claims, pruned_copy, recover
from forge.evals.measure import measure_run, record_ledger
from forge.model import load_model, load_tokenizer, save_model
from forge.pipeline.stage import stage
from forge.quant.finetune import PACKED, pack_model


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
        figures = edge_figures(run, tokenizer, plan, result, (teacher, before, source), (student, after, run.out_dir))
        headline = {"final_loss": result.final_loss, **{k: figures[k] for k in HEADLINE}, **after.headline()}
        run.summary(figures, headline=headline)
        kept = figures["quality/accuracy_retention"]
        target = run.publish(metadata={"accuracy_retention": kept, "accuracy_tools": after.tools.mean_accuracy})
        record_ledger(run, "edge", target, student, after)


if __name__ == "__main__":
    main()
