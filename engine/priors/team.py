"""Several processes that train one network, as ``torchrun`` starts them.

Every process draws the same batch from the same random stream and takes its own rows, so that a training
by several is the training by one but for the order in which gradients are summed. The process of rank 0
decides when to stop and writes all files.
"""

from __future__ import annotations

import os
from datetime import timedelta

import torch
from torch import Tensor
from torch import distributed as dist

from engine.errors import SpecError

_TIMEOUT = timedelta(minutes=30)  # rank 0 measures and writes while the others wait
_STOP = -1.0


class Team:
    """The processes of one training.

    Attributes
    ----------
    rank : of this process, from 0; 0 leads.
    size : processes.
    device : where this process computes.
    """

    def __init__(self, rank: int, size: int, device: torch.device) -> None:
        self.rank, self.size, self.device = rank, size, device

    @classmethod
    def join(cls, device: torch.device) -> Team | None:
        """The team that ``torchrun`` has described in the environment; None for a process alone.

        Gloo carries gradients between CPUs, NCCL between GPUs; each process of a machine takes the GPU
        of its local rank.

        Raises
        ------
        SpecError
            If there are more processes than GPUs on this machine.
        """
        size = int(os.environ.get("WORLD_SIZE", "1"))
        if size == 1:
            return None
        if device.type == "cuda":
            local = int(os.environ.get("LOCAL_RANK", "0"))
            if local >= torch.cuda.device_count():
                there = torch.cuda.device_count()
                raise SpecError(
                    f"{local + 1} processes were started, but this machine has {there} GPUs.",
                    "Start as many processes as there are GPUs, or choose `--device cpu`.",
                )
            device = torch.device("cuda", local)
            torch.cuda.set_device(device)
        if not dist.is_initialized():
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_TIMEOUT)
        return cls(dist.get_rank(), dist.get_world_size(), device)

    @property
    def leads(self) -> bool:
        """Whether this process decides and writes."""
        return self.rank == 0

    def wait(self) -> None:
        """Until all processes are here."""
        dist.barrier()

    def announce(self, progress: float | None) -> float | None:
        """What rank 0 says of the next step, to all: its progress, or None for the end.

        Parameters
        ----------
        progress : the leader's; the others' is not looked at.
        """
        message = torch.tensor(
            _STOP if progress is None else progress, dtype=torch.float64, device=self.device
        )
        dist.broadcast(message, src=0)
        value = float(message)
        return None if value == _STOP else value

    def total(self, value: Tensor) -> Tensor:
        """Sum over the processes."""
        dist.all_reduce(value)
        return value

    def leave(self) -> None:
        """End the connection."""
        if dist.is_initialized():
            dist.destroy_process_group()
