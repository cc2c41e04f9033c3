"""Stages that work at the same time: order, errors, cancel, memory."""

import threading
import time

import pytest

from freeavatar.pipeline.stages import ahead


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
