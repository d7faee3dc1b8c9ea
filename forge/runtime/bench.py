"""How fast an agent is, and how much memory it takes, on the machine at hand."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forge.errors import ForgeError
from forge.evals.answering import CALL, END, eval_special_token_id
from forge.host.machine import cpu_name, peak_ram_mb

if TYPE_CHECKING:
    from forge.runtime.agent import Agent

DECODE_TOKENS = 128
_DECODE_ROUNDS = 3


def decode_tokens_per_s(agent: Agent, *, seed: int, tokens: int = DECODE_TOKENS, rounds: int = _DECODE_ROUNDS) -> float:
    """Tokens per second when writing one answer (batch 1): the median of some runs, the prompt's reading taken
    off.
    """
    from forge.evals.timing import random_eval_prompt
    from forge.model.engine import generate

    prompt = random_eval_prompt(agent.model.config.vocab_size, 16, seed)
    # Without an end and without calls, exactly as many tokens are written as asked for.
    ban = tuple(eval_special_token_id(agent.tokenizer, token) for token in (CALL, END))

    def seconds(count: int) -> tuple[float, int]:
        start = time.perf_counter()
        made = generate(agent.model, [prompt], max_new_tokens=count, ban_ids=ban)[0]
        return time.perf_counter() - start, len(made.ids)

    seconds(2)
    rates: list[float] = []
    for _ in range(rounds):
        short, few = seconds(1)
        long, many = seconds(1 + tokens)
        if many - few != tokens:
            raise ForgeError(f"bench: {many - few} tokens were written instead of {tokens}")
        rates.append(tokens / max(long - short, 1e-9))
    return statistics.median(rates)


def bench(path: Path | str, *, repeats: int = 20, seed: int = 0, rounds: int = _DECODE_ROUNDS) -> dict[str, Any]:
    """Measure an agent in this process; `repeats` readings of 512 tokens, `rounds` written answers.

    Returns {"device", "prefill_512_ms_p50", "prefill_512_ms_p95", "decode_tokens_per_s", "peak_ram_mb",
    "load_ms"}. load_ms is reading and decoding the model without importing libraries; peak_ram_mb (10^6
    bytes) is the largest resident set of this whole process, libraries included, so call it in a fresh one
    (`bench_isolated`, or the command).
    """
    from forge.runtime.load import find_model, load_agent

    find_model(path)  # before anything heavy is imported
    import numpy
    import torch

    from forge.evals.timing import eval_prefill_ms  # with the model, so that load_ms does not time the import

    start = time.perf_counter()
    agent = load_agent(path)
    load_ms = 1000 * (time.perf_counter() - start)
    with agent:
        times = eval_prefill_ms([agent.model], repeats=repeats, seed=seed)[0]
        rate = decode_tokens_per_s(agent, seed=seed, rounds=rounds)
    return {
        "device": f"cpu: {cpu_name()}, {torch.get_num_threads()} threads",
        "prefill_512_ms_p50": float(numpy.percentile(times, 50)),
        "prefill_512_ms_p95": float(numpy.percentile(times, 95)),
        "decode_tokens_per_s": rate,
        "peak_ram_mb": peak_ram_mb(),
        "load_ms": load_ms,
    }


def bench_isolated(
    *paths: Path | str, repeats: int = 20, seed: int = 0, rounds: int = _DECODE_ROUNDS
) -> list[dict[str, Any]]:
    """`bench` in a process of its own for each path, so that peak_ram_mb is the agent's and not the caller's.

    All run side by side and share this process's number of threads; none outlives the call, nor the caller if that is
    killed. Raises ForgeError with a child's last line when it fails.
    """
    import torch

    # Threads that wait for each other on too few cores make two children three times slower than one after the other.
    environment = {**os.environ, "OMP_NUM_THREADS": str(max(1, torch.get_num_threads() // max(1, len(paths))))}
    # Each child lives as long as somebody holds the other end of its stdin. A session of their own keeps the signals
    # of a terminal from them: whoever asked for the bench decides how it ends.
    children = [
        subprocess.Popen(
            [sys.executable, "-m", "forge.runtime.bench", str(path), str(repeats), str(seed), str(rounds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            start_new_session=True,
        )
        for path in paths
    ]
    try:
        return [_bench_metrics_of(child, path) for child, path in zip(children, paths, strict=True)]
    finally:
        for child in children:
            child.kill()
            child.wait()
            for stream in (child.stdin, child.stdout):
                if stream is not None:
                    stream.close()


def _bench_metrics_of(child: subprocess.Popen[str], path: Path | str) -> dict[str, Any]:
    """What a child measured: the line of JSON among what it and its libraries say."""
    assert child.stdout is not None
    lines = child.stdout.read().strip().splitlines()
    if child.wait() != 0:
        raise ForgeError(f"bench of {path} failed: {lines[-1] if lines else f'exit code {child.returncode}'}")
    metrics: dict[str, Any] = json.loads(next(line for line in reversed(lines) if line.startswith("{")))
    return metrics


def _end_bench_with_caller() -> None:
    """End this process when stdin does."""
    sys.stdin.read()
    os._exit(1)


def _bench_main(arguments: list[str]) -> int:
    path, repeats, seed, rounds = arguments
    threading.Thread(target=_end_bench_with_caller, daemon=True).start()
    try:
        print(json.dumps(bench(path, repeats=int(repeats), seed=int(seed), rounds=int(rounds))))
    except ForgeError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_bench_main(sys.argv[1:]))
