"""The evolution of phase 2's champion out of the branches, with what it is held against."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

from forge.data.dataset import EncodedSet
from forge.interface.run import PhaseRun
from forge.merge.barrier import loss_barrier
from forge.merge.methods import StateDict
from forge.model import TinyTitanForCausalLM
from forge.phases.evomerge.checkpointing import Checkpointer
from forge.phases.evomerge.evolve import EvolutionResult, evolve
from forge.phases.evomerge.fitness import fitness_batch, fitness_batch_loss, fitness_function
from forge.phases.evomerge.genome import Layout, express_genome, uniform_average_genome
from forge.phases.evomerge.parallel import evolution_on_one_thread
from forge.phases.evomerge.params import Params


@dataclass(frozen=True)
class Merged:
    """Outcome of an evolution.

    Attributes:
        champion: its weights.
        average: weights of the uniform average of all parents.
        best_parent: name of the parent that fitness is measured against.
        best_parent_fitness: 1 by definition; 0 where that parent was discarded.
        result: the evolution's.
        barriers: loss barriers (nats) by pair of parents.
        tokens_evaluated: tokens that merges were evaluated on, all together.
    """

    champion: StateDict
    average: StateDict
    best_parent: str
    best_parent_fitness: float
    result: EvolutionResult
    barriers: dict[str, float]
    tokens_evaluated: int


def evolve_champion(
    run: PhaseRun[Params], model: TinyTitanForCausalLM, base: StateDict, parents: dict[str, StateDict], val: EncodedSet
) -> Merged:
    """Evolve on validation data; ``model`` serves to run weights, its own are overwritten."""
    p, names, states = run.params, list(parents), list(parents.values())
    batch = fitness_batch(val, p.fitness_samples, run.seed)
    evaluate, best = fitness_function(model, batch, states, p.fitness)
    saver = Checkpointer(run, p.generations, p.checkpoint_every)
    result = evolve(base, states, evaluate, p, run.seed, saver.after_generation, saver.after_evaluation, saver.load())
    loss = fitness_batch_loss(model, batch)
    barriers = {
        f"{names[i]}~{names[j]}": loss_barrier(states[i], states[j], loss)
        for i, j in combinations(range(len(states)), 2)
    }
    fitness = result.generation_zero[f"parent_{best + 1}"]
    with evolution_on_one_thread():  # the very weights that were judged
        champion = express_genome(result.champion.genome, base, states)
        average = express_genome(uniform_average_genome(Layout.of(base, states, p.grouping)), base, states)
    return Merged(
        champion,
        average,
        names[best],
        float(fitness if fitness is not None else 0.0),
        result,
        barriers,
        int(batch.lengths.sum()) * len(result.state.records),
    )
