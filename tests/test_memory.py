"""The neural memory against its equations, token by token, and against itself in pieces."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from forge.model.blocks import rms_norm
from forge.model.memory import ERROR_LIMIT, MemoryState, NeuralMemory

torch.set_num_threads(1)
HIDDEN, HEADS, SIZE = 12, 3, 5


def _memory(chunk: int = 4, capacity: int = 9, seed: int = 0) -> NeuralMemory:
    memory = NeuralMemory(HIDDEN, HEADS, SIZE, chunk, capacity).double()
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in memory.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=random, dtype=torch.float64) * 0.7)
    return memory


def _input(batch: int, time: int, seed: int = 1) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return rms_norm(torch.randn(batch, time, HIDDEN, generator=random, dtype=torch.float64))


def _reference(memory: NeuralMemory, x: Tensor, chunk: int, capacity: int) -> tuple[Tensor, Tensor, Tensor]:
    """One sequence x (t,d): outputs (t,d), the final M and S (h,m,m), by the module's four equations and a
    loop."""
    raw = torch.sigmoid(x @ memory.gate.weight.T + memory.gate.bias)
    out = torch.zeros_like(x)
    final_m, final_s = [], []
    read = torch.zeros(len(x), HEADS * SIZE, dtype=x.dtype)
    for head in range(HEADS):
        rows = slice(head * SIZE, (head + 1) * SIZE)
        m = torch.zeros(SIZE, SIZE, dtype=x.dtype)
        s, start = m.clone(), m
        for t in range(len(x)):
            if t % chunk == 0:
                start = m
            q, k, v = (proj.weight[rows] @ x[t] for proj in (memory.q, memory.k, memory.v))
            q, k = q / q.norm(), k / k.norm()
            theta, eta, alpha, gate = (raw[t, part * HEADS + head] for part in range(4))
            error = ERROR_LIMIT * torch.tanh((v - start @ k) / ERROR_LIMIT)
            s = 0.9 * eta * s + theta * torch.outer(error, k)
            m = (1 - 0.5 * min(1.0, chunk / capacity) * alpha) * m + s
            read[t, rows] = gate * rms_norm(m @ q)
        final_m.append(m)
        final_s.append(s)
    out = read @ memory.o.weight.T
    return out, torch.stack(final_m), torch.stack(final_s)


@pytest.mark.parametrize(
    ("chunk", "capacity", "time"), [(4, 9, 15), (1, 7, 9), (8, 8, 8), (16, 4, 11), (5, 500, 26)]
)
def test_chunked_form_is_the_equations(chunk: int, capacity: int, time: int) -> None:
    memory, x = _memory(chunk, capacity), _input(2, time)
    out, state = memory(x)
    for row in range(2):
        expected, m, s = _reference(memory, x[row], chunk, capacity)
        torch.testing.assert_close(out[row], expected, atol=1e-9, rtol=0)
        torch.testing.assert_close(state.matrix[row], m, atol=1e-9, rtol=0)
        torch.testing.assert_close(state.momentum[row], s, atol=1e-9, rtol=0)
    assert state.length.tolist() == [time, time]


@pytest.mark.parametrize("cuts", [[8], [4, 12], [3], [1, 2, 3], [5, 6, 13], [7, 14]])
def test_chained_state_is_one_pass(cuts: list[int]) -> None:
    memory, x = _memory(), _input(2, 19)
    whole, last = memory(x)
    state: MemoryState | None = None
    pieces = []
    for start, stop in zip([0, *cuts], [*cuts, 19], strict=True):
        part, state = memory(x[:, start:stop], state)
        pieces.append(part)
    assert state is not None
    torch.testing.assert_close(torch.cat(pieces, dim=1), whole, atol=1e-10, rtol=0)
    torch.testing.assert_close(state.matrix, last.matrix, atol=1e-10, rtol=0)
    torch.testing.assert_close(state.momentum, last.momentum, atol=1e-10, rtol=0)


def test_padding_leaves_the_state_as_it_was() -> None:
    memory, x = _memory(), _input(4, 14)
    lengths = torch.tensor([14, 1, 8, 5])  # 8 ends on a chunk border
    out, padded = memory(x, None, lengths)
    following = _input(4, 1, seed=3)
    after, _ = memory(following, padded)
    for row, n in enumerate(lengths.tolist()):
        alone, state = memory(x[row : row + 1, :n])
        torch.testing.assert_close(out[row, :n], alone[0], atol=1e-10, rtol=0)
        torch.testing.assert_close(padded.matrix[row], state.matrix[0], atol=1e-10, rtol=0)
        torch.testing.assert_close(padded.momentum[row], state.momentum[0], atol=1e-10, rtol=0)
        one, _ = memory(following[row : row + 1], state)
        torch.testing.assert_close(after[row], one[0], atol=1e-10, rtol=0)
    assert padded.length.tolist() == lengths.tolist()


def test_rows_of_a_state_are_their_own() -> None:
    memory, x = _memory(), _input(3, 6)
    _, state = memory(x)
    picked = state.rows(torch.tensor([2, 0]))
    assert torch.equal(picked.matrix, state.matrix[[2, 0]])
    assert torch.equal(picked.chunk_start, state.chunk_start[[2, 0]])
    assert torch.equal(picked.momentum, state.momentum[[2, 0]])
    assert picked.length.tolist() == [6, 6]


def test_a_written_pair_is_read_back() -> None:
    """With fast learning and no forgetting, the value stored under a key comes back for that key."""
    memory = NeuralMemory(HIDDEN, 1, HIDDEN, 1, 1000).double()
    with torch.no_grad():
        for linear in (memory.q, memory.k, memory.v, memory.o):
            linear.weight.copy_(torch.eye(HIDDEN, dtype=torch.float64))
        memory.gate.weight.zero_()
        memory.gate.bias.copy_(torch.tensor([20.0, -20.0, -20.0, 20.0]))
        out, _ = memory(rms_norm(torch.eye(HIDDEN, dtype=torch.float64))[None])
        again, _ = memory(_written_then_asked())
    assert bool((out[0].argmax(-1) == torch.arange(HIDDEN)).all())
    assert int(again[0, -1].argmax()) == 2


def _written_then_asked() -> Tensor:
    basis = torch.eye(HIDDEN, dtype=torch.float64)
    return rms_norm(torch.cat((basis[2:9], basis[2:3])))[None]


def test_capacity_bounds_forgetting() -> None:
    x = _input(1, 12)
    small, large = _memory(4, 4), _memory(4, 4000)
    valid = torch.ones(1, 12, dtype=torch.bool)
    assert small._rates(x, valid)[2].max().item() <= 0.5
    assert large._rates(x, valid)[2].max().item() <= 0.5 * 4 / 4000


def test_gradients_reach_every_parameter() -> None:
    memory, x = _memory(), _input(2, 11)
    memory(x)[0].square().sum().backward()
    for name, parameter in memory.named_parameters():
        assert parameter.grad is not None, name
        assert float(parameter.grad.abs().sum()) > 0, name
    assert torch.autograd.gradcheck(lambda y: memory(y)[0], (_input(1, 6).requires_grad_(),))
