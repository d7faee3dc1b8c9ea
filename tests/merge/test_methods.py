"""Linear, SLERP, TIES and DARE: against mergekit on the same tensors, and properties of the definitions."""

from __future__ import annotations

import math
from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from forge.errors import ForgeError
from forge.merge import arithmetic
from forge.merge.arithmetic import slerp_tensor, trim_task_vector
from forge.merge.barrier import loss_barrier
from forge.merge.methods import (
    check_mergeable,
    dare,
    is_merge_finite,
    merge_linear,
    slerp,
    slerp_deltas,
    ties,
)

SHAPES = {"a.weight": (24, 17), "b.weight": (9,), "c.weight": (5, 40), "d.bias": (1,)}
WEIGHTS = ((0.6, 0.4), (1.0, 1.0), (0.2, 1.7), (1.0, -0.3))
DENSITIES = (0.05, 0.5, 0.66, 0.9, 1.0)


def model(seed: int, spread: float = 1.0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: spread * torch.randn(shape, generator=generator) for name, shape in SHAPES.items()}


def near(base: dict[str, Tensor], seed: int) -> dict[str, Tensor]:
    return {name: base[name] + delta for name, delta in model(seed, 0.1).items()}


def assert_close(ours: dict[str, Tensor], theirs: dict[str, Tensor], tolerance: float = 1e-5) -> None:
    assert list(ours) == list(theirs)
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[name], rtol=tolerance, atol=tolerance)


def equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


BASE = model(0)
PARENTS = [near(BASE, seed) for seed in (1, 2, 3)]


# --- the oracle


@pytest.fixture(scope="module")
def oracle():  # type: ignore[no-untyped-def]
    """mergekit's in-memory API (0.1.5); its merge of whole state dicts."""
    return pytest.importorskip("mergekit.merge_methods").merge_state_dicts


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("normalize", [True, False])
def test_linear_is_mergekits(oracle, weights, normalize) -> None:
    theirs = oracle(PARENTS[:2], "linear", parameters={"weight": list(weights), "normalize": normalize})
    assert_close(merge_linear(PARENTS[:2], weights, normalize), theirs)


@pytest.mark.parametrize("t", [0.0, 0.2, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("other", [model(9), near(BASE, 1), BASE, {n: -x for n, x in BASE.items()}])
def test_slerp_is_mergekits(oracle, t, other) -> None:
    assert_close(slerp(BASE, other, t), oracle([BASE, other], "slerp", base=0, parameters={"t": t}))


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize(("normalize", "lam"), [(True, 1.0), (False, 0.7)])
def test_ties_is_mergekits(oracle, weights, density, normalize, lam) -> None:
    parameters = {"weight": list(weights), "density": density, "normalize": normalize, "lambda": lam}
    theirs = oracle([BASE, *PARENTS[:2]], "ties", base=0, parameters=parameters)
    assert_close(ties(BASE, PARENTS[:2], weights, density, normalize, lam), theirs)


def test_ties_takes_a_density_for_each_model(oracle) -> None:
    parameters = {"weight": [0.5, 0.3, 0.2], "density": [0.2, 0.5, 0.9], "normalize": True}
    theirs = oracle([BASE, *PARENTS], "ties", base=0, parameters=parameters)
    assert_close(ties(BASE, PARENTS, [0.5, 0.3, 0.2], [0.2, 0.5, 0.9]), theirs)


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("elect_sign", [False, True])
def test_dare_l1_draws_mergekits_masks_and_scales(oracle, weights, density, elect_sign) -> None:
    method = "dare_ties" if elect_sign else "dare_linear"
    torch.manual_seed(5)
    parameters = {"weight": list(weights), "density": density, "rescale": True}
    theirs = oracle([BASE, *PARENTS[:2]], method, base=0, parameters=parameters)
    ours = dare(BASE, PARENTS[:2], weights, density, generator=5, rescale="l1", elect_sign=elect_sign)
    assert_close(ours, theirs)


@pytest.mark.parametrize("density", DENSITIES)
def test_dare_of_the_paper_is_mergekits_unscaled_delta_over_density(oracle, density) -> None:
    torch.manual_seed(7)
    parameters = {"weight": [0.6, 0.4], "density": density, "rescale": False}
    plain = oracle([BASE, *PARENTS[:2]], "dare_linear", base=0, parameters=parameters)
    scaled = {name: BASE[name] + (plain[name] - BASE[name]) / density for name in BASE}
    assert_close(dare(BASE, PARENTS[:2], [0.6, 0.4], density, generator=7), scaled)


# --- linear and SLERP


def test_linear_weight_one_gives_that_model_bit_for_bit() -> None:
    first = {**PARENTS[0], "b.weight": torch.tensor([-0.0] * 9)}
    result = merge_linear([first, PARENTS[1]], [1.0, 0.0])
    assert equal(result, first)
    assert torch.signbit(result["b.weight"]).all()


@given(st.lists(st.floats(0.0625, 4.0), min_size=3, max_size=3))
@settings(max_examples=25, deadline=None)
def test_linear_ignores_order_and_scale_of_weights(weights) -> None:
    expected = merge_linear(PARENTS, weights)
    for order in permutations(range(3)):
        moved = merge_linear([PARENTS[i] for i in order], [3.0 * weights[i] for i in order])
        assert_close(moved, expected, 1e-5)


def test_linear_of_equal_models_is_that_model() -> None:
    assert_close(merge_linear([BASE, BASE, BASE], [0.2, 0.5, 0.3]), BASE, 1e-6)


def test_linear_unnormalized_zero_weights_give_zero() -> None:
    assert all(not tensor.any() for tensor in merge_linear(PARENTS, [0, 0, 0], normalize=False).values())


def test_slerp_ends_are_the_models_and_the_way_back_is_the_same() -> None:
    assert equal(slerp(BASE, PARENTS[0], 0), BASE)
    assert equal(slerp(BASE, PARENTS[0], 1), PARENTS[0])
    other = model(4)
    assert_close(slerp(BASE, other, 0.3), slerp(other, BASE, 0.7))
    assert_close(slerp(BASE, BASE, 0.4), BASE, 1e-6)


def test_slerp_keeps_the_norm_of_unit_vectors_where_the_line_does_not() -> None:
    a, b = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    assert slerp_tensor(a, b, 0.5).norm().item() == pytest.approx(1.0)
    angle = math.radians(1.0)  # cos 0.99985: beyond the threshold, on the line
    c = torch.tensor([math.cos(angle), math.sin(angle)])
    assert torch.allclose(slerp_tensor(a, c, 0.5), (a + c) / 2, atol=1e-7)


def test_slerp_of_zero_tensors_is_finite() -> None:
    zero = {name: torch.zeros_like(tensor) for name, tensor in BASE.items()}
    assert is_merge_finite(slerp(zero, zero, 0.5))
    assert is_merge_finite(slerp(zero, BASE, 0.5))


def test_slerp_deltas_keeps_the_length_of_the_task_vector() -> None:
    base = {"w": torch.randn(2000, generator=torch.Generator().manual_seed(1))}
    ones = [{"w": base["w"].clone()}, {"w": base["w"].clone()}]
    ones[0]["w"][:1000] += 1.0
    ones[1]["w"][1000:] += 1.0
    arc, line = slerp_deltas(base, ones, [1, 1]), merge_linear(ones, [1, 1])
    length = math.sqrt(1000)
    assert (arc["w"] - base["w"]).norm().item() == pytest.approx(length, rel=1e-3)
    assert (line["w"] - base["w"]).norm().item() == pytest.approx(length / math.sqrt(2), rel=1e-3)


def test_slerp_deltas_of_one_weight_is_that_model_and_of_two_is_slerp_of_the_deltas() -> None:
    assert equal(slerp_deltas(BASE, PARENTS, [0, 2.0, 0]), PARENTS[1])
    deltas = [{name: parent[name] - BASE[name] for name in BASE} for parent in PARENTS[:2]]
    arc = slerp(deltas[0], deltas[1], 0.75)
    assert_close(slerp_deltas(BASE, PARENTS[:2], [1, 3]), {name: BASE[name] + arc[name] for name in BASE})


# --- TIES and DARE


@given(st.integers(1, 300), st.floats(0.01, 1.0), st.integers(0, 10), st.booleans())
@settings(max_examples=60, deadline=None)
def test_trim_keeps_exactly_the_greatest(size, density, seed, coarse) -> None:
    delta = torch.randn(size, generator=torch.Generator().manual_seed(seed))
    if coarse:  # many equal magnitudes: the count must hold all the same
        delta = delta.round() + (delta >= 0).float() - 0.5
    kept = trim_task_vector(delta, density)
    count = size if density >= 1 else max(1, int(density * size))
    assert int((kept != 0).sum()) == count
    assert torch.equal(kept[kept != 0], delta[kept != 0])
    lost = delta[kept == 0].abs()
    assert lost.numel() == 0 or lost.max() <= kept[kept != 0].abs().min()


def test_trim_leaves_zero_and_empty_tensors() -> None:
    assert not trim_task_vector(torch.zeros(3, 4), 0.3).any()
    assert trim_task_vector(torch.empty(0, 4), 0.3).shape == (0, 4)
    sparse = torch.tensor([0.0, 0.0, 0.0, 2.0])
    assert torch.equal(trim_task_vector(sparse, 0.75), sparse)


def test_ties_by_hand() -> None:
    base = {"w": torch.zeros(4)}
    models = [{"w": torch.tensor([4.0, 3.0, 0.1, -1.0])}, {"w": torch.tensor([2.0, -5.0, 0.2, 1.0])}]
    merged = ties(base, models, [0.5, 0.5], density=0.75)
    # trimmed: [4, 3, 0, -1] and [2, -5, 0, 1]; signs +, -, +, + (sum 0 counts as +)
    assert torch.allclose(merged["w"], torch.tensor([3.0, -5.0, 0.0, 1.0]))


def test_ties_ignores_order_and_full_density_of_one_model_is_that_model() -> None:
    expected = ties(BASE, PARENTS, [0.5, 0.3, 0.2], 0.6)
    for order in permutations(range(3)):
        assert_close(ties(BASE, [PARENTS[i] for i in order], [(0.5, 0.3, 0.2)[i] for i in order], 0.6), expected, 1e-6)
    assert_close(ties(BASE, PARENTS[:1], [1.0], 1.0), PARENTS[0], 1e-6)
    assert_close(ties(BASE, [BASE, BASE], [1.0, 1.0], 0.5), BASE, 0)


def test_dare_density_is_met_and_the_expectation_kept() -> None:
    base = {"w": torch.zeros(40_000)}
    merged = dare(base, [{"w": torch.ones(40_000)}], [1.0], 0.3, generator=1)["w"]
    assert merged.unique().tolist() == pytest.approx([0.0, 1 / 0.3])
    assert (merged != 0).float().mean().item() == pytest.approx(0.3, abs=0.01)
    assert merged.mean().item() == pytest.approx(1.0, abs=0.03)


def test_dare_l1_keeps_the_norm_and_survives_an_empty_mask() -> None:
    merged = dare(BASE, PARENTS[:1], [1.0], 0.4, generator=3, rescale="l1")
    for name in ("a.weight", "c.weight"):
        before, after = (m[name] - BASE[name] for m in (PARENTS[0], merged))
        assert after.abs().sum().item() == pytest.approx(before.abs().sum().item(), rel=1e-4)
    tiny = dare({"w": torch.zeros(1)}, [{"w": torch.ones(1)}], [1.0], 1e-6, rescale="l1")
    assert tiny["w"].item() == 0.0


def test_dare_is_decided_by_its_seed() -> None:
    first, again = (dare(BASE, PARENTS, [1, 1, 1], 0.5, generator=11) for _ in range(2))
    assert equal(first, again)
    assert not equal(first, dare(BASE, PARENTS, [1, 1, 1], 0.5, generator=12))
    assert equal(first, dare(BASE, PARENTS, [1, 1, 1], 0.5, generator=torch.Generator().manual_seed(11)))


# --- what all share

MERGES = {
    "linear": lambda base, models: merge_linear(models, [1.0] * len(models)),
    "slerp": lambda base, models: slerp(models[0], models[1], 0.4),
    "slerp_deltas": lambda base, models: slerp_deltas(base, models, [1.0] * len(models)),
    "ties": lambda base, models: ties(base, models, [1.0] * len(models), 0.5),
    "dare": lambda base, models: dare(base, models, [0.5] * len(models), 0.5),
}


@pytest.mark.parametrize("name", MERGES)
def test_inputs_are_untouched_and_memory_is_new(name) -> None:
    base, *models = ({n: t.clone() for n, t in m.items()} for m in (BASE, *PARENTS))
    result = MERGES[name](base, models)
    for tensor in result.values():
        tensor.fill_(77.0)
    assert equal(base, BASE)
    assert all(equal(ours, theirs) for ours, theirs in zip(models, PARENTS, strict=True))


@pytest.mark.parametrize("name", MERGES)
def test_counters_are_copied_and_types_kept(name) -> None:
    models = [{"w": m["a.weight"].half(), "n": torch.tensor(3)} for m in (BASE, *PARENTS)]
    result = MERGES[name](models[0], models[1:])
    assert result["n"].item() == 3
    assert result["w"].dtype == torch.float16
    wide = [{name: tensor.double() for name, tensor in m.items()} for m in (BASE, *PARENTS)]
    exact = MERGES[name](wide[0], wide[1:])
    assert exact["b.weight"].dtype == torch.float64


@pytest.mark.parametrize("name", MERGES)
def test_what_is_not_finite_shows(name) -> None:
    broken = {n: t.clone() for n, t in PARENTS[0].items()}
    broken["a.weight"][3, 3] = float("nan")
    assert not is_merge_finite(MERGES[name](BASE, [broken, *PARENTS[1:]]))


def test_all_finite_looks_twice_where_a_sum_overflows() -> None:
    assert is_merge_finite({"w": torch.full((4,), 3e38)})
    assert not is_merge_finite({"w": torch.tensor([1.0, math.inf])})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"extra": torch.zeros(1)}, "'extra' is not in both"),
        ({"b.weight": torch.zeros(3)}, r"'b.weight' is \(9,\) in model 1, \(3,\) in model 2"),
    ],
)
def test_models_that_do_not_match_are_refused(change, words) -> None:
    with pytest.raises(ForgeError, match=words):
        check_mergeable([BASE, {**BASE, **change}])


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ForgeError, match="not floating and differs"):
        check_mergeable([{"n": torch.tensor(1)}, {"n": torch.tensor(2)}])
    refused = {
        "no models given": lambda: merge_linear([], []),
        "2 weights given for 3 models": lambda: merge_linear(PARENTS, [1, 2]),
        "add up to zero": lambda: merge_linear(PARENTS[:2], [1, -1]),
        "not all zero": lambda: slerp_deltas(BASE, PARENTS, [0, 0, 0]),
        "at least zero": lambda: slerp_deltas(BASE, PARENTS, [1, -1, 1]),
        "besides the base": lambda: ties(BASE, [], [], 0.5),
        r"density must lie in \(0, 1\]": lambda: ties(BASE, PARENTS, [1, 1, 1], 0.0),
        "2 densities given for 3": lambda: dare(BASE, PARENTS, [1, 1, 1], [0.5, 0.5]),
        "neither 'inverse' nor 'l1'": lambda: dare(BASE, PARENTS, [1, 1, 1], 0.5, rescale="l2"),  # type: ignore[arg-type]
    }
    for words, call in refused.items():
        with pytest.raises(ForgeError, match=words):
            call()


# --- loss barrier


def test_barrier_of_a_known_curve() -> None:
    a, b = {"w": torch.tensor([1.0])}, {"w": torch.tensor([-1.0])}
    # L(w) = 1 - w^2 + w/2: between the ends the bump 1 - w^2 stands on the line.
    assert loss_barrier(a, b, lambda m: 1 - m["w"].item() ** 2 + m["w"].item() / 2) == pytest.approx(1.0)
    assert loss_barrier(a, b, lambda m: m["w"].item() ** 2) == 0.0
    assert loss_barrier(a, b, lambda m: m["w"].item(), points=9) == pytest.approx(0.0)


def test_barrier_counts_its_calls_and_refuses_nonsense() -> None:
    a, b = {"w": torch.tensor([1.0])}, {"w": torch.tensor([-1.0])}
    seen: list[float] = []
    loss_barrier(a, b, lambda m: seen.append(m["w"].item()) or 0.0)
    assert seen == [-1.0, -0.5, 0.0, 0.5, 1.0]
    assert loss_barrier(a, b, lambda m: math.nan if abs(m["w"].item()) < 0.1 else 1.0) == math.inf
    with pytest.raises(ForgeError, match="not finite"):
        loss_barrier(a, b, lambda m: math.nan)
    with pytest.raises(ForgeError, match="at least 3"):
        loss_barrier(a, b, lambda m: 0.0, points=2)


# --- large tensors: the pieces and the threads leave no trace


@pytest.mark.parametrize("threads", [1, 2])
def test_large_tensors_are_merged_as_mergekit_merges_them(oracle, threads, monkeypatch) -> None:
    """Several pieces, an odd last one, numbers drawn ahead on a second thread or not."""
    monkeypatch.setattr(arithmetic, "PIECE", 1000)
    monkeypatch.setattr(arithmetic, "_DRAWN", 500)
    monkeypatch.setattr(arithmetic, "_AHEAD", 3000)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    generator = torch.Generator().manual_seed(1)
    base = {"w": torch.randn(101, 167, generator=generator), "b": torch.randn(6001, generator=generator)}
    others = [{n: t + 0.1 * torch.randn(t.shape, generator=generator) for n, t in base.items()} for _ in range(2)]
    weights = [0.6, 0.4]
    assert_close(
        merge_linear(others, weights), oracle(others, "linear", parameters={"weight": weights, "normalize": True})
    )
    assert_close(slerp(*others, 0.3), oracle(others, "slerp", base=0, parameters={"t": 0.3}))
    parameters = {"weight": weights, "density": 0.4, "normalize": True}
    assert_close(ties(base, others, weights, 0.4), oracle([base, *others], "ties", base=0, parameters=parameters))
    torch.manual_seed(5)
    parameters = {"weight": weights, "density": 0.4, "rescale": True}
    theirs = oracle([base, *others], "dare_linear", base=0, parameters=parameters)
    assert_close(dare(base, others, weights, 0.4, 5, rescale="l1"), theirs)


def test_merges_agree_with_mergekit_tensor_by_tensor(oracle) -> None:
    from mergekit.merge_methods import merge_tensors

    for name in ("a.weight", "b.weight"):
        base, one, two = (m[name] for m in (BASE, *PARENTS[:2]))
        ours = {
            "linear": merge_linear([{"w": one}, {"w": two}], [0.3, 0.7]),
            "slerp": slerp({"w": base}, {"w": one}, 0.35),
            "ties": ties({"w": base}, [{"w": one}, {"w": two}], [0.6, 0.4], 0.5),
        }
        theirs = {
            "linear": merge_tensors([one, two], "linear", parameters={"weight": [0.3, 0.7], "normalize": True}),
            "slerp": merge_tensors([base, one], "slerp", parameters={"t": 0.35}, base_index=0),
            "ties": merge_tensors(
                [base, one, two], "ties", base_index=0,
                parameters={"weight": [0.6, 0.4], "density": 0.5, "normalize": True, "lambda": 1.0},
            ),
        }  # fmt: skip
        for method, merged in ours.items():
            torch.testing.assert_close(merged["w"], theirs[method], rtol=1e-5, atol=1e-5)


def test_dare_in_double_precision_draws_mergekits_masks(oracle) -> None:
    base, *others = ({name: tensor.double() for name, tensor in m.items()} for m in (BASE, *PARENTS[:2]))
    torch.manual_seed(9)
    parameters = {"weight": [0.6, 0.4], "density": 0.5, "rescale": True}
    theirs = oracle([base, *others], "dare_linear", base=0, parameters=parameters)
    assert_close(dare(base, others, [0.6, 0.4], 0.5, 9, rescale="l1"), theirs)


def test_empty_tensors_are_merged() -> None:
    empty = {"w": torch.zeros(0, 4)}
    for name, merge in MERGES.items():
        assert merge(empty, [empty, empty])["w"].shape == (0, 4), name
