"""Samples side by side: the same to the last bit as alone, with gradients where they are wanted."""

from __future__ import annotations

import threading

import pytest
import torch

from engine.assignment.exact import set_workers
from engine.pipelines.one_by_one import OneByOne, one_core
from engine.priors.checkpoint import load_prior, resolve


@pytest.fixture(autouse=True)
def _cores():
    yield
    set_workers(None)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_sample_does_not_depend_on_the_others(workers: int) -> None:
    set_workers(workers)
    prior, _ = load_prior(resolve("shipped"))
    x, sigma = (
        torch.randn(4, 300, 3, generator=torch.Generator().manual_seed(0)),
        torch.tensor([0.1, 0.2, 0.3, 1]),
    )
    with torch.no_grad(), one_core():
        together = OneByOne(prior)(x, sigma)
        alone = torch.cat([prior(x[i : i + 1], sigma[i : i + 1]) for i in range(4)])
    assert torch.equal(together, alone)
    assert not together.requires_grad


def test_gradients_go_through() -> None:
    x = torch.randn(3, 10, 3, requires_grad=True)
    answer = OneByOne(lambda x, sigma: x.pow(2) * sigma.view(-1, 1, 1))(x, torch.tensor([1.0, 2.0, 3.0]))
    answer.sum().backward()
    assert torch.allclose(x.grad, 2 * x * torch.tensor([1.0, 2.0, 3.0]).view(-1, 1, 1))


def test_samples_are_evaluated_at_the_same_time() -> None:
    set_workers(2)
    both = threading.Barrier(2, timeout=20)

    def meet(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        both.wait()  # would break if one had to wait for the other
        assert torch.get_num_threads() == 1
        return x

    assert OneByOne(meet)(torch.zeros(4, 5, 3), torch.ones(4)).shape == (4, 5, 3)


def test_a_fault_is_told() -> None:
    def faulty(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        OneByOne(faulty)(torch.zeros(2, 5, 3), torch.ones(2))


def test_threads_are_given_back() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with one_core():
            assert torch.get_num_threads() == 1
        with pytest.raises(ZeroDivisionError), one_core():
            _ = 1 // 0
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
