"""Titans neural memory in chunked parallel form, gated into the residual stream (MAG; arXiv 2501.00663,
sections 3 and 4.2).

The memory is a matrix M per head, trained while the sequence is read. With normalised key k, value v and
rates in [0,1]:

    surprise   u_t = theta_t * (v_t - M_c k_t) k_t^T        (minus the gradient of |M k - v|^2 / 2)
    momentum   S_t = eta_t S_{t-1} + u_t
    forgetting M_t = (1 - alpha_t) M_{t-1} + S_t
    read       y_t = M_t q_t

As in the paper's chunked form, gradients inside a chunk are taken at the weights of its start, M_c (section
3.2); then both recurrences are linear and a chunk is a few matrix products. Shapes: b batch, h heads, t time,
m head dimension.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from forge.model.blocks import CoreLinear, rms_norm

ERROR_LIMIT = 4.0  # soft clamp of the surprise: one outlier must not blow up the matrix


@dataclass
class MemoryState:
    """M at the start of the current chunk, M and momentum now (each b,h,m,m), tokens read per row (b)."""

    chunk_start: Tensor
    matrix: Tensor
    momentum: Tensor
    length: Tensor

    def rows(self, index: Tensor) -> MemoryState:
        """The state of some rows of the batch."""
        return MemoryState(
            self.chunk_start[index], self.matrix[index], self.momentum[index], self.length[index]
        )


class NeuralMemory(nn.Module):
    """Associative memory beside the attention of one block. ``capacity`` (tokens) bounds forgetting: alpha <=
    chunk/capacity."""

    def __init__(self, hidden: int, heads: int, head_dim: int, chunk: int, capacity: int) -> None:
        super().__init__()
        self.heads, self.head_dim, self.chunk, self.capacity = heads, head_dim, chunk, capacity
        self.q = CoreLinear(hidden, heads * head_dim)
        self.k = CoreLinear(hidden, heads * head_dim)
        self.v = CoreLinear(hidden, heads * head_dim)
        self.o = CoreLinear(heads * head_dim, hidden)
        self.gate = nn.Linear(hidden, 4 * heads)

    def empty_state(self, batch: int) -> MemoryState:
        """Nothing read yet."""
        zero = self.gate.weight.new_zeros(batch, self.heads, self.head_dim, self.head_dim)
        return MemoryState(zero, zero, zero, torch.zeros(batch, dtype=torch.long, device=zero.device))

    def forward(
        self, x: Tensor, state: MemoryState | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, MemoryState]:
        """x (b,t,d), normalised. ``lengths`` (b) masks right padding, which leaves the state alone."""
        batch, time, _ = x.shape
        state = self.empty_state(batch) if state is None else state
        split = lambda y: y.view(batch, time, self.heads, self.head_dim).transpose(1, 2)  # noqa: E731
        query = F.normalize(split(self.q(x)), dim=-1)
        key = F.normalize(split(self.k(x)), dim=-1)
        value = split(self.v(x))
        valid = torch.ones(batch, time, dtype=torch.bool, device=x.device)
        if lengths is not None:
            valid = torch.arange(time, device=x.device) < lengths[:, None]
        rates = self._rates(x, valid)
        outputs = []
        # Rows of a longer call start at the same phase of a chunk; a call of one token meets each at its own.
        phase, start = int(state.length[0]) % self.chunk, 0
        while start < time:
            stop = min(time, start + self.chunk - (phase + start) % self.chunk) if time > 1 else 1
            piece = slice(start, stop)
            read, state = self._chunk(query[:, :, piece], key[:, :, piece], value[:, :, piece],
                                      tuple(r[:, :, piece] for r in rates), valid[:, piece], state)
            outputs.append(read)
            start = stop
        out = torch.cat(outputs, dim=2)
        gate = torch.sigmoid(self.gate(x)[..., 3 * self.heads :]).transpose(1, 2).unsqueeze(-1)
        mixed = (rms_norm(out) * gate).transpose(1, 2).flatten(2)
        return self.o(mixed), state

    def _rates(self, x: Tensor, valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Data-dependent theta, eta, alpha, each (b,h,t); padding gets (0,1,0), which changes nothing."""
        raw = self.gate(x)[..., : 3 * self.heads].transpose(1, 2)
        theta, eta, alpha = raw.sigmoid().chunk(3, dim=1)
        keep = valid[:, None]
        decay = min(1.0, self.chunk / self.capacity)
        return theta * keep, torch.where(keep, eta * 0.9, 1.0), alpha * (0.5 * decay) * keep

    def _chunk(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        rates: tuple[Tensor, ...],
        valid: Tensor,
        state: MemoryState,
    ) -> tuple[Tensor, MemoryState]:
        """One piece of a chunk: y_t = a_t M q_t + b_t S q_t + sum_r W_tr (k_r . q_t) theta_r error_r."""
        theta, eta, alpha = rates
        at_start = (state.length % self.chunk == 0)[:, None, None, None]
        chunk_start = torch.where(at_start, state.matrix, state.chunk_start)
        error = value - key @ chunk_start.transpose(-1, -2)
        error = ERROR_LIMIT * torch.tanh(error / ERROR_LIMIT) * theta.unsqueeze(-1)
        forget, momentum = _decay_products(1 - alpha), _decay_products(eta)
        writes = forget[..., 1:] * valid[:, None, None, :]
        weight = writes @ momentum[..., 1:]
        on_momentum = (writes @ momentum[..., :1])
        read = forget[..., :1] * (query @ state.matrix.transpose(-1, -2))
        read = read + on_momentum * (query @ state.momentum.transpose(-1, -2))
        read = read + (weight * (query @ key.transpose(-1, -2))) @ error
        last = weight[..., -1:, :].transpose(-1, -2)
        matrix = forget[..., -1:, :1] * state.matrix + on_momentum[..., -1:, :] * state.momentum
        matrix = matrix + (error * last).transpose(-1, -2) @ key
        moved = momentum[..., -1:, 1:].transpose(-1, -2)
        new_momentum = momentum[..., -1:, :1] * state.momentum + (error * moved).transpose(-1, -2) @ key
        length = state.length + valid.sum(dim=1)
        return read, MemoryState(chunk_start, matrix, new_momentum, length)


def _decay_products(rate: Tensor) -> Tensor:
    """(b,h,t) -> (b,h,t,t+1): entry [i,0] is the product of rates 0..i, [i,j+1] the product of rates j+1..i,
    0 above the diagonal."""
    time = rate.shape[-1]
    logs = torch.cumsum(torch.log(rate.clamp(min=1e-6)), dim=-1)
    inside = torch.tril(torch.exp(torch.tril(logs.unsqueeze(-1) - logs.unsqueeze(-2))))
    return torch.cat((torch.exp(logs).unsqueeze(-1), inside[..., :time]), dim=-1)
