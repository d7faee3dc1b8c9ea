"""The targets of the deployment: what a small device should be able to hold and to wait for."""

from __future__ import annotations

from dataclasses import dataclass

MAX_SIZE_MB = 20.0
MAX_LATENCY_MS = 50.0
MIN_TOKENS_PER_S = 100.0
MAX_RAM_MB = 500.0
MIN_RETENTION = 0.9


@dataclass(frozen=True)
class Target:
    """One bound of the deployment and the metric held against it; being at the bound is not enough."""

    value: float
    bound: float
    at_most: bool

    @property
    def passed(self) -> bool:
        """On the right side of the bound; a metric that is not a number passes nothing."""
        return self.value < self.bound if self.at_most else self.value > self.bound


def check_edge_targets(
    *, size_mb: float, latency_ms: float, tokens_per_s: float, ram_mb: float, accuracy_retention: float
) -> dict[str, Target]:
    """Hold measured metrics against the phase's targets; MB are 10^6 bytes, latency is the median of 512 tokens."""
    return {
        "size_mb": Target(size_mb, MAX_SIZE_MB, True),
        "latency_ms": Target(latency_ms, MAX_LATENCY_MS, True),
        "tokens_per_s": Target(tokens_per_s, MIN_TOKENS_PER_S, False),
        "ram_mb": Target(ram_mb, MAX_RAM_MB, True),
        "accuracy_retention": Target(accuracy_retention, MIN_RETENTION, False),
    }
