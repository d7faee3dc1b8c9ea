"""Phase 8: vocabulary pruning, trained-in vector quantization, entropy coding; the whole agent in one file."""

from __future__ import annotations

from safetensors.torch import load_file

from forge.evals.controls import score_eval_control
from forge.evals.ledger import LedgerScores, ledger_deployable_files
from forge.evals.measure import eval_accuracy_retention
from forge.interface.paths import SETTLED
from forge.interface.phase import FULL_PRECISION
from forge.interface.run import PhaseRun
from forge.phases.compress.chain import compress_into_file
from forge.phases.compress.claims import OWN_TOOL_TARGETS, compression_claims
from forge.phases.compress.metrics import compressed_file_metrics
from forge.phases.compress.params import Params
from forge.phases.compress.phase import PHASE
from forge.phases.compress.student import choose_compression_student_shape, compression_budget


def run(run: PhaseRun[Params]) -> None:
    """Compress phase 7's model into one file, and hold the file against phase 6's model and against phase 1's."""
    edge, baked, trunk = run.load("edge"), run.load("baking"), run.load("trunk")
    trunk.model.load_state_dict(load_file(trunk.directory / SETTLED))
    path = run.out_dir / PHASE.deployed[0]
    rows = [*run.rows("train"), *run.own_tools.rows("train")]
    original = sum(file.stat().st_size for file in ledger_deployable_files(FULL_PRECISION, trunk.directory))
    budget = compression_budget(run.params, original)
    student = None if budget is None else choose_compression_student_shape(edge.model.config, run.params, budget)
    made = compress_into_file(run, edge.model, edge.tokenizer, rows, path, student)

    reference, evaluator = run.evaluator(baked.tokenizer), run.evaluator(made.tokenizer)
    before = reference.measure(baked.model, prompted=False)
    final = evaluator.measure(made.final, prompted=False)
    codebooks = (score_eval_control(evaluator, made.quantized), score_eval_control(evaluator, made.untrained))
    tools = (evaluator.tools(made.final), reference.tools(baked.model))
    questions = evaluator.questions(made.final)
    size = path.stat().st_size
    own = evaluator.own_tool_use(made.final)
    ratios = (original / size, run.params.min_ratio if budget is None else original / budget)
    claims = compression_claims(run, before, final, codebooks, tools, ratios)
    run.record(claims=[*claims, *own.claims(run, OWN_TOOL_TARGETS)])
    run.record(
        made.metrics() | compressed_file_metrics(run, path, final, trunk, original) | own.metrics(),
        headline={
            "size/final_bytes": size,
            "size/original_bytes": original,
            "size/total_compression_ratio": original / size,
            "phase/rollbacks": made.verdicts.rollbacks,
            "quality/tool_success_rate": tools[0].success,
            "quality/tool_final_rate": tools[0].final,
            "quality/persona_content_and_style": evaluator.personas(made.final).both,
            "quality/accuracy_vs_baking": eval_accuracy_retention(before.tools.correct, final.tools.correct),
            **final.headline(),
            **questions.headline(),
            **evaluator.own_data(made.final).headline(),
            **own.headline(),
        },
    )
    target = run.publish(
        {
            "parameters": made.final.num_parameters(),
            "compression_ratio": original / size,
            "accuracy_tools": final.tools.mean_accuracy,
            **made.calls,
        }
    )
    run.ledger(made.final, LedgerScores(final, questions, tools[0]), target)
