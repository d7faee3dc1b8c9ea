"""What metrics of speed depend on: processor, memory, library versions. No host name, no user name."""

from __future__ import annotations

import os
import platform
import resource
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

_LIBRARIES = ("torch", "transformers", "tokenizers", "safetensors", "reasoning_gym", "numpy", "scipy", "dvc")


def cpu_name() -> str:
    """The processor's name as Linux gives it, else the architecture."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def peak_ram_mb() -> float:
    """Largest resident set of this process so far, in 10^6 bytes.

    From VmHWM where there is /proc: ru_maxrss of a fresh process starts at its parent's resident set (Linux
    carries it through fork and exec), so a small child of a large process would look large.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e6


def process_started(pid: int) -> float | None:
    """When a living process was started, in seconds since the machine was; None where none has that number.

    With its number it tells a process from a later one with the same number. It is no time of day: that may be set back
    while a process runs.
    """
    if sys.platform == "linux":
        try:
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if fields[0] in "ZX" else int(fields[19]) / os.sysconf("SC_CLK_TCK")
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except psutil.NoSuchProcess:
        return None


def process_age(pid: int) -> float | None:
    """Seconds that a living process has run, on Linux by a clock that nobody sets; None where none has that number."""
    begun = process_started(pid)
    if begun is None:
        return None
    now = time.clock_gettime(time.CLOCK_BOOTTIME) if sys.platform == "linux" else time.time()
    return max(0.0, now - begun)


def machine_devices() -> list[dict[str, Any]]:
    """What PyTorch can compute on, the fastest first, the processor last.

    Each: `device` (`cuda:0`, `mps`, `cpu`), `name`, `capability` (CUDA's compute capability such as "8.9", else
    None) and `memory_gib` (GiB in all; for mps what the system recommends as the limit).
    """
    import torch

    found: list[dict[str, Any]] = []
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        card = torch.cuda.get_device_properties(index)
        found.append(_machine_device(f"cuda:{index}", card.name, card.total_memory, f"{card.major}.{card.minor}"))
    if torch.backends.mps.is_available():
        found.append(_machine_device("mps", cpu_name(), torch.mps.recommended_max_memory()))
    return [*found, _machine_device("cpu", f"{cpu_name()}, {cores()} cores", _ram_bytes())]


def _machine_device(device: str, name: str, memory: int, capability: str | None = None) -> dict[str, Any]:
    return {"device": device, "name": name, "capability": capability, "memory_gib": round(memory / 2**30, 1)}


def _ram_bytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def machine_environment() -> dict[str, Any]:
    """JSON-ready description of the machine; ram_gib is in GiB."""
    versions: dict[str, str] = {}
    for name in _LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "cpu": cpu_name(),
        "cores": cores(),
        "ram_gib": round(_ram_bytes() / 2**30, 1),
        "system": platform.system(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "libraries": versions,
    }
