"""Training: batches, optimizer, losses, the loop, checkpoints."""

from forge.train.batches import Batch, collate, gather_batch, padding_share, plan_batches
from forge.train.checkpoint import load_checkpoint, save_checkpoint
from forge.train.fit import train_on_planned_batches, training_loop_settings, training_settings_of_one_rate
from forge.train.loop import Trainer, TrainResult, TrainSettings, train
from forge.train.losses import (
    distillation_loss,
    language_loss,
    loss_flags_without_call,
    loss_settings,
    teaching_loss,
)
from forge.train.optim import Grokfast, HybridOptimizer, orthogonalize_muon_update, schedule

__all__ = [
    "Batch",
    "Grokfast",
    "HybridOptimizer",
    "TrainResult",
    "TrainSettings",
    "Trainer",
    "collate",
    "distillation_loss",
    "gather_batch",
    "language_loss",
    "load_checkpoint",
    "loss_flags_without_call",
    "loss_settings",
    "orthogonalize_muon_update",
    "padding_share",
    "plan_batches",
    "save_checkpoint",
    "schedule",
    "teaching_loss",
    "train",
    "train_on_planned_batches",
    "training_loop_settings",
    "training_settings_of_one_rate",
]
