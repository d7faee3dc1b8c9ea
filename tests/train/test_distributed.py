"""Two processes under torchrun against one with the same global batch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from forge.errors import ForgeError, Interrupted
from forge.files import save_safetensors_file
from forge.train import Batch, TrainResult, TrainSettings, collate, language_loss, train
from forge.train.distributed import Ranks, join_training_processes
from tests.support.tiny_models import tiny_model, tokens
from tests.train.test_train import SMALL

pytestmark = pytest.mark.long

torch.set_num_threads(1)
SECONDS = 120
ROWS = (5, 4, 1, 6, 7, 3)  # odd numbers, and one row for two processes
SETTINGS = TrainSettings(len(ROWS), grokfast_lambda=0.3, checkpoint_every=100, log_every=1)


def source(step: int) -> Batch:
    """A batch of ROWS[step] rows of different lengths."""
    rows = []
    for row in range(ROWS[step]):
        ids = tokens(1, 7 + (row + step) % 5, seed=100 * step + row)[0].numpy()
        rows.append((ids, np.arange(len(ids)) > 3 + row % 3))
    return collate(rows, np.arange(len(rows)))


def run(folder: Path | None, stop_after: int) -> tuple[TrainResult, torch.nn.Module, list[float]]:
    """Train to the end, with a stop on the way if there is a folder."""
    seen: list[float] = []
    log = lambda step, **metrics: seen.append(metrics["loss"])  # noqa: E731
    if folder is not None:
        # Only the last process is told to stop: all must.
        wanted = int(os.environ.get("RANK", "0")) == int(os.environ.get("WORLD_SIZE", "1")) - 1
        calls = iter(range(100))
        with pytest.raises(Interrupted) as paused:
            train(
                tiny_model(**SMALL),
                source,
                language_loss(),
                SETTINGS,
                checkpoint_dir=folder,
                log=log,
                stop=lambda: next(calls) == stop_after - 1 and wanted,
            )
        assert paused.value.step == stop_after
    model = tiny_model(seed=5 if folder is not None else 0, **SMALL)  # other weights, which the checkpoint replaces
    result = train(model, source, language_loss(), SETTINGS, checkpoint_dir=folder, log=log)
    return result, model, seen


def main(folder: Path) -> None:
    """What each process runs."""
    ranks = Ranks.from_environment()
    result, model, seen = run(folder / "checkpoints", 2)
    save_safetensors_file(folder / f"{ranks.rank}.safetensors", dict(model.state_dict()), {})
    facts = {"final": result.final_loss, "tokens": result.tokens, "resumed": result.resumed_from, "logged": seen}
    (folder / f"{ranks.rank}.json").write_text(json.dumps(facts))


def test_two_processes_are_one_with_the_whole_batch(tmp_path: Path) -> None:
    here = Path(__file__).resolve()
    paths = str(here.parents[2])
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc-per-node",
            "2",
            str(here),
            str(tmp_path),
        ],
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    weights = [load_file(tmp_path / f"{rank}.safetensors") for rank in (0, 1)]
    alone, model, losses = run(None, 0)
    assert first["final"] == second["final"] == pytest.approx(alone.final_loss, rel=1e-4)
    assert first["logged"] == pytest.approx(losses, rel=1e-3)
    assert first["tokens"] == second["tokens"] == alone.tokens
    assert first["resumed"] == second["resumed"] == 2
    assert second["logged"] == []  # one process alone writes
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(weights[0][name], tensor, atol=2e-3, rtol=0)
    start = tiny_model(**SMALL).state_dict()
    assert max(float((weights[0][name] - start[name]).abs().max()) for name in start) > 0.02


def test_alone_there_is_nothing_to_share(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    ranks = join_training_processes()
    assert ranks == Ranks(0, 1, 0)
    assert ranks.writes
    assert ranks.any(True)
    assert not ranks.any(False)
    gradient = torch.ones(2)
    assert ranks.add_up([gradient], {"loss": 2.0}) == {"loss": 2.0}
    assert gradient.tolist() == [1.0, 1.0]
    ranks.wait()
    assert not torch.distributed.is_initialized()


@pytest.mark.parametrize(
    ("rank", "world", "line"), [("2", "2", "does not fit"), ("x", "2", "whole numbers"), ("-1", "2", "does not fit")]
)
def test_ranks_that_make_no_sense_are_refused(
    monkeypatch: pytest.MonkeyPatch, rank: str, world: str, line: str
) -> None:
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", world)
    with pytest.raises(ForgeError, match=line):
        Ranks.from_environment()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
