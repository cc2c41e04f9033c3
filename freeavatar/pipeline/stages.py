"""Stages of a pipeline that work at the same time, in threads of their own."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
AHEAD = 2
"""How many items a stage makes before the next one asks for them."""


def ahead(items: Iterable[Item], *, count: int = AHEAD) -> Generator[Item, None, None]:
    """Items made by a thread while others are used: in their order, never more than ``count`` waiting.

    What making one raises is raised where it would have been given. Closing waits for the one that is being made, and
    closes ``items``.
    """
    source, pool = iter(items), ThreadPoolExecutor(1, "stage")

    def make() -> list[Item]:
        return list(islice(source, 1))

    try:
        waiting = deque(pool.submit(make) for _ in range(count))
        while made := waiting.popleft().result():
            waiting.append(pool.submit(make))
            yield made[0]
    finally:
        pool.shutdown(cancel_futures=True)
        if isinstance(source, Generator):
            source.close()


def in_parallel(
    items: Iterable[Item], work: Callable[[Item], Result], *, workers: int
) -> Generator[Result, None, None]:
    """What ``work`` makes of items, by so many threads, in the order of the items.

    No more than ``workers`` and :data:`AHEAD` items are taken before their turn. Errors and closing go as in
    :func:`ahead`.
    """
    pool, waiting = ThreadPoolExecutor(workers, "stage"), deque[Future[Result]]()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > workers + AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
        if isinstance(items, Generator):
            items.close()
