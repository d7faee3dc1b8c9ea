"""Muon for the matrices of the core, AdamW for the rest, the Grokfast filter, the learning-rate schedule."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.optim.adamw import adamw

from forge.model.titan import TinyTitanForCausalLM, names_of_core_model_weights

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # quintic coefficients of Muon (K. Jordan, 2024)


def orthogonalize_muon_update(matrices: Tensor, iterations: int = 3) -> Tensor:
    """Nearest semi-orthogonal matrix of each (n,r,c), approximately, by Newton-Schulz; batched products.

    The fourth root of the sum of the singular values' fourth powers bounds the largest one more closely than the
    Frobenius norm, and is known from the first product: three iterations from there come as near as five do.
    """
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.transpose(1, 2) if tall else matrices
    gram = x @ x.transpose(1, 2)
    bound = gram.norm(dim=(1, 2), keepdim=True).sqrt() + 1e-7
    x, gram = x / bound, gram / bound**2
    a, b, c = NEWTON_SCHULZ
    # Products with x commute with those below, so they wait until the end: x may be several times as wide.
    factor = None
    for last in reversed(range(iterations)):
        step = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        step.diagonal(dim1=1, dim2=2).add_(a)
        factor = step if factor is None else step @ factor
        if last:
            gram = step @ gram @ step
    assert factor is not None, "at least one iteration"
    x = factor @ x
    return x.transpose(1, 2) if tall else x


class HybridOptimizer:
    """Muon on core weights (equal shapes stacked), AdamW on embeddings, gates and vectors.

    AdamW is torch's function: its class would import torch's compiler, a second in every stage that trains.
    """

    def __init__(self, model: TinyTitanForCausalLM, weight_decay: float, momentum: float = 0.95) -> None:
        core = {*names_of_core_model_weights(model), *model.extra_matrices}
        trainable = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.weight_decay, self.momentum = weight_decay, momentum
        self.groups: dict[tuple[int, ...], list[tuple[str, Tensor]]] = defaultdict(list)
        for name, parameter in trainable.items():
            if name in core:
                self.groups[tuple(parameter.shape)].append((name, parameter))
        self.buffers = {shape: items[0][1].new_zeros(len(items), *shape) for shape, items in self.groups.items()}
        self.adam = {name: parameter for name, parameter in trainable.items() if name not in core}
        self.moments: dict[str, dict[str, Tensor]] = {}  # of AdamW, by parameter, once it has had a gradient

    @torch.no_grad()
    def step(self, muon_lr: float, adam_lr: float) -> None:
        """One update from the gradients in place, which are cleared."""
        for shape, items in self.groups.items():
            grads = torch.stack([torch.zeros_like(p) if p.grad is None else p.grad for _, p in items])
            buffer = self.buffers[shape].lerp_(grads, 1 - self.momentum)
            update = orthogonalize_muon_update(grads.lerp_(buffer, self.momentum))
            scale = max(1.0, shape[0] / shape[1]) ** 0.5
            for (_, parameter), delta in zip(items, update, strict=True):
                parameter.mul_(1 - muon_lr * self.weight_decay).add_(delta, alpha=-muon_lr * scale)
                parameter.grad = None
        self._adam_step(adam_lr)

    def _adam_step(self, lr: float) -> None:
        live = {name: parameter for name, parameter in self.adam.items() if parameter.grad is not None}
        for name, parameter in live.items():
            if name not in self.moments:
                averages = {key: torch.zeros_like(parameter) for key in ("exp_avg", "exp_avg_sq")}
                self.moments[name] = {"step": torch.zeros((), device=parameter.device), **averages}
        if live:
            step, first, second = ([self.moments[n][key] for n in live] for key in ("step", "exp_avg", "exp_avg_sq"))
            adamw(
                list(live.values()),
                [parameter.grad for parameter in live.values() if parameter.grad is not None],
                first,
                second,
                [],
                step,
                fused=True,
                amsgrad=False,
                beta1=0.9,
                beta2=0.98,
                lr=lr,
                weight_decay=0.0,
                eps=1e-8,
                maximize=False,
            )
        for parameter in live.values():
            parameter.grad = None

    @property
    def param_groups(self) -> list[dict[str, list[Tensor]]]:
        """All parameters, where the scaler of mixed precision looks for them."""
        return [{"params": [p for items in self.groups.values() for _, p in items] + list(self.adam.values())}]

    def state(self) -> dict[str, Tensor]:
        """All state as named tensors."""
        out = {"muon." + "x".join(map(str, shape)): buffer for shape, buffer in self.buffers.items()}
        for name in self.adam:
            out |= {f"adam.{name}.{key}": value for key, value in self.moments.get(name, {}).items()}
        return out

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Inverse of :meth:`state`."""
        for shape in self.buffers:
            self.buffers[shape].copy_(tensors["muon." + "x".join(map(str, shape))])
        self.moments = {
            name: {
                key: tensors[f"adam.{name}.{key}"].to(parameter.device, copy=True)
                for key in ("step", "exp_avg", "exp_avg_sq")
            }
            for name, parameter in self.adam.items()
            if f"adam.{name}.step" in tensors
        }


class Grokfast:
    """EMA gradient filter (arXiv 2405.20233, algorithm 1): h = alpha h + (1-alpha) g; g += lambda h. lambda 0
    changes nothing."""

    def __init__(self, alpha: float, lam: float) -> None:
        self.alpha, self.lam = alpha, lam
        self.slow: dict[str, Tensor] = {}

    @torch.no_grad()
    def __call__(self, named_parameters: Mapping[str, Tensor]) -> dict[str, float]:
        """Filter the gradients in place; norms of the raw, slow and filtered gradient."""
        raw = slow = dot = 0.0
        for name, parameter in named_parameters.items():
            grad = parameter.grad
            if grad is None:
                continue
            h = self.slow.setdefault(name, grad.clone()).lerp_(grad, 1 - self.alpha)
            raw += float(grad.square().sum())
            slow += float(h.square().sum())
            dot += float((grad * h).sum())
            grad.add_(h, alpha=self.lam)
        filtered = raw + 2 * self.lam * dot + self.lam**2 * slow
        cosine = dot / max(1e-12, (raw * slow) ** 0.5)
        return {
            "raw_grad_norm": raw**0.5,
            "ema_grad_norm": slow**0.5,
            "filtered_grad_norm": max(0.0, filtered) ** 0.5,
            "cosine_raw_ema": cosine,
        }


def schedule(step: int, steps: int, warmup_fraction: float, decay_fraction: float, end: float) -> float:
    """Warm-up, stable, linear decay no further than to ``end``: multiplier of the rate at ``step`` (0-based)."""
    warmup = max(1, round(steps * warmup_fraction))
    decay = max(1, round(steps * decay_fraction))
    rising = min(1.0, (step + 1) / warmup)
    falling = min(1.0, max(end, (steps - step) / decay))
    return min(rising, falling)
