"""Data-parallel training: started by ``torchrun``, every process takes its share of each batch.

Each process plans the same batches from the same seed, so how many tokens there are in all is known to each:
a loss is weighted by its share of them, and the sum of the gradients over processes is the gradient of the whole
batch, whichever way its rows were dealt out. Process 0 alone writes.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.distributed
from torch import Tensor

from forge.errors import ForgeError


@dataclass(frozen=True)
class Ranks:
    """This process (``rank`` of ``world``, ``local`` on its machine); alone it is 0 of 1."""

    rank: int = 0
    world: int = 1
    local: int = 0

    @classmethod
    def from_environment(cls) -> Ranks:
        """What ``torchrun`` sets: RANK, WORLD_SIZE, LOCAL_RANK.

        Raises:
            ForgeError: they are no numbers or do not fit together.
        """
        try:
            rank, world, local = (int(os.environ.get(n, d)) for n, d in _VARIABLES)
        except ValueError as error:
            raise ForgeError(f"RANK, WORLD_SIZE and LOCAL_RANK must be whole numbers: {error}") from error
        if not 0 <= rank < world or local < 0:
            raise ForgeError(f"RANK {rank} does not fit WORLD_SIZE {world}")
        return cls(rank, world, local)

    @property
    def writes(self) -> bool:
        """Whether checkpoints, records and progress are this process's business."""
        return self.rank == 0

    def add_up(self, gradients: Iterable[Tensor], metrics: dict[str, float]) -> dict[str, float]:
        """Sum gradients, in place, and metrics over all processes, in one message each."""
        if self.world == 1:
            return metrics
        tensors = list(gradients)
        flat = torch.cat([t.flatten() for t in tensors])
        torch.distributed.all_reduce(flat)
        for tensor, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))
        # A process without a row has no metrics: names are agreed upon first.
        every: list[dict[str, float]] = [{} for _ in range(self.world)]
        torch.distributed.all_gather_object(every, metrics)
        return {name: sum(one.get(name, 0.0) for one in every) for name in sorted({n for one in every for n in one})}

    def any(self, flag: bool) -> bool:
        """Whether any process says so."""
        if self.world == 1:
            return flag
        flags: list[bool] = [False] * self.world
        torch.distributed.all_gather_object(flags, flag)
        return any(flags)

    def wait(self) -> None:
        """Until all are here."""
        if self.world > 1:
            torch.distributed.barrier()


_VARIABLES = (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0"))


def join_training_processes() -> Ranks:
    """The processes of this run, connected by gloo (NCCL between GPUs) until they end.

    Once a process: a group that is made anew finds the addresses of the former one in torchrun's store.
    """
    ranks = Ranks.from_environment()
    if ranks.world > 1 and not torch.distributed.is_initialized():
        torch.distributed.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
        atexit.register(torch.distributed.destroy_process_group)
    return ranks
