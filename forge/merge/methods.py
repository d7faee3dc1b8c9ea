"""Merging of models in weight space: linear, SLERP, TIES and DARE on plain state dicts.

A state dict maps a name to a tensor. All models of one call hold the same names and shapes; floating
tensors are merged, others (counters, flags) must agree and are copied. Every function leaves its inputs
alone and returns new memory, so a result may be edited. Arithmetic is float32, or float64 where the inputs
are. Two conventions that differ between the papers and mergekit are arguments: TIES trims per tensor
(mergekit; the paper trims over the whole model), DARE rescales by 1/density (the paper) or to the tensor's
old L1 norm (mergekit).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from forge.errors import ForgeError
from forge.merge.arithmetic import (
    Rescale,
    dare_mask,
    merge_scratch_tensor,
    slerp_tensor,
    trim_task_vector,
    weighted_sum,
)

StateDict = dict[str, Tensor]
Model = Mapping[str, Tensor]

_TINY_SUM = 1e-8


def check_mergeable(models: Sequence[Model]) -> None:
    """Raise `ForgeError` naming the first tensor that is missing, misshapen, or a counter that disagrees."""
    if not models:
        raise ForgeError("merge: no models given")
    first = models[0]
    for number, model in enumerate(models[1:], start=2):
        odd = first.keys() ^ model.keys()
        if odd:
            raise ForgeError(f"merge: tensor '{min(odd)}' is not in both model 1 and model {number}")
        for name, tensor in first.items():
            other = model[name]
            if other.shape != tensor.shape:
                raise ForgeError(
                    f"merge: '{name}' is {tuple(tensor.shape)} in model 1, {tuple(other.shape)} in model {number}"
                )
            if not tensor.is_floating_point() and not torch.equal(tensor, other):
                raise ForgeError(f"merge: '{name}' is not floating and differs in model {number}")


def is_merge_finite(model: Model) -> bool:
    """Whether no tensor holds NaN or infinity."""
    # One sum finds almost every healthy tensor healthy; only a non-finite sum needs the exact look.
    return all(bool(torch.isfinite(tensor.sum())) or bool(torch.isfinite(tensor).all()) for tensor in model.values())


def copy_model_for_merge(model: Model) -> StateDict:
    """The same tensors in memory of their own, detached."""
    return {name: tensor.detach().clone() for name, tensor in model.items()}


def merge_linear(models: Sequence[Model], weights: Sequence[float], normalize: bool = True) -> StateDict:
    """Weighted average of models ("model soup", arXiv 2203.05482).

    Args:
        models: at least one state dict.
        weights: one per model; with ``normalize`` they are divided by their sum, which may then not be zero.
        normalize: False gives the plain weighted sum.

    Raises:
        ForgeError: models do not match, wrong number of weights, or weights that add up to nothing.
    """
    check_mergeable(models)
    shares = _weights(weights, len(models))
    if normalize:
        total = sum(shares)
        if abs(total) < _TINY_SUM:
            raise ForgeError("merge: the weights of a normalized linear merge add up to zero")
        shares = [share / total for share in shares]
    used = [(model, share) for model, share in zip(models, shares, strict=True) if share != 0.0] or [(models[0], 0.0)]
    if len(used) == 1 and used[0][1] == 1.0:
        return copy_model_for_merge(used[0][0])  # bit for bit: no rounding, no -0.0 turned into 0.0

    return _merge_per_tensor(
        models[0],
        lambda name, first: weighted_sum(
            [_to_merge_precision(model[name]) for model, _ in used], [share for _, share in used]
        ),
    )


def slerp(a: Model, b: Model, t: float) -> StateDict:
    """Spherical interpolation from ``a`` (t=0) to ``b`` (t=1), each tensor taken as one flat vector.

    The angle is that between the normalized tensors, the coefficients multiply the tensors as they are
    (mergekit's definition). Nearly parallel or antipodal pairs (|cos| > 0.9995) and pairs with a zero
    tensor are safe: the former are interpolated linearly, the latter count as orthogonal.

    Raises:
        ForgeError: models do not match.
    """
    check_mergeable((a, b))
    if t in (0, 1):
        return copy_model_for_merge(b if t else a)
    return _merge_per_tensor(
        a, lambda name, first: slerp_tensor(_to_merge_precision(first), _to_merge_precision(b[name]), t)
    )


def slerp_deltas(base: Model, models: Sequence[Model], weights: Sequence[float]) -> StateDict:
    """SLERP of any number of models on their task vectors: base + the spherical average of (model - base).

    Models that share a trunk are nearly parallel as a whole, where SLERP is the linear average; their task
    vectors are not, and keeping the vectors' length is what tells SLERP from the average (mergekit's
    ``nuslerp`` with a base, here chained: the k-th model enters at t = its weight / the sum of weights so
    far).

    Raises:
        ForgeError: models do not match, wrong number of weights, a negative weight, or weights that are all
            zero.
    """
    check_mergeable((base, *models))
    shares = _weights(weights, len(models))
    used = [(model, share) for model, share in zip(models, shares, strict=True) if share != 0.0]
    if not used or min(shares) < 0.0:
        raise ForgeError("merge: SLERP needs weights of at least zero, not all zero")
    if len(used) == 1:
        return copy_model_for_merge(used[0][0])

    def arc(name: str, origin: Tensor) -> Tensor:
        origin = _to_merge_precision(origin)
        total, mean = 0.0, torch.empty(0)
        for model, share in used:
            delta = _to_merge_precision(model[name]) - origin
            total += share
            mean = slerp_tensor(mean, delta, share / total) if total > share else delta
        return mean.add_(origin)

    return _merge_per_tensor(base, arc)


def ties(
    base: Model,
    models: Sequence[Model],
    weights: Sequence[float],
    density: float | Sequence[float],
    normalize: bool = True,
    lam: float = 1.0,
) -> StateDict:
    """TIES: trim, elect sign, disjoint merge (arXiv 2306.01708, section 4), in mergekit's per-tensor form.

    Of each model's task vector the k = max(1, int(density * size)) greatest entries of a tensor are kept;
    of entries tied at the threshold the first ones. The sign of each entry is that of the weighted sum of
    what was kept (0 counts as +); only entries of that sign are merged.

    Args:
        base: the model from which all others were trained.
        models: at least one.
        weights: one per model.
        density: share kept, in (0, 1]; one number for all models or one per model.
        normalize: divide each entry by the weights that took part in it.
        lam: factor on the merged task vector.

    Raises:
        ForgeError: models do not match, wrong number of weights, or a density outside (0, 1].
    """
    shares, kept = _weights(weights, len(models)), _check_merge_densities(density, len(models))

    def keep_greatest(tensor: Tensor, origin: Tensor, index: int) -> tuple[Tensor, float]:
        return trim_task_vector(torch.sub(tensor, origin, out=merge_scratch_tensor(origin)), kept[index]), 1.0

    return _merge_deltas(base, models, shares, keep_greatest, elect_sign=True, normalize=normalize, lam=lam)


def dare(
    base: Model,
    models: Sequence[Model],
    weights: Sequence[float],
    density: float | Sequence[float],
    generator: torch.Generator | int = 0,
    rescale: Rescale = "inverse",
    elect_sign: bool = False,
    lam: float = 1.0,
) -> StateDict:
    """DARE: drop entries of the task vectors at random and rescale the rest (arXiv 2311.03099, section 3).

    Args:
        base: the model from which all others were trained.
        models: at least one.
        weights: one per model; not normalized: base + lam * sum(weight * sparse task vector).
        density: share kept on average, in (0, 1]; one number for all models or one per model.
        generator: source of the masks, or a seed for one. One mask a tensor and model is drawn, tensors in
            the order of ``base``, as mergekit does; the same seed gives mergekit's masks. None is drawn at
            density 1.
        rescale: "inverse" multiplies by 1/density, so that the task vector keeps its expectation (the
            paper); "l1" to the tensor's L1 norm before dropping (mergekit).
        elect_sign: merge only entries of the elected sign (mergekit's ``dare_ties``).
        lam: factor on the merged task vector.

    Raises:
        ForgeError: models do not match, wrong number of weights, unknown rescale, or a density outside
            (0, 1].
    """
    if rescale not in ("inverse", "l1"):
        raise ForgeError(f"merge: rescale '{rescale}' is neither 'inverse' nor 'l1'")
    shares, kept = _weights(weights, len(models)), _check_merge_densities(density, len(models))
    source = torch.Generator().manual_seed(generator) if isinstance(generator, int) else generator

    def drop_some(tensor: Tensor, origin: Tensor, index: int) -> tuple[Tensor, float]:
        return dare_mask(tensor, origin, kept[index], source, rescale)

    return _merge_deltas(base, models, shares, drop_some, elect_sign=elect_sign, normalize=False, lam=lam)


def _merge_deltas(
    base: Model,
    models: Sequence[Model],
    weights: Sequence[float],
    sparsify: Callable[[Tensor, Tensor, int], tuple[Tensor, float]],
    *,
    elect_sign: bool,
    normalize: bool,
    lam: float,
) -> StateDict:
    """base + lam * merged task vectors, each made sparse by ``sparsify(tensor, base tensor, model index)``, which also
    gives the factor that rescales it.
    """
    check_mergeable((base, *models))
    if not models:
        raise ForgeError("merge: no models given besides the base")

    def merged(name: str, origin: Tensor) -> Tensor:
        origin = _to_merge_precision(origin)
        sparse = [sparsify(_to_merge_precision(model[name]), origin, index) for index, model in enumerate(models)]
        deltas = [delta for delta, _ in sparse]
        shares = [weight * factor for weight, (_, factor) in zip(weights, sparse, strict=True)]
        mixed = _elected_sum(deltas, shares, normalize) if elect_sign else weighted_sum(deltas, shares)
        return torch.add(origin, mixed, alpha=lam, out=mixed)

    return _merge_per_tensor(base, merged)


def _elected_sum(deltas: Sequence[Tensor], weights: Sequence[float], normalize: bool) -> Tensor:
    """Weighted sum of the entries whose weighted sign is that of the sum of all; optionally divided by the
    weights that took part. Uses up ``deltas``.
    """
    # Comparisons that write floats (ge_, sign, eq with out=) are several times faster than boolean ones.
    sign = weighted_sum(deltas, weights, merge_scratch_tensor(deltas[0])).ge_(0).mul_(2).sub_(1)
    mixed, divisor = torch.zeros_like(sign), merge_scratch_tensor(sign).zero_()
    for delta, weight in zip(deltas, weights, strict=True):
        agreeing = (delta.mul_(sign) if weight >= 0 else delta.mul_(sign).neg_()).clamp_(min=0)
        mixed.add_(agreeing, alpha=abs(weight))
        if normalize:
            divisor.add_(agreeing.sign_(), alpha=weight)
    mixed.mul_(sign)
    return mixed.div_(divisor.add_(torch.eq(divisor, 0, out=sign))) if normalize else mixed


def _merge_per_tensor(like: Model, function: Callable[[str, Tensor], Tensor]) -> StateDict:
    """Apply ``function`` to every floating tensor of ``like`` and cast back; copy the others."""
    result: StateDict = {}
    with torch.no_grad():
        for name, tensor in like.items():
            floating = tensor.is_floating_point()
            result[name] = function(name, tensor).to(tensor.dtype) if floating else tensor.clone()
    return result


def _to_merge_precision(tensor: Tensor) -> Tensor:
    """The tensor in the precision of the arithmetic (no copy for float32 and float64)."""
    tensor = tensor.detach()
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def _weights(weights: Sequence[float], count: int) -> list[float]:
    values = [float(weight) for weight in weights]
    if len(values) != count:
        raise ForgeError(f"merge: {len(values)} weights given for {count} models")
    return values


def _check_merge_densities(density: float | Sequence[float], count: int) -> list[float]:
    values = [float(density)] * count if isinstance(density, (int, float)) else [float(value) for value in density]
    if len(values) != count:
        raise ForgeError(f"merge: {len(values)} densities given for {count} models")
    if not all(0.0 < value <= 1.0 for value in values):
        raise ForgeError(f"merge: density must lie in (0, 1], not {min(values)} to {max(values)}")
    return values
