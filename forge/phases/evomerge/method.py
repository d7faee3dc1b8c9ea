"""Phase 2 as a whole: evolve, save after every generation, compare the champion with its controls."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, fields
from itertools import combinations
from pathlib import Path
from typing import Any

from forge.data.dataset import EncodedSet
from forge.errors import Interrupted
from forge.evals.claims import Claim, compare
from forge.evals.measure import Measurement, solved
from forge.merge.barrier import loss_barrier
from forge.model import TinyTitanForCausalLM
from forge.phases.evomerge.evolve import EvolutionResult, evolve
from forge.phases.evomerge.genome import Layout, express, uniform_average
from forge.phases.evomerge.parallel import one_thread
from forge.phases.evomerge.selection import StateDict, barrier_loss, evaluator, fitness_batch
from forge.phases.evomerge.settings import EvolveSettings
from forge.phases.evomerge.state import EvolutionState, Record
from forge.train.checkpoint import load_checkpoint, save_checkpoint

_SAVE_SECONDS = 20.0  # between saves in mid-generation: what a killed run loses at most


@dataclass(frozen=True)
class Merged:
    """The champion's and the uniform average's weights, the best parent's place and name, fitness metrics, barriers."""

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
    """Evolve on validation data; ``model`` is used as a scratch_model for weights."""
    p, names = run.params, list(parents)
    states = list(parents.values())
    batch = fitness_batch(val, p.fitness_samples, run.seed)
    evaluate, best = evaluator(model, batch, states, p.fitness.model_dump())
    keeper = Keeper(run, p.generations, p.checkpoint_every)
    result = evolve(
        base,
        states,
        evaluate,
        evolve_settings(p),
        run.seed,
        keeper.after_generation,
        keeper.after_evaluation,
        keeper.load(),
        p.backend,
    )
    loss = barrier_loss(model, batch)
    barriers = {
        f"{names[i]}~{names[j]}": loss_barrier(states[i], states[j], loss)
        for i, j in combinations(range(len(states)), 2)
    }
    layout = Layout.of(base, states, p.grouping)
    fitness = result.generation_zero[f"parent_{best + 1}"]
    with one_thread():  # the very weights that were judged
        champion = express(result.champion.genome, base, states)
        average = express(uniform_average(layout), base, states)
    return Merged(
        champion,
        average,
        best,
        float(fitness if fitness is not None else 0.0),
        result,
        barriers,
        int(batch.lengths.sum()) * len(result.state.records),
    )


def evolve_settings(p: Any) -> EvolveSettings:
    """The phase's parameters as settings of the search."""
    given = {field.name: getattr(p, field.name) for field in fields(EvolveSettings) if hasattr(p, field.name)}
    return EvolveSettings(**given)


class Keeper:
    """Logs an evolution, saves it, and stops it when asked: after any evaluation, not only between generations."""

    def __init__(self, run: Any, generations: int, every: int) -> None:
        self.run, self.generations, self.every = run, generations, every
        self.folder = run.checkpoint_dir / "evolution"
        self.saved_at = time.monotonic()

    def load(self) -> EvolutionState | None:
        """Where the run stands, None at its beginning."""
        saved = load_checkpoint(self.folder)
        return EvolutionState.from_dict(saved[1]) if saved is not None else None

    def after_evaluation(self, record: Record, state: EvolutionState) -> None:
        """Tell of a discarded merge; save now and then; stop if asked to."""
        if record.fitness is None:
            name = "+".join(record.techniques) or "a parent"
            print(f"generation {record.generation}: {name} discarded: {record.failure}", file=sys.stderr, flush=True)
        due = time.monotonic() - self.saved_at > _SAVE_SECONDS
        if self.run.stop_requested or due:
            self.save(state)
        if self.run.stop_requested:
            raise Interrupted(max(0, state.generation), self.generations)

    def after_generation(self, row: dict[str, float], state: EvolutionState) -> None:
        """Log the generation; save every so many; stop if asked to."""
        generation = int(row["generation"])
        series = {"best": "best_fitness", "average": "avg_fitness", "diversity": "diversity_score"}
        self.run.log(generation, **{f"fitness/{name}": row[key] for name, key in series.items()})
        self.run.progress(generation, self.generations, f"best {row['best_fitness']:.3f}")
        stopping = self.run.stop_requested and generation < self.generations
        if stopping or generation % self.every == 0:
            self.save(state)
        if stopping:
            raise Interrupted(generation, self.generations)

    def save(self, state: EvolutionState) -> None:
        """Write the state, evaluations of the generation in progress included."""
        # Both only grow, and either does with every evaluation: the newest state has the highest number.
        save_checkpoint(self.folder, state.lookups + len(state.records), {}, state.to_dict())
        self.saved_at = time.monotonic()


def merge_claims(
    run: Any, champion: Measurement, controls: dict[str, Measurement], result: EvolutionResult, parent: str
) -> list[Claim]:
    """The champion against each control on the test split, and the gain of fitness over generation 0.

    ``parent``: the control that is the best parent; the champion must also be as good as it, within 5 %.
    """
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
    kept = solved(controls[parent])
    claims.append(
        compare(
            "the champion is at least as good as the best parent (within 5 % of its accuracy)",
            "suite exact match",
            solved(champion),
            kept,
            control_name=parent,
            margin=-0.05 * sum(kept) / len(kept),
            **boot,
        )
    )
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
            note=f"the best of generation 0 has {max(start):.3f}, the best parent 1 by definition; one deterministic"
            " measurement a genome, no sampling interval",
        )
    )
    return claims


def evolution_metrics(merged: Merged) -> tuple[dict[str, float], dict[str, Any]]:
    """Summary values and headline metrics of an evolution."""
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
