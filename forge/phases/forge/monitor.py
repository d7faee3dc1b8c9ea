"""What a long training run is watched for beside its loss: precision, skipped steps, machine, slow gradient."""

from __future__ import annotations

import math
import resource
import time
from collections.abc import Callable

import psutil
import torch
from torch import Tensor, nn

from forge.model.titan import TinyTitanForCausalLM
from forge.train.batches import Batch
from forge.train.losses import LossFn

GIB = 2**30


class LoopMonitor:
    """Watches the steps of one process from outside the loop: wrap the loss by `loss`, call the monitor after a step.

    Nothing here is taken from settings: the precision is that of a projection's output, the loss scale is the
    gradient that arrives at the loss, and a skipped step is one that left a watched weight as it was.
    """

    def __init__(self, model: TinyTitanForCausalLM) -> None:
        name, linear = next(iter(model.core_linears().items()))
        self.model, self.watched = model, f"{name}.weight"
        self._linear = linear
        self._before = linear.weight.detach().clone()
        self._process = psutil.Process()
        self._cpu, self._began = self._cpu_seconds(), time.perf_counter()
        self._resumed_at = self._began
        self.scale = self._arrived = 0.0
        self.bits = 0
        self.seconds = 0.0  # spent in steps, without what watchers do between them
        self.steps = self.skipped = self.tokens = 0

    def _cpu_seconds(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)

    def loss(self, base: LossFn) -> LossFn:
        """``base``, watched."""

        def watched(model: TinyTitanForCausalLM, batch: Batch) -> tuple[Tensor, dict[str, float]]:
            handle = self._linear.register_forward_hook(self._see_output)
            try:
                total, metrics = base(model, batch)
            finally:
                handle.remove()
            add_hook: Callable[[Callable[[Tensor], None]], object] = total.register_hook
            add_hook(self._see_gradient)
            self.tokens += batch.ids.numel()
            return total, metrics

        return watched

    def _see_output(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        self.bits = torch.finfo(output.dtype).bits

    def _see_gradient(self, gradient: Tensor) -> None:
        # Micro-batches of one step add up to it.
        self._arrived += float(gradient)

    def __call__(self) -> None:
        """Note that a step has ended. What happens until `resume` is not counted as the next step's time."""
        now = time.perf_counter()
        self.seconds += now - self._resumed_at
        self._resumed_at = now
        self.steps += 1
        weight = self._linear.weight.detach()
        self.skipped += bool(torch.equal(weight, self._before))
        self._before.copy_(weight)
        self.scale, self._arrived = self._arrived, 0.0

    def resume(self) -> None:
        """The next step begins now."""
        self._resumed_at = time.perf_counter()

    def metrics(self) -> dict[str, float]:
        """``amp/*`` and ``system/*`` so far, of this process; at least one step must have ended."""
        wall = max(1e-9, time.perf_counter() - self._began)
        utilization, vram = forge_loop_gpu_use()
        held = torch.finfo(self._linear.weight.dtype).bits
        return {
            "amp/enabled": float(self.bits < held),
            "amp/dtype_bits": self.bits,
            "amp/loss_scale": self.scale,
            "amp/skipped_steps": self.skipped,
            "system/gpu_utilization": utilization,
            "system/vram_used_gb": vram,
            "system/time_per_step_ms": 1000 * self.seconds / self.steps,
            "system/cpu_percent": 100 * (self._cpu_seconds() - self._cpu) / wall,
            "system/ram_used_gb": self._process.memory_info().rss / GIB,
            "system/peak_memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB,
        }

    @property
    def tokens_per_second(self) -> float:
        """Tokens read, padding included, per second spent in steps."""
        return self.tokens / max(1e-9, self.seconds)


def forge_loop_gpu_use() -> tuple[float, float]:
    """(Utilization in percent, memory in use in GiB) of the GPUs that NVML sees, their mean and their sum; zeros where
    there is none or no driver."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return 0.0, 0.0
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        used = sum(pynvml.nvmlDeviceGetMemoryInfo(handle).used for handle in handles)
        busy = [pynvml.nvmlDeviceGetUtilizationRates(handle).gpu for handle in handles]
        return sum(busy) / max(1, len(busy)), used / GIB
    finally:
        pynvml.nvmlShutdown()


def weight_norm(model: TinyTitanForCausalLM) -> float:
    """L2 norm of all weights that train."""
    norms = [parameter.detach().norm() for parameter in model.parameters() if parameter.requires_grad]
    return float(torch.stack(norms).norm())


def grokfast_metrics(metrics: dict[str, float], alpha: float, lam: float) -> dict[str, float]:
    """``grokfast/*`` from the norms that the filter measured in a step (`forge.train.optim.Grokfast`)."""
    names = ("raw_grad_norm", "ema_grad_norm", "filtered_grad_norm", "cosine_raw_ema")
    raw = max(1e-12, metrics["raw_grad_norm"])
    return {
        "grokfast/alpha": alpha,
        "grokfast/lambda": lam,
        **{f"grokfast/{name}": metrics[name] for name in names},
        "grokfast/amplification_ratio": metrics["filtered_grad_norm"] / raw,
        "grokfast/slow_energy_fraction": (metrics["ema_grad_norm"] / raw) ** 2,
    }


def forge_loop_perplexity(loss: float) -> float:
    """exp of a loss in nats per token; infinite losses never get here, huge ones stay finite."""
    return math.exp(min(loss, 700.0))
