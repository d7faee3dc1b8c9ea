"""The evolution of phase 2's champion out of the branches, with what it is held against."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from forge.data.dataset import EncodedSet
from forge.interface.run import PhaseRun
from forge.merge.barrier import loss_barrier
from forge.merge.methods import StateDict
from forge.merge.regmean import Grams, layer_input_grams
from forge.model import TinyTitanForCausalLM
from forge.phases.cognate.params import Params as CognateParams
from forge.phases.evomerge.checkpointing import Checkpointer
from forge.phases.evomerge.evolve import EvolutionResult, evolve
from forge.phases.evomerge.fitness import Fitness, fitness_batch, fitness_batch_loss, fitness_function
from forge.phases.evomerge.genome import Layout, evomerge_average_genome, express_genome
from forge.phases.evomerge.parallel import evolution_on_one_thread
from forge.phases.evomerge.params import Params
from forge.phases.evomerge.state import Individual
from forge.train import plan_batches


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
    """

    champion: StateDict
    average: StateDict
    best_parent: str
    best_parent_fitness: float
    result: EvolutionResult
    barriers: dict[str, float]


def evolve_champion(
    run: PhaseRun[Params],
    model: TinyTitanForCausalLM,
    base: StateDict,
    parents: dict[str, StateDict],
    val: EncodedSet,
    train: EncodedSet,
) -> Merged:
    """Evolve on validation data; ``model`` serves to run weights, its own are overwritten. ``train``: what the parents
    have read, for RegMean."""
    p, names, states = run.params, list(parents), list(parents.values())
    batch = fitness_batch(val, p.fitness_samples, run.seed)
    evaluate, best = fitness_function(model, batch, states, p.fitness)
    grams = evomerge_parents_grams(run, model, parents, train)
    saver = Checkpointer(run, p.generations, p.checkpoint_every)
    result = evolve(
        base,
        states,
        evaluate,
        p,
        run.seed,
        saver.after_generation,
        saver.after_evaluation,
        saver.load(),
        grams=grams,
    )
    final = fitness_batch(val, p.finalist_samples * p.fitness_samples, run.seed)
    judge, _ = fitness_function(model, final, states, p.fitness)
    result = replace(result, champion=best_of_finalists(run, judge, base, states, grams, result))
    loss = fitness_batch_loss(model, batch)
    barriers = {
        f"{names[i]}~{names[j]}": loss_barrier(states[i], states[j], loss)
        for i, j in combinations(range(len(states)), 2)
    }
    fitness = result.generation_zero[f"parent_{best + 1}"]
    with evolution_on_one_thread():  # the very weights that were judged
        champion = express_genome(result.champion.genome, base, states, grams)
        average = express_genome(evomerge_average_genome(Layout.of(base, states, p.grouping)), base, states)
    return Merged(
        champion,
        average,
        names[best],
        float(fitness if fitness is not None else 0.0),
        result,
        barriers,
    )


def best_of_finalists(
    run: PhaseRun[Params],
    judge: Callable[[StateDict], Fitness],
    base: StateDict,
    states: list[StateDict],
    grams: list[Grams],
    result: EvolutionResult,
) -> Individual:
    """The best, by ``judge``, of the archive and of the merges that treat all parents alike.

    Of many genomes a search keeps those that are lucky on the rows that it sees, so the judge should see others too.
    What is less fit than a parent on the rows of the search is no finalist: the handoff would refuse it.
    """
    layout = Layout.of(base, states, run.params.grouping)
    alike = (
        evomerge_average_genome(layout),
        evomerge_average_genome(layout, t=run.params.extrapolated),
        evomerge_average_genome(layout, "regmean"),
    )
    known = [(genome, result.state.records.get(genome.key())) for genome in alike]
    finalists = [Individual(genome, record.fitness, 0) for genome, record in known if record and record.fitness]
    finalists += result.archive
    parents = [value for name, value in result.generation_zero.items() if name.startswith("parent_") and value]
    fit = [finalist for finalist in finalists if finalist.fitness.value >= max(parents, default=0.0)]
    finalists = fit or finalists
    with evolution_on_one_thread():
        scores = [judge(express_genome(finalist.genome, base, states, grams)).value for finalist in finalists]
    return finalists[max(range(len(scores)), key=lambda i: scores[i] if math.isfinite(scores[i]) else -math.inf)]


def evomerge_parents_grams(
    run: PhaseRun[Params], model: TinyTitanForCausalLM, parents: dict[str, StateDict], train: EncodedSet
) -> list[Grams]:
    """Second moments of what each parent's layers see in a few batches of its own reading, as RegMean has it."""
    cognate = run.parameters_of(CognateParams)
    grams: list[Grams] = []
    with evolution_on_one_thread():
        for name, weights in parents.items():
            mix = cognate.branches[name].mix.model_dump()
            plan = plan_batches(train, mix, run.params.gram_batches, cognate.batch_tokens, run.seed)
            model.load_state_dict(weights)
            grams.append(layer_input_grams(model, train.subset(np.concatenate(plan))))
    return grams
