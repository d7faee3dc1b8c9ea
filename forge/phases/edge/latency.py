"""How fast two models are on this machine, in alternating turns, and how much memory an agent takes."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from forge.errors import ForgeError
from forge.model.titan import TinyTitanForCausalLM
from forge.runtime.agent import Agent
from forge.runtime.bench import bench_isolated, decode_tokens_per_s, prefill_ms

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_TURNS = 2  # A B A B: a machine that slows down or warms up does so for both
DECODE_TOKENS = 48


@dataclass(frozen=True)
class Speed:
    """prefill_*_ms: reading 512 tokens, batch 1. decode_tokens_per_s: writing one answer. repeats: readings
    timed."""

    prefill_p50_ms: float
    prefill_p95_ms: float
    decode_tokens_per_s: float
    repeats: int


def compare_speed(
    before: TinyTitanForCausalLM,
    after: TinyTitanForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    *,
    repeats: int,
    seed: int,
) -> tuple[Speed, Speed]:
    """Time two models of one vocabulary in turns, ``repeats`` readings each in all; with fewer than four, in
    one turn.

    Decoding speed is the median over turns of ``forge.runtime.bench.decode_tokens_per_s``. ForgeError for
    repeats < 1.
    """
    if repeats < 1:
        raise ForgeError(f"latency: repeats must be at least 1, got {repeats}")
    agents = [Agent(model.eval(), tokenizer, Path("."), "directory") for model in (before, after)]
    turns = _TURNS if repeats >= 2 * _TURNS else 1
    counts = [len(part) for part in np.array_split(np.arange(repeats), turns)]
    times: list[list[float]] = [[], []]
    rates: list[list[float]] = [[], []]
    for count in counts:
        for agent, readings, decoded in zip(agents, times, rates, strict=True):
            readings += prefill_ms(agent, repeats=count, seed=seed)
            decoded.append(decode_tokens_per_s(agent, seed=seed, tokens=DECODE_TOKENS, rounds=1))
    first, second = (
        Speed(float(np.percentile(t, 50)), float(np.percentile(t, 95)), statistics.median(r), repeats)
        for t, r in zip(times, rates, strict=True)
    )
    return first, second


def isolated_ram_mb(directories: Sequence[Path | str], *, seed: int = 0) -> list[float]:
    """Peak resident memory (10^6 bytes) of an agent in a process of its own, libraries included, one figure a
    directory.

    All run side by side: the time they take is not what is measured. ForgeError when one cannot be run.
    """
    found = bench_isolated(*directories, repeats=1, seed=seed, rounds=1)
    return [float(metrics["peak_ram_mb"]) for metrics in found]
