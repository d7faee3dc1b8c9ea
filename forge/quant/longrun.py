"""Phase 5, Forge: the long training loop on the ternary model, with the Grokfast filter, a curriculum and a grokking
detector."""

from __future__ import annotations

from typing import Any

import numpy as np

from forge.data.dataset import EncodedSet
from forge.evals.likelihood import likelihood
from forge.files import atomic_write_json, read_json
from forge.model import TinyTitanForCausalLM
from forge.train import ADAM_RATIO, TrainResult, TrainSettings, fit, language_loss
from forge.train.grokking import Point

# Easier problems first, then all of them: difficulty is the rank of a problem within its family.
CURRICULUM = ((0.15, 0.6), (0.85, 1.0))
PROBE_ROWS = 128


class AccuracyProbe:
    """Exact match on fixed training and validation samples every so many steps; survives a resume through a file."""

    def __init__(self, run: Any, model: TinyTitanForCausalLM, train: EncodedSet, val: EncodedSet) -> None:
        self.run, self.model = run, model
        self.sets = [_sample(train, run.seed), _sample(val, run.seed)]
        self.path = run.checkpoint_dir / "probe.json"
        self.points = [Point(**p) for p in read_json(self.path)] if self.path.is_file() else []

    def __call__(self, step: int, metrics: dict[str, float]) -> None:
        """Measure if it is time."""
        if step % self.run.params.eval_every and step != self.run.params.steps:
            return
        train, val = (likelihood(self.model, sample).accuracy for sample in self.sets)
        self.model.train()
        # A resumed run repeats the steps since its checkpoint: what was measured there before is dropped.
        self.points = [p for p in self.points if p.step < step] + [Point(step, train, val)]
        atomic_write_json(self.path, [vars(p) for p in self.points])
        self.run.log(
            step, **{"val/accuracy": val, "train/accuracy_exact": train, "val/generalization_gap": train - val}
        )


def _sample(data: EncodedSet, seed: int) -> EncodedSet:
    pool = data.where("direct", "tooled", "tool")
    return data.subset(
        np.sort(np.random.default_rng(seed).choice(pool, size=min(PROBE_ROWS, len(pool)), replace=False))
    )


def train_long(
    run: Any, model: TinyTitanForCausalLM, train: EncodedSet, val: EncodedSet, shares: dict[str, float]
) -> tuple[TrainResult, list[Point]]:
    """Train ``model`` in place; the loop's result and the probe's measurements."""
    p = run.params
    settings = TrainSettings(
        steps=p.steps,
        muon_lr=p.lr,
        adam_lr=p.lr * ADAM_RATIO,
        decay_fraction=0.6,
        checkpoint_every=p.checkpoint_every,
        grokfast_alpha=p.grokfast_alpha,
        grokfast_lambda=p.grokfast_lambda,
    )
    probe = AccuracyProbe(run, model, train, val)
    result = fit(
        run, model, train, shares, language_loss(), settings, p.batch_tokens, curriculum=CURRICULUM, on_step=probe
    )
    return result, probe.points
