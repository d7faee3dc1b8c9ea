"""The model's promises: causality, one answer however it is computed, isolation of rows, halting that saves
work."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel

from forge.config import load_params
from forge.errors import ForgeError
from forge.model import (
    TinyTitanConfig,
    TinyTitanForCausalLM,
    load_model,
    load_titan_tokenizer,
    names_of_core_model_weights,
    save_model,
)
from forge.model.blocks import rms_norm
from forge.model.titan import ROLL, RecurrentState
from tests.support.tiny_models import tiny_model, tokens

pytestmark = pytest.mark.long

torch.set_num_threads(1)
ROOT = Path(__file__).resolve().parents[2]

VARIANTS: dict[str, dict[str, Any]] = {
    "titan": {},
    "window": {"window": 6},
    "no_memory": {"memory": False},
    "no_halting": {"halting": False},
    "no_shift": {"token_shift": False},
    "plain": {"architecture": "plain"},
    "plain_window": {"architecture": "plain", "window": 4},
    "ternary": {"weight_quant": "ternary", "act_bits": 8, "embed_bits": 8},
    "one_token_chunks": {"memory_chunk": 1},
}


@pytest.mark.parametrize(
    ("name", "steps"),
    [(n, s) for n in VARIANTS for s in (None, 1, 2, 3) if s in (None, 1) or not n.startswith("plain")],
)
def test_a_future_token_changes_no_earlier_logit(name: str, steps: int | None) -> None:
    model = tiny_model(**VARIANTS[name])
    ids = tokens(1, 23)
    with torch.no_grad():
        before = model(ids, steps=steps).logits
        for place in (1, 5, 12, 22):
            changed = ids.clone()
            changed[:, place:] = 14 + (changed[:, place:] - 14 + 1) % 34
            after = model(changed, steps=steps).logits
            assert torch.equal(after[:, :place], before[:, :place])
            assert not torch.equal(after[:, place], before[:, place])


def test_training_positions_do_not_see_the_future() -> None:
    model, ids = tiny_model(window=6), tokens(2, 17)
    select, valid = torch.tensor([[3, 8], [2, 9]]), torch.ones(2, 2, dtype=torch.bool)
    changed = ids.clone()
    changed[:, 10:] = 20
    for (logits, halt), (other, other_halt) in zip(
        model.predictions(ids, select, valid), model.predictions(changed, select, valid), strict=True
    ):
        assert halt is not None
        assert other_halt is not None
        assert torch.equal(logits, other)
        assert torch.equal(halt, other_halt)


def _decoded(model: TinyTitanForCausalLM, rows: list[Tensor], prefill: list[int]) -> list[Tensor]:
    """Logits of every row from the end of its prefill on: right-padded prefill, then token by token."""
    table = model.embedding_weight()
    lengths = torch.tensor(prefill)
    ids = torch.zeros(len(rows), max(prefill), dtype=torch.long)
    for i, (row, n) in enumerate(zip(rows, prefill, strict=True)):
        ids[i, :n] = row[:n]
    more = max(len(r) - n for r, n in zip(rows, prefill, strict=True))
    cache = model.empty_cache(len(rows), max(prefill) + more)
    trace = model.at(model.prefill(ids, table, lengths, cache), (lengths - 1)[:, None])
    seen = [[F.linear(h, table)] for h in model.run_until_halt(trace)[0][:, 0]]
    for step in range(more):
        feed = torch.stack([r[min(n + step, len(r) - 1)] for r, n in zip(rows, prefill, strict=True)])
        trace = model.prefill(feed[:, None], table, None, cache)
        for logits, hidden in zip(seen, model.run_until_halt(trace)[0][:, 0], strict=True):
            logits.append(F.linear(hidden, table))
    kept = [len(r) - n + 1 for r, n in zip(rows, prefill, strict=True)]
    return [torch.stack(logits[:n]) for logits, n in zip(seen, kept, strict=True)]


@pytest.mark.parametrize("name", VARIANTS)
@torch.no_grad()
def test_parallel_is_step_by_step_is_cached_decoding(name: str) -> None:
    if name == "ternary":  # rounding of activations amplifies the last bit, so quantizers are left to the weights
        model = tiny_model(dtype=torch.float64, weight_quant="ternary")
    else:
        model = tiny_model(dtype=torch.float64, **VARIANTS[name])
    rows = [tokens(1, n, seed=n)[0] for n in (21, 13, 25, 18)]
    alone = [model(row[None]).logits[0] for row in rows]
    for prefill in ([7, 1, 15, 10], [1, 1, 1, 1], [5, 10, 20, 4]):
        decoded = _decoded(model, rows, prefill)
        for whole, part, n in zip(alone, decoded, prefill, strict=True):
            torch.testing.assert_close(part, whole[n - 1 :], atol=1e-6, rtol=0)


@torch.no_grad()
def test_float32_decoding_agrees_with_one_pass() -> None:
    model = tiny_model(halting=False)
    rows = [tokens(1, n, seed=n)[0] for n in (21, 13)]
    for whole, part in zip((model(r[None]).logits[0] for r in rows), _decoded(model, rows, [9, 4]), strict=True):
        torch.testing.assert_close(part, whole[-len(part) :], atol=2e-5, rtol=0)


@torch.no_grad()
def test_cache_rows_may_be_dropped_reordered_and_repeated() -> None:
    model, ids = tiny_model(dtype=torch.float64), tokens(3, 11)
    table, cache = model.embedding_weight(), model.empty_cache(3, 12)
    model.prefill(ids[:, :10], table, torch.tensor([10, 10, 10]), cache)
    index = torch.tensor([2, 0, 2])
    hidden, _ = model.run_until_halt(model.prefill(ids[index, 10:], table, None, cache.rows(index)))
    whole = model(ids).logits[index, -1]
    torch.testing.assert_close(F.linear(hidden[:, 0], table), whole, atol=1e-9, rtol=0)


@torch.no_grad()
def test_a_cache_is_copied_into_the_room_asked_for_and_keys_outside_the_window_are_not_read() -> None:
    model, ids = tiny_model(dtype=torch.float64, window=4), tokens(2, 9)
    table, cache = model.embedding_weight(), model.empty_cache(2, 8)
    model.prefill(ids[:, :8], table, None, cache)
    cache = cache.rows(torch.tensor([1, 0]), 11)
    assert cache.capacity == 11
    for kept in (*cache.keys, *cache.values):
        kept[:, :, :5] = torch.nan  # the token at place 8 sees places 5 to 8
    hidden, _ = model.run_until_halt(model.prefill(ids[[1, 0], 8:], table, None, cache))
    torch.testing.assert_close(F.linear(hidden[:, 0], table), model(ids).logits[[1, 0], -1], atol=1e-9, rtol=0)


@torch.no_grad()
def test_rows_that_are_not_live_take_no_further_step() -> None:
    model, ids = tiny_model(dtype=torch.float64), tokens(4, 9)
    model.halt.bias.fill_(-9)
    trace = model.at(model.prefill(ids, model.embedding_weight()), torch.full((4, 1), 8))
    whole, steps = model.run_until_halt(trace)
    live = torch.tensor([False, True, False, True])
    part, taken = model.run_until_halt(trace, live=live)
    torch.testing.assert_close(part[live], whole[live], atol=1e-12, rtol=0)
    assert torch.equal(part[~live], trace.high[~live])
    assert taken[:, 0].tolist() == torch.where(live, steps[:, 0], 1).tolist()
    assert steps.unique().tolist() == [3]


@pytest.mark.parametrize("name", VARIANTS)
@torch.no_grad()
def test_rows_of_a_batch_do_not_see_each_other(name: str) -> None:
    model, ids = tiny_model(**VARIANTS[name]), tokens(3, 19)
    together = model(ids).logits
    other = ids.clone()
    other[1:] = tokens(2, 19, seed=9)
    torch.testing.assert_close(model(other).logits[0], together[0], atol=1e-5, rtol=1e-5)
    if name != "ternary":  # activations rounded to int8 may flip by the last bit of another batch shape
        torch.testing.assert_close(model(ids[:1]).logits[0], together[0], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_nothing_is_remembered_between_calls() -> None:
    model, ids = tiny_model(), tokens(2, 19)
    first = model(ids).logits
    model(tokens(2, 30, seed=5))
    assert torch.equal(model(ids).logits, first)


@torch.no_grad()
def test_a_memory_that_writes_nothing_out_is_no_memory() -> None:
    model = tiny_model()
    model.memory.o.weight.zero_()
    plain = tiny_model(memory=False)
    plain.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("memory")})
    ids = tokens(2, 19)
    assert torch.equal(plain(ids).logits, model(ids).logits)
    model.memory.o.weight.fill_(0.1)
    assert not torch.equal(plain(ids).logits, model(ids).logits)


@torch.no_grad()
def test_four_thousand_tokens_stay_finite() -> None:
    small = {
        "low_heads": [1],
        "low_ffn": [8],
        "high_heads": [1],
        "high_ffn": [8],
        "hidden_size": 8,
        "max_steps": 2,
    }
    model = tiny_model(window=32, memory_chunk=64, memory_capacity=256, **small)
    logits = model(tokens(1, 4096)).logits
    assert bool(torch.isfinite(logits).all())
    assert float(logits.abs().max()) < 1e3


@torch.no_grad()
def test_token_shift_mixes_in_the_token_before_and_no_other() -> None:
    model, ids = tiny_model(), tokens(1, 8)
    embedded = rms_norm(F.embedding(ids, model.embedding_weight()))
    shifted, _ = model._shifted(embedded, None, None)
    expected = embedded.clone()
    for t in range(1, 8):
        expected[:, t] += model.shift * embedded[:, t - 1].roll(ROLL, dims=-1)
    torch.testing.assert_close(shifted, expected)
    model.shift.zero_()
    without = tiny_model(token_shift=False)
    without.load_state_dict({k: v for k, v in model.state_dict().items() if k != "shift"})
    assert torch.equal(without(ids).logits, model(ids).logits)


@torch.no_grad()
def test_attention_sees_exactly_the_window() -> None:
    one = {"low_heads": [2], "low_ffn": [8], "high_heads": [2], "high_ffn": [8], "token_shift": False}
    model = tiny_model(window=3, memory=False, max_steps=1, **one)
    ids = tokens(1, 12)
    changed = ids.clone()
    changed[0, 4] = 14 + (changed[0, 4] - 14 + 1) % 34
    differs = (model(ids).logits != model(changed).logits).any(-1)[0]
    # Two blocks of a window of 3 (itself and two before) reach from 4 to 4 + 2 * 2.
    assert differs.nonzero().flatten().tolist() == [4, 5, 6, 7, 8]


# ---- halting
# -----------------------------------------------------------------------------------------------------


def _count_rows(monkeypatch: pytest.MonkeyPatch, model: TinyTitanForCausalLM) -> list[int]:
    counted: list[int] = []
    step = model.recurrence_step

    def counting(trace: RecurrentState) -> RecurrentState:
        counted.append(len(trace.high))
        return step(trace)

    monkeypatch.setattr(model, "recurrence_step", counting)
    return counted


@torch.no_grad()
def test_halting_saves_refinement(monkeypatch: pytest.MonkeyPatch) -> None:
    model, ids = tiny_model(max_steps=4), tokens(5, 6)
    counted = _count_rows(monkeypatch, model)
    model.halt.weight.zero_()
    model.halt.bias.fill_(10.0)
    _, taken = model.run_until_halt(model.prefill(ids, model.embedding_weight()))
    assert counted == []
    assert bool((taken == 1).all())
    model.halt.bias.fill_(-10.0)
    _, taken = model.run_until_halt(model.prefill(ids, model.embedding_weight()))
    assert counted == [5, 5, 5]
    assert bool((taken == 4).all())


@torch.no_grad()
def test_rows_that_have_halted_are_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    model, ids = tiny_model(max_steps=4, dtype=torch.float64), tokens(6, 9)
    last = torch.full((6, 1), 8)
    trace = model.at(model.prefill(ids, model.embedding_weight()), last)
    scores = model.halt_logits(trace.high)[:, 0]
    model.halt.bias -= scores.sort().values[2:4].mean()  # three of six rows halt after the first step
    counted = _count_rows(monkeypatch, model)
    final, taken = model.run_until_halt(trace)
    assert counted[0] == 3
    assert sorted(taken.flatten().tolist())[:3] == [1, 1, 1]
    assert sum(counted) == int(taken.sum()) - 6
    for row in range(6):
        outputs = model.predictions(ids[row : row + 1], last[:1], torch.ones(1, 1, dtype=torch.bool))
        chosen = outputs[int(taken[row]) - 1][0][0]
        torch.testing.assert_close(F.linear(final[row, 0], model.embedding_weight()), chosen, atol=1e-9, rtol=0)


@torch.no_grad()
def test_every_position_stops_at_its_first_halt() -> None:
    model, ids = tiny_model(max_steps=5, dtype=torch.float64), tokens(3, 20)
    every, valid = torch.arange(20).expand(3, 20), torch.ones(3, 20, dtype=torch.bool)
    first_two = [halt for _, halt in model.predictions(ids, every, valid) if halt is not None][:2]
    model.halt.bias -= torch.stack(first_two).mean(0)[(first_two[0] - first_two[1]).argmax()]
    outputs = model.predictions(ids, every, valid)
    halted = torch.stack([halt > 0 for _, halt in outputs if halt is not None])
    halted[-1] = True
    first = halted.int().argmax(0)
    wakes = (halted[:-1].int().diff(dim=0) < 0).any(0)
    assert int(wakes.sum()) > 0  # some would go on if asked again after they halted
    final, taken = model.run_until_halt(model.prefill(ids, model.embedding_weight()))
    assert taken.flatten().tolist() == (first + 1).tolist()
    chosen = torch.stack([logits for logits, _ in outputs])[first, torch.arange(60)]
    torch.testing.assert_close(F.linear(final, model.embedding_weight()).flatten(0, 1), chosen, atol=1e-9, rtol=0)


@torch.no_grad()
def test_steps_override_the_halting_head() -> None:
    model, ids = tiny_model(max_steps=3), tokens(2, 9)
    model.halt.bias.fill_(50.0)
    outputs = model.predictions(ids, torch.tensor([[8], [8]]), torch.ones(2, 1, dtype=torch.bool), steps=4)
    assert len(outputs) == 4
    for steps, (logits, _) in enumerate(outputs, 1):
        _, taken = model.run_until_halt(model.prefill(ids, model.embedding_weight()), steps)
        assert bool((taken == steps).all())
        torch.testing.assert_close(model(ids, steps=steps).logits[:, -1], logits, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(model(ids).logits[:, -1], outputs[0][0], atol=1e-5, rtol=1e-5)


def test_threshold_decides_who_halts() -> None:
    model, ids = tiny_model(), tokens(4, 9)
    with torch.no_grad():
        model.halt.bias -= model.halt_logits(model.prefill(ids, model.embedding_weight()).high).median()
    means = []
    for threshold in (0.01, 0.5, 0.99):
        model.config.halt_threshold = threshold
        _, taken = model.run_until_halt(model.prefill(ids, model.embedding_weight()))
        means.append(float(taken.float().mean()))
    assert means[0] == 1.0
    assert means[0] < means[1] < means[2]


# ---- parameters, files
# -------------------------------------------------------------------------------------------


def test_parameter_count_at_scale_spec(tmp_path: Path) -> None:
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    (tmp_path / "params.yaml").write_text(text.replace("scale: tiny", "scale: spec"), encoding="utf-8")
    params = load_params(tmp_path / "params.yaml")
    assert params.scale == "spec"
    shape = params.block("cognate").model_dump()
    fields = TinyTitanConfig().to_dict().keys() & shape.keys()
    config = TinyTitanConfig(vocab_size=params.block("data").vocab_size, **{k: shape[k] for k in fields})
    with torch.device("meta"):
        count = sum(p.numel() for p in TinyTitanForCausalLM(config).parameters())
    assert 0.9 * 25_069_534 <= count <= 1.1 * 25_069_534
    assert abs(count - shape["parameters_target"]) <= 0.1 * shape["parameters_target"]


def test_embeddings_are_tied_and_survive_files(tmp_path: Path) -> None:
    model, ids = tiny_model(), tokens(2, 9)
    save_model(model, tmp_path)
    names = set(model.state_dict())
    assert not any("lm_head" in name for name in names)
    assert sum(t.shape == model.embed.weight.shape for t in model.state_dict().values()) == 1
    with torch.no_grad():
        expected = model(ids).logits
        assert torch.equal(load_model(tmp_path)(ids).logits, expected)
        through_auto = AutoModelForCausalLM.from_pretrained(str(tmp_path)).eval()
        assert isinstance(through_auto, TinyTitanForCausalLM)
        assert isinstance(through_auto, PreTrainedModel)
        assert through_auto.num_parameters(only_trainable=True) == model.num_parameters()
        assert torch.equal(through_auto(ids).logits, expected)
        through_auto.save_pretrained(str(tmp_path / "again"))
        assert torch.equal(load_model(tmp_path / "again")(ids).logits, expected)
    # One table reads and predicts: the gradient of an unread token's row comes from the output side alone.
    model(ids, labels=ids).loss.backward()
    unread = next(i for i in range(48) if i not in ids)
    assert float(model.embed.weight.grad[unread].abs().sum()) > 0


def test_what_auto_classes_make_is_the_same_model() -> None:
    plain = tiny_model()
    torch.manual_seed(7)
    ours = TinyTitanForCausalLM(plain.config).state_dict()
    torch.manual_seed(7)
    made = AutoModelForCausalLM.from_config(plain.config)
    assert isinstance(made, PreTrainedModel)
    assert all(torch.equal(tensor, ours[name]) for name, tensor in made.state_dict().items())
    assert made.state_dict().keys() == ours.keys()
    assert type(TinyTitanForCausalLM._from_config(plain.config)) is type(made)
    made.set_input_embeddings(torch.nn.Embedding(48, 24))
    assert made.get_input_embeddings() is made.embed


def test_saving_twice_gives_equal_bytes(tmp_path: Path) -> None:
    for name in "ab":
        save_model(tiny_model(), tmp_path / name)
    for file in ("config.json", "model.safetensors"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_pruned_shapes_reload_from_the_config_alone(tmp_path: Path) -> None:
    model = tiny_model(low_heads=[1, 3], low_ffn=[7, 24], high_heads=[2], high_ffn=[9])
    save_model(model, tmp_path)
    assert torch.equal(load_model(tmp_path)(tokens(1, 5)).logits, model(tokens(1, 5)).logits)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(ForgeError, match=r"no config\.json"):
        load_model(tmp_path)
    with pytest.raises(ForgeError, match=r"tokenizer\.json: no such file"):
        load_titan_tokenizer(tmp_path)
    save_model(tiny_model(), tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-40])
    with pytest.raises(ForgeError, match=r"model\.safetensors"):
        load_model(tmp_path)
    weights.unlink()
    with pytest.raises(ForgeError, match=r"no model\.safetensors"):
        load_model(tmp_path)
    save_model(tiny_model(), tmp_path)
    (tmp_path / "config.json").write_text('{"hidden_size": 24,', encoding="utf-8")
    with pytest.raises(ForgeError, match=r"config\.json"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture": "other"}, "architecture"),
        ({"weight_quant": "binary"}, "weight_quant"),
        ({"head_dim": 7}, "head_dim"),
        ({"low_heads": [1]}, "low_heads and low_ffn"),
        ({"high_heads": [], "high_ffn": []}, "high_heads and high_ffn"),
        ({"max_steps": 0}, "max_steps"),
    ],
)
def test_impossible_shapes_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ForgeError, match=message):
        TinyTitanConfig(**change)


def test_labels_give_the_shifted_cross_entropy() -> None:
    model, ids = tiny_model(), tokens(2, 9)
    labels = ids.clone()
    labels[0, :5] = -100
    out = model(ids, labels=labels)
    chosen = [(row, t) for row in range(2) for t in range(1, 9) if labels[row, t] >= 0]
    log_probs = out.logits.log_softmax(-1)
    by_hand = -sum(log_probs[row, t - 1, labels[row, t]] for row, t in chosen) / len(chosen)
    torch.testing.assert_close(out.loss, by_hand)
    assert model(ids).loss is None


def test_fresh_models_start_as_an_embedding_model() -> None:
    torch.manual_seed(0)
    model = TinyTitanForCausalLM(TinyTitanConfig(vocab_size=48))
    for block in [*model.low, *model.high]:
        assert 0.001 < block.attn.o.weight.std().item() < 0.003
        assert 0.001 < block.ffn.down.weight.std().item() < 0.003
    assert 0.001 < model.memory.o.weight.std().item() < 0.003
    assert model.memory.gate.weight.abs().sum().item() == 0.0
    assert model.memory.gate.bias.tolist() == [0.0, 0.0, -2.0, -2.0, -2.0, -2.0, 0.0, 0.0]
    assert model.halt.weight.abs().sum().item() == 0.0
    reach = (3.0 / 64) ** 0.5
    assert 0.9 * reach < model.low[0].attn.q.weight.abs().max().item() <= reach


# ---- quantized weights
# -------------------------------------------------------------------------------------------


@torch.no_grad()
def test_ternary_weights_are_three_values_and_frozen_is_the_same() -> None:
    model, ids = tiny_model(weight_quant="ternary", act_bits=8, embed_bits=8), tokens(2, 15)
    assert sorted(names_of_core_model_weights(model)) == sorted(
        n
        for n, p in model.named_parameters()
        if p.dim() == 2 and n.split(".")[0] not in ("embed", "halt") and not n.startswith("memory.gate")
    )
    frozen = copy.deepcopy(model)
    for name, linear in model.core_linears().items():
        scale = linear.weight.abs().mean()
        codes = (linear.effective_weight() / scale).unique()
        torch.testing.assert_close(codes, torch.tensor([-1.0, 0.0, 1.0]))
        frozen.get_submodule(name).weight.copy_(linear.effective_weight())
    frozen.embed.weight.copy_(model.embedding_weight())
    frozen.set_weight_quant("frozen")
    assert frozen.config.weight_quant == "frozen"
    assert torch.equal(frozen(ids).logits, model(ids).logits)
    model.set_act_bits(0)
    assert not torch.equal(frozen(ids).logits, model(ids).logits)
    model.set_weight_quant("none")
    assert torch.equal(model.low[0].attn.q.effective_weight(), model.low[0].attn.q.weight)


def test_gradients_reach_latent_weights_through_the_quantizer() -> None:
    model, ids = tiny_model(weight_quant="ternary", act_bits=8, embed_bits=4), tokens(2, 15)
    model(ids, labels=ids, steps=2).loss.backward()
    for name, parameter in model.named_parameters():
        if not name.startswith("halt"):
            assert parameter.grad is not None, name
            assert float(parameter.grad.abs().sum()) > 0, name
