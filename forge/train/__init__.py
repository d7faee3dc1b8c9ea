"""Training: batches, optimizer, losses, the loop, checkpoints."""

from forge.train.batches import Batch, collate, gather_batch, padding_share, plan_batches
from forge.train.checkpoint import load_checkpoint, save_checkpoint
from forge.train.fit import fit, loop_settings
from forge.train.loop import Trainer, TrainResult, TrainSettings, train
from forge.train.losses import answers_without_tools, distillation_loss, language_loss
from forge.train.optim import Grokfast, HybridOptimizer, orthogonalize, schedule

__all__ = [
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
    "loop_settings",
    "orthogonalize",
    "padding_share",
    "plan_batches",
    "save_checkpoint",
    "schedule",
    "train",
]
