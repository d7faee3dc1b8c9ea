"""Titans neural memory in chunked parallel form, gated into the residual stream (MAG; arXiv 2501.00663,
sections 3 and 4.2).

The memory is a matrix M per head, trained while the sequence is read. With normalized key k (mixed with the
token before, the short convolution of section 4.4: a value's position knows its key), value v and rates in
[0,1]:

    surprise   u_t = theta_t * (v_t - M_c k_t) k_t^T        (minus the gradient of |M k - v|^2 / 2)
    momentum   S_t = eta_t S_{t-1} + u_t
    forgetting M_t = (1 - alpha_t) M_{t-1} + S_t
    read       y_t = M_t q_t

As in the paper's chunked form, gradients inside a chunk are taken at the weights of its start, M_c (section
3.2); then both recurrences are linear inside a chunk. All that depends on the input alone is computed for all
chunks at once; what must wait for M_c is a loop over chunks of two products of (c,m) by (m,m). A single token, as in
decoding, takes the equations as they stand. Shapes: b batch, h heads, t time, n chunks of c tokens, m head dimension.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from forge.model.blocks import CoreLinear, rms_norm

ERROR_LIMIT = 4.0  # soft clamp of the surprise: one outlier must not blow up the matrix
KEY_SHIFT = 0.5  # where the share of the token before starts
KEY_FLOOR = 1e-2  # keys and queries shorter than this stay short instead of becoming noise of length 1


@dataclass
class MemoryState:
    """M at the start of the current chunk, M and momentum now (each b,h,m,m), the last token's key before
    mixing (b,h,1,m), tokens read per row (b)."""

    chunk_start: Tensor
    matrix: Tensor
    momentum: Tensor
    last_key: Tensor
    length: Tensor

    def rows(self, index: Tensor) -> MemoryState:
        """The state of some rows of the batch."""
        return MemoryState(*(getattr(self, f.name)[index] for f in fields(self)))

    def detach(self) -> MemoryState:
        """The same numbers without their history: gradients end at the border of a segment."""
        return MemoryState(*(getattr(self, f.name).detach() for f in fields(self)))


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
        # Share of the token before in a key, per channel.
        self.key_shift = nn.Parameter(torch.full((heads * head_dim,), KEY_SHIFT))

    def empty_state(self, batch: int) -> MemoryState:
        """Nothing read yet."""
        zero = self.gate.weight.new_zeros(batch, self.heads, self.head_dim, self.head_dim)
        length = torch.zeros(batch, dtype=torch.long, device=zero.device)
        return MemoryState(zero, zero, zero, zero[:, :, :1], length)

    def forward(
        self, x: Tensor, state: MemoryState | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, MemoryState]:
        """x (b,t,d), normalized. ``lengths`` (b) masks right padding, which leaves the state alone.

        No gradient flows into ``state``. Rows of a call of several tokens start at the same phase of a chunk, that of
        the longest; shorter ones have length 0. A call of one token meets each row at its own.
        """
        batch, time, _ = x.shape
        state = self.empty_state(batch) if state is None else state.detach()
        query, raw_key, value = self.projected(x)
        query, key = l2_normalize_memory_keys(query), self.mixed_keys(raw_key, state.last_key)
        raw_gates = self.gate(x).transpose(1, 2)
        gate = torch.sigmoid(raw_gates[:, 3 * self.heads :]).unsqueeze(-1)
        if time == 1 and lengths is None:
            read, after = self._one(query, key, value, raw_gates, state)
            after.last_key = raw_key
            return self._gated(read, gate), after
        valid = torch.ones(batch, time, dtype=torch.bool, device=x.device)
        if lengths is not None:
            valid = torch.arange(time, device=x.device) < lengths[:, None]
        read, after = self._scan(query, key, value, self._rates(raw_gates, valid), valid, state)
        count = valid.sum(dim=1)
        rows = torch.arange(batch, device=x.device)
        newest = raw_key[rows, :, (count - 1).clamp(min=0)].unsqueeze(2)
        after.last_key = torch.where((count > 0)[:, None, None, None], newest, state.last_key)
        return self._gated(read, gate), after

    def projected(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of x (b,t,d), each (b,h,t,m), as the projections give them."""
        split = lambda y: y.unflatten(-1, (self.heads, self.head_dim)).transpose(1, 2)  # noqa: E731
        return split(self.q(x)), split(self.k(x)), split(self.v(x))

    def _gated(self, read: Tensor, gate: Tensor) -> Tensor:
        return self.o((rms_norm(read) * gate).transpose(1, 2).flatten(2))

    def _one(
        self, query: Tensor, key: Tensor, value: Tensor, raw_gates: Tensor, state: MemoryState
    ) -> tuple[Tensor, MemoryState]:
        """The read (b,h,1,m) and the state after one token, in few passes over the matrices: they are what it costs."""
        begins = (state.length % self.chunk == 0)[:, None, None, None]
        start = torch.where(begins, state.matrix, state.chunk_start)
        theta, eta, alpha = (r.unsqueeze(-1) for r in self._rates(raw_gates, None))
        error = value - key @ start.transpose(-1, -2)
        error = ERROR_LIMIT * torch.tanh(error / ERROR_LIMIT) * theta
        momentum = torch.addcmul(error.transpose(-1, -2) * key, eta, state.momentum)
        matrix = torch.addcmul(momentum, 1 - alpha, state.matrix)
        return query @ matrix.transpose(-1, -2), MemoryState(start, matrix, momentum, state.last_key, state.length + 1)

    def mixed_keys(self, raw: Tensor, before: Tensor) -> Tensor:
        """Keys (b,h,t,m) mixed with those of the token before, ``before`` (b,h,1,m) first; of length 1."""
        share = self.key_shift.view(self.heads, 1, self.head_dim).to(raw.dtype)
        return l2_normalize_memory_keys(
            torch.lerp(raw, torch.cat((before.to(raw.dtype), raw[:, :, :-1]), dim=2), share)
        )

    def _rates(self, raw: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Data-dependent theta, eta, alpha, each (b,h,t); padding gets (0,1,0), which changes nothing."""
        theta, eta, alpha = raw[:, : 3 * self.heads].sigmoid().chunk(3, dim=1)
        eta, alpha = eta * 0.9, alpha * (0.5 * min(1.0, self.chunk / self.capacity))
        if valid is None:
            return theta, eta, alpha
        keep = valid[:, None]
        return theta * keep, torch.where(keep, eta, 1.0), alpha * keep

    def _scan(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        rates: tuple[Tensor, ...],
        valid: Tensor,
        state: MemoryState,
    ) -> tuple[Tensor, MemoryState]:
        """y_t = a_t M q_t + b_t S q_t + sum_r W_tr (k_r . q_t) theta_r error_r, chunk by chunk.

        Returns the reads (b,h,t,m) and the state after them.
        """
        time = query.shape[2]
        phase = int(state.length.max()) % self.chunk
        # A call inside one chunk is one shorter chunk; otherwise idle tokens fill up both ends.
        size, front = (time, 0) if phase + time <= self.chunk else (self.chunk, phase)
        count = -(-(front + time) // size)
        pad = (front, count * size - front - time)
        cut = lambda y: F.pad(y, (0, 0, *pad)).unflatten(2, (count, size))  # noqa: E731
        query, key, value = cut(query), cut(key), cut(value)
        theta, eta, alpha = (
            F.pad(r, pad, value=v).unflatten(2, (count, size)) for r, v in zip(rates, (0.0, 1.0, 0.0), strict=True)
        )
        real = F.pad(valid, pad).unflatten(1, (count, size))
        forget, momentum = _memory_decay_products(1 - alpha), _memory_decay_products(eta)
        writes = forget[..., 1:] * real[:, None, :, None]
        weight = writes @ momentum[..., 1:]
        on_momentum = writes @ momentum[..., :1]
        starts, matrices, momenta, errors = self._chunks(
            key, value, theta, (forget, momentum, weight, on_momentum), state
        )
        inside = (weight * (query @ key.transpose(-1, -2))) @ errors
        read = forget[..., :1] * (query @ matrices[:, :, :-1].transpose(-1, -2)) + inside
        read = read + on_momentum * (query @ momenta[:, :, :-1].transpose(-1, -2))
        read = read.flatten(2, 3)[:, :, front : front + time]
        return read, self._after(starts, matrices, momenta, valid.sum(dim=1), front, size, state)

    def _chunks(
        self, key: Tensor, value: Tensor, theta: Tensor, products: tuple[Tensor, ...], state: MemoryState
    ) -> tuple[Tensor, ...]:
        """What waits for M_c: weights at which chunks take their gradients (b,h,n,m,m), M and S at every border
        (b,h,n+1,m,m), errors (b,h,n,c,m)."""
        forget, momentum, weight, on_momentum = products
        at_start = (state.length % self.chunk == 0)[:, None, None, None]
        start, matrix, speed = torch.where(at_start, state.matrix, state.chunk_start), state.matrix, state.momentum
        # Keys weighted by what their error still counts for at the end of the chunk, in M and in S.
        final = torch.stack((weight[..., -1, :], momentum[..., -1, 1:]), dim=3).unsqueeze(-1) * key.unsqueeze(3)
        final = final.permute(0, 1, 2, 4, 3, 5).flatten(4)  # (b,h,n,c,2m)
        keep, keep_speed = forget[..., -1:, :1], momentum[..., -1:, :1]
        starts: list[Tensor] = []
        errors: list[Tensor] = []
        matrices, speeds = [matrix], [speed]
        for n in range(key.shape[2]):
            start = start if n == 0 else matrix
            error = value[:, :, n] - key[:, :, n] @ start.transpose(-1, -2)
            error = ERROR_LIMIT * torch.tanh(error / ERROR_LIMIT) * theta[:, :, n].unsqueeze(-1)
            moved, pushed = (error.transpose(-1, -2) @ final[:, :, n]).chunk(2, dim=-1)
            matrix = keep[:, :, n] * matrix + on_momentum[:, :, n, -1:] * speed + moved
            speed = keep_speed[:, :, n] * speed + pushed
            for kept, new in ((starts, start), (matrices, matrix), (speeds, speed), (errors, error)):
                kept.append(new)
        return tuple(torch.stack(part, dim=2) for part in (starts, matrices, speeds, errors))

    def _after(
        self,
        starts: Tensor,
        matrices: Tensor,
        momenta: Tensor,
        count: Tensor,
        front: int,
        size: int,
        state: MemoryState,
    ) -> MemoryState:
        """The state after ``count`` (b) real tokens; the chunk of a row's last token is its current one."""
        rows = torch.arange(len(count), device=count.device)
        chunk = (front + count - 1).clamp(min=0) // size
        current = torch.where((count > 0)[:, None, None, None], starts[rows, :, chunk], state.chunk_start)
        return MemoryState(current, matrices[:, :, -1], momenta[:, :, -1], state.last_key, state.length + count)


def l2_normalize_memory_keys(x: Tensor) -> Tensor:
    """x scaled to length 1 over the last axis; finite, gradient too, where x is nearly nothing."""
    return F.normalize(x, dim=-1, eps=KEY_FLOOR)


def _memory_decay_products(rate: Tensor) -> Tensor:
    """(...,t) -> (...,t,t+1): entry [i,0] is the product of rates 0..i, [i,j+1] the product of rates j+1..i,
    0 above the diagonal."""
    logs = torch.cumsum(torch.log(rate.clamp(min=1e-6)), dim=-1)
    inside = torch.tril(torch.exp(torch.tril(logs.unsqueeze(-1) - logs.unsqueeze(-2))))
    return torch.cat((torch.exp(logs).unsqueeze(-1), inside), dim=-1)
