"""Phase 1, first half: train the trunk that the three branches share."""

from __future__ import annotations

from forge.data.dataset import EncodedSet
from forge.evals.measure import measure_run
from forge.model import load_tokenizer
from forge.phases.cognate.training import new_model, train_trunk
from forge.pipeline.lifecycle.stage import stage


def main() -> None:
    """Run the stage."""
    with stage("trunk") as run:
        tokenizer = load_tokenizer(run.data_dir / "tokenizer")
        model = new_model(run.params, len(tokenizer), run.seed)
        result = train_trunk(run, model, EncodedSet.load(run.data_dir / "train.safetensors"))
        measured = measure_run(run, model, tokenizer)
        run.summary(
            {
                "train/tokens": result.tokens,
                "train/padding_share": result.padding,
                "train/clip_fraction": result.clip_fraction,
            },
            headline={
                "final_loss": result.final_loss,
                "first_loss": result.first_loss,
                "parameters": model.num_parameters(),
                **measured.headline(),
            },
        )
        run.publish(model, tokenizer, metadata={"seed": run.seed, "final_loss": result.final_loss})


if __name__ == "__main__":
    main()
