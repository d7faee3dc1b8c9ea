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
    keys = x @ memory.k.weight.T
    keys = torch.lerp(keys, torch.cat((torch.zeros_like(keys[:1]), keys[:-1])), memory.key_shift)
    read = torch.zeros(len(x), HEADS * SIZE, dtype=x.dtype)
    for head in range(HEADS):
        rows = slice(head * SIZE, (head + 1) * SIZE)
        m = torch.zeros(SIZE, SIZE, dtype=x.dtype)
        s, start = m.clone(), m
        for t in range(len(x)):
            if t % chunk == 0:
                start = m
            q, v = (proj.weight[rows] @ x[t] for proj in (memory.q, memory.v))
            k = keys[t, rows]
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


@pytest.mark.parametrize(("chunk", "capacity", "time"), [(4, 9, 15), (1, 7, 9), (8, 8, 8), (16, 4, 11), (5, 500, 26)])
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


@torch.no_grad()
def test_segments_of_four_thousand_tokens_are_one_pass() -> None:
    memory, x = _memory(chunk=64, capacity=512), _input(1, 4096)
    whole, last = memory(x)
    state: MemoryState | None = None
    pieces = []
    for segment in x.split((1024, 1000, 1, 1047, 1024), dim=1):
        part, state = memory(segment, state)
        pieces.append(part)
    assert state is not None
    torch.testing.assert_close(torch.cat(pieces, dim=1), whole, atol=1e-9, rtol=0)
    torch.testing.assert_close(state.matrix, last.matrix, atol=1e-9, rtol=0)
    assert bool(torch.isfinite(whole).all())
    assert state.length.item() == 4096


@torch.no_grad()
def test_the_worst_input_stays_bounded() -> None:
    """One token over and over at the highest rates: every write of a chunk repeats the same correction."""
    memory = _memory(chunk=32, capacity=32).float()
    memory.gate.weight.zero_()
    for part, bias in zip(memory.gate.bias.chunk(4), (20.0, 20.0, 0.0, 20.0), strict=True):
        part.fill_(bias)
    out, state = memory(_input(1, 1).float().expand(1, 4096, HIDDEN) * 100)
    assert bool(torch.isfinite(out).all())
    # Each write is at most the error limit, momentum makes it ten, forgetting a quarter a token makes it forty.
    assert float(state.matrix.abs().max()) <= ERROR_LIMIT * 10 * 4 * 1.01


def test_no_gradient_crosses_the_border_of_a_segment() -> None:
    memory, x = _memory(), _input(1, 8).requires_grad_(True)
    _, state = memory(x)
    later = _input(1, 8, seed=2).requires_grad_(True)
    memory(later, state)[0].sum().backward()
    assert x.grad is None
    assert later.grad is not None


def test_a_key_is_mixed_with_the_one_before_it() -> None:
    memory, x = _memory(), _input(2, 6)
    raw = memory.k(x).view(2, 6, HEADS, SIZE).transpose(1, 2)
    before = torch.zeros(2, HEADS, 1, SIZE, dtype=torch.float64)
    with torch.no_grad():
        memory.key_shift.fill_(1.0)
    keys = memory.mixed_keys(raw, before)
    torch.testing.assert_close(keys[:, :, 1:], raw[:, :, :-1] / raw[:, :, :-1].norm(dim=-1, keepdim=True))
    assert float(keys[:, :, 0].abs().max()) == 0.0
    loss = memory(x)[0].square().sum()
    loss.backward()
    assert all(bool(torch.isfinite(p.grad).all()) for p in memory.parameters() if p.grad is not None)
