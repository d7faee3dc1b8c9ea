"""Phase 4, BitNet: make a trained model ternary by short quantization-aware distillation (arXiv 2402.17764;
2510.13998).

The weights that train stay latent float32; every forward sees them through absmean ternary codes with a
straight-through gradient, and int8 activations. The deployable file holds five codes a byte.
"""

from __future__ import annotations

import copy
import time
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import PreTrainedTokenizerFast

from forge.data.dataset import EncodedSet
from forge.files import save_safetensors
from forge.model import TinyTitanForCausalLM, core_weight_names, save_model
from forge.model.packed import pack_state_dict, unpack_state_dict
from forge.train import ADAM_RATIO, TrainResult, TrainSettings, distillation_loss, fit

PACKED = "packed.safetensors"


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


def pack_model(model: TinyTitanForCausalLM, path: Path) -> dict[str, float]:
    """Write the deployable file of a ternary model; its counts for the phase's metrics, and the ``seconds`` that
    finding all scales and codes took."""
    weights = dict(model.state_dict())
    names, started = core_weight_names(model), time.perf_counter()
    packed = pack_state_dict(weights, names, model.config.embed_bits)
    seconds = time.perf_counter() - started
    save_safetensors(path, packed, {"format": "five trits a byte"})
    codes = torch.cat(
        [(model.core_linears()[n.removesuffix(".weight")].effective_weight() == 0).flatten() for n in names]
    )
    return {
        "layers_compressed": len(names),
        "layers_preserved": len(weights) - len(names),
        "sparsity_ratio": float(codes.float().mean()),
        "packed_bytes": path.stat().st_size,
        "seconds": seconds,
    }


def publish_ternary(
    run: Any, model: TinyTitanForCausalLM, tokenizer: PreTrainedTokenizerFast, metadata: dict[str, Any]
) -> Path:
    """Publish latent weights for the phases to come and the packed file for use."""
    save_model(model, run.out_dir)
    if not (run.out_dir / PACKED).exists():
        pack_model(model, run.out_dir / PACKED)
    published: Path = run.publish(tokenizer=tokenizer, metadata=metadata)
    return published


def load_packed(path: Path, like: TinyTitanForCausalLM) -> TinyTitanForCausalLM:
    """The model that a packed file describes, with ``like`` giving the shapes: same logits as the fake-quantized
    one."""
    out = copy.deepcopy(like)
    shapes = {name: tuple(tensor.shape) for name, tensor in like.state_dict().items()}
    out.load_state_dict(unpack_state_dict(load_file(path), shapes))
    out.set_weight_quant("frozen")
    return out.eval()


def packing_delta(model: TinyTitanForCausalLM, path: Path, ids: torch.Tensor) -> float:
    """Largest difference between the logits of a model and of its packed file."""
    with torch.no_grad():
        return float((model(ids).logits - load_packed(path, model)(ids).logits).abs().max())
