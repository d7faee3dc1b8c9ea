"""Phase 4: ternary weights by short quantization-aware distillation; the packed file is measured on disk."""

from __future__ import annotations

import torch

from forge.evals.controls import score_eval_control
from forge.evals.ledger import LedgerScores
from forge.evals.measure import eval_accuracy_retention, solved
from forge.interface.run import PhaseRun
from forge.model.packed import PACKED
from forge.phases.bitnet.claims import bitnet_claims
from forge.phases.bitnet.distillation import distill_bitnet_student, ternary_model
from forge.phases.bitnet.metrics import Ternary, bitnet_packed_metrics, bitnet_quality_metrics, reaches_bitnet_targets
from forge.phases.bitnet.params import Params
from forge.train import gather_batch


def run(run: PhaseRun[Params]) -> None:
    """Round the model, distill it back, pack it, and hold it against full precision and against rounding alone."""
    p, test = run.params, run.split("test")
    teacher, tokenizer, source = run.load("quietstar")
    evaluator = run.evaluator(tokenizer)
    before = evaluator.measure(teacher)
    rounded = ternary_model(teacher, p.act_bits, p.embed_bits)
    collapsed = score_eval_control(evaluator, rounded, told=True, thoughts=True)
    student = ternary_model(teacher, p.act_bits, p.embed_bits)
    result = distill_bitnet_student(run, student, teacher, run.split("train"))
    after = evaluator.measure(student)

    run.record(claims=bitnet_claims(run, before, collapsed, after))
    folder = run.save(student, tokenizer, packed=True)
    probe = gather_batch(test, torch.arange(4).numpy()).ids
    packed = bitnet_packed_metrics(Ternary(teacher, student, source, folder / PACKED), probe)
    quality = bitnet_quality_metrics(test, (teacher, rounded, student), (before, after))
    metrics = packed | quality
    run.record(metrics | {"phase/success": reaches_bitnet_targets(metrics)})
    headline = ("compression/compression_ratio", "compression/compressed_size_mb", "compression/original_size_mb")
    shown = {name: metrics[name] for name in (*headline, *quality, "packed_logit_delta")}
    run.record(headline={"final_loss": result.final_loss, **shown, **after.headline()})
    target = run.publish(
        {
            "packed_bytes": (folder / PACKED).stat().st_size,
            "compression_ratio": metrics["compression/compression_ratio"],
            "accuracy_retention": eval_accuracy_retention(solved(before), solved(after)),
        }
    )
    run.ledger(student, LedgerScores(after), target)
