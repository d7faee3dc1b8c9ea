"""Phase 2, EvoMerge: evolve one model out of the three branches."""

from __future__ import annotations

from forge.data.dataset import EncodedSet
from forge.evals.measure import measure_run, record_ledger
from forge.merge.figures import delta_compression, generation_figures
from forge.merge.phase import equal_compute_steps, evolution_figures, merge_claims, run_evolution, weights_of
from forge.merge.selection import continued_training
from forge.model import load_model, load_tokenizer
from forge.pipeline.stage import stage
from forge.pretrain import conclude_phase
from forge.train import MIX


def main() -> None:
    """Run the stage."""
    with stage("evomerge") as run:
        trunk, branches = run.model_dir("trunk"), run.model_dirs("cognate")
        vessel, tokenizer = load_model(trunk), load_tokenizer(trunk)
        base, parents = weights_of(trunk), {name: weights_of(path) for name, path in branches.items()}
        merged = run_evolution(run, vessel, base, parents, EncodedSet.load(run.data_dir / "val.safetensors"))
        name, source = list(branches.items())[merged.best_parent]
        parent, further = load_model(source), load_model(source)
        steps = equal_compute_steps(merged.tokens_evaluated, run.all_params.phase("cognate").batch_tokens)
        continued_training(run, further, EncodedSet.load(run.data_dir / "train.safetensors"), MIX, steps)
        measured = {}
        for label, weights in (("champion", merged.champion), ("the uniform average", merged.average)):
            vessel.load_state_dict(weights)
            measured[label] = measure_run(run, vessel, tokenizer)
        best_parent = f"the best parent ({name})"
        measured[best_parent] = best = measure_run(run, parent, tokenizer)
        measured["the best parent trained on with the same compute"] = measure_run(run, further, tokenizer)
        champion = measured.pop("champion")
        run.claims(merge_claims(run, champion, measured, merged.result, best_parent))
        record_ledger(run, "cognate", source, parent, best, run.recorded_seconds("trunk", "cognate"))
        conclude_phase(run, trunk, branches)
        best_genome = merged.result.champion
        values, headline = evolution_figures(merged)
        values["phase/compression_ratio"] = delta_compression(base, list(parents.values()), merged.champion)
        run.summary(values | generation_figures(merged.result), headline={**headline, **champion.headline()})
        vessel.load_state_dict(merged.champion)
        target = run.publish(
            vessel,
            tokenizer,
            metadata={
                "fitness": best_genome.fitness.value,
                "best_parent_fitness": merged.best_parent_fitness,
                "merge_technique": best_genome.genome.label,
                "parent_parameters": parent.num_parameters(),
            },
        )
        record_ledger(run, "evomerge", target, vessel, champion)


if __name__ == "__main__":
    main()
