"""Where training runs and in which precision: CPU in float32, or CUDA with autocast, chosen when it starts.

The environment variable ``AGENT_FORGE_DEVICE`` (auto, cpu, cuda, cuda:1, ...) decides; it is no parameter of the
pipeline, so that a GPU in the machine makes nothing stale.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from forge.errors import ForgeError

VARIABLE = "AGENT_FORGE_DEVICE"
# Parameters of glibc's mallopt, and what they are set to, in bytes.
_MALLOPT = {"M_TRIM_THRESHOLD": (-1, 2**31 - 1), "M_MMAP_THRESHOLD": (-3, 2**30)}


def training_device(local_rank: int = 0) -> torch.device:
    """The device that :data:`VARIABLE` names; ``auto``, the default, is the process's own GPU where there is one.

    Raises:
        ForgeError: the variable names no device, or one that this machine does not have.
    """
    wanted = os.environ.get(VARIABLE, "auto").strip().lower() or "auto"
    if wanted == "auto":
        wanted = f"cuda:{local_rank}" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise ForgeError(f"{VARIABLE}: '{wanted}' is not a device; take auto, cpu or cuda") from error
    if device.type not in ("cpu", "cuda"):
        raise ForgeError(f"{VARIABLE}: '{wanted}' is neither cpu nor cuda")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ForgeError(f"{VARIABLE}: '{wanted}' is not there; this machine has {torch.cuda.device_count()} GPUs")
    return device


@contextmanager
def training_model_on_device(model: nn.Module, device: torch.device) -> Iterator[None]:
    """The model on ``device`` for as long as the block runs; afterwards it is where it was."""
    home = next(model.parameters()).device
    model.to(device)
    try:
        yield
    finally:
        model.to(home)


def keep_freed_memory_for_training() -> bool:
    """Have glibc keep what is freed instead of giving it back to the kernel, which has to clear every page of it
    again at the next step. Peak memory stays what it is. False where the C library is another."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and sum(mallopt(name, value) for name, value in _MALLOPT.values()) == len(_MALLOPT)


@dataclass(frozen=True)
class AmpState:
    """Mixed precision as metrics see it: whether it is on, the bits of the products' numbers, the factor on the
    loss that keeps small gradients alive, and the steps that were left out because gradients overflowed."""

    enabled: bool = False
    dtype_bits: int = 32
    loss_scale: float = 1.0
    skipped_steps: int = 0


class MixedPrecision:
    """Autocast and, for float16, the scaling of the loss (Micikevicius et al., arXiv 1710.03740).

    ``dtype`` None turns both off: the default on CPU, where narrow products are slower than float32 ones.
    """

    def __init__(self, device_type: str, dtype: torch.dtype | None, loss_scale: float = 2.0**16) -> None:
        self.device_type, self.dtype = device_type, dtype
        scaled = dtype == torch.float16
        self.scaler = torch.amp.GradScaler(device_type, init_scale=loss_scale, growth_interval=200, enabled=scaled)
        self.skipped_steps = 0

    @classmethod
    def on(cls, device: torch.device) -> MixedPrecision:
        """What the device does best: bfloat16 on a GPU that has it, float16 on an older one, nothing on a CPU."""
        if device.type != "cuda":
            return cls(device.type, None)
        return cls("cuda", torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16)

    @property
    def state(self) -> AmpState:
        """For metrics."""
        if self.dtype is None:
            return AmpState()
        return AmpState(True, 8 * self.dtype.itemsize, float(self.scaler.get_scale()), self.skipped_steps)

    def autocast(self) -> AbstractContextManager[Any]:
        """Around the forward pass."""
        return torch.autocast(self.device_type, self.dtype or torch.bfloat16, enabled=self.dtype is not None)

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of ``loss``, scaled."""
        self.scaler.scale(loss).backward()

    def step(self, optimizer: Any, *rates: float) -> bool:
        """One update, unless unscaled gradients overflowed; the factor is adapted. False where it was left out."""
        before = self.scaler.get_scale()
        self.scaler.step(optimizer, *rates)
        self.scaler.update()
        skipped = self.scaler.get_scale() < before
        self.skipped_steps += skipped
        return not skipped

    def to_dict(self) -> dict[str, Any]:
        """Scalars of a checkpoint."""
        return {"scaler": self.scaler.state_dict(), "skipped_steps": self.skipped_steps}

    def load(self, scalars: dict[str, Any]) -> None:
        """Inverse of :meth:`to_dict`."""
        self.skipped_steps = scalars["skipped_steps"]
        if self.scaler.is_enabled() and scalars["scaler"]:
            self.scaler.load_state_dict(scalars["scaler"])
