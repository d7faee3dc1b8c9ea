"""Phase 2 as a whole: evolve, save after every generation, compare the champion with its controls."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from forge.data.dataset import EncodedSet
from forge.errors import Interrupted
from forge.evals.claims import Claim, compare
from forge.evals.measure import Measurement, solved
from forge.merge.barrier import loss_barrier
from forge.merge.evolve import EvolutionResult, EvolveSettings, evolve
from forge.merge.genome import Layout, express, uniform_average
from forge.merge.selection import StateDict, barrier_loss, evaluator, fitness_batch
from forge.merge.state import EvolutionState
from forge.model import TinyTitanForCausalLM
from forge.train.checkpoint import load_checkpoint, save_checkpoint


@dataclass(frozen=True)
class Merged:
    """The champion's and the uniform average's weights, the best parent's place and name, fitness figures, barriers."""

    champion: StateDict
    average: StateDict
    best_parent: int
    best_parent_fitness: float
    result: EvolutionResult
    barriers: dict[str, float]
    tokens_evaluated: int


def run_evolution(
    run: Any, model: TinyTitanForCausalLM, base: StateDict, parents: dict[str, StateDict], val: EncodedSet
) -> Merged:
    """Evolve on validation data; ``model`` is used as a vessel for weights."""
    p, names = run.params, list(parents)
    states = list(parents.values())
    batch = fitness_batch(val, p.fitness_samples, run.seed)
    evaluate, best = evaluator(model, batch, states, p.fitness.model_dump())
    settings = EvolveSettings(
        generations=p.generations,
        population=p.population,
        elites=p.elites,
        mutation_sigma=p.mutation_sigma,
        diversity_threshold=p.diversity_threshold,
    )
    folder = run.checkpoint_dir / "evolution"

    def save(state: EvolutionState) -> None:
        # Both only grow, and either does with every evaluation: the newest state has the highest number.
        save_checkpoint(folder, state.lookups + len(state.records), {}, state.to_dict())

    def after_evaluation(state: EvolutionState) -> None:
        if run.stop_requested:
            save(state)
            raise Interrupted(max(0, state.generation), p.generations)

    def after_generation(row: dict[str, float], state: EvolutionState) -> None:
        generation = int(row["generation"])
        run.log(
            generation,
            **{
                "fitness/best": row["best_fitness"],
                "fitness/average": row["avg_fitness"],
                "fitness/diversity": row["diversity_score"],
            },
        )
        run.progress(generation, p.generations, f"best {row['best_fitness']:.3f}")
        stopping = run.stop_requested and generation < p.generations
        if stopping or generation % p.checkpoint_every == 0:
            save(state)
        if stopping:
            raise Interrupted(generation, p.generations)

    saved = load_checkpoint(folder)
    state = EvolutionState.from_dict(saved[1]) if saved is not None else None
    result = evolve(base, states, evaluate, settings, run.seed, after_generation, after_evaluation, state)
    loss = barrier_loss(model, batch)
    barriers = {
        f"{names[i]}~{names[j]}": loss_barrier(states[i], states[j], loss)
        for i, j in combinations(range(len(states)), 2)
    }
    layout = Layout.of(base, states)
    fitness = result.generation_zero[f"parent_{best + 1}"]
    return Merged(
        express(result.champion.genome, base, states),
        express(uniform_average(layout), base, states),
        best,
        float(fitness if fitness is not None else 0.0),
        result,
        barriers,
        int(batch.lengths.sum()) * len(result.state.records),
    )


def merge_claims(
    run: Any, champion: Measurement, controls: dict[str, Measurement], result: EvolutionResult
) -> list[Claim]:
    """The champion against each control on the test split, and the gain of fitness over generation 0."""
    boot = {"n_boot": run.evaluation.bootstrap, "seed": run.seed}
    claims = [
        compare(
            f"the champion beats {name}",
            "suite exact match",
            solved(champion),
            solved(control),
            control_name=name,
            **boot,
        )
        for name, control in controls.items()
    ]
    start = [v for v in result.generation_zero.values() if v is not None]
    mean, best = sum(start) / len(start), result.champion.fitness.value
    claims.append(
        Claim(
            claim="fitness gains more than 20 % over the mean of generation 0",
            metric="fitness on validation",
            value=best,
            control="mean of generation 0",
            control_value=mean,
            ci95=None,
            n=len(start),
            passed=best > 1.2 * mean,
            note="one deterministic measurement a genome; no sampling interval",
        )
    )
    return claims


def evolution_figures(merged: Merged) -> tuple[dict[str, float], dict[str, Any]]:
    """Summary values and headline figures of an evolution."""
    result = merged.result
    start = [v for v in result.generation_zero.values() if v is not None]
    values = {f"generation_zero/{key}": v for key, v in result.generation_zero.items() if v is not None}
    values |= {f"merge_technique/{key}/success_rate": value for key, value in result.success_rate.items()}
    values |= {f"barrier/{key}": value for key, value in merged.barriers.items()}
    headline = {
        "phase/final_fitness": result.champion.fitness.value,
        "phase/initial_fitness": sum(start) / len(start),
        "phase/best_merge_technique": result.champion.genome.label,
        "max_barrier": max(merged.barriers.values()),
    }
    return values, headline


def equal_compute_steps(tokens_evaluated: int, batch_tokens: int) -> int:
    """Training steps that cost what the evolution's forward passes did: a step is about three forward passes."""
    return max(1, round(tokens_evaluated / (3 * batch_tokens)))


def weights_of(directory: Path) -> StateDict:
    """State dict of a published model."""
    from safetensors.torch import load_file

    return dict(load_file(directory / "model.safetensors"))
