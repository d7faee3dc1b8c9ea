"""Where and how the search runs: backends give the same bytes; CMA-ES finds, replays and refuses."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import psutil
import pytest
import torch

from forge.errors import ForgeError, Interrupted
from forge.phases.evomerge import parallel
from forge.phases.evomerge.evolve import EvolutionResult, evolve
from forge.phases.evomerge.fitness import Fitness
from forge.phases.evomerge.genome import express_genome, parent_genome
from forge.phases.evomerge.operators import generation_zero, random_genome
from forge.phases.evomerge.parallel import evolution_on_one_thread, evomerge_population_map
from forge.phases.evomerge.search import CmaSearch, decode_evomerge_genome, encode_evomerge_genome
from tests.support.toy_merge import (
    BASE,
    LAYOUT,
    PARENTS,
    SHORT,
    changed,
    evaluate,
    interrupted_after,
    outcome,
    same,
)

ROOT = Path(__file__).resolve().parents[3]
CMA = changed(SHORT, search="cma")


def evolved(search: str, backend: str, workers: int | None = None) -> EvolutionResult:
    return evolve(BASE, PARENTS, evaluate, changed(SHORT, search=search, backend=backend), seed=5, workers=workers)


@pytest.fixture(scope="module")
def cma() -> EvolutionResult:
    return evolved("cma", "serial")


# ---- the map -------------------------------------------------------------------------------------------------


def _facts(number: int) -> tuple[int, int, int]:
    return number * number, os.getpid(), torch.get_num_threads()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_map_keeps_the_order_and_works_on_one_thread(workers: int) -> None:
    with evomerge_population_map(_facts, "process", workers) as mapped:
        results = [*mapped(range(5)), *mapped(range(3))]
    assert [square for square, _, _ in results] == [0, 1, 4, 9, 16, 0, 1, 4]
    assert {threads for _, _, threads in results} == {1}
    assert (os.getpid() in {pid for _, pid, _ in results}) == (workers == 1)


def test_results_come_as_they_are_ready_and_a_stop_ends_the_workers() -> None:
    pids: list[int] = []
    with pytest.raises(Interrupted), evomerge_population_map(_facts, "process", 2) as mapped:
        for _, pid, _ in mapped(range(200)):
            pids.append(pid)
            raise Interrupted(0, 1)
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def _die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_a_worker_that_is_killed_is_told_in_one_line() -> None:
    with (
        pytest.raises(ForgeError, match="a worker process died"),
        evomerge_population_map(_die, "process", 2) as mapped,
    ):
        list(mapped(range(2)))


def _tell_and_wait(number: int) -> None:
    os.write(1, f"{os.getpid()}\n".encode())  # one write: two workers share the pipe, and print may take two
    threading.Event().wait(120)


def test_workers_end_when_their_parent_is_killed() -> None:
    code = (
        "from forge.phases.evomerge.parallel import evomerge_population_map\n"
        "from tests.phases.evomerge.test_search import _tell_and_wait\n"
        "with evomerge_population_map(_tell_and_wait, 'process', 2) as mapped: list(mapped(range(2)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        workers = [psutil.Process(int(parent.stdout.readline())) for _ in range(2)]
        parent.kill()
    for _ in range(600):
        if not any(_lives(worker) for worker in workers):
            break
        threading.Event().wait(0.1)
    assert [_lives(worker) for worker in workers] == [False, False]


def _lives(process: psutil.Process) -> bool:
    """Whether it still runs; one that only waits to be collected does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _fail(number: int) -> int:
    raise ZeroDivisionError(number)


@pytest.mark.parametrize("backend", ["serial", "process"])
def test_a_fault_in_the_work_reaches_the_caller(backend: str) -> None:
    with pytest.raises(ZeroDivisionError), evomerge_population_map(_fail, backend, 2) as mapped:
        list(mapped([1]))


def test_one_thread_is_for_the_block_only() -> None:
    before = torch.get_num_threads()
    with evolution_on_one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
    assert parallel.evolution_worker_cores() >= 1


def test_backends_that_are_not_there_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        pytest.raises(ForgeError, match="'threads' is not one of serial, process, ray"),
        evomerge_population_map(_facts, "threads"),
    ):
        raise AssertionError("never entered")
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(ForgeError, match=r"agent-forge\[ray\]"), evomerge_population_map(_facts, "ray"):
        raise AssertionError("never entered")


@pytest.mark.parametrize("search", ["ga", "cma"])
def test_processes_change_no_byte(search: str, cma: EvolutionResult) -> None:
    serial = cma if search == "cma" else evolved("ga", "serial")
    processes = evolved(search, "process", 2)
    assert outcome(processes) == outcome(serial)
    champions = [express_genome(result.champion.genome, BASE, PARENTS) for result in (serial, processes)]
    assert same(*champions)


def test_ray_changes_no_byte(cma: EvolutionResult) -> None:
    pytest.importorskip("ray", reason="the extra 'ray' is not installed")
    params = changed(CMA, generations=1, backend="ray")
    result = evolve(BASE, PARENTS, evaluate, params, seed=5, workers=2)
    assert result.history == cma.history[:2]
    assert result.state.records.items() <= cma.state.records.items()


# ---- CMA-ES --------------------------------------------------------------------------------------------------


def test_a_genome_survives_the_way_through_numbers() -> None:
    rng = Random(1)
    for genome in (random_genome(LAYOUT, rng), parent_genome(LAYOUT, 1), *generation_zero(LAYOUT, rng, 1.2).values()):
        point = encode_evomerge_genome(genome, LAYOUT)
        assert point.min() >= 0.0
        assert point.max() <= 1.0
        back = decode_evomerge_genome(point, LAYOUT, genome.seed)
        assert (back.techniques, back.effective_path("low")) == (genome.techniques, genome.effective_path("low"))
        for ours, theirs in zip(back.groups, genome.groups, strict=True):
            np.testing.assert_allclose(ours.shares, theirs.shares, atol=1e-4)
            np.testing.assert_allclose([ours.t, ours.lam], [theirs.t, theirs.lam], atol=1e-4)
    outside = decode_evomerge_genome(np.full(len(point), 7.0), LAYOUT, 0)
    assert outside.recombination == "none"
    assert decode_evomerge_genome(np.zeros(len(point)), LAYOUT, 0).groups[0].weights == (1.0, 1.0, 1.0)


def test_cma_gains_and_never_falls() -> None:
    params = changed(CMA, generations=25)
    result = evolve(BASE, PARENTS, evaluate, params, seed=3)
    best = [row["best_fitness"] for row in result.history]
    assert best == sorted(best)
    assert best[-1] > best[0] + 0.01
    assert len({row["diversity_score"] for row in result.history}) > 10


@pytest.mark.parametrize("stop", [12, 15, 20])
def test_cma_resumes_in_mid_generation_by_replay(stop: int, cma: EvolutionResult) -> None:
    saved = interrupted_after(stop, CMA)
    calls: list[int] = []
    resumed = evolve(BASE, PARENTS, lambda m: (calls.append(1), evaluate(m))[1], CMA, seed=5, state=saved)
    assert outcome(resumed) == outcome(cma)
    assert len(calls) == len(cma.state.records) - stop


def test_cma_leaves_numpys_generator_alone_and_starts_again_when_its_samples_are_alike() -> None:
    np.random.seed(7)
    expected = np.random.random()
    np.random.seed(7)
    evolve(BASE, PARENTS, evaluate, changed(CMA, generations=3, diversity_threshold=1.0), seed=1)
    assert np.random.random() == expected


def test_cma_survives_samples_that_are_discarded() -> None:
    def picky(model: dict[str, torch.Tensor]) -> Fitness:
        fitness = evaluate(model)
        return replace(fitness, value=math.nan) if fitness.value < 0.6 else fitness

    result = evolve(BASE, PARENTS, picky, changed(CMA, generations=6), seed=1)
    assert result.history[-1]["failures"] > 0
    assert result.champion.fitness.value >= result.history[0]["best_fitness"]


def test_cma_needs_a_population() -> None:
    with pytest.raises(ForgeError, match="needs 3 individuals besides the elites, not 2"):
        CmaSearch(LAYOUT, changed(CMA, population=4, elites=2), 0)
