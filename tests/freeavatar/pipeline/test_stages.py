"""Stages that work at the same time: order, errors, cancel, memory."""

import random
import threading
import time

import pytest

from freeavatar.pipeline.stages import AHEAD, ahead, in_parallel


def test_items_come_in_order_from_another_thread() -> None:
    made: list[int] = []

    def items():
        for k in range(20):
            made.append(threading.get_ident())
            yield k

    assert list(ahead(items())) == list(range(20))
    assert len(set(made)) == 1 and made[0] != threading.get_ident()


def test_a_stage_goes_on_while_the_next_one_works() -> None:
    second_is_made = threading.Event()

    def items():
        yield 1
        second_is_made.set()
        yield 2

    stage = ahead(items())
    assert next(stage) == 1
    assert second_is_made.wait(10)
    assert list(stage) == [2]


def test_no_more_than_asked_for_waits() -> None:
    made: list[int] = []
    stage = ahead((made.append(k) or k for k in range(100)), count=3)
    assert next(stage) == 0
    time.sleep(0.1)
    assert len(made) <= 4
    stage.close()


def test_an_error_arrives_after_what_was_made_before_it() -> None:
    def items():
        yield 1
        raise ValueError("broken frame")

    stage = ahead(items())
    assert next(stage) == 1
    with pytest.raises(ValueError, match="broken frame"):
        next(stage)


def test_closing_ends_the_stage_and_what_feeds_it() -> None:
    closed = []

    def items():
        try:
            yield from range(1000)
        finally:
            closed.append(True)

    stage = ahead(ahead(items()))
    assert next(stage) == 0
    stage.close()
    assert closed == [True]
    assert not any(thread.name.startswith("stage") for thread in threading.enumerate())


def test_what_is_made_side_by_side_comes_in_order() -> None:
    rng, threads = random.Random(0), set()

    def work(k: int) -> int:
        threads.add(threading.get_ident())
        time.sleep(rng.uniform(0, 0.005))
        return k * k

    assert list(in_parallel(range(60), work, workers=3)) == [k * k for k in range(60)]
    assert len(threads) == 3


def test_side_by_side_takes_few_items_before_their_turn() -> None:
    taken: list[int] = []
    stage = in_parallel((taken.append(k) or k for k in range(100)), lambda k: k, workers=2)
    assert next(stage) == 0
    assert len(taken) == 2 + AHEAD + 1
    stage.close()


def test_an_error_side_by_side_arrives_in_its_turn_and_ends_all() -> None:
    closed = []

    def items():
        try:
            yield from range(1000)
        finally:
            closed.append(True)

    def work(k: int) -> int:
        if k == 2:
            raise ValueError("broken frame")
        return k

    stage = in_parallel(items(), work, workers=2)
    assert [next(stage), next(stage)] == [0, 1]
    with pytest.raises(ValueError, match="broken frame"):
        next(stage)
    assert closed == [True]
    assert not any(thread.name.startswith("stage") for thread in threading.enumerate())
