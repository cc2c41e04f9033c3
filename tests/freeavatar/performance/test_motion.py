import numpy as np
import pytest

from freeavatar.errors import InputError
from freeavatar.performance import motion

TIMES = np.arange(100) / 25.0


def test_a_lost_face_is_held_then_eased_to_neutral():
    found = np.ones(100, bool)
    found[40:80] = False
    values = np.full((100, 2), 0.8, np.float32) * found[:, None]
    filled = motion.fill_gaps(values, TIMES, found)
    held = TIMES - TIMES[39] <= motion.HOLD
    assert filled[40:80][held[40:80]] == pytest.approx(0.8)
    assert filled[75:80] == pytest.approx(0, abs=1e-6)
    assert (np.diff(filled[40:80, 0]) <= 1e-6).all()
    assert filled[80:] == pytest.approx(0.8)


def test_before_the_first_face_the_avatar_is_neutral():
    found = np.arange(100) >= 10
    filled = motion.fill_gaps(np.ones((100, 1), np.float32), TIMES, found)
    assert (filled[:10] == 0).all() and (filled[10:] == 1).all()


def test_automatic_calibration_takes_off_a_resting_value_and_keeps_the_peak():
    values = np.full((100, 1), 0.2, np.float32)
    values[50:60] = 1.0
    neutral = motion.neutral_of(values, TIMES, np.ones(100, bool), "auto")
    calibrated = motion.calibrate(values, neutral)
    assert calibrated[0] == pytest.approx(0) and calibrated[55] == pytest.approx(1)


def test_automatic_calibration_leaves_a_held_smile_mostly_there():
    values = np.full((100, 1), 0.9, np.float32)
    neutral = motion.neutral_of(values, TIMES, np.ones(100, bool), "auto")
    assert motion.calibrate(values, neutral).min() > 0.8


def test_calibration_at_a_second_uses_that_moment():
    values = np.linspace(0, 0.8, 100, dtype=np.float32)[:, None]
    neutral = motion.neutral_of(values, TIMES, np.ones(100, bool), 2.0)
    assert motion.calibrate(values, neutral)[50] == pytest.approx(0, abs=0.01)
    with pytest.raises(InputError, match="no face around second 9"):
        motion.neutral_of(values, TIMES, np.ones(100, bool), 9.0)


def test_no_calibration_changes_nothing():
    values = np.random.default_rng(0).random((100, 3), np.float32)
    neutral = motion.neutral_of(values, TIMES, np.ones(100, bool), "none")
    np.testing.assert_array_equal(motion.calibrate(values, neutral), values)


def smooth(values, times=TIMES, amount=1.0, cuts=()):
    begins = np.isin(np.arange(len(times)), cuts)
    return motion.smooth(values, times, begins, amount)


def test_smoothing_has_no_lag_and_calms_noise():
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1, (100, 1)).astype(np.float32)
    assert smooth(noise, amount=0.5).std() < 0.7 * noise.std()
    np.testing.assert_array_equal(smooth(noise, amount=0.0), noise)


@pytest.mark.parametrize("cuts", [(), (40,), (40, 41, 99)])
def test_a_ramp_stays_what_it_is_up_to_both_ends_and_at_cuts(cuts):
    ramp = np.linspace(0, 1, 100, dtype=np.float32)[:, None]
    shots = ramp + np.cumsum(np.isin(np.arange(100), cuts))[:, None].astype(np.float32)
    np.testing.assert_allclose(smooth(shots, cuts=cuts), shots, atol=1e-5)


def test_nothing_is_carried_across_a_cut():
    step = (np.arange(100) >= 50).astype(np.float32)[:, None]
    np.testing.assert_array_equal(smooth(step, cuts=(50,)), step)
    assert 0.2 < smooth(step)[49, 0] < 0.8


def test_smoothing_goes_by_time_not_by_frames():
    """A ramp is a ramp and a step lies where its time is, however unevenly the frames fall."""
    times = np.sort(np.random.default_rng(1).uniform(0, 4, 400))
    ramp = times[:, None].astype(np.float32)
    np.testing.assert_allclose(smooth(ramp, times), ramp, atol=1e-4)
    step = (times > 2).astype(np.float32)[:, None]
    smoothed = smooth(step, times)[:, 0]
    assert abs(times[np.argmin(np.abs(smoothed - 0.5))] - 2) < 0.03


def test_a_frame_depends_on_the_time_around_it_alone_whatever_the_rate():
    """Frames at 10 a second, then at 60: the median step says nothing of either."""
    times = np.concatenate([np.arange(30) / 10, 3 + np.arange(120) / 60])
    values = np.random.default_rng(0).random((len(times), 1)).astype(np.float32)
    whole = smooth(values, times)
    for index in (0, 15, 29, 30, 60, 149):
        near = np.abs(times - times[index]) <= motion.REACH
        part = smooth(values[near], times[near])
        np.testing.assert_allclose(part[near[:index].sum()], whole[index], atol=1e-6)


def test_smoothing_out_of_range_is_refused():
    with pytest.raises(InputError, match="between 0 and 1"):
        smooth(np.zeros((4, 1)), TIMES[:4], 1.5)


def test_a_single_picture_is_not_calibrated_against_itself():
    value = np.full((1, 2), 0.9, np.float32)
    assert (motion.neutral_of(value, np.zeros(1), np.ones(1, bool), "auto") == 0).all()


def test_a_blink_outlives_smoothing_and_noise_does_not():
    times = np.arange(90) / 30
    blink = np.exp(-0.5 * ((times - 1.5) / 0.04) ** 2)[:, None].astype(np.float32)
    noise = np.random.default_rng(0).normal(0, 0.02, (90, 1)).astype(np.float32)
    smoothed = smooth(blink + noise, times)
    kept = motion.keep_fast(blink + noise, smoothed)
    assert smoothed.max() < 0.75 and kept.max() > 0.95
    assert np.abs(np.diff(kept[:30, 0], 2)).mean() < 0.3 * np.abs(np.diff(noise[:30, 0], 2)).mean()
