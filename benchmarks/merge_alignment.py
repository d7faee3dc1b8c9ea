"""Loss barrier between two TinyTitans of different seeds, before and after their parts are aligned.

    python benchmarks/merge_alignment.py [--steps 300] [--hidden 64] [--seeds 1 2]

Trains both from scratch on the prepared data (`agent-forge run --phase data` makes it), then measures the loss along
the line between them on validation rows: as they are, and with heads and units aligned. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from forge.config import load_params
from forge.data.dataset import EncodedSet
from forge.merge.align import align
from forge.merge.barrier import loss_barrier
from forge.merge.methods import merge_linear
from forge.model import TinyTitanConfig, TinyTitanForCausalLM, load_titan_tokenizer
from forge.phases.evomerge.fitness import fitness_batch, fitness_batch_loss
from forge.train import TrainSettings, language_loss
from forge.train.batches import gather_batch, plan_batches
from forge.train.loop import train

HEAD_DIM = 16


def trained(given: argparse.Namespace, data: EncodedSet, vocabulary: int, seed: int) -> TinyTitanForCausalLM:
    """One model from its own start, on its own order of the rows."""
    torch.manual_seed(seed)
    heads = [given.hidden // HEAD_DIM]
    model = TinyTitanForCausalLM(
        TinyTitanConfig(
            vocab_size=vocabulary, hidden_size=given.hidden, head_dim=HEAD_DIM, low_heads=heads, high_heads=heads,
            low_ffn=[3 * given.hidden], high_ffn=[3 * given.hidden], window=128, memory_capacity=2048,
        )
    )  # fmt: skip
    plan = plan_batches(data, load_params().file.training.mix.model_dump(), given.steps, 1024, seed)
    settings = TrainSettings(given.steps, checkpoint_every=given.steps)
    train(model, lambda step: gather_batch(data, plan[step]), language_loss(0.1), settings, name=f"seed {seed}")
    return model


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--seeds", type=int, nargs=2, default=[1, 2])
    parser.add_argument("--data", type=Path, default=Path("data/prepared"))
    given = parser.parse_args()
    data = EncodedSet.load(given.data / "train.safetensors")
    vocabulary = len(load_titan_tokenizer(given.data / "tokenizer"))
    scratch_model, other = (trained(given, data, vocabulary, seed) for seed in given.seeds)
    first, second = ({name: w.clone() for name, w in model.state_dict().items()} for model in (scratch_model, other))
    loss = fitness_batch_loss(scratch_model, fitness_batch(EncodedSet.load(given.data / "val.safetensors"), 300, 0))
    report: dict[str, Any] = {"loss_of_parents": [loss(first), loss(second)]}
    ways: dict[str, dict[str, Tensor]] = {
        "as they are": second,
        "heads and units aligned": align(second, first, HEAD_DIM),
    }
    for way, model in ways.items():
        barrier, average = loss_barrier(first, model, loss), loss(merge_linear((first, model), (0.5, 0.5)))
        report[way] = {"barrier": barrier, "loss_of_average": average}
        print(f"{way:24} barrier {barrier:.3f} nats, loss of the average {average:.3f}")
    print(json.dumps(report))


if __name__ == "__main__":
    main()
