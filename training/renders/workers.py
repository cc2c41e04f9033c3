"""Rendering in several processes, the same pictures whatever their number."""

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

import numba
import torch

_Task = TypeVar("_Task")
_Made = TypeVar("_Made")


def in_workers(make: Callable[[_Task], _Made], tasks: Iterable[_Task], workers: int) -> Iterator[_Made]:
    """What ``make`` gives for each task, in order.

    Args:
        make: a function of a module, which processes can import; it draws nothing at random.
        tasks: what it takes.
        workers: processes; 1 works here.
    """
    if workers == 1:
        yield from map(make, tasks)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_take_one_core) as pool:
        yield from pool.map(make, tasks)


def _take_one_core() -> None:
    torch.set_num_threads(1)
    numba.set_num_threads(1)
