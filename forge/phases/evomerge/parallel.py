"""A `map` over a population: in this process, in worker processes, or on a Ray cluster.

Every backend runs its work on one thread a worker and gives the results in the order of the items, so they are the same
bytes on each, whatever the machine's number of cores. Two processes of one thread beat one process of two threads
where the tensors are small: nothing waits for the other half of a matrix product.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import torch

from forge.errors import ForgeError

BACKENDS = ("serial", "process", "ray")

T = TypeVar("T")
R = TypeVar("R")
Map = Callable[[Iterable[T]], Iterator[R]]
Work = Callable[[object], object]

_work: Work | None = None  # of a worker process


@contextmanager
def evolution_on_one_thread() -> Iterator[None]:
    """Keep torch on one thread in the block: sums over several threads round differently."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def evolution_worker_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def evomerge_population_map(work: Callable[[T], R], backend: str, workers: int | None = None) -> Iterator[Map[T, R]]:
    """Give the block a function that applies ``work`` to items and yields the results in order as they are ready.

    Args:
        work: deterministic; must not rely on what earlier calls left behind. Sent to each worker once.
        backend: one of `BACKENDS`. ``process`` forks; with a single worker it stays in this process.
        workers: how many; default: one a core that this process may use (Ray: that the cluster has).

    Raises:
        ForgeError: an unknown backend, Ray missing, or a worker that died.
    """
    if backend not in BACKENDS:
        raise ForgeError(f"backend '{backend}' is not one of {', '.join(BACKENDS)}")
    if backend == "ray":
        with _ray_population_map(work, workers) as mapped:
            yield mapped
        return
    count = evolution_worker_cores() if workers is None else workers
    if backend == "serial" or count == 1:
        with evolution_on_one_thread():
            yield lambda items: (work(item) for item in items)
        return
    # A fork shares the parents' weights and starts in milliseconds; a fresh interpreter imports torch first.
    method = "fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn"
    given = cast(Work, work), torch.are_deterministic_algorithms_enabled()
    pool = ProcessPoolExecutor(count, multiprocessing.get_context(method), _become_population_worker, given)
    try:
        with evolution_on_one_thread():
            yield lambda items: _guard_population_results(cast(Iterator[R], pool.map(_evaluate_population_item, items)))
    finally:
        pool.shutdown(cancel_futures=True)


def _guard_population_results(results: Iterator[R]) -> Iterator[R]:
    try:
        yield from results
    except BrokenProcessPool as error:
        raise ForgeError("a worker process died, perhaps for lack of memory; run again to resume") from error


def _become_population_worker(work: Work, deterministic: bool) -> None:
    """First act of a worker: one thread, no share in the parent's signals, an end when the parent ends."""
    global _work
    _work = work
    os.setpgid(0, 0)  # a terminal's interrupt is for the parent, which saves its state
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _settle_population_worker(deterministic)
    threading.Thread(target=_end_population_worker, daemon=True).start()


def _settle_population_worker(deterministic: bool) -> None:
    torch.set_num_threads(1)
    torch.set_deterministic_debug_mode("error" if deterministic else "default")


def _end_population_worker() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _evaluate_population_item(item: object) -> object:
    assert _work is not None
    return _work(item)


class RayActor:
    """One worker on a Ray cluster."""

    def __init__(self, work: Work, deterministic: bool) -> None:
        _settle_population_worker(deterministic)
        self.work = work

    def do(self, item: object) -> object:
        """Apply the work to one item."""
        return self.work(item)


@contextmanager
def _ray_population_map(work: Callable[[T], R], workers: int | None) -> Iterator[Map[T, R]]:
    """Actors on the cluster that RAY_ADDRESS names, else on this machine."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray: Any = importlib.import_module("ray")
        pools: Any = importlib.import_module("ray.util")
    except ImportError as error:
        raise ForgeError("the backend 'ray' needs: pip install 'agent-forge[ray]'") from error
    owner = not ray.is_initialized()
    if owner:
        ray.init(num_cpus=None if os.environ.get("RAY_ADDRESS") else evolution_worker_cores(), include_dashboard=False,
                 log_to_driver=False, logging_level="ERROR")  # fmt: skip
    try:
        count = workers or int(ray.cluster_resources().get("CPU", 1))
        shared, deterministic = ray.put(work), torch.are_deterministic_algorithms_enabled()
        actor = ray.remote(num_cpus=1)(RayActor)
        pool = pools.ActorPool([actor.remote(shared, deterministic) for _ in range(count)])
        with evolution_on_one_thread():
            yield lambda items: pool.map(lambda worker, item: worker.do.remote(item), items)
    finally:
        if owner:
            ray.shutdown()
