"""Batches as a pure function of their place in the run, made ahead of time in the background.

Nothing here remembers anything: a batch follows from the seed, the step and the part of the step. That is
why a resumed run goes on exactly where it stopped, and why any number of processes sees the same data.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import islice

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

Batch = dict[str, Tensor]


def seed_of(*position: int) -> int:
    """One well-mixed seed in [0, 2^63) for a place such as (seed, step, part)."""
    return int(np.random.SeedSequence(position).generate_state(1, np.uint64)[0] >> 1)


def generator_of(*position: int) -> torch.Generator:
    """A generator of its own for a place such as (seed, step, part)."""
    return torch.Generator().manual_seed(seed_of(*position))


@lru_cache(maxsize=16)
def _permutation(total: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch)).permutation(total)


def shuffled(total: int, start: int, count: int, *, seed: int) -> np.ndarray:
    """Part of an endless series of shuffled passes over ``total`` items.

    Args:
        total: number of items.
        start: how many of the series come before.
        count: how many to give.
        seed: of the series.

    Returns:
        Indices of items, ``(count,)`` int64; each pass holds every item once.
    """
    places = np.arange(start, start + count)
    epochs = places // total
    out = np.empty(count, np.int64)
    for epoch in range(epochs[0], epochs[-1] + 1) if count else ():
        own = epochs == epoch
        out[own] = _permutation(total, seed, epoch)[places[own] % total]
    return out


class _Places(Dataset):
    """Batches by their places, for the processes of a DataLoader."""

    def __init__(self, draw: Callable[[int, int], Batch]) -> None:
        self._draw = draw

    def __getitem__(self, place: tuple[int, int]) -> tuple[int, int, Batch]:
        return *place, self._draw(*place)


def pinned(
    draw: Callable[[int, int], Batch], places: Iterator[tuple[int, int]], *, workers: int
) -> Generator[tuple[int, int, Batch], None, None]:
    """As :func:`prefetched`, drawn in processes and laid where a GPU fetches them by itself.

    Args:
        draw: gives the batch of a step and part.
        places: steps and parts, endless.
        workers: number of processes.
    """
    loader = DataLoader(
        _Places(draw), sampler=places, batch_size=None, num_workers=workers, prefetch_factor=2,
        pin_memory=torch.cuda.is_available(), multiprocessing_context="fork",
    )  # fmt: skip
    yield from (tuple(drawn) for drawn in loader)


def prefetched(
    draw: Callable[[int, int], Batch], places: Iterator[tuple[int, int]], *, workers: int
) -> Generator[tuple[int, int, Batch], None, None]:
    """Draw batches in threads, in order and a little ahead of their use.

    Args:
        draw: gives the batch of a step and part; runs in several threads at a time.
        places: steps and parts, endless.
        workers: number of threads.

    Yields:
        Step, part and batch. What ``draw`` raises is raised here.
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix="batches")
    try:
        waiting = deque((place, pool.submit(draw, *place)) for place in islice(places, workers + 1))
        while waiting:
            place, future = waiting.popleft()
            batch = future.result()
            waiting.extend((place, pool.submit(draw, *place)) for place in islice(places, 1))
            yield *place, batch
    finally:
        pool.shutdown(cancel_futures=True)
