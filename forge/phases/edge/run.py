"""Phase 7: a third of the core is pruned, distillation recovers it, operators are fused; timed on this machine."""

from __future__ import annotations

import numpy as np

from forge.data.views import dataset_without_prompts
from forge.evals.controls import score_eval_control
from forge.evals.ledger import LedgerScores
from forge.interface.run import PhaseRun
from forge.phases.edge.claims import edge_pruning_claims
from forge.phases.edge.fusion import edge_fusion_of, fuse_for_edge_inference, max_output_delta
from forge.phases.edge.metrics import HEADLINE, Optimization, Subject, edge_metrics, measure_edge_deployments
from forge.phases.edge.params import Params
from forge.phases.edge.recovery import pruned_copy, recover_by_distillation
from forge.train import gather_batch


def run(run: PhaseRun[Params]) -> None:
    """Prune by importance, distill the whole model into what is left, fuse it, and measure before and after."""
    teacher, tokenizer, source = run.load("baking")
    data = dataset_without_prompts(tokenizer, [*run.rows("train"), *run.own_tools.rows("train")])
    evaluator = run.evaluator(tokenizer)
    student, plan = pruned_copy(run, teacher, data)
    before, broken = evaluator.measure(teacher, prompted=False), score_eval_control(evaluator, student)
    recovery = recover_by_distillation(run, student, teacher, data)
    after = evaluator.measure(student, prompted=False)
    run.record(claims=edge_pruning_claims(run, before, broken, after))

    folder = run.save(student, tokenizer, packed=True)
    fused = fuse_for_edge_inference(student)
    tools, questions = evaluator.tools(student), evaluator.questions(student)
    probe = gather_batch(run.split("test").without_system(), np.arange(16)).ids
    done = Optimization(
        plan,
        recovery,
        edge_fusion_of(fused),
        output_delta=max_output_delta(student, fused, probe),
        tool_success=tools.success,
    )
    whole, pruned = Subject(teacher, before, source), Subject(student, after, folder)
    metrics = edge_metrics(done, *measure_edge_deployments(run, tokenizer, whole, pruned, fused))
    shown = {name: metrics[name] for name in HEADLINE}
    own = evaluator.own_tool_use(student)
    read = {**after.headline(), **questions.headline(), **evaluator.own_data(student).headline(), **own.headline()}
    run.record(metrics | own.metrics(), headline={"final_loss": recovery.final_loss, **shown, **read})
    target = run.publish(
        {
            "tool_accuracy_retention": metrics["quality/accuracy_retention"],
            "accuracy_tools": after.tools.mean_accuracy,
            **evaluator.call_confidence(student).to_metadata(),
            **run.own_tools.metadata(),
        }
    )
    run.ledger(student, LedgerScores(after, questions, tools), target)
