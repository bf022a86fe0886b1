"""A denoiser that evaluates each sample alone, on one core: as many at a time as there are cores."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import torch
from jaxtyping import Float
from torch import Tensor

from engine.assignment.exact import workers
from engine.protocols import Denoiser, Points

_lock = threading.Lock()
_pools: dict[int, ThreadPoolExecutor] = {}


def _one_core() -> None:
    torch.set_num_threads(1)


def _pool() -> ThreadPoolExecutor:
    n = workers()
    with _lock:
        if n not in _pools:
            _pools[n] = ThreadPoolExecutor(n, thread_name_prefix="network", initializer=_one_core)
        return _pools[n]


@contextlib.contextmanager
def one_core() -> Iterator[None]:
    """What this thread computes with torch, it computes alone, as the samples do."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class OneByOne:
    """Each sample by itself, side by side.

    On a CPU a batch brings no speed at 1024 points, and its matrix products may round differently: alone, on
    one core, a sample is the same to the last bit whatever it is drawn together with and however many cores
    there are. Sharing one sample's products between cores is no faster than a sample for each core, and far
    slower where others use the machine too, since cores then wait for each other many times in a product.
    """

    def __init__(self, denoiser: Denoiser) -> None:
        self.denoiser = denoiser

    def __call__(self, x: Points, sigma: Float[Tensor, " n"]) -> Points:
        """Clean estimates."""
        if len(x) == 0:
            return x.clone()
        learning = torch.is_grad_enabled()  # a thread has a switch of its own

        def one(i: int) -> Tensor:
            with torch.set_grad_enabled(learning):
                return self.denoiser(x[i : i + 1], sigma[i : i + 1])

        return torch.cat(list(_pool().map(one, range(len(x)))))
