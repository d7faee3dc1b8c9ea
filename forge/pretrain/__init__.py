"""Phase 1, Cognate: the trunk and its three branches."""

from forge.pretrain.cognate import new_model, train_branch, train_trunk

__all__ = ["new_model", "train_branch", "train_trunk"]
