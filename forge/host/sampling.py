"""Processor, memory and GPU while a stage runs: a line a second in `system.jsonl`, mean and peak at the end.

The metrics describe the machine at one time, so they go to `.forge` and to `results/<phase>/run.json`, never into
anything that a later stage depends on.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from pathlib import Path
from typing import Any, Protocol

LOG = logging.getLogger(__name__)
SYSTEM = "system.jsonl"
INTERVAL = 1.0  # seconds


class Probe(Protocol):
    """Something that can be asked for its metrics, again and again."""

    def __call__(self) -> dict[str, float]: ...


class HostProbe:
    """cpu_percent (of all cores), process_cpu_percent (of one core), rss_gb of this process, ram_used_gb of the
    machine; 1 GB is 10^9 bytes."""

    def __init__(self) -> None:
        import psutil

        self._psutil, self._process = psutil, psutil.Process()
        self()  # percentages count from the call before

    def __call__(self) -> dict[str, float]:
        memory = self._psutil.virtual_memory()
        return {
            "cpu_percent": self._psutil.cpu_percent(None),
            "process_cpu_percent": self._process.cpu_percent(None),
            "rss_gb": round(self._process.memory_info().rss / 1e9, 4),
            "ram_used_gb": round((memory.total - memory.available) / 1e9, 4),
        }


class GpuProbe:
    """gpu_utilization (percent, mean over the GPUs) and vram_used_gb (their sum), through NVML."""

    def __init__(self, nvml: Any) -> None:
        self._nvml = nvml
        self._handles = [nvml.nvmlDeviceGetHandleByIndex(i) for i in range(nvml.nvmlDeviceGetCount())]

    def __call__(self) -> dict[str, float]:
        busy = [self._nvml.nvmlDeviceGetUtilizationRates(handle).gpu for handle in self._handles]
        used = [self._nvml.nvmlDeviceGetMemoryInfo(handle).used for handle in self._handles]
        return {"gpu_utilization": sum(busy) / len(busy), "vram_used_gb": round(sum(used) / 1e9, 4)}


def find_host_probes() -> list[Probe]:
    """What this machine can be asked: always itself, and its GPUs where NVML finds any."""
    import pynvml

    probes: list[Probe] = [HostProbe()]
    try:
        pynvml.nvmlInit()
        if pynvml.nvmlDeviceGetCount() > 0:
            probes.append(GpuProbe(pynvml))
    except pynvml.NVMLError as error:
        LOG.debug("no GPU is sampled: %s", error)
    return probes


class SystemSampler:
    """A background thread, from `start` to `stop`; a stage that is killed takes it along.

    Args:
        directory: of the run's records.
        resumed: append to what an interrupted run left.
        interval: seconds between two samples.
    """

    def __init__(self, directory: Path, *, resumed: bool = False, interval: float = INTERVAL) -> None:
        self.path = directory / SYSTEM
        self._mode = "a" if resumed else "w"
        self._interval = interval
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="system-sampler", daemon=True)
        self._sums: dict[str, float] = {}
        self._peaks: dict[str, float] = {}
        self.samples = 0

    def start(self) -> None:
        """Begin to sample."""
        self._thread.start()

    def stop(self) -> dict[str, float]:
        """Take a last sample, end the thread and return `summary`; may be called again."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        return self.summary()

    def summary(self) -> dict[str, float]:
        """Mean and peak of every figure so far: `cpu_percent_mean`, `cpu_percent_peak` and so on."""
        found: dict[str, float] = {}
        for name, peak in sorted(self._peaks.items()):
            found[f"{name}_mean"] = round(self._sums[name] / self.samples, 4)
            found[f"{name}_peak"] = round(peak, 4)
        return found

    def _watch(self) -> None:
        try:
            probes = find_host_probes()
            with open(self.path, self._mode, encoding="utf-8") as stream:
                while True:
                    over = self._over.wait(self._interval if self.samples else 0.0)
                    stream.write(json.dumps(self._sample(probes)) + "\n")
                    stream.flush()
                    if over:
                        return
        except OSError as error:  # a full disk, say: the stage itself must not fail because nobody watches it
            LOG.warning("the system is no longer sampled: %s", error)

    def _sample(self, probes: list[Probe]) -> dict[str, float]:
        metrics = {name: value for probe in probes for name, value in probe().items()}
        self.samples += 1
        for name, value in metrics.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
            self._peaks[name] = max(self._peaks.get(name, value), value)
        return {"time": round(time.time(), 3), **metrics}
