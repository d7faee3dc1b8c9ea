"""Make a trained model ternary by short quantization-aware distillation (arXiv 2402.17764; 2510.13998).

The weights that train stay latent float32; every forward sees them through absmean ternary codes with a
straight-through gradient, and int8 activations. The deployable file holds five codes in a byte.
"""

from __future__ import annotations

import copy

from forge.data.dataset import EncodedSet
from forge.interface.run import PhaseRun
from forge.model import TinyTitanForCausalLM
from forge.phases.bitnet.params import Params
from forge.train import TrainResult, distillation_loss, loss_settings, train_on_planned_batches, training_loop_settings


def ternary_model(model: TinyTitanForCausalLM, act_bits: int, embed_bits: int) -> TinyTitanForCausalLM:
    """A copy that sees its weights as ternary: post-training quantization, the control that collapses."""
    out = copy.deepcopy(model)
    out.set_weight_quant("ternary")
    out.set_act_bits(act_bits)
    out.config.embed_bits = embed_bits
    return out


def distill_bitnet_student(
    run: PhaseRun[Params], student: TinyTitanForCausalLM, teacher: TinyTitanForCausalLM, data: EncodedSet
) -> TrainResult:
    """Train ``student`` in place, on labels and on the teacher's distribution, with the phase's budget."""
    p, training = run.params, run.training
    loss = distillation_loss(teacher.eval(), p.kd_weight, p.temperature, **loss_settings(training))
    settings = training_loop_settings(p, training)
    return train_on_planned_batches(
        run, student, data, training.mix.model_dump(), loss, settings, p.batch_tokens, teacher=p.kd_weight > 0
    )
