"""The second stage of the chain: the core as codes of a codebook, trained in.

VPTQ's codebooks (arXiv 2409.17066), but trained with the network: rounding finished ternary weights cannot keep them,
as the control `compress_core_without_training` shows.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from forge.agentfile.vq import FrozenVQ, VQState, decode_vq
from forge.data.dataset import EncodedSet
from forge.interface.run import PhaseRun
from forge.model import TinyTitanForCausalLM
from forge.phases.compress.params import Params
from forge.train import (
    Batch,
    distillation_loss,
    loss_flags_without_call,
    loss_settings,
    train_on_planned_batches,
    training_settings_of_one_rate,
)


def compress_core_while_training(
    run: PhaseRun[Params], teacher: TinyTitanForCausalLM, data: EncodedSet, *, group: int
) -> tuple[TinyTitanForCausalLM, FrozenVQ]:
    """Vector-quantize the core *while training* against the teacher, ``group`` weights per code.

    The model returned computes with exactly what the file will hold.
    """
    p, training = run.params, run.training
    student = copy.deepcopy(teacher)
    student.set_weight_quant("none")
    student.config.embed_bits = p.embed_bits
    vq = fit_compression_codebooks(run, teacher, group)
    student.add_module("vq", vq)  # trained and checkpointed with the model
    student.extra_matrices = tuple(f"vq.latents.{i}" for i in range(len(vq.latents)))
    view = _QuantizedView(student, vq)
    silent = loss_flags_without_call(data)
    base = distillation_loss(teacher, p.kd_weight, p.kd_temperature, without_call=silent, **loss_settings(training))

    def loss(model: TinyTitanForCausalLM, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        view.refresh()
        return base(model, batch)

    def reassign(step: int, metrics: dict[str, float]) -> None:
        if step % p.reassign_every == 0 and step < p.steps:
            vq.reassign(pull=p.pull)

    settings = training_settings_of_one_rate(
        training, p.steps, p.lr * p.latent_ratio, p.codes_decay_fraction, p.checkpoint_every, adam_ratio=1.0
    )
    name = f"train-{group}" if group != p.vq_groups else "train"
    shares = p.mix.model_dump()
    train_on_planned_batches(
        run, student, data, shares, loss, settings, p.batch_tokens, name=name, on_step=reassign, teacher=True
    )
    return _freeze_compressed_core(student, vq)


def compress_core_without_training(run: PhaseRun[Params], model: TinyTitanForCausalLM) -> TinyTitanForCausalLM:
    """The control: the same codebooks fitted to finished weights."""
    out = copy.deepcopy(model)
    out.set_weight_quant("frozen")
    _write_compressed_core(out, fit_compression_codebooks(run, model, run.params.vq_groups).freeze())
    return out.eval()


def fit_compression_codebooks(run: PhaseRun[Params], model: TinyTitanForCausalLM, group: int) -> VQState:
    """Codebooks by k-means over the core as the model computes with it, ``group`` weights per code: where training
    starts."""
    p = run.params
    weights = {f"{name}.weight": linear.effective_weight().detach() for name, linear in model.core_linears().items()}
    return VQState.from_state_dict(
        weights, k=p.vq_codebook, v=group, codebook_bits=p.vq_bits, role=compression_codebook_role, seed=run.seed
    )


def compression_codebook_role(name: str) -> str:
    """One codebook for attention and memory, one for feed-forward weights."""
    return "ffn" if ".ffn." in name else "attention"


class _QuantizedView:
    """Lets every projection multiply by the codes' current values."""

    def __init__(self, model: TinyTitanForCausalLM, vq: VQState) -> None:
        self.vq = vq
        self.current: dict[str, Tensor] = {}
        for name, linear in model.core_linears().items():
            linear.weight.requires_grad_(False)
            linear.quantizer = lambda _, key=f"{name}.weight": self.current[key]

    def refresh(self) -> None:
        """Take over what an optimizer's step or a reassignment has changed."""
        self.current = self.vq.weights()


def _freeze_compressed_core(student: TinyTitanForCausalLM, vq: VQState) -> tuple[TinyTitanForCausalLM, FrozenVQ]:
    """Write the decoded codes into the model and drop what was only for training."""
    frozen = vq.freeze()
    del student.vq
    student.extra_matrices = ()
    student.set_weight_quant("none")
    _write_compressed_core(student, frozen)
    for parameter in student.parameters():
        parameter.requires_grad_(True)
    return student.eval(), frozen


@torch.no_grad()
def _write_compressed_core(model: TinyTitanForCausalLM, frozen: FrozenVQ) -> None:
    linears = model.core_linears()
    for name, value in decode_vq(frozen).items():
        linears[name.removesuffix(".weight")].weight.copy_(value)
