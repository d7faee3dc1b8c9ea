"""Phase 1: train a trunk, let three branches of it specialize, and hold them against each other."""

from __future__ import annotations

import copy

from safetensors.torch import load_file, save

from forge.evals.ledger import LedgerScores
from forge.evals.likelihood import likelihood
from forge.interface.paths import SETTLED
from forge.interface.run import PhaseRun
from forge.phases.cognate.claims import cognate_branch_claims, cognate_difference_claims
from forge.phases.cognate.metrics import MIB, SAMPLE, cognate_branch_metrics, cognate_phase_metrics
from forge.phases.cognate.params import Params
from forge.phases.cognate.training import (
    new_cognate_model,
    settle_cognate_trunk,
    train_cognate_branch,
    train_cognate_trunk,
)

HEADLINE = ("phase/avg_final_loss", "phase/total_size_mb", "phase/diversity_score", "phase/success")


def run_cognate_trunk(run: PhaseRun[Params]) -> None:
    """Train and publish the trunk that the branches share; beside it, settled, what it would become without them.

    The suite measures the settled one.
    """
    tokenizer, train = run.tokenizer(), run.split("train")
    model = new_cognate_model(run.params, len(tokenizer), run.seed)
    result = train_cognate_trunk(run, model, train)
    settled = settle_cognate_trunk(run, model, train)
    measured = run.evaluator(tokenizer).measure(settled)
    losses = {"final_loss": result.final_loss, "first_loss": result.first_loss}
    run.record(
        {
            "train/tokens": result.tokens,
            "train/padding_share": result.padding,
            "train/clip_fraction": result.clip_fraction,
        },
        headline={**losses, "parameters": model.num_parameters(), **measured.headline()},
    )
    run.save(model, tokenizer)
    run.publish({"seed": run.seed, "final_loss": result.final_loss}, {SETTLED: save(settled.state_dict())})


def run_cognate_branch(run: PhaseRun[Params]) -> None:
    """Train the branch that the run is for from the trunk, hold it against the settled trunk at what it is for, publish
    it."""
    name = run.branch
    assert name is not None, "the stage has a run for each branch"
    branch = run.params.branches[name]
    trunk, tokenizer, directory = run.load("trunk")
    model = copy.deepcopy(trunk)
    train = run.split("train")
    result = train_cognate_branch(run, branch, model, train)
    measured = run.evaluator(tokenizer).measure(model)
    trunk.load_state_dict(load_file(directory / SETTLED))
    run.record(claims=cognate_branch_claims(run, name, trunk, model, run.split("test")))
    metrics = cognate_branch_metrics(run, branch, model, train, run.split("val"))
    size = (run.save(model, tokenizer) / "model.safetensors").stat().st_size
    run.record(
        {"train/tokens": result.tokens, "train/padding_share": result.padding, "size_mb": size / MIB, **metrics},
        headline={"final_loss": result.final_loss, "parameters": model.num_parameters(), **measured.headline()},
    )
    run.publish(
        {
            "specialization": name,
            "seed": run.seed,
            "final_loss": result.final_loss,
            "accuracy_no_tools": measured.no_tools.mean_accuracy,
            "model_name": f"TinyTitan-{name}",
        }
    )


def run_cognate_branches(run: PhaseRun[Params]) -> None:
    """Hold the published branches against each other and measure the phase as a whole.

    The branch with the lowest loss on validation rows stands for the phase in the ledger.
    """
    trunk, branches = run.load("trunk"), run.load_branches("cognate")
    models = {name: branch.model for name, branch in branches.items()}
    run.record(claims=cognate_difference_claims(run, models, run.split("test")))
    val = run.split("val").sample(SAMPLE, run.seed)
    best = min(branches.values(), key=lambda branch: likelihood(branch.model, val).perplexity)
    measured = run.evaluator(best.tokenizer).measure(best.model)
    metrics = cognate_phase_metrics(run.params, trunk, list(branches.values()))
    seconds = run.recorded_seconds("trunk", "cognate") + run.seconds
    shown = {name: metrics[name] for name in HEADLINE}
    run.record(metrics, headline={**shown, "phase/duration_seconds": seconds, **measured.headline()})
    run.ledger(best.model, LedgerScores(measured), best.directory, seconds)
