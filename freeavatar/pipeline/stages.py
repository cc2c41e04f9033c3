"""Stages of a pipeline that work at the same time, each in a thread of its own."""

from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
AHEAD = 2
"""How many items a stage makes before the next one asks for them."""


def ahead(items: Iterable[Item], *, count: int = AHEAD) -> Generator[Item, None, None]:
    """Items made by a thread while others are used: in their order, never more than ``count`` waiting.

    What making one raises is raised where it would have been given. Closing waits for the one that is being made, and
    closes ``items``.
    """
    source, end = iter(items), object()
    try:
        with ThreadPoolExecutor(1, "stage") as pool:
            waiting = deque(pool.submit(next, source, end) for _ in range(count))
            try:
                while (item := waiting.popleft().result()) is not end:
                    waiting.append(pool.submit(next, source, end))
                    yield item  # type: ignore[misc]
            finally:
                for future in waiting:
                    future.cancel()
    finally:
        if isinstance(source, Generator):
            source.close()
