"""How fast two models are on this machine, in alternating turns, and how much memory an agent takes."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerFast

from forge.errors import ForgeError
from forge.evals.timing import eval_prefill_ms
from forge.model import TinyTitanForCausalLM
from forge.runtime.agent import Agent
from forge.runtime.bench import bench_isolated, decode_tokens_per_s

TURNS = 2  # A B A B: a machine that slows down or warms up does so for both
DECODE_TOKENS = 48


@dataclass(frozen=True)
class Speed:
    """prefill_*_ms: reading 512 tokens, batch 1. decode_tokens_per_s: writing one answer."""

    prefill_p50_ms: float
    prefill_p95_ms: float
    decode_tokens_per_s: float


def compare_edge_speed(
    before: TinyTitanForCausalLM,
    after: TinyTitanForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    *,
    repeats: int,
    seed: int,
) -> tuple[Speed, Speed]:
    """Time two models of one vocabulary in turns, ``repeats`` readings each.

    Decoding speed is the median over turns of ``forge.runtime.bench.decode_tokens_per_s``. ForgeError for
    repeats < 1.
    """
    if repeats < 1:
        raise ForgeError(f"latency: repeats must be at least 1, got {repeats}")
    models = (before, after)
    readings = eval_prefill_ms(models, repeats=repeats, seed=seed)
    agents = [Agent(model.eval(), tokenizer, Path("."), "directory") for model in models]
    rates = [
        [decode_tokens_per_s(agent, seed=seed, tokens=DECODE_TOKENS, rounds=1) for agent in agents]
        for _ in range(TURNS)
    ]
    first, second = (
        Speed(float(np.percentile(times, 50)), float(np.percentile(times, 95)), statistics.median(decoded))
        for times, decoded in zip(readings, zip(*rates, strict=True), strict=True)
    )
    return first, second


def edge_isolated_ram_mb(directories: Sequence[Path]) -> list[float]:
    """Peak resident memory (10^6 bytes) of the agent of each directory in a process of its own, libraries included.

    All run side by side: the time they take is not what is measured. ForgeError when one cannot be run.
    """
    return [float(found["peak_ram_mb"]) for found in bench_isolated(*directories, repeats=1, rounds=1)]
