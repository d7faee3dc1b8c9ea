"""Training: batches, optimizer, losses, the loop, checkpoints."""

from forge.train.batches import Batch, collate, gather_batch, padding_share, plan_batches
from forge.train.checkpoint import load_checkpoint, save_checkpoint
from forge.train.fit import ADAM_RATIO, MIX, fit
from forge.train.loop import Trainer, TrainResult, TrainSettings, train
from forge.train.losses import answers_without_tools, distillation_loss, language_loss
from forge.train.optim import Grokfast, HybridOptimizer, orthogonalize, schedule

__all__ = [
    "ADAM_RATIO",
    "MIX",
    "Batch",
    "Grokfast",
    "HybridOptimizer",
    "TrainResult",
    "TrainSettings",
    "Trainer",
    "answers_without_tools",
    "collate",
    "distillation_loss",
    "fit",
    "gather_batch",
    "language_loss",
    "load_checkpoint",
    "orthogonalize",
    "padding_share",
    "plan_batches",
    "save_checkpoint",
    "schedule",
    "train",
]
