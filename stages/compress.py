"""Phase 8, final compression: the whole agent in one file."""

from __future__ import annotations

from forge.data.build import read_rows
from forge.evals.ledger import deployable_files
from forge.evals.measure import measure_run, record_ledger
from forge.model import load_model, load_tokenizer
from forge.phases.baking.claims import probes, tool_score
from forge.phases.compress.chain import compress
from forge.phases.compress.claims import compression_claims
from forge.phases.compress.metrics import file_metrics
from forge.pipeline.lifecycle.stage import stage


def main() -> None:
    """Run the stage."""
    with stage("compress") as run:
        source, baked = run.model_dir("edge"), run.model_dir("baking")
        model, tokenizer, teacher = load_model(source), load_tokenizer(source), load_model(baked)
        path = run.out_dir / "agent.forge"
        chain = compress(run, model, tokenizer, read_rows(run.data_dir / "train.jsonl"), path)
        reference = measure_run(run, teacher, load_tokenizer(baked), prompted=False)
        final = measure_run(run, chain.final, chain.tokenizer, prompted=False)
        posthoc = measure_run(run, chain.posthoc, chain.tokenizer, prompted=False)
        asked = probes(run)
        tools = [
            tool_score(run, m, t, asked) for m, t in ((chain.final, chain.tokenizer), (teacher, load_tokenizer(baked)))
        ]
        trunk = run.model_dir("trunk")
        original, size = sum(f.stat().st_size for f in deployable_files("cognate", trunk)), path.stat().st_size
        run.claims(compression_claims(run, reference, final, posthoc, tools, original, size))
        kept = final.tools.mean_accuracy / max(1e-9, reference.tools.mean_accuracy)
        first = (load_model(trunk), load_tokenizer(trunk))
        run.summary(
            chain.metrics() | file_metrics(run, path, final, first, original),
            headline={
                "size/final_bytes": size,
                "size/original_bytes": original,
                "size/total_compression_ratio": original / size,
                "phase/rollbacks": chain.verdicts.rollbacks,
                "quality/tool_success_rate": tools[0].success,
                "quality/accuracy_vs_baking": kept,
                **final.headline(),
            },
        )
        facts = {"compression_ratio": original / size, "accuracy_tools": final.tools.mean_accuracy}
        target = run.publish(metadata={"parameters": chain.final.num_parameters(), **facts})
        record_ledger(run, "compress", target, chain.final, final)


if __name__ == "__main__":
    main()
