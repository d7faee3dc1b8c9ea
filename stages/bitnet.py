"""Phase 4, BitNet: ternary weights by short quantization-aware distillation; the packed file is measured on disk."""

from __future__ import annotations

import torch

from forge.data.dataset import EncodedSet
from forge.evals.measure import measure_run, record_ledger
from forge.model import load_model, load_tokenizer, save_model
from forge.phases.bitnet.claims import retention_claims
from forge.phases.bitnet.finetune import PACKED, distill, pack_model, packing_delta, ternary_model
from forge.phases.bitnet.metrics import packed_performance, ternary_success
from forge.pipeline.lifecycle.stage import stage
from forge.train import MIX, gather_batch


def main() -> None:
    """Run the stage."""
    with stage("bitnet") as run:
        source = run.model_dir("quietstar")
        teacher, tokenizer = load_model(source), load_tokenizer(source)
        p, test = run.params, EncodedSet.load(run.data_dir / "test.safetensors")
        before = measure_run(run, teacher, tokenizer)
        untrained = ternary_model(teacher, p.act_bits, p.embed_bits)
        collapsed = measure_run(run, untrained, tokenizer)
        student = ternary_model(teacher, p.act_bits, p.embed_bits)
        train = EncodedSet.load(run.data_dir / "train.safetensors")
        result = distill(run, student, teacher, train, MIX, kd_weight=p.kd_weight, temperature=p.temperature)
        after = measure_run(run, student, tokenizer)
        claims, quality = retention_claims(run, test, (teacher, before), (untrained, collapsed), (student, after))
        save_model(student, run.out_dir)
        tokenizer.save_pretrained(str(run.out_dir))
        packed = pack_model(student, run.out_dir / PACKED)
        delta = packing_delta(student, run.out_dir / PACKED, gather_batch(test, torch.arange(4).numpy()).ids)
        original = (source / "model.safetensors").stat().st_size
        ratio = original / packed["packed_bytes"]
        metrics = {
            "compression/compression_ratio": ratio,
            "compression/compressed_size_mb": packed["packed_bytes"] / 2**20,
            "compression/original_size_mb": original / 2**20,
            **quality,
            "packed_logit_delta": delta,
        }
        run.claims(claims)
        more = {f"compression/{k}": packed[k] for k in ("layers_compressed", "layers_preserved", "sparsity_ratio")}
        more |= packed_performance(teacher, student, run.out_dir / PACKED)
        more |= {"performance/calibration_time_seconds": packed["seconds"], "phase/success": ternary_success(metrics)}
        run.summary(more, headline={"final_loss": result.final_loss, **metrics, **after.headline()})
        kept = quality["quality/accuracy_retention"]
        facts = {"packed_bytes": packed["packed_bytes"], "compression_ratio": ratio, "accuracy_retention": kept}
        target = run.publish(metadata=facts)
        record_ledger(run, "bitnet", target, student, after)


if __name__ == "__main__":
    main()
