"""FrankenMerge and data-flow space: identity, shapes, and scalings that do what the docstring says."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from forge.errors import ForgeError
from forge.merge.layers import (
    Junction,
    count_merge_blocks,
    frankenmerge,
    interchangeable_merge_blocks,
    merge_by_dataflow,
    merge_input_scale_gains,
)

HIDDEN = 6


def toy(seed: int, widths: dict[str, tuple[int, ...]] | None = None) -> dict[str, Tensor]:
    """A state dict with the project's names; ``widths`` gives the FFN widths of each module's blocks."""
    generator = torch.Generator().manual_seed(seed)
    shapes: dict[str, tuple[int, ...]] = {"embed.weight": (11, HIDDEN), "low_init": (HIDDEN,)}
    for module, ffn in (widths or {"low": (8, 8, 8), "high": (8, 8)}).items():
        for index, width in enumerate(ffn):
            prefix = f"{module}.{index}."
            shapes |= {f"{prefix}attn.{part}.weight": (HIDDEN, HIDDEN) for part in "qkvo"}
            shapes |= {f"{prefix}ffn.up.weight": (width, HIDDEN), f"{prefix}ffn.down.weight": (HIDDEN, width)}
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


MODELS = [toy(seed) for seed in range(3)]
IDENTITY = {"low": [Junction(0, i) for i in range(3)], "high": [Junction(0, i) for i in range(2)]}


def run_stack(model: dict[str, Tensor], x: Tensor, scales: list[float]) -> Tensor:
    """Module low as pre-norm residual blocks whose *input* is multiplied by ``scales``: DFS by definition."""

    def norm(y: Tensor) -> Tensor:
        return functional.rms_norm(y, y.shape[-1:])

    for index, scale in enumerate(scales):
        weights = {name[6:]: t for name, t in model.items() if name.startswith(f"low.{index}.")}
        x = x * scale
        q, k, v = (functional.linear(norm(x), weights[f"attn.{part}.weight"]) for part in "qkv")
        mixed = torch.softmax(q @ k.transpose(-1, -2), dim=-1) @ v
        x = x + functional.linear(norm(mixed), weights["attn.o.weight"])
        hidden = functional.relu(functional.linear(norm(x), weights["ffn.up.weight"])).square()
        x = x + functional.linear(norm(hidden), weights["ffn.down.weight"])
    return norm(x)


@pytest.mark.parametrize("merge", ["frankenmerge", "dataflow"])
@pytest.mark.parametrize("donor", [0, 2])
def test_identity_gives_the_donor_bit_for_bit(merge, donor) -> None:
    if merge == "frankenmerge":
        result = frankenmerge(MODELS, {"low": [donor] * 3, "high": [donor] * 2}, rest=donor)
    else:
        paths = {m: [Junction(donor, j.block) for j in path] for m, path in IDENTITY.items()}
        result = merge_by_dataflow(MODELS, paths, rest=donor)
    assert list(result) == list(MODELS[0])
    assert all(torch.equal(result[name], MODELS[donor][name]) for name in result)
    result["low_init"].fill_(9.0)
    result["low.0.attn.q.weight"].fill_(9.0)
    assert not (MODELS[donor]["low_init"] == 9.0).any()
    assert not (MODELS[donor]["low.0.attn.q.weight"] == 9.0).any()


def test_frankenmerge_takes_each_block_from_its_pick_and_the_rest_from_one() -> None:
    result = frankenmerge(MODELS, {"low": [2, 0, 1]}, rest=1)
    for depth, pick in enumerate([2, 0, 1]):
        for part in ("attn.q", "attn.o", "ffn.down"):
            name = f"low.{depth}.{part}.weight"
            assert torch.equal(result[name], MODELS[pick][name])
    for name in ("embed.weight", "low_init", "high.0.ffn.up.weight"):
        assert torch.equal(result[name], MODELS[1][name])


def test_dataflow_reorders_blocks() -> None:
    path = [Junction(1, 2), Junction(1, 2), Junction(0, 0)]
    result = merge_by_dataflow(MODELS, {"low": path})
    for depth, junction in enumerate(path):
        for part in ("attn.v", "ffn.up"):
            source = MODELS[junction.donor][f"low.{junction.block}.{part}.weight"]
            assert torch.equal(result[f"low.{depth}.{part}.weight"], source)
    assert {name: t.shape for name, t in result.items()} == {name: t.shape for name, t in MODELS[0].items()}


def test_folded_scalings_equal_scaled_inputs() -> None:
    scales = [1.3, 0.6, 0.9]
    path = [Junction(0, i, scale) for i, scale in enumerate(scales)]
    x = torch.randn(4, 5, HIDDEN, generator=torch.Generator().manual_seed(1))
    folded = run_stack(merge_by_dataflow(MODELS, {"low": path}), x, [1.0] * 3)
    torch.testing.assert_close(folded, run_stack(MODELS[0], x, scales), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(folded, run_stack(MODELS[0], x, [1.0] * 3), atol=1e-2)


def test_gains_by_hand() -> None:
    assert merge_input_scale_gains([1.0, 2.0, 0.5, 4.0]) == [1.0, 0.5, 1.0, 0.25]


def test_interchangeable_looks_at_shapes() -> None:
    model = toy(0, {"low": (8, 4, 8), "high": (8,)})
    assert interchangeable_merge_blocks(model, "low") == ((0, 2), (1,), (0, 2))
    assert interchangeable_merge_blocks(model, "high") == ((0,),)
    assert count_merge_blocks(model, "low") == 3
    with pytest.raises(ForgeError, match=r"other shapes cannot take the place 'low\.1'"):
        merge_by_dataflow([model], {"low": [Junction(0, 0), Junction(0, 2), Junction(0, 2)]})


def test_a_gap_in_the_numbering_is_refused() -> None:
    model = {name: t for name, t in toy(0).items() if not name.startswith("low.1.")}
    with pytest.raises(ForgeError, match=r"numbered \[0, 2\]"):
        count_merge_blocks(model, "low")


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        ({"low": IDENTITY["low"][:2]}, "has 2 blocks, the module has 3"),
        ({"middle": []}, "'middle' is not a module"),
        ({"high": [Junction(5, 0), Junction(0, 1)]}, "model 5 asked for, 3 given"),
        ({"high": [Junction(-1, 0), Junction(0, 1)]}, "model -1 asked for"),
        ({"high": [Junction(0, 7), Junction(0, 1)]}, r"no block 'high\.7'"),
        ({"high": [Junction(0, 0, 0.0), Junction(0, 1)]}, "scale 0.0 of a junction is not positive"),
    ],
)
def test_impossible_paths_are_refused(paths, words) -> None:
    with pytest.raises(ForgeError, match=words):
        merge_by_dataflow(MODELS, paths)


def test_a_block_without_output_matrices_cannot_be_scaled() -> None:
    model = {"low.0.mixer": torch.ones(2), "embed.weight": torch.ones(2)}
    assert torch.equal(merge_by_dataflow([model], {"low": [Junction(0, 0)]})["low.0.mixer"], torch.ones(2))
    with pytest.raises(ForgeError, match="to scale"):
        merge_by_dataflow([model], {"low": [Junction(0, 0, 1.2)]})
