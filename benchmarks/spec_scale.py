"""Scale `spec` on a CPU: it builds, trains, resumes, is evaluated and benchmarked, in pieces of some minutes each.

    python benchmarks/spec_scale.py [--scale spec] [--steps 200] [--batch-tokens 2048] [--minutes 7] [--data DIR]

Trains the scale's model on rows of the data stage until ``--steps`` steps are done or ``--minutes`` are over; called
again it goes on from its checkpoint, in ``--out``. At the end it evaluates the model on validation rows, writes a model
directory and runs the agent's bench on it. Steps of the scale's own batch (``batch_tokens`` in params.yaml, in
micro-batches of ``--batch-tokens``) are timed with ``--full-steps``. Rows are those of the data directory whatever the
scale; the model has the whole vocabulary of the scale.

Memory is what training adds to the resident set of the process, against the estimate made before it starts
(`forge.train.memory`). The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from forge.config import load_params
from forge.data.dataset import EncodedSet
from forge.errors import Interrupted
from forge.evals.likelihood import likelihood
from forge.host.machine import machine_environment, peak_ram_mb
from forge.model import TinyTitanForCausalLM, load_model, save_model
from forge.phases.cognate.training import cognate_settings, new_cognate_model
from forge.runtime.bench import bench_isolated
from forge.train import TrainSettings, gather_batch, language_loss, plan_batches, train
from forge.train.checkpoint import load_checkpoint
from forge.train.fit import max_supervised_batch_tokens
from forge.train.flops import training_flops
from forge.train.memory import estimate_training_bytes

EVALUATED = 200  # validation rows


def shares(model: TinyTitanForCausalLM) -> dict[str, int]:
    """Parameters by part."""
    found: dict[str, int] = {}
    for name, parameter in model.named_parameters():
        part = name.split(".")[0]
        found[part] = found.get(part, 0) + parameter.numel()
    return found | {"total": sum(found.values())}


class Piece:
    """One piece of the run: times of its steps, and the end of its minutes."""

    def __init__(self, minutes: float) -> None:
        self.ends, self.marks = time.monotonic() + 60 * minutes, [time.perf_counter()]

    def mark(self, step: int, metrics: dict[str, float]) -> None:
        """After a step."""
        self.marks.append(time.perf_counter())

    def over(self) -> bool:
        """Whether the minutes are over."""
        return time.monotonic() > self.ends

    def seconds_per_step(self) -> float | None:
        """Median, the first step left out where there are others."""
        taken = np.diff(self.marks)
        return float(np.median(taken[1:] if len(taken) > 1 else taken)) if len(taken) else None


def run_steps(
    model: TinyTitanForCausalLM,
    data: EncodedSet,
    settings: TrainSettings,
    batch_tokens: int,
    minutes: float,
    out: Path | None,
) -> dict[str, Any]:
    """Train for a piece; memory before and after against the estimate."""
    mix = load_params().block("cognate").trunk_mix.model_dump()
    plan = plan_batches(data, mix, max(settings.steps, 100), batch_tokens, 0)[: settings.steps]
    parts = settings.accumulate
    longest = int(data.lengths[np.concatenate(plan)].max())
    estimate = (
        estimate_training_bytes(
            model.config,
            batch_tokens // parts,
            supervised_tokens=max_supervised_batch_tokens(data, plan) // parts,
            row_tokens=min(128, longest),
        )
        / 1e6
    )
    before, piece = psutil.Process().memory_info().rss / 1e6, Piece(minutes)
    done = settings.steps
    try:
        train(
            model,
            lambda step: gather_batch(data, plan[step]),
            language_loss(),
            settings,
            name="steps",
            checkpoint_dir=out,
            stop=piece.over,
            on_step=piece.mark,
        )
    except Interrupted as paused:
        done = paused.step
    added = peak_ram_mb() - before
    took, padded = piece.seconds_per_step(), [len(i) * int(data.lengths[i].max()) for i in plan]
    rows = [(data.lengths[i], np.array([int(data.row(int(j))[1][1:].sum()) for j in i])) for i in plan[:20]]
    flops = statistics.mean(training_flops(model.config, *row) for row in rows)
    return {
        "steps_done": done,
        "steps_in_this_piece": len(piece.marks) - 1,
        "batch_tokens": batch_tokens,
        "micro_batches": parts,
        "seconds_per_step": took,
        "tokens_with_padding_per_step": statistics.mean(padded),
        "useful_gflop_per_step": flops / 1e9,
        "useful_gflops": flops / 1e9 / took if took else None,
        "memory_before_mb": before,
        "memory_added_mb": added,
        "memory_estimated_mb": estimate,
        "estimate_over_measured": estimate / added,
        "peak_memory_mb": peak_ram_mb(),
    }


def finish(out: Path, model: TinyTitanForCausalLM, data_dir: Path) -> dict[str, Any]:
    """Evaluate the trained model, write it as a directory, load it again and bench it."""
    began = time.perf_counter()
    rows = EncodedSet.load(data_dir / "val.safetensors")
    chosen = np.random.default_rng(0).permutation(len(rows))[:EVALUATED]
    scored = likelihood(model, rows, chosen)
    seconds = time.perf_counter() - began
    folder = out / "model"
    save_model(model, folder)
    for file in (data_dir / "tokenizer").iterdir():
        shutil.copy(file, folder / file.name)
    again = likelihood(load_model(folder), rows, chosen[:20])
    return {
        "evaluated_rows": len(chosen),
        "evaluation_seconds": seconds,
        "perplexity": scored.perplexity,
        "exact_match": scored.accuracy,
        "loaded_agrees": bool(np.allclose(again.nll, scored.nll[:20], rtol=1e-3)),
        "bench": bench_isolated(folder, repeats=5, rounds=1),
    }


def main(arguments: list[str] | None = None) -> int:
    """Run a piece, print what was found, print JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scale", default="spec")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch-tokens", type=int, default=2048)
    parser.add_argument("--minutes", type=float, default=7.0)
    parser.add_argument("--full-steps", type=int, default=0, help="time so many steps of the scale's own batch instead")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--data", type=Path, default=Path("data/prepared"))
    parser.add_argument("--out", type=Path, default=Path(".forge/spec_scale"))
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    loaded = load_params()
    params = type(loaded)(loaded.file.model_copy(update={"scale": options.scale})).block("cognate")
    data = EncodedSet.load(options.data / "train.safetensors")
    vocabulary = loaded.file.scales[options.scale].data.vocab_size
    model = new_cognate_model(params, vocabulary, 0)
    found: dict[str, Any] = {"scale": options.scale, "parameters": shares(model), "threads": options.threads}
    full = options.full_steps > 0
    steps, tokens = (options.full_steps, params.batch_tokens) if full else (options.steps, options.batch_tokens)
    parts = math.ceil(tokens / options.batch_tokens)
    settings = replace(cognate_settings(params, steps), accumulate=parts, checkpoint_every=10**6)
    out = None if full else options.out
    found["training"] = run_steps(model, data, settings, tokens, options.minutes, out and out / "checkpoints")
    if out is not None and found["training"]["steps_done"] == steps:
        if load_checkpoint(out / "checkpoints") is None:
            print("all in one piece: nothing was resumed")
        found["result"] = finish(out, model, options.data)
    for name, value in {**found["training"], **found.get("result", {})}.items():
        print(f"{name:32}{value:.4g}" if isinstance(value, float) else f"{name:32}{value}")
    print(json.dumps({**found, "machine": machine_environment()}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
