"""Phase 4, BitNet: make a trained model ternary by short quantization-aware distillation (arXiv 2402.17764;
2510.13998).

The weights that train stay latent float32; every forward sees them through absmean ternary codes with a
straight-through gradient, and int8 activations. The deployable file holds five codes a byte.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast

from forge.data.dataset import EncodedSet
from forge.model import TinyTitanForCausalLM, save_model
from forge.model.packed import PACKED, pack_model
from forge.train import ADAM_RATIO, TrainResult, TrainSettings, distillation_loss, fit


def ternary_model(model: TinyTitanForCausalLM, act_bits: int, embed_bits: int) -> TinyTitanForCausalLM:
    """A copy that sees its weights as ternary: post-training quantization, the control that collapses."""
    out = copy.deepcopy(model)
    out.set_weight_quant("ternary")
    out.set_act_bits(act_bits)
    out.config.embed_bits = embed_bits
    return out


def distill(
    run: Any,
    student: TinyTitanForCausalLM,
    teacher: TinyTitanForCausalLM,
    data: EncodedSet,
    shares: dict[str, float],
    *,
    kd_weight: float,
    temperature: float = 1.0,
    name: str = "train",
) -> TrainResult:
    """Train ``student`` on labels and on the teacher's distribution with the phase's budget."""
    p = run.params
    settings = TrainSettings(
        steps=p.steps, muon_lr=p.lr, adam_lr=p.lr * ADAM_RATIO, decay_fraction=0.7, checkpoint_every=p.checkpoint_every
    )
    loss = distillation_loss(teacher.eval(), kd_weight, temperature)
    return fit(run, student, data, shares, loss, settings, p.batch_tokens, name=name, teacher=kd_weight > 0)


def publish_ternary(
    run: Any, model: TinyTitanForCausalLM, tokenizer: PreTrainedTokenizerFast, metadata: dict[str, Any]
) -> Path:
    """Publish latent weights for the phases to come and the packed file for use."""
    save_model(model, run.out_dir)
    if not (run.out_dir / PACKED).exists():
        pack_model(model, run.out_dir / PACKED)
    published: Path = run.publish(tokenizer=tokenizer, metadata=metadata)
    return published
