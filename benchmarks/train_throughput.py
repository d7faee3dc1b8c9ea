"""Speed of training: our loop against a plain one around Hugging Face's Llama, alternating in one process.

    python benchmarks/train_throughput.py [--sizes 1M 16M] [--rounds 3] [--threads 2] [--data DIR]

Four contestants at each size, on the same rows of the data stage's training set, the same rows in each round:

    plain           our loop (Muon, AdamW for the rest), a plain decoder of our blocks
    titan           our loop, TinyTitan (two recurrence steps, memory, halting) of the same width and heads, its blocks
                    and feed-forward width chosen so that the rows take as many FLOPs as in `plain`
    llama           LlamaForCausalLM of the depth, width, heads, feed-forward parameters and tied vocabulary of `plain`,
                    AdamW, the loop as one writes it: rows in random order, padded to the longest of their batch
    llama_bucketed  the same loop on our batches, whose rows are of similar length

Tokens are real ones: padding is left out of tokens/s and counted apart. Useful GFLOP/s are the FLOPs of
`forge.train.flops` (6 for each parameter and each token that it multiplies, plus attention) a second; for Llama the
output layer counts at every token, since its loop computes it there. The peak is the best of matrix products of several
sizes in the same run. All contestants share the process and so the settings of its allocator (`forge.train.device`).
Rates are medians over rounds. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from forge.config import load_params
from forge.data.build import build_data
from forge.data.dataset import EncodedSet
from forge.host.machine import machine_environment
from forge.model import TinyTitanConfig, TinyTitanForCausalLM
from forge.train import Trainer, TrainSettings, gather_batch, language_loss, plan_batches
from forge.train.batches import WINDOW_BATCHES
from forge.train.device import keep_freed_memory_for_training
from forge.train.flops import training_flops
from forge.train.optim import HybridOptimizer


@dataclass(frozen=True)
class Size:
    """A shape and how much of it is timed: tokens a batch, batches a round."""

    hidden: int
    heads: int
    layers: int
    ffn: int
    batch_tokens: int
    batches: int


SIZES = {"1M": Size(128, 4, 4, 384, 2048, 6), "16M": Size(384, 12, 8, 1536, 8192, 1)}
TARGETS = {
    "plain_over_llama_1M": 1.2,
    "plain_over_llama_16M": 1.0,
    "titan_over_plain_useful_1M": 0.8,
    "titan_over_plain_useful_16M": 0.8,
    "padding": 0.05,
}


@dataclass
class Contestant:
    """What one loop does in a step, and what was measured of it."""

    step: Callable[[int], None]
    parameters: int
    shape: str
    flops: list[float]  # by batch
    tokens: list[int]  # by batch, without padding
    padding: float
    seconds: list[float] = field(default_factory=list)  # by round

    def metrics(self, rounds: Sequence[range], peak: float) -> dict[str, Any]:
        """Medians over rounds."""
        rates = [sum(self.tokens[i] for i in r) / s for r, s in zip(rounds, self.seconds, strict=True)]
        useful = [sum(self.flops[i] for i in r) / s / 1e9 for r, s in zip(rounds, self.seconds, strict=True)]
        return {
            "parameters": self.parameters,
            "shape": self.shape,
            "tokens_per_s": round(statistics.median(rates)),
            "tokens_per_s_rounds": [round(rate) for rate in rates],
            "useful_gflops": round(statistics.median(useful), 1),
            "share_of_peak": round(statistics.median(useful) / peak, 3),
            "padding": round(self.padding, 4),
            "mflop_per_token": round(sum(self.flops) / sum(self.tokens) / 1e6, 2),
        }


def load_rows(folder: Path | None) -> EncodedSet:
    """The training rows of a data directory; without one they are made at scale tiny."""
    if folder is not None:
        return EncodedSet.load(folder / "train.safetensors")
    file = load_params().file
    params = type(load_params())(file.model_copy(update={"scale": "tiny"})).block("data")
    with tempfile.TemporaryDirectory() as made:
        build_data(params, 0, Path(made) / "prepared", Path(made) / "workspace")
        return EncodedSet.load(Path(made) / "prepared" / "train.safetensors")


def supervised_tokens(data: EncodedSet, index: np.ndarray) -> np.ndarray:
    """Tokens with a target of each row."""
    return np.array([int(data.row(int(i))[1][1:].sum()) for i in index])


def shape(size: Size, vocabulary: int, architecture: str, half: int, ffn: int) -> TinyTitanConfig:
    """Two modules of ``half`` blocks each."""
    return TinyTitanConfig(
        vocab_size=vocabulary,
        hidden_size=size.hidden,
        head_dim=size.hidden // size.heads,
        max_steps=2,
        window=128,
        low_heads=[size.heads] * half,
        high_heads=[size.heads] * half,
        low_ffn=[ffn] * half,
        high_ffn=[ffn] * half,
        memory_heads=size.heads // 2,
        memory_head_dim=32,
        memory_chunk=32,
        memory_capacity=4096,
        architecture=architecture,
    )


def equal_titan(size: Size, vocabulary: int, cost: Callable[[TinyTitanConfig], float]) -> TinyTitanConfig:
    """The deepest TinyTitan at the plain shape's cost whose feed-forward networks do not narrow."""
    goal = cost(shape(size, vocabulary, "plain", size.layers // 2, size.ffn))
    for half in range(size.layers // 2, 0, -1):
        widths = range(size.hidden, 16 * size.hidden, 16)
        best = min((shape(size, vocabulary, "titan", half, w) for w in widths), key=lambda c: abs(cost(c) - goal))
        if abs(cost(best) / goal - 1) < 0.02:
            return best
    raise SystemExit("no TinyTitan of these FLOPs")


def ours(size: Size, data: EncodedSet, plan: list[np.ndarray], vocabulary: int, titan: bool) -> Contestant:
    """Our loop around a plain decoder, or around a TinyTitan of the same FLOPs."""
    lengths, wanted = data.lengths, [supervised_tokens(data, index) for index in plan]

    def costs(config: TinyTitanConfig) -> list[float]:
        return [training_flops(config, lengths[i], s) for i, s in zip(plan, wanted, strict=True)]

    config = shape(size, vocabulary, "plain", size.layers // 2, size.ffn)
    if titan:
        config = equal_titan(size, vocabulary, lambda c: sum(costs(c)))
    torch.manual_seed(0)
    model = TinyTitanForCausalLM(config).train()
    trainer = Trainer(model, language_loss(), TrainSettings(10_000))
    padded = sum(len(i) * int(lengths[i].max()) for i in plan)
    real = [int(lengths[i].sum()) for i in plan]

    def step(place: int) -> None:
        trainer.update(place, gather_batch(data, plan[place]))

    blocks = f"{len(config.low_heads)}+{len(config.high_heads)} blocks, feed-forward {config.low_ffn[0]}"
    return Contestant(step, model.num_parameters(), blocks, costs(config), real, 1 - sum(real) / padded)


def llama(size: Size, data: EncodedSet, plan: list[np.ndarray], vocabulary: int) -> Contestant:
    """The plain loop around Hugging Face's model on the given batches."""
    from transformers import LlamaConfig, LlamaForCausalLM

    gated = size.ffn * 2 // 3  # three matrices instead of two
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=size.hidden,
            intermediate_size=gated,
            num_hidden_layers=size.layers,
            num_attention_heads=size.heads,
            tie_word_embeddings=True,
            max_position_embeddings=512,
            use_cache=False,
        )
    ).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    lengths = data.lengths
    real = [int(lengths[i].sum()) for i in plan]
    padded = sum(len(i) * int(lengths[i].max()) for i in plan)

    def step(place: int) -> None:
        rows = [data.row(int(i)) for i in plan[place]]
        longest = max(len(ids) for ids, _ in rows)
        ids = torch.zeros(len(rows), longest, dtype=torch.long)
        labels, mask = torch.full_like(ids, -100), torch.zeros_like(ids)
        for i, (row, supervised) in enumerate(rows):
            ids[i, : len(row)] = torch.from_numpy(row.astype(np.int64))
            labels[i, : len(row)] = torch.from_numpy(np.where(supervised, row, -100).astype(np.int64))
            mask[i, : len(row)] = 1
        optimizer.zero_grad()
        model(input_ids=ids, attention_mask=mask, labels=labels).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    matrices = sum(p.numel() for n, p in model.named_parameters() if p.dim() == 2)
    attention = 12 * size.hidden * size.layers
    flops = [float(6 * matrices * lengths[i].sum() + attention * (lengths[i].astype(float) ** 2).sum()) for i in plan]
    blocks = f"{size.layers} blocks, gated feed-forward {gated}"
    return Contestant(step, model.num_parameters(), blocks, flops, real, 1 - sum(real) / padded)


def shuffled(plan: list[np.ndarray], rounds: Sequence[range]) -> list[np.ndarray]:
    """The rows of each round in random order, as many to a batch as there were on average."""
    rng, out = np.random.default_rng(0), []
    for batches in rounds:
        rows = rng.permutation(np.concatenate([plan[i] for i in batches]))
        out += np.array_split(rows, len(batches))
    return out


def matmul_peak() -> float:
    """GFLOP/s of the best of several products."""
    best = 0.0
    for m, k, n in ((512, 512, 512), (1024, 1024, 1024), (2048, 384, 384), (2048, 128, 384)):
        a, b = torch.randn(m, k), torch.randn(k, n)
        for _ in range(6):
            began = time.perf_counter()
            a @ b
            best = max(best, 2 * m * k * n / (time.perf_counter() - began) / 1e9)
    return best


def optimizer_cost(size: Size, vocabulary: int) -> dict[str, float]:
    """Milliseconds of one update, median of 5: ours, and AdamW over all parameters, for the plain shape."""
    model = TinyTitanForCausalLM(shape(size, vocabulary, "plain", size.layers // 2, size.ffn))
    hybrid, adam = HybridOptimizer(model, 0.0), torch.optim.AdamW(model.parameters(), lr=1e-3)
    taken: dict[str, list[float]] = {"muon_ms": [], "adamw_ms": []}
    for _ in range(6):
        for name, update in (("adamw_ms", adam.step), ("muon_ms", lambda: hybrid.step(0.01, 0.01))):
            for parameter in model.parameters():
                parameter.grad = torch.ones_like(parameter)
            began = time.perf_counter()
            update()
            taken[name].append(1000 * (time.perf_counter() - began))
    return {name: round(statistics.median(values[1:]), 2) for name, values in taken.items()}


def measure(name: str, data: EncodedSet, rounds: int) -> dict[str, Any]:
    """All contestants at one size."""
    size = SIZES[name]
    vocabulary = int(data.ids.max()) + 1
    mix = load_params().block("cognate").trunk_mix.model_dump()
    warm = 1
    count = warm + rounds * size.batches
    # Planned as for a run: batches of similar rows come out of a window of many.
    plan = plan_batches(data, mix, max(count, 4 * WINDOW_BATCHES), size.batch_tokens, 0)[:count]
    turns = [range(warm + r * size.batches, warm + (r + 1) * size.batches) for r in range(rounds)]
    random_order = shuffled(plan, [range(warm), *turns])
    contestants = {
        "plain": ours(size, data, plan, vocabulary, titan=False),
        "titan": ours(size, data, plan, vocabulary, titan=True),
        "llama": llama(size, data, random_order, vocabulary),
        "llama_bucketed": llama(size, data, plan, vocabulary),
    }
    for contestant in contestants.values():
        contestant.step(0)
    peak = matmul_peak()
    for turn in turns:
        for contestant in contestants.values():
            began = time.perf_counter()
            for place in turn:
                contestant.step(place)
            contestant.seconds.append(time.perf_counter() - began)
        peak = max(peak, matmul_peak())
    found: dict[str, Any] = {n: c.metrics(turns, peak) for n, c in contestants.items()}
    step_ms = 1000 * statistics.median(contestants["plain"].seconds) / size.batches
    cost = optimizer_cost(size, vocabulary)
    cost |= {"plain_step_ms": round(step_ms, 1), "muon_share_of_step": round(cost["muon_ms"] / step_ms, 3)}
    return {"batch_tokens": size.batch_tokens, "peak_gflops": round(peak, 1), **found, "optimizer": cost}


def verdicts(sizes: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The targets, with what was measured."""
    found: dict[str, float] = {}
    for name, size in sizes.items():
        found[f"plain_over_llama_{name}"] = size["plain"]["tokens_per_s"] / size["llama"]["tokens_per_s"]
        found[f"titan_over_plain_useful_{name}"] = size["titan"]["useful_gflops"] / size["plain"]["useful_gflops"]
    out = {n: {"target": TARGETS[n], "measured": round(v, 3), "met": v >= TARGETS[n]} for n, v in found.items()}
    worst = max((size[c]["padding"] for size in sizes.values() for c in ("plain", "titan")), default=math.nan)
    return out | {"padding": {"target": TARGETS["padding"], "measured": worst, "met": worst < TARGETS["padding"]}}


def report(name: str, size: dict[str, Any]) -> None:
    """Print a size as a table."""
    print(f"\n{name}: batches of {size['batch_tokens']} tokens, matmul peak {size['peak_gflops']} GFLOP/s")
    print(f"{'':16}{'parameters':>12}{'tokens/s':>10}{'GFLOP/s':>9}{'of peak':>9}{'padding':>9}{'MFLOP/token':>13}")
    for key in ("plain", "titan", "llama", "llama_bucketed"):
        row = size[key]
        print(
            f"{key:16}{row['parameters']:12,}{row['tokens_per_s']:10,}{row['useful_gflops']:9.1f}"
            f"{row['share_of_peak']:9.1%}{row['padding']:9.1%}{row['mflop_per_token']:13.2f}  {row['shape']}"
        )
    cost = size["optimizer"]
    print(
        f"one update of the plain shape: {cost['muon_ms']} ms with Muon ({cost['muon_share_of_step']:.1%} of a step),"
        f" {cost['adamw_ms']} ms with AdamW alone"
    )


def main(arguments: list[str] | None = None) -> int:
    """Measure, print tables, print JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--data", type=Path, help="a directory as the data stage writes it; made anew where left out")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    keep_freed_memory_for_training()
    data = load_rows(options.data)
    sizes = {name: measure(name, data, options.rounds) for name in options.sizes}
    for name, size in sizes.items():
        report(name, size)
    print(
        json.dumps(
            {"threads": options.threads, "sizes": sizes, "targets": verdicts(sizes), "machine": machine_environment()}
        )
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
