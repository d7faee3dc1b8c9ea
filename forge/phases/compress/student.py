"""A model of fewer weights for phase 8's file: as many as a budget of bytes holds, taught by phase 7's model.

Distillation (Hinton et al., arXiv 1503.02531) into another shape. What a file of a shape will take is counted before
anything is trained, so the shape is not searched by trial.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from forge.data.dataset import EncodedSet
from forge.interface.run import PhaseRun
from forge.model import TinyTitanConfig, TinyTitanForCausalLM, names_of_core_model_weights
from forge.model.fit import model_without_weights
from forge.model.quantizers import rowwise
from forge.phases.compress.metrics import MIB
from forge.phases.compress.params import Params
from forge.train import (
    distillation_loss,
    loss_flags_without_call,
    loss_settings,
    train_on_planned_batches,
    training_settings_of_one_rate,
)

FFN_STEP = 32
FEWER_TOKENS = 0.8
LEAST_TOKENS = 320  # characters, bytes and special tokens are always needed
HEADER = 1024  # bytes: configuration, table of tensors, checksum, what calls need
TRIT = math.log2(3)  # bits of a core weight, at most, after entropy coding
TOKEN = 3.0  # bytes of the tokenizer in the file for each token, entropy-coded


@dataclass(frozen=True)
class StudentShape:
    """A vocabulary of at most ``tokens``, a configuration with it, and the bytes that a file of it should have.
    ``taught``: by phase 7's model; a control learns from labels alone. ``steps``: updates; None for the scale's."""

    tokens: int
    config: TinyTitanConfig
    bytes: int
    taught: bool = True
    steps: int | None = None


def compression_budget(params: Params, original: int) -> int | None:
    """Bytes that the file may have, where phase 1's model has ``original``; None where nothing is asked for."""
    if params.budget_mb is not None:
        return int(params.budget_mb * MIB)
    return None if params.times_smaller is None else int(original / params.times_smaller)


def choose_compression_student_shape(teacher: TinyTitanConfig, params: Params, budget: int) -> StudentShape | None:
    """The largest shape whose file fits into ``budget`` bytes; None where the ``teacher`` itself fits with the
    vocabulary that the parameters ask for.

    The vocabulary gives way first where its table would take more than its share; then the widest model is taken, and
    its feed-forward networks fill what is left. A budget that holds nothing gets the smallest shape.
    """
    tokens = params.vocab_size
    if count_compression_student_bytes(compression_config_with_vocabulary(teacher, tokens), params) <= budget:
        return None
    while True:
        config = _widest_student(teacher, params, tokens, budget)
        if (
            count_compression_table_bytes(config, params) <= params.student_table_share * budget
            or tokens <= LEAST_TOKENS
        ):
            return StudentShape(tokens, config, count_compression_student_bytes(config, params))
        tokens = max(LEAST_TOKENS, int(FEWER_TOKENS * tokens))


def _widest_student(teacher: TinyTitanConfig, params: Params, tokens: int, budget: int) -> TinyTitanConfig:
    step, widening = params.student_head_dim, params.student_widening

    def shape(hidden: int, ffn: int) -> TinyTitanConfig:
        return _shape(teacher, params, tokens, hidden, ffn)

    def fits(config: TinyTitanConfig) -> bool:
        return count_compression_student_bytes(config, params) <= budget

    hidden = step
    while fits(shape(hidden + step, widening * (hidden + step))):
        hidden += step
    ffn = widening * hidden
    while fits(shape(hidden, ffn + FFN_STEP)):
        ffn += FFN_STEP
    return shape(hidden, ffn)


def _shape(teacher: TinyTitanConfig, params: Params, tokens: int, hidden: int, ffn: int) -> TinyTitanConfig:
    low, high, heads = params.student_low_blocks, params.student_high_blocks, hidden // params.student_head_dim
    shape = {
        "vocab_size": tokens,
        "hidden_size": hidden,
        "head_dim": params.student_head_dim,
        "low_heads": [heads] * low,
        "low_ffn": [ffn] * low,
        "high_heads": [heads] * high,
        "high_ffn": [ffn] * high,
        "memory_heads": min(2, teacher.memory_heads),
        "memory_head_dim": min(params.student_head_dim, teacher.memory_head_dim),
        "weight_quant": "ternary",
    }
    return TinyTitanConfig(**{**teacher.to_dict(), **shape})


def compression_config_with_vocabulary(config: TinyTitanConfig, tokens: int) -> TinyTitanConfig:
    """The configuration with at most so many tokens."""
    return TinyTitanConfig(**{**config.to_dict(), "vocab_size": min(tokens, config.vocab_size)})


def count_compression_table_bytes(config: TinyTitanConfig, params: Params) -> float:
    """What grows with the vocabulary: the embedding, entropy-coded, its scales, and the tokenizer."""
    entries = config.vocab_size * config.hidden_size
    return entries * compressed_embedding_entropy(config.hidden_size, params.embed_bits) / 8 + config.vocab_size * (
        2 + TOKEN
    )


def count_compression_student_bytes(config: TinyTitanConfig, params: Params) -> int:
    """Bytes of the file of a model of this shape, its core as entropy-coded trits: what vector quantization saves,
    where its gate lets it pass, comes on top."""
    model = model_without_weights(config, TinyTitanForCausalLM)
    core, weights = set(names_of_core_model_weights(model)), dict(model.state_dict())
    trits = sum(weights[name].numel() for name in core)
    halves = sum(weight.numel() for name, weight in weights.items() if name not in core | {"embed.weight"})
    size: float = count_compression_table_bytes(config, params) + HEADER + trits * TRIT / 8 + 2 * halves
    return math.ceil(size)


def compressed_embedding_entropy(columns: int, bits: int) -> float:
    """Bits of an entry of an embedding after entropy coding: of normal values, rounded as the file rounds them."""
    from scipy.stats import entropy  # takes a second to import

    values = torch.randn(512, columns, generator=torch.Generator().manual_seed(0))
    _, counts = np.unique(rowwise(values, bits)[0].numpy(), return_counts=True)
    return float(entropy(counts, base=2))


def distill_compression_student(
    run: PhaseRun[Params], teacher: TinyTitanForCausalLM, data: EncodedSet, shape: StudentShape
) -> TinyTitanForCausalLM:
    """A fresh ternary model of the shape with the vocabulary of ``teacher``, trained on labels and, where it is to be
    taught, on the teacher's distributions."""
    p, training = run.params, run.training
    torch.manual_seed(run.seed)
    student = TinyTitanForCausalLM(compression_config_with_vocabulary(shape.config, teacher.config.vocab_size))
    student.config.embed_bits = p.embed_bits
    silent = loss_flags_without_call(data)
    weight = p.kd_weight if shape.taught else 0.0
    loss = distillation_loss(teacher, weight, p.kd_temperature, without_call=silent, **loss_settings(training))
    settings = training_settings_of_one_rate(
        training, shape.steps or p.student_steps, p.student_lr, p.student_decay_fraction, p.checkpoint_every
    )
    shares = p.mix.model_dump()
    train_on_planned_batches(run, student, data, shares, loss, settings, p.batch_tokens, name="student", teacher=True)
    return student.eval()
