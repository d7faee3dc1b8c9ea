"""Phase 6, baking: five tools and four personas move from the prompt into the weights."""

from __future__ import annotations

from forge.data.build import read_rows
from forge.evals.measure import measure_run, record_ledger
from forge.model import load_model, load_tokenizer
from forge.phases.baking.claims import ask_everyone, baking_claims, forgetting_percent, probes
from forge.phases.baking.curve import ToolCurve, tool_iterations
from forge.phases.baking.metrics import baking_metrics, half_strength, persona_divergence
from forge.phases.baking.prompt_baking import bake
from forge.phases.baking.trajectories import sample_trajectories
from forge.phases.bitnet.finetune import publish_ternary
from forge.pipeline.lifecycle.stage import stage
from forge.tools import Toolbox


def main() -> None:
    """Run the stage."""
    with stage("baking") as run:
        source = run.model_dir("forge")
        teacher, tokenizer, p = load_model(source), load_tokenizer(source), run.params
        rows = read_rows(run.data_dir / "train.jsonl")
        with Toolbox(run.workspace_dir) as toolbox:
            options = {"count": p.trajectories, "temperature": p.temperature, "seed": run.seed}
            trajectories = sample_trajectories(teacher, tokenizer, rows, toolbox, run=run, **options)
        curve = ToolCurve(run, tokenizer)
        model, half, result = bake(run, teacher, tokenizer, trajectories, curve.watch)
        before, after = (measure_run(run, m, tokenizer, prompted=False) for m in (teacher, model))
        tools, personas = ask_everyone(run, tokenizer, teacher, half, model)
        run.claims(baking_claims(run, tools, personas, before, after))
        facts = {
            "tool_success_rate": tools["baked"].success,
            "persona_consistency": personas["baked"].consistency,
            "forgetting_percent": forgetting_percent(before, after),
        }
        metrics = {
            **curve.metrics(),
            **tool_iterations(run, trajectories),
            **baking_metrics(tools, personas, facts["forgetting_percent"]),
            **persona_divergence(teacher, model, tokenizer, probes(run).personas),
            **half_strength(teacher, half, model),
        }
        trained = {"final_loss": result.final_loss, "trajectories_kept": trajectories.kept}
        run.summary(metrics, headline={**trained, **facts, **after.headline()})
        names = {"tools": sorted(tools["baked"].tools), "personas": sorted(personas["baked"].personas)}
        metadata = {**names, "accuracy_tools": after.tools.mean_accuracy, **facts}
        target = publish_ternary(run, model, tokenizer, metadata)
        record_ledger(run, "baking", target, model, after)


if __name__ == "__main__":
    main()
