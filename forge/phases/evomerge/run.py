"""Phase 2: evolve one model out of the three branches; nothing is trained but a control."""

from __future__ import annotations

import copy

import numpy as np
from safetensors.torch import load_file

from forge.data.dataset import EncodedSet
from forge.evals.evaluator import Evaluator
from forge.evals.ledger import LedgerScores
from forge.evals.likelihood import likelihood
from forge.evals.measure import mean
from forge.interface.run import PhaseRun
from forge.merge.methods import StateDict
from forge.model import TinyTitanForCausalLM
from forge.phases.evomerge.claims import Contender, merge_claims
from forge.phases.evomerge.combination import evomerge_combination_scores
from forge.phases.evomerge.fitness import (
    evomerge_answer_chances,
    fitness_batch,
    mean_evomerge_skill_loss,
    measure_evomerge_skills,
)
from forge.phases.evomerge.joint_training import train_evomerge_control
from forge.phases.evomerge.merging import evolve_champion
from forge.phases.evomerge.metrics import evolution_metrics, evomerge_delta_compression
from forge.phases.evomerge.params import Params

HEADLINE = ("phase/final_fitness", "phase/initial_fitness", "phase/best_merge_technique", "max_barrier")
TEST_ROWS = 1600  # a quarter of each skill, as far as there are so many


def run(run: PhaseRun[Params]) -> None:
    """Evolve, then hold the champion against the best parent, the parents' average and joint training."""
    (model, tokenizer, trunk), branches = run.load("trunk"), run.load_branches("cognate")
    joint = train_evomerge_control(run, model)
    # From the files, not from the models: DARE draws its masks in the files' order of tensors.
    base, *weights = (
        load_file(path / "model.safetensors") for path in (trunk, *(b.directory for b in branches.values()))
    )
    parents = dict(zip(branches, weights, strict=True))
    merged = evolve_champion(run, model, base, parents, run.split("val"), run.split("train"))

    evaluator, test = run.evaluator(tokenizer), fitness_batch(run.split("test"), TEST_ROWS, run.seed)
    best, parent = f"the best parent ({merged.best_parent})", branches[merged.best_parent].model
    average, champion = _with_weights(model, merged.average), _with_weights(model, merged.champion)
    rivals = {"the uniform average": average, best: parent, "joint training with the tokens of all branches": joint}
    controls = {name: _contend(evaluator, rival, test) for name, rival in rivals.items()}
    own = _contend(evaluator, champion, test)
    measured = own.measured
    run.record(claims=merge_claims(run, own, controls, best, merged.result))

    asked, metrics = run.evaluation, evolution_metrics(merged)
    combining = {**{name: branch.model for name, branch in branches.items()}, "average": average, "champion": champion}
    for name, solver in combining.items():
        solved = evomerge_combination_scores(solver, tokenizer, asked.suite_n, asked.seed, asked.answer_tokens)
        metrics |= {f"combination/{kind}/{name}": mean(scores) for kind, scores in solved.items()}
    ratio = evomerge_delta_compression(base, weights, merged.champion)
    shown = {name: metrics[name] for name in HEADLINE}
    run.record({**metrics, "phase/compression_ratio": ratio}, headline={**shown, **measured.headline()})

    run.save(champion, tokenizer)
    fittest = merged.result.champion
    target = run.publish(
        {
            "fitness": fittest.fitness.value,
            "best_parent_fitness": merged.best_parent_fitness,
            "merge_technique": fittest.genome.label,
            "parent_parameters": parent.num_parameters(),
        }
    )
    run.ledger(champion, LedgerScores(measured), target)


def _contend(evaluator: Evaluator, model: TinyTitanForCausalLM, test: EncodedSet) -> Contender:
    """A model's figures. An answer in a persona's voice is never right to the letter, so personas count in the loss
    alone."""
    scored = likelihood(model, test)
    short = np.setdiff1d(np.arange(len(test)), test.where("persona"))
    loss = mean_evomerge_skill_loss(measure_evomerge_skills(scored, test))
    return Contender(evaluator.measure(model), loss, evomerge_answer_chances(scored)[short].tolist())


def _with_weights(model: TinyTitanForCausalLM, weights: StateDict) -> TinyTitanForCausalLM:
    made = copy.deepcopy(model)
    made.load_state_dict(weights)
    return made
