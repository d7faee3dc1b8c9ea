"""Phase 1, second half: one branch of the trunk specializes."""

from __future__ import annotations

import argparse

from forge.data.dataset import EncodedSet
from forge.evals.measure import measure_run
from forge.model import load_model, load_tokenizer
from forge.phases.cognate.claims import branch_claims
from forge.phases.cognate.metrics import MIB, branch_metrics
from forge.phases.cognate.training import train_branch
from forge.pipeline.lifecycle.stage import stage


def main() -> None:
    """Run the stage for the branch that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--branch", required=True)
    branch = parser.parse_args().branch
    with stage("cognate", branch) as run:
        source = run.model_dir("trunk")
        trunk, tokenizer = load_model(source), load_tokenizer(source)
        model = load_model(source)
        train, val, test = (EncodedSet.load(run.data_dir / f"{name}.safetensors") for name in ("train", "val", "test"))
        result = train_branch(run, model, train)
        measured = measure_run(run, model, tokenizer)
        run.claims(branch_claims(run, trunk, model, test))
        metrics = branch_metrics(run, model, train, val)
        run.summary(
            {"train/tokens": result.tokens, "train/padding_share": result.padding, **metrics},
            headline={"final_loss": result.final_loss, "parameters": model.num_parameters(), **measured.headline()},
        )
        target = run.publish(
            model,
            tokenizer,
            metadata={
                "specialization": branch,
                "seed": run.seed,
                "final_loss": result.final_loss,
                "accuracy_no_tools": measured.no_tools.mean_accuracy,
                "model_name": f"TinyTitan-{branch}",
            },
        )
        run.summary({"size_mb": (target / "model.safetensors").stat().st_size / MIB})


if __name__ == "__main__":
    main()
