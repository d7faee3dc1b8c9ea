"""Phase 1, Cognate: the trunk and its three branches."""

from forge.pretrain.cognate import new_model, train_branch, train_trunk
from forge.pretrain.phase import conclude_phase

__all__ = ["conclude_phase", "new_model", "train_branch", "train_trunk"]
