"""Phase 2, EvoMerge: evolve one model out of the three branches."""

from __future__ import annotations

from forge.data.dataset import EncodedSet
from forge.evals.measure import measure_run, record_ledger
from forge.model import load_model, load_tokenizer
from forge.phases.cognate.conclusion import conclude_phase
from forge.phases.evomerge.method import equal_compute_steps, evolution_metrics, merge_claims, run_evolution, weights_of
from forge.phases.evomerge.metrics import delta_compression, generation_metrics
from forge.phases.evomerge.selection import continued_training
from forge.pipeline.lifecycle.stage import stage
from forge.train import MIX


def main() -> None:
    """Run the stage."""
    with stage("evomerge") as run:
        trunk, branches = run.model_dir("trunk"), run.model_dirs("cognate")
        scratch_model, tokenizer = load_model(trunk), load_tokenizer(trunk)
        base, parents = weights_of(trunk), {name: weights_of(path) for name, path in branches.items()}
        merged = run_evolution(run, scratch_model, base, parents, EncodedSet.load(run.data_dir / "val.safetensors"))
        name, source = list(branches.items())[merged.best_parent]
        parent, further = load_model(source), load_model(source)
        steps = equal_compute_steps(merged.tokens_evaluated, run.all_params.phase("cognate").batch_tokens)
        continued_training(run, further, EncodedSet.load(run.data_dir / "train.safetensors"), MIX, steps)
        measured = {}
        for label, weights in (("champion", merged.champion), ("the uniform average", merged.average)):
            scratch_model.load_state_dict(weights)
            measured[label] = measure_run(run, scratch_model, tokenizer)
        best_parent = f"the best parent ({name})"
        measured[best_parent] = best = measure_run(run, parent, tokenizer)
        measured["the best parent trained on with the same compute"] = measure_run(run, further, tokenizer)
        champion = measured.pop("champion")
        run.claims(merge_claims(run, champion, measured, merged.result, best_parent))
        record_ledger(run, "cognate", source, parent, best, run.recorded_seconds("trunk", "cognate"))
        conclude_phase(run, trunk, branches)
        best_genome = merged.result.champion
        values, headline = evolution_metrics(merged)
        values["phase/compression_ratio"] = delta_compression(base, list(parents.values()), merged.champion)
        run.summary(values | generation_metrics(merged.result), headline={**headline, **champion.headline()})
        scratch_model.load_state_dict(merged.champion)
        target = run.publish(
            scratch_model,
            tokenizer,
            metadata={
                "fitness": best_genome.fitness.value,
                "best_parent_fitness": merged.best_parent_fitness,
                "merge_technique": best_genome.genome.label,
                "parent_parameters": parent.num_parameters(),
            },
        )
        record_ledger(run, "evomerge", target, scratch_model, champion)


if __name__ == "__main__":
    main()
