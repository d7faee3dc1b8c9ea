"""Phase 6: five tools and four personas move from the prompt into the weights, by prompt baking; declared tools are
taught before."""

from __future__ import annotations

from forge.evals.ledger import LedgerScores
from forge.interface.run import PhaseRun
from forge.phases.baking.claims import OWN_TOOL_TARGETS, baking_claims
from forge.phases.baking.curve import ToolCurve, baking_iterations_by_tool
from forge.phases.baking.metrics import (
    baked_persona_divergence,
    baking_forgetting_percent,
    baking_metrics,
    half_strength,
)
from forge.phases.baking.own_tools import teach_own_tools_before_baking
from forge.phases.baking.params import Params
from forge.phases.baking.prompt_baking import bake
from forge.phases.baking.trajectories import sample_baking_trajectories
from forge.tools import Toolbox


def run(run: PhaseRun[Params]) -> None:
    """Sample what the prompted model does, bake it in, and ask the baked model and its controls."""
    incoming, tokenizer, _ = run.load("forge")
    teacher = teach_own_tools_before_baking(run, incoming, tokenizer)
    evaluator, curve = run.evaluator(tokenizer), ToolCurve(run, tokenizer)
    with Toolbox(run.workspace_dir) as toolbox:
        rows = [*run.rows("train"), *run.own_tools.rows("train")]
        trajectories = sample_baking_trajectories(run, teacher, tokenizer, rows, toolbox)
    model, half, result = bake(run, teacher, tokenizer, trajectories, curve.watch)
    before, after = evaluator.measure(incoming), evaluator.measure(model, prompted=False)
    tools = {
        "baked": evaluator.tools(model),
        "half": evaluator.tools(half),
        "unbaked": evaluator.tools(teacher),
        "prompted": evaluator.tools(teacher, prompted=True),
    }
    personas = {"baked": evaluator.personas(model), "none": evaluator.personas(model, handles=False)}

    own, searched = evaluator.own_tool_use(model), evaluator.tools_without_model()
    claims = baking_claims(run, tools, personas, before, after, searched)
    run.record(own.metrics(), claims=[*claims, *own.claims(run, OWN_TOOL_TARGETS)])
    facts = {
        "tool_success_rate": tools["baked"].success,
        "persona_consistency": personas["baked"].consistency,
        "forgetting_percent": baking_forgetting_percent(before, after),
    }
    metrics = {
        **curve.metrics(),
        **baking_iterations_by_tool(run, trajectories),
        **baking_metrics(tools, personas, facts["forgetting_percent"]),
        **baked_persona_divergence(teacher, model, tokenizer, evaluator.probes.personas),
        **half_strength(teacher, half, model),
    }
    trained = {"final_loss": result.final_loss, "trajectories_kept": trajectories.kept}
    read = {"tool_final_rate": tools["baked"].final, "persona_content_and_style": personas["baked"].both}
    questions = evaluator.questions(model)
    read |= questions.headline() | evaluator.own_data(model).headline() | own.headline()
    run.record(metrics, headline={**trained, **facts, **after.headline(), **read})
    run.save(model, tokenizer, packed=True)
    names = {"tools": sorted(tools["baked"].tools), "personas": sorted(personas["baked"].personas)}
    calls = {**evaluator.call_confidence(model).to_metadata(), **run.own_tools.metadata()}
    target = run.publish({**names, "accuracy_tools": after.tools.mean_accuracy, **facts, **calls})
    run.ledger(model, LedgerScores(after, questions, tools["baked"]), target)
