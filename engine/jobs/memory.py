"""What to do when memory doesn't suffice: less at a time, then the CPU instead of the GPU; said aloud."""

from __future__ import annotations

import gc
import sys
from typing import Literal

from engine.specs.estimates import SAMPLES_TOGETHER, Facts, bytes_needed, size_words
from engine.specs.job import DpsSpec, JobSpec, TrainPriorSpec

_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "cannot allocate memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory didn't suffice: Python's own, PyTorch's, or the system's."""
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in _OUT_OF_MEMORY)


def on_gpu(error: BaseException) -> bool:
    """Whether it was the GPU's memory."""
    text = f"{type(error).__name__} {error}".lower()
    return any(word in text for word in ("cuda", "mps", "hip", "gpu"))


def lighter(spec: JobSpec, *, gpu: bool) -> tuple[JobSpec, str] | None:
    """The same run with less memory, and in words what is different; None if there is no such.

    What is computed stays the same: fewer samples at a time, smaller parts of a training batch, at last the
    CPU. Samples that steer each other are drawn together, and a training's batch is part of its result, so
    those go to the CPU at once.
    """
    if isinstance(spec, DpsSpec) and not spec.steered:
        together = min(spec.samples, spec.batch or SAMPLES_TOGETHER)
        if together > 1:
            half = together // 2
            plural = "s" if half > 1 else ""
            return spec.model_copy(update={"batch": half}), f"{half} sample{plural} at a time, not {together}"
    if isinstance(spec, TrainPriorSpec) and -(-spec.batch // spec.accumulate) > 1:
        parts = min(spec.batch, 2 * spec.accumulate)
        return spec.model_copy(update={"accumulate": parts}), f"each batch in {parts} parts"
    if gpu:
        return spec.model_copy(update={"device": "cpu"}), "the CPU, which is many times slower"
    return None


def fitted(spec: JobSpec, free: int, where: Literal["GPU", "computer"]) -> tuple[JobSpec, str]:
    """The run made to fit into ``free`` bytes before it begins, and a sentence about it; empty if it fits.

    Only for runs whose need follows from their spec alone.
    """
    if not isinstance(spec, DpsSpec | TrainPriorSpec) or free <= 0:
        return spec, ""
    gpu = where == "GPU"
    wanted = _need(spec, gpu=gpu)
    if wanted <= free:
        return spec, ""
    tried, words = spec, ""
    while _need(tried, gpu=gpu) > free:
        found = lighter(tried, gpu=gpu)
        if found is None:
            more = " That may not suffice: close other programs."
            return tried, _sentence(wanted, free, where, words) + more
        less, words = found
        if gpu and less.device == "cpu":
            # the CPU has its own need: begin with what was asked for
            return spec.model_copy(update={"device": "cpu"}), _sentence(wanted, free, where, words)
        tried = less  # type: ignore[assignment]
    return tried, _sentence(wanted, free, where, words)


def _need(spec: JobSpec, *, gpu: bool) -> int:
    return bytes_needed(spec, Facts())[1 if gpu else 0]


def _sentence(wanted: int, free: int, where: str, words: str) -> str:
    then = f": it goes on with {words}." if words else "."
    return f"The {where} has {size_words(free)} of memory free, and the run wants {size_words(wanted)}{then}"


def let_go() -> None:
    """Give back what a failed attempt held."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
