"""Each part of a TinyTitan on its own at equal training FLOPs: one run is one variant with one seed, trained and
measured on the suite's data, on recall beyond the window and on chains of serial steps."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from forge.ablation.problems import Chains, Recall
from forge.data.dataset import EncodedSet
from forge.errors import ForgeError
from forge.evals.likelihood import likelihood
from forge.model import TinyTitanConfig, TinyTitanForCausalLM
from forge.model.rollouts import best_titan_recurrence_rollout
from forge.train import Batch, TrainSettings, gather_batch, language_loss, plan_batches, train

VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {"architecture": "plain", "memory": False, "halting": False},
    "recurrence": {"memory": False, "halting": False},
    "memory": {"max_steps": 1, "memory": True, "halting": False},
    "act": {"memory": False, "halting": True},
    "all": {"memory": True, "halting": True},
}
CURRICULUM = 0.7
COUNTED = 3  # batches whose FLOPs stand for all
ROLLOUTS, NOISE = 8, 0.3  # at inference, in units of the latent's own size
HELD_OUT = 10_000  # added to a seed: held-out problems come from another stream
Source = Callable[[int, int], Batch]  # (step, of how many) -> batch


def variant_model(variant: str, shape: dict[str, Any], vocabulary: int, seed: int) -> TinyTitanForCausalLM:
    """A fresh model: the shape with the parts that the variant has. ForgeError for an unknown variant."""
    if variant not in VARIANTS:
        raise ForgeError(f"no variant '{variant}'; there are {', '.join(VARIANTS)}")
    torch.manual_seed(seed)
    return TinyTitanForCausalLM(TinyTitanConfig(vocab_size=vocabulary, **{**shape, **VARIANTS[variant]}))


def ablation_flops_per_step(model: TinyTitanForCausalLM, source: Source) -> float:
    """Multiplications and additions of one training step's matrix products, forward and backward, counted as they
    run."""
    # The counter knows attention by its products alone, not the fused kernel.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        for number in range(COUNTED):
            torch.autograd.backward(language_loss()(model, source(number, COUNTED))[0])
    model.zero_grad(set_to_none=True)
    return float(counter.get_total_flops() / COUNTED)


def train_variant_to_budget(
    model: TinyTitanForCausalLM, source: Source, budget: float, settings: dict[str, Any], name: str
) -> dict[str, float]:
    """Train until ``budget`` FLOPs are spent; what it took."""
    cost = ablation_flops_per_step(model, source)
    steps = max(1, round(budget / cost))
    chosen = TrainSettings(steps=steps, **settings)
    result = train(model, lambda step: source(step, steps), language_loss(), chosen, name=name)
    return {"steps": steps, "flops": cost * steps, "seconds": result.seconds, "train_loss": result.final_loss}


def ablation_batch_source(task: Recall | Chains, rows: int, seed: int) -> Source:
    """An endless stream of fresh batches; chains from short to long over the first CURRICULUM of the training."""

    def batch(step: int, steps: int) -> Batch:
        rng = np.random.default_rng((seed, step))
        if isinstance(task, Recall):
            return task.batch(rng, rows)[0]
        longest = min(task.longest, 1 + int(task.longest * step / (CURRICULUM * steps)))
        return task.batch(rng, rows, longest)[0]

    return batch


@torch.no_grad()
def ablation_recall_scores(model: TinyTitanForCausalLM, task: Recall, rows: int, seed: int) -> dict[str, float]:
    """Held-out recall; ``chance`` is one in the number of values."""
    batch, _ = task.batch(np.random.default_rng(HELD_OUT + seed), rows)
    logits = model.predictions(batch.ids, batch.select, batch.valid)[-1][0]
    right = logits.argmax(-1) == batch.targets[batch.valid]
    return {"accuracy": float(right.float().mean()), "chance": 1 / task.values}


@torch.no_grad()
def ablation_chain_scores(model: TinyTitanForCausalLM, task: Chains, rows: int, seed: int) -> dict[str, Any]:
    """Held-out chains: accuracy at every step count and with halting, steps taken against links."""
    batch, links = task.batch(np.random.default_rng(HELD_OUT + seed), rows, held_out=True)
    outputs = model.predictions(batch.ids, batch.select, batch.valid)
    right = torch.stack([logits.argmax(-1) == batch.targets[batch.valid] for logits, _ in outputs]).numpy()
    flat = links.ravel()
    scores: dict[str, Any] = {
        "accuracy": float(right[-1].mean()),
        "accuracy_at_steps": [float(r.mean()) for r in right],
        "accuracy_at_length": [float(right[-1][flat == n].mean()) for n in sorted(set(flat.tolist()))],
        "chance": 1 / task.symbols,
    }
    return scores | (ablation_halting_scores(model, batch, right, flat) if hasattr(model, "halt") else {})


def ablation_halting_scores(
    model: TinyTitanForCausalLM, batch: Batch, right: np.ndarray, difficulty: np.ndarray
) -> dict[str, float]:
    """How well the head stops: right (steps,n) and difficulty (n) of the batch's questions.

    ``compute``: recurrence steps taken at the answers against all steps. ``auc``: whether the head's score orders
    (question, step) pairs by "no later step is right where this one is wrong"; ``halt_base_rate`` is how often that
    holds.
    """
    from sklearn.metrics import roc_auc_score

    trace = model.at(model.prefill(batch.ids, model.embedding_weight()), batch.select)
    high, taken = model.run_until_halt(trace)
    logits = torch.nn.functional.linear(high, model.embedding_weight())
    steps = taken[batch.valid].numpy()
    outputs = model.predictions(batch.ids, batch.select, batch.valid)
    head = np.stack([halt.numpy() for _, halt in outputs[:-1] if halt is not None])
    later = np.logical_or.accumulate(right[::-1])[::-1][1:]
    stop = right[:-1] | ~later
    varied = len(np.unique(steps)) > 1
    rolled = torch.nn.functional.linear(
        best_titan_recurrence_rollout(model, trace, ROLLOUTS, NOISE, seed=0)[0], model.embedding_weight()
    )
    return {
        "halting_accuracy": float((logits.argmax(-1) == batch.targets)[batch.valid].float().mean()),
        "rollouts_accuracy": float((rolled.argmax(-1) == batch.targets)[batch.valid].float().mean()),
        "mean_steps": float(steps.mean()),
        "compute": float(steps.mean()) / model.steps,
        "rank_correlation": float(spearmanr(steps, difficulty).statistic) if varied else 0.0,
        "auc": float(roc_auc_score(stop.ravel(), head.ravel())) if 0 < stop.mean() < 1 else 0.5,
        "halt_base_rate": float(stop.mean()),
    }


def ablation_suite_scores(model: TinyTitanForCausalLM, test: EncodedSet) -> dict[str, float]:
    """Held-out loss (nats per token) and exact match, teacher-forced with halting, by kind of example."""
    scores = {}
    for kind in ("direct", "tooled", "tool", "recall"):
        found = likelihood(model, test, test.where(kind))
        scores[f"{kind}_loss"] = found.loss
        scores[f"{kind}_exact"] = found.accuracy
    every = likelihood(model, test)
    return {**scores, "loss": every.loss, "mean_steps": float(every.steps.mean())}


def run_variant(variant: str, seed: int, params: dict[str, Any], prepared: Path) -> dict[str, Any]:
    """Train and measure one variant; ``prepared`` holds the suite's data. See ablations/params.yaml for ``params``."""
    started = time.perf_counter()
    out: dict[str, Any] = {"variant": variant, "seed": seed}
    for name, kind in (("recall", Recall), ("chains", Chains)):
        p = params[name]
        task: Any = kind(**p["task"])
        model = variant_model(variant, p["shape"], task.vocabulary, seed)
        spent = train_variant_to_budget(
            model, ablation_batch_source(task, p["rows"], seed), p["gflops"] * 1e9, params["training"], name
        )
        score = ablation_recall_scores if name == "recall" else ablation_chain_scores
        out[name] = spent | score(model, task, p["held_out_rows"], seed)
    p = params["suite"]
    data, test = (EncodedSet.load(prepared / f"{split}.safetensors") for split in ("train", "test"))
    model = variant_model(variant, p["shape"], p["vocabulary"], seed)
    plan = plan_batches(data, p["mix"], p["plan_steps"], p["batch_tokens"], seed)
    source: Source = lambda step, _: gather_batch(data, plan[step % len(plan)])  # noqa: E731
    spent = train_variant_to_budget(model, source, p["gflops"] * 1e9, params["training"], "suite")
    out["suite"] = spent | ablation_suite_scores(model, test)
    return out | {"parameters": model.num_parameters(), "seconds": time.perf_counter() - started}
