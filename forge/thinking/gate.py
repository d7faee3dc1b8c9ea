"""The mixing gate: how much of the state after a thought enters the state that predicts the answer.

Quiet-STaR (arXiv 2403.09629, section 4.3) mixes predictions; its released code mixes the hidden states before
the output embedding, which is what this does. Its weight is an unbounded linear output; ours is a sigmoid.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

# Adam moves a weight by its learning rate whatever the gradient's size, and the gate has far to go in few
# steps; this multiplies its reach (the released code does the same to the thought tokens, by 100).
SPEED = 10.0


class ThoughtGate(nn.Module):
    """Two layers on [state without thought, state after thought]; the last one's weights start at zero.

    Also keeps the running scale of the rewards, so that a checkpoint of the model holds it.

    Args:
        hidden: width d of the states.
        seed: of the first layer's weights.
        start: weight of a thought before training, between 0 and 1.
        reward_keep: share of the rewards' running mean square that a step keeps.
    """

    reward_square: Tensor
    reward_count: Tensor

    def __init__(self, hidden: int, seed: int = 0, start: float = 0.02, reward_keep: float = 0.95) -> None:
        super().__init__()
        self.reward_keep = reward_keep
        self.inner = nn.Linear(2 * hidden, hidden)
        self.outer = nn.Linear(hidden, 1)
        generator = torch.Generator().manual_seed(seed)
        nn.init.normal_(self.inner.weight, std=(2 * hidden) ** -0.5, generator=generator)
        nn.init.zeros_(self.inner.bias)
        nn.init.zeros_(self.outer.weight)
        nn.init.constant_(self.outer.bias, math.log(start / (1 - start)) / SPEED)
        self.register_buffer("reward_square", torch.zeros(()))
        self.register_buffer("reward_count", torch.zeros(()))

    def weight(self, base: Tensor, thought: Tensor) -> Tensor:
        """Weights (...,1) in 0..1 from states (...,d)."""
        hidden = torch.relu(self.inner(torch.cat((base, thought), dim=-1)))
        return torch.sigmoid(SPEED * self.outer(hidden))

    def forward(self, base: Tensor, thought: Tensor) -> tuple[Tensor, Tensor]:
        """Mixed states (...,d) and the weights (...,1)."""
        weight = self.weight(base, thought)
        return base + weight * (thought - base), weight

    @torch.no_grad()
    def normalize(self, advantage: Tensor) -> Tensor:
        """Divide advantages by their running root mean square over the steps so far."""
        keep = torch.minimum(self.reward_count / (self.reward_count + 1), torch.tensor(self.reward_keep))
        self.reward_square.mul_(keep).add_((1 - keep) * advantage.square().mean())
        self.reward_count.add_(1)
        return advantage / (self.reward_square.sqrt() + 1e-8)
