"""Phase 2: evolve one model out of the three branches; nothing is trained but a control."""

from __future__ import annotations

from safetensors.torch import load_file

from forge.interface.run import PhaseRun
from forge.phases.evomerge.claims import merge_claims
from forge.phases.evomerge.further_training import train_evolution_control
from forge.phases.evomerge.merging import evolve_champion
from forge.phases.evomerge.metrics import evolution_metrics, evomerge_delta_compression
from forge.phases.evomerge.params import Params

HEADLINE = ("phase/final_fitness", "phase/initial_fitness", "phase/best_merge_technique", "max_barrier")


def run(run: PhaseRun[Params]) -> None:
    """Evolve, then hold the champion against its parents' average, the best of them, and more training of that one."""
    (model, tokenizer, trunk), branches = run.load("trunk"), run.load_branches("cognate")
    # From the files, not from the models: DARE draws its masks in the files' order of tensors.
    base, *weights = (
        load_file(path / "model.safetensors") for path in (trunk, *(b.directory for b in branches.values()))
    )
    parents = dict(zip(branches, weights, strict=True))
    merged = evolve_champion(run, model, base, parents, run.split("val"))
    champion = merged.result.champion
    parent = branches[merged.best_parent].model
    further = train_evolution_control(run, parent, merged.tokens_evaluated)

    evaluator, best = run.evaluator(tokenizer), f"the best parent ({merged.best_parent})"
    model.load_state_dict(merged.average)
    controls = {
        "the uniform average": evaluator.measure(model),
        best: evaluator.measure(parent),
        "the best parent trained on with the same compute": evaluator.measure(further),
    }
    model.load_state_dict(merged.champion)
    measured = evaluator.measure(model)
    run.record(claims=merge_claims(run, measured, controls, best, merged.result))
    metrics = evolution_metrics(merged)
    ratio = evomerge_delta_compression(base, weights, merged.champion)
    shown = {name: metrics[name] for name in HEADLINE}
    run.record({**metrics, "phase/compression_ratio": ratio}, headline={**shown, **measured.headline()})

    run.save(model, tokenizer)
    target = run.publish(
        {
            "fitness": champion.fitness.value,
            "best_parent_fitness": merged.best_parent_fitness,
            "merge_technique": champion.genome.label,
            "parent_parameters": parent.num_parameters(),
        }
    )
    run.ledger(model, measured, target)
