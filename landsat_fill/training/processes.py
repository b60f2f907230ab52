"""The processes that train one network together, as torchrun starts them: one a GPU."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
from torch import distributed, nn


@dataclass(frozen=True, slots=True)
class Processes:
    """This process among those that train together.

    Attributes:
        rank: Its number; the first one validates and writes.
        count: How many there are.
    """

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that validates and writes."""
        return self.rank == 0

    def wrap(self, network: nn.Module, device: torch.device) -> nn.Module:
        """Return the network such that its gradients are the mean over all processes."""
        if self.count == 1:
            return network
        return nn.parallel.DistributedDataParallel(
            network, device_ids=[device] if device.type == "cuda" else None
        )

    def agreed(self, *numbers: float) -> tuple[float, ...]:
        """Return the first process's numbers in every process."""
        if self.count == 1:
            return numbers
        told = list(numbers)
        distributed.broadcast_object_list(told, src=0)
        return tuple(told)

    def leave(self) -> None:
        """Part from the others."""
        if self.count > 1:
            distributed.destroy_process_group()


def join_processes(device: str) -> tuple[Processes, str]:
    """Return this process among the others, and its own device; alone, unless torchrun started it.

    Args:
        device: The device asked for; `cuda` becomes this process's own GPU.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        return Processes(), device
    on_gpu = device.startswith("cuda")
    distributed.init_process_group("nccl" if on_gpu else "gloo")
    if on_gpu:
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    return Processes(distributed.get_rank(), count), device
