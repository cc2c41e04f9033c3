"""The clock: frames are sent when they are due, late ones are dropped, nothing adds up."""

import time

import numpy as np
import pytest

from freeavatar.errors import InputError
from freeavatar.streams import Clock, play
from freeavatar.streams.stream import Stream


class FakeClock(Clock):
    """A clock that jumps, and oversleeps by 3 ms each time."""

    def __init__(self, until: float = np.inf) -> None:
        super().__init__()
        self.time, self.until = 100.0, 100.0 + until

    def now(self) -> float:
        return self.time

    def wait(self, seconds: float) -> bool:
        self.time += max(seconds, 0) + 0.003
        return self.time > self.until


class Ear(Stream):
    """Keeps what it is sent, and takes its time over some."""

    def __init__(self, clock: Clock, costs: dict[int, float] | None = None) -> None:
        self.clock, self.costs = clock, costs or {}
        self.heard: list[tuple[float, float]] = []
        self.jaws: list[float] = []

    def send(self, weights, head, confidence, time):
        self.heard.append((self.clock.now() - 100, time))
        self.jaws.append(float(weights.max()))
        if cost := self.costs.get(len(self.heard)):
            self.clock.time += cost


def test_delays_do_not_add_up(curves):
    clock = FakeClock()
    ear = Ear(clock)
    played = play(curves(300), [ear], clock=clock)
    assert (played.sent, played.dropped) == (300, 0)
    late = [heard - due for heard, due in ear.heard]
    assert max(late) < 0.0031 and ear.heard[-1][1] == pytest.approx(299 / 30)


def test_late_frames_are_dropped_and_the_next_is_in_time(curves):
    clock = FakeClock()
    ear = Ear(clock, {3: 0.2})
    played = play(curves(30), [ear], clock=clock)
    assert played.sent + played.dropped == 30 and played.dropped == 5
    assert all(heard - due < 0.0334 for heard, due in ear.heard)
    assert ear.heard[-1][1] == pytest.approx(29 / 30)


def test_speed_changes_when_frames_are_due(curves):
    clock = FakeClock()
    ear = Ear(clock)
    play(curves(11), [ear], speed=2.0, clock=clock)
    assert ear.heard[-1][1] == pytest.approx(10 / 60)


def test_the_last_frame_stays_as_long_as_others(curves):
    clock = FakeClock()
    play(curves(10), [Ear(clock)], clock=clock)
    assert clock.now() == pytest.approx(100 + 10 / 30, abs=0.0031)


def test_a_loop_goes_on_in_time_until_it_is_stopped(curves):
    clock = FakeClock(until=2.0)
    ear = Ear(clock)
    played = play(curves(10), [ear], is_looping=True, clock=clock)
    assert played.sent == 60 and played.dropped == 0
    np.testing.assert_allclose(np.diff([due for _, due in ear.heard]), 1 / 30, atol=1e-9)
    assert ear.jaws[:10] == ear.jaws[10:20]


def test_every_stream_hears_every_frame(curves):
    clock = FakeClock()
    ears = [Ear(clock), Ear(clock)]
    play(curves(5), ears, clock=clock)
    assert ears[0].jaws == ears[1].jaws and len(ears[0].jaws) == 5


def test_real_time_is_kept(curves):
    start = time.monotonic()
    played = play(curves(20, rate=60), [])
    assert 0.32 < time.monotonic() - start < 1.0 and played.sent + played.dropped == 20


def test_a_clock_that_is_stopped_waits_no_more():
    clock = Clock()
    clock.stop()
    start = time.monotonic()
    assert clock.wait(10) and time.monotonic() - start < 1


@pytest.mark.parametrize("speed", [0.0, -1.0, np.nan, np.inf])
def test_a_speed_that_cannot_be_played_is_explained(curves, speed):
    with pytest.raises(InputError, match=r"expected a number between 0\.01 and 100"):
        play(curves(), [], speed=speed)
