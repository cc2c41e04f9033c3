import numpy as np
import pytest

from freeavatar.faces.smooth import LOOKAHEAD, smooth_points

FACE = np.array([(53.7, 62.1), (90.3, 62.1), (72, 85.1), (56.4, 101.8), (87.6, 101.8)])


def smooth(points: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Every frame of a track, each with at most LOOKAHEAD neighbours on either side."""
    out = []
    for i in range(len(points)):
        low = max(0, i - LOOKAHEAD)
        run = slice(low, i + LOOKAHEAD + 1)
        out.append(smooth_points(points[run], times[run], i - low))
    return np.array(out)


def still(frames: int, *, noise: float = 0.0) -> np.ndarray:
    return FACE + np.random.default_rng(0).normal(0, noise, (frames, 5, 2))


@pytest.mark.parametrize("speed", [0.5, 3.0, 15.0])
def test_ramp_has_no_lag_even_at_its_ends(speed: float) -> None:
    times = np.arange(20) / 30
    points = FACE + np.arange(20)[:, None, None] * (speed, -speed / 2)
    np.testing.assert_allclose(smooth(points, times), points, atol=1e-4)


def test_ramp_has_no_lag_at_a_variable_rate() -> None:
    times = np.cumsum(np.random.default_rng(1).uniform(0.01, 0.08, 30))
    points = FACE + times[:, None, None] * (90, 20)
    np.testing.assert_allclose(smooth(points, times), points, atol=1e-4)


@pytest.mark.parametrize(("rate", "gain"), [(24, 0.65), (30, 0.6), (60, 0.55)])
def test_noise_of_a_still_face_shrinks(rate: int, gain: float) -> None:
    points = still(300, noise=0.3)
    smoothed = smooth(points, np.arange(300) / rate)
    assert smoothed.std(0).mean() < gain * 0.3
    shake = np.diff(smoothed, n=2, axis=0).std() / np.diff(points, n=2, axis=0).std()
    assert shake < 0.3


def test_unit_of_noise_is_the_face_not_the_image() -> None:
    points, times = still(40, noise=0.4), np.arange(40) / 30
    np.testing.assert_allclose(smooth(points * 5, times), smooth(points, times) * 5, atol=1e-3)


def test_fast_movement_is_followed() -> None:
    times = np.arange(60) / 30
    swing = 25 * np.sin(2 * np.pi * 2 * times)  # two shakes of the head a second
    points = FACE + swing[:, None, None] * (1, 0)
    assert np.abs(smooth(points, times) - points).max() < 1


def test_sudden_start_is_not_smeared() -> None:
    times = np.arange(20) / 30
    points = FACE + np.maximum(0, np.arange(20) - 9)[:, None, None] * (8, 0)
    assert np.abs(smooth(points, times) - points).max() < 1.2


def test_only_the_moving_point_is_left_rough() -> None:
    times = np.arange(21) / 30
    points = still(21, noise=0.3)
    points[:, 3:, 1] += 12 * (np.arange(21) >= 10)[:, None]
    smoothed = smooth(points, times)
    assert np.abs(smoothed[9:12, 3:] - points[9:12, 3:]).max() < 1.5
    assert np.abs(smoothed[9:12, :3] - FACE[:3]).mean() < np.abs(points[9:12, :3] - FACE[:3]).mean()


@pytest.mark.parametrize("step", [1 / 30, 0.2, 1.0])
@pytest.mark.parametrize("speed", [0.0, 4.0])
def test_single_outlier_leaves_no_trace(step: float, speed: float) -> None:
    points = FACE + np.arange(15)[:, None, None] * (speed, 0)
    spoilt = points.copy()
    spoilt[7, 2] += (14, -9)
    np.testing.assert_allclose(smooth(spoilt, np.arange(15) * step), points, atol=1e-3)


@pytest.mark.parametrize("jump", [6.0, 30.0])
def test_jump_is_not_bridged(jump: float) -> None:
    points, times = still(20, noise=0.2), np.arange(20) / 30
    points[10:] += (jump, 0)
    pieces = [smooth(points[:10], times[:10]), smooth(points[10:], times[10:])]
    np.testing.assert_allclose(smooth(points, times), np.concatenate(pieces), atol=1e-6)


def test_lone_frame_and_pair_are_kept() -> None:
    points = still(2, noise=0.5)
    np.testing.assert_allclose(smooth_points(points[:1], np.zeros(1), 0), points[0], atol=1e-4)
    np.testing.assert_allclose(smooth_points(points, np.array([0, 0.04]), 1), points[1], atol=1e-4)


def test_order_of_time_does_not_matter() -> None:
    points, times = still(9, noise=1.0), np.arange(9) / 30
    backward = smooth_points(points[::-1], times.max() - times[::-1], 4)
    np.testing.assert_allclose(smooth_points(points, times, 4), backward, atol=1e-4)
